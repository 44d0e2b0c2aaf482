const data = JSON.parse(find("data").textContent);
const [START, END] = data.span;
const LENGTH = Math.max(END - START, 1e-3);
const BINS = 160;
const CHUNK = 200;
const chosen = { text: "", camera: null, way: null, at: null, person: null, order: "name" };
let room = CHUNK;

const WHOLE = { first: START, length: LENGTH };
const place = (time, range = WHOLE) => 100 * Math.min(1, Math.max(0, (time - range.first) / range.length)) + "%";
const source = (visit) => visit.picture ? "data:image/jpeg;base64," + visit.picture : null;
const fits = (visit, at) => visit.first <= at && at <= visit.last;

function best(person) {
  const seen = person.visits.filter((visit) => visit.picture);
  return seen.length ? source(seen.reduce((a, b) => (b.frames > a.frames ? b : a))) : null;
}

/* Seconds in view of any camera: where cameras overlap, the time counts once. Visits are by beginning. */
function secondsInView(visits) {
  let sum = 0, until = -Infinity;
  for (const { first, last } of visits) {
    sum += Math.max(0, last - Math.max(first, until));
    until = Math.max(until, last);
  }
  return sum;
}

for (const person of data.people) person.total = secondsInView(person.visits);

/* Equals stay in the order of names, which is that of the data. */
const ORDERS = {
  name: () => 0,
  first: (a, b) => a.visits[0].first - b.visits[0].first,
  last: (a, b) => Math.max(...b.visits.map((visit) => visit.last)) - Math.max(...a.visits.map((visit) => visit.last)),
  total: (a, b) => b.total - a.total,
  visits: (a, b) => b.visits.length - a.visits.length,
};

function matching() {
  const walkers = chosen.way && new Set(data.ways.filter((w) => w[1] === chosen.way[0] && w[2] === chosen.way[1]).map((w) => w[0]));
  const text = chosen.text.trim().toLowerCase();
  return data.people.map((person, index) => ({ person, index })).filter(({ person, index }) =>
    (!text || person.name.toLowerCase().includes(text)) &&
    (!walkers || walkers.has(index)) &&
    (chosen.camera === null && chosen.at === null || person.visits.some((visit) =>
      (chosen.camera === null || visit.camera === chosen.camera) && (chosen.at === null || fits(visit, chosen.at)))))
    .sort((a, b) => ORDERS[chosen.order](a.person, b.person));
}

function summary() {
  const visits = data.people.reduce((sum, person) => sum + person.visits.length, 0);
  const parts = [count(data.people.length, "person", "people"), count(data.cameras.length, "camera", "cameras"), count(visits, "visit", "visits")];
  if (data.people.length || data.outages.length) parts.push(moment(START, true) + " to " + moment(END, true) + " (" + duration(LENGTH) + ")");
  if (data.unnamed) parts.push(count(data.unnamed, "track", "tracks") + " too short or too unclear for a name");
  find("summary").textContent = parts.join("  ·  ");
}

/* ---- people in view over time ---- */

function drawActivity() {
  const cameras = data.cameras.map(() => new Array(BINS).fill(0));
  for (const person of data.people) for (const visit of person.visits) {
    const from = Math.floor((visit.first - START) / LENGTH * BINS), to = Math.floor((visit.last - START) / LENGTH * BINS);
    for (let bin = Math.max(0, from); bin <= Math.min(BINS - 1, to); bin++) cameras[visit.camera][bin]++;
  }
  const sums = cameras.length ? cameras[0].map((_, bin) => cameras.reduce((sum, camera) => sum + camera[bin], 0)) : [];
  const most = Math.max(1, ...sums), mostOfOne = Math.max(1, ...cameras.map((counts) => Math.max(...counts)));
  const activity = find("activity");
  activity.replaceChildren(bars(cameras.map((counts, number) => ({ counts, number })), most));
  if (sums.length) activity.append(element("span", { class: "most small faint", text: "at most " + most }));
  axis(find("axis"));
  drawCameras(cameras, mostOfOne);
  activity.setAttribute("aria-valuemin", START);
  activity.setAttribute("aria-valuemax", END);
  activity.addEventListener("click", chooseMoment);
  activity.addEventListener("keydown", (event) => {
    const step = LENGTH / BINS;
    const moves = { ArrowRight: step, ArrowUp: step, ArrowLeft: -step, ArrowDown: -step, PageUp: 10 * step, PageDown: -10 * step };
    let at = chosen.at === null ? START : chosen.at;
    if (event.key in moves) at += moves[event.key];
    else if (event.key === "Home") at = START;
    else if (event.key === "End") at = END;
    else return;
    event.preventDefault();
    choose({ at: Math.min(END, Math.max(START, at)) });
  });
}

