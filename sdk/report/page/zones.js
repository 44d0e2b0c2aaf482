/* Zones and lines: how many people, how often, how long; a row a zone opens to a row a person. Needs report.js. */
function drawZones() {
  const places = new Map();
  for (const row of data.zones || []) {
    const key = JSON.stringify([row.camera, row.zone]);
    if (!places.has(key)) places.set(key, []);
    places.get(key).push(row);
  }
  find("zones-part").hidden = !places.size;
  find("zones").replaceChildren(...[...places.values()].map((rows) => {
    const sum = (name) => rows.reduce((total, row) => total + row[name], 0);
    const people = rows.filter((row) => row.identity !== null).length;
    return element("details", {},
      element("summary", {}, element("b", { text: rows[0].zone }), " at " + rows[0].camera + ": " + count(people, "person", "people") + ", "
        + deeds({ is_line: rows[0].is_line, visits: sum("visits"), seconds: sum("seconds"), crossed_in: sum("crossed_in"), crossed_out: sum("crossed_out") })),
      element("ul", {}, ...rows.map((row) => element("li", { text: (row.identity ?? "nobody known") + ": " + deeds(row)
        + ", " + moment(row.first) + " to " + moment(row.last) }))));
  }));
}

function deeds(row) {
  return row.is_line ? row.crossed_in + " in, " + row.crossed_out + " out" : count(row.visits, "visit", "visits") + ", " + duration(row.seconds);
}

drawZones();