function chooseMoment(event) {
  const box = event.currentTarget.getBoundingClientRect();
  choose({ at: START + LENGTH * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) });
}

/* People in view over time: the cameras' counts, one above the other. */
function bars(cameras, most) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 " + BINS + " 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  for (let bin = 0; bin < BINS; bin++) {
    let top = 100;
    for (const { counts, number } of cameras) {
      if (!counts[bin]) continue;
      const height = counts[bin] / most * 94;
      const rect = document.createElementNS(space, "rect");
      top -= height;
      for (const [name, value] of Object.entries({ x: bin + .06, y: top, width: .88, height })) rect.setAttribute(name, value);
      rect.setAttribute("class", "of" + number % 8);
      svg.append(rect);
    }
  }
  return svg;
}

/* Of one camera alone, for its own lane. */
function outageMarks(camera, range = WHOLE) {
  return data.outages.filter((outage) => outage.camera === camera).map((outage) => {
    const mark = element("span", { class: "outage", title: outageText(outage) });
    mark.style.left = place(outage.first, range);
    mark.style.width = "calc(" + place(outage.last, range) + " - " + place(outage.first, range) + ")";
    return mark;
  });
}

function outageText(outage) {
  const what = { lost: "gave no picture", frozen: "stood still" }[outage.kind];
  return data.cameras[outage.camera] + " " + what + " for " + duration(outage.last - outage.first) + (outage.reason ? ": " + outage.reason : "");
}

function axis(target, range = WHOLE, width = target.getBoundingClientRect().width) {
  const marks = ticks(range.first, range.first + range.length, Math.max(2, Math.floor(width / 90)));
  const texts = marks.map((at) => moment(at));
  const whole = texts.every((text) => /^\d\d:\d\d:00$/.test(text));
  target.replaceChildren(...marks.map((at, index) => {
    const share = (at - range.first) / range.length;
    const mark = element("span", { text: whole ? texts[index].slice(0, 5) : texts[index], class: share < .03 ? "start" : share > .97 ? "end" : null });
    mark.style.left = place(at, range);
    return mark;
  }));
}

function drawCameras(counts, most) {
  find("cameras").replaceChildren(...data.cameras.map((name, number) => element("div", { class: "across" },
    element("button", {
      type: "button", class: "chip", "data-camera": number, "aria-pressed": "false",
      onclick: () => choose({ camera: chosen.camera === number ? null : number }),
    }, swatch(number), element("span", { text: name })),
    element("div", { class: "lane-of", "data-lane": number, "aria-hidden": "true", onclick: chooseMoment },
      bars([{ counts: counts[number], number }], most), ...outageMarks(number)))));
}

/* ---- the people ---- */

/* Visits that overlap in time share the height of the bar, as appointments do in a calendar. */
function lanes(visits) {
  const placed = [];
  let group = [], ends = [], until = -Infinity;
  const close = () => { for (const item of group) item.lanes = ends.length; group = []; ends = []; };
  for (const visit of visits) {
    if (visit.first >= until) { close(); until = -Infinity; }
    let lane = ends.findIndex((end) => end <= visit.first);
    if (lane < 0) lane = ends.length;
    ends[lane] = visit.last;
    until = Math.max(until, visit.last);
    const item = { visit, lane };
    group.push(item);
    placed.push(item);
  }
  close();
  return placed;
}

function timeBar(visits, range = WHOLE) {
  const bar = element("span", { class: "time", "aria-hidden": "true" });
  for (const { visit, lane, lanes: number } of lanes(visits)) {
    const piece = element("i", { class: cameraClass(visit.camera), title: data.cameras[visit.camera] + ", " + moment(visit.first) + " to " + moment(visit.last) });
    piece.style.left = place(visit.first, range);
    piece.style.width = 100 * (visit.last - visit.first) / range.length + "%";
    piece.style.top = 100 * lane / number + "%";
    piece.style.height = 100 / number + "%";
    bar.append(piece);
  }
  if (chosen.at !== null && chosen.at >= range.first && chosen.at <= range.first + range.length) {
    const line = element("u");
    line.style.left = place(chosen.at, range);
    bar.append(line);
  }
  return bar;
}

function told(person) {
  const cameras = new Set(person.visits.map((visit) => visit.camera)).size;
  return count(person.visits.length, "visit", "visits") + ", " + count(cameras, "camera", "cameras") + ", " + duration(person.total);
}

function drawPeople() {
  const found = matching();
  const rows = found.slice(0, room).map(({ person }) => {
    const open = chosen.person === person.name;
    const button = element("button", {
      type: "button", class: "row", "aria-expanded": String(open), "data-name": person.name,
      onclick: () => choose({ person: open ? null : person.name }),
    }, element("span", { class: "who" }, portrait(best(person), person.name, person.colour), element("span", {},
      element("b", { text: person.name, title: person.name }), element("span", { class: "small faint", text: told(person) }))),
    timeBar(person.visits));
    return element("li", {}, button, open ? detail(person) : null);
  });
  find("people").replaceChildren(...rows);
  find("shown").textContent = !data.people.length ? "Nobody was seen." : found.length === data.people.length
    ? "All " + data.people.length : found.length + " of " + data.people.length;
  find("more").hidden = found.length <= room;
}

/* The lanes of somebody who was here for a small part of the time show that part alone. */
function rangeOf(person) {
  const first = Math.min(...person.visits.map((visit) => visit.first)), last = Math.max(...person.visits.map((visit) => visit.last));
  return last - first < .6 * LENGTH ? { first, length: Math.max(last - first, 1) } : WHOLE;
}

function detail(person) {
  const part = element("div", { class: "detail", role: "group", "aria-label": person.name + " in detail" });
  const range = rangeOf(person);
  for (const number of [...new Set(person.visits.map((visit) => visit.camera))].sort((a, b) => a - b)) {
    const bar = timeBar(person.visits.filter((visit) => visit.camera === number), range);
    bar.append(...outageMarks(number, range));
    part.append(element("div", { class: "lane" },
      element("span", {}, swatch(number), element("span", { text: data.cameras[number] })), bar));
  }
  const scale = element("div", { class: "axis", "aria-hidden": "true" });
  axis(scale, range, find("axis").getBoundingClientRect().width);
  part.append(element("div", { class: "lane" }, element("span"), scale));
  const path = element("ol", { class: "path", tabindex: "0", "aria-label": "Visits in order" });
  person.visits.forEach((visit, index) => {
    if (index) path.append(element("li", { class: "between" }, ...between(person.visits[index - 1], visit)));
    path.append(element("li", { class: "visit " + cameraClass(visit.camera).split(" ")[0] },
      portrait(source(visit), person.name, person.colour),
      element("p", { text: data.cameras[visit.camera] }),
      element("p", { class: "number", text: moment(visit.first) + " to " + moment(visit.last) }),
      element("p", { class: "faint", text: why(visit.reason) }),
      visit.evidence ? element("details", { class: "faint" },
        element("summary", { text: "Why?" }), element("p", { text: visit.evidence })) : null));
  });
  part.append(path);
  return part;
}

function between(before, after) {
  const gap = after.first - before.last;
  const text = gap < 0 ? "seen by both" : duration(gap);
  return [element("b", { text: "→", "aria-hidden": "true" }), element("span", { text })];
}

function why(reason) {
  if (!reason) return null;
  if (reason.new) return "nobody known before";
  const parts = reason.second_pass ? ["named by a second pass"] : [];
  if (reason.second_pass && reason.before) parts.push("before: " + reason.before);
  if (typeof reason.distance === "number") parts.push("distance " + reason.distance.toFixed(2));
  if (reason.runner_up) parts.push("next: " + (reason.runner_up.identity || reason.runner_up) );
  if (typeof reason.margin === "number") parts.push("margin " + reason.margin.toFixed(2));
  return parts.join(", ") || null;
}

/* ---- ways ---- */

function drawWays() {
  const cells = new Map();
  for (const [, from, to, , seconds] of data.ways) {
    const key = from + "," + to;
    if (!cells.has(key)) cells.set(key, []);
    cells.get(key).push(seconds);
  }
  if (!cells.size) {
    find("ways").replaceChildren(element("p", { class: "faint", text: "Nobody was seen by two cameras." }));
    return;
  }
  const most = Math.max(...[...cells.values()].map((list) => list.length));
  const head = element("tr", {}, element("th", { scope: "col", text: "from \\ to" }),
    ...data.cameras.map((name) => element("th", { scope: "col", text: name, title: name })));
  const rows = data.cameras.map((name, from) => element("tr", {}, element("th", { scope: "row", text: name, title: name }),
    ...data.cameras.map((other, to) => {
      const list = cells.get(from + "," + to);
      if (!list) return element("td", { text: from === to ? "" : "–" });
      const middle = [...list].sort((a, b) => a - b)[Math.floor((list.length - 1) / 2)];
      const time = middle ? duration(middle) : "at once";
      const button = element("button", {
        type: "button", "data-way": from + "," + to, "aria-pressed": "false",
        "aria-label": name + " to " + other + ": " + count(list.length, "time", "times") + ", median " + time,
        onclick: () => choose({ way: chosen.way && chosen.way[0] === from && chosen.way[1] === to ? null : [from, to] }, true),
      }, element("b", { text: list.length }), element("small", { text: time }));
      button.style.setProperty("--share", list.length / most);
      return element("td", {}, button);
    })));
  find("pair").classList.toggle("many", data.cameras.length > 6);
  find("ways").replaceChildren(element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)));
}

/* ---- what happened ---- */

function drawHappened() {
  const lines = data.outages.map((outage) => [outage.first, outageText(outage)]);
  for (const event of data.events) {
    const detail = event.detail || {};
    if (event.kind === "merged") lines.push([event.time, detail.other + " and " + event.identity + " are one person, " + event.identity]);
    else if (event.kind === "associated") lines.push([event.time, "a second pass over the whole run named " + detail.changed + " of " + detail.tracks + " tracks anew"]);
    else if (event.kind === "split") lines.push([event.time, "track " + event.track + " of " + event.camera + " passed to another person"]);
    else if (event.kind === "camera_ended") lines.push([event.time, event.camera + " has ended" + (detail.reason ? ": " + detail.reason : "")]);
    else if (event.kind === "camera_clock") lines.push([event.time, (event.camera || "all cameras") + ": " + detail.what]);
    else lines.push([event.time, event.camera + " changed from " + size(detail.before) + " to " + size(detail.now)]);
  }
  lines.sort((a, b) => a[0] - b[0]);
  find("happened-part").hidden = !lines.length;
  find("happened").replaceChildren(element("ol", {}, ...lines.slice(0, 1000).map(([at, text]) =>
    element("li", {}, element("span", { class: "number faint", text: moment(at) }), element("span", { text })))));
}

const size = (pixels) => Array.isArray(pixels) ? pixels[1] + "×" + pixels[0] : "another size";

/* ---- what is chosen ---- */

function drawFilters() {
  const chips = [];
  const add = (text, change) => chips.push(element("button", {
    type: "button", class: "chip", "aria-pressed": "true", "aria-label": "Remove filter: " + text, onclick: () => choose(change),
  }, element("span", { text: text + "  ×" })));
  if (chosen.camera !== null) add("by " + data.cameras[chosen.camera], { camera: null });
  if (chosen.way) add(data.cameras[chosen.way[0]] + " → " + data.cameras[chosen.way[1]], { way: null });
  if (chosen.at !== null) add("at " + moment(chosen.at), { at: null });
  find("filters").replaceChildren(...chips);
  for (const chip of find("cameras").querySelectorAll(".chip")) chip.setAttribute("aria-pressed", String(Number(chip.dataset.camera) === chosen.camera));
  for (const cell of find("ways").querySelectorAll("button")) {
    cell.setAttribute("aria-pressed", String(chosen.way !== null && cell.dataset.way === chosen.way.join(",")));
  }
  const activity = find("activity");
  for (const mark of document.querySelectorAll("#activity .cursor, .lane-of u")) mark.remove();
  activity.setAttribute("aria-valuenow", chosen.at === null ? START : chosen.at);
  activity.setAttribute("aria-valuetext", chosen.at === null ? "no moment chosen" : moment(chosen.at) + ", " + matching().length + " in view");
  if (chosen.at !== null) {
    const cursor = element("span", { class: "cursor" }, element("b", { class: "number", text: moment(chosen.at) }));
    cursor.style.left = place(chosen.at);
    activity.append(cursor);
    for (const lane of document.querySelectorAll(".lane-of")) {
      const line = element("u");
      line.style.left = place(chosen.at);
      lane.append(line);
    }
  }
}

function choose(change, show = false) {
  const focused = document.activeElement?.dataset?.name;
  Object.assign(chosen, change);
  if (!("person" in change)) room = CHUNK;
  drawPeople();
  drawFilters();
  if ("person" in change) history.replaceState(null, "", chosen.person === null ? "#" : "#person=" + encodeURIComponent(chosen.person));
  if (focused !== undefined) rowOf(focused)?.focus();
  if (show) find("people-title").scrollIntoView({ block: "nearest" });
}

const rowOf = (name) => [...find("people").querySelectorAll(".row")].find((row) => row.dataset.name === name);

function fromAddress() {
  const match = /^#person=(.*)$/.exec(location.hash);
  let name = null;
  try { name = match && decodeURIComponent(match[1]); } catch { return; }
  const index = matching().findIndex(({ person }) => person.name === name);
  if (index < 0) return;
  room = Math.max(room, index + 1);
  choose({ person: name });
  rowOf(name).scrollIntoView({ block: "center" });
}

find("search").addEventListener("input", (event) => choose({ text: event.target.value }));
find("order").addEventListener("change", (event) => choose({ order: event.target.value }));
find("more").addEventListener("click", () => { room += CHUNK; drawPeople(); });
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || document.activeElement === find("order")) return;
  if (event.key === "/" && document.activeElement !== find("search")) {
    event.preventDefault();
    find("search").focus();
  } else if (event.key === "Escape") {
    find("search").value = "";
    choose({ text: "", camera: null, way: null, at: null, person: null });
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && document.activeElement?.classList.contains("row")) {
    const rows = [...find("people").querySelectorAll(".row")];
    const next = rows[rows.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1)];
    if (next) { event.preventDefault(); next.focus(); }
  } else if (event.key === "ArrowDown" && document.activeElement === find("search")) {
    const first = find("people").querySelector(".row");
    if (first) { event.preventDefault(); first.focus(); }
  }
});
window.addEventListener("resize", () => axis(find("axis")));
window.addEventListener("hashchange", fromAddress);

summary();
drawActivity();
drawWays();
drawHappened();
choose({ order: find("order").value });  // a browser that goes back keeps what was selected
fromAddress();
