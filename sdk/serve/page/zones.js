/* Zones and lines over the pictures, and a dialog in which they are drawn. Needs common.js and page.js. */
const SVG = "http://www.w3.org/2000/svg";
let drawnOn = null;         // number of the camera in the dialog
let points = [];            // shares of the picture
let mark = [.5, .5];        // what the arrow keys move

function svg(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const inHundreds = (shape) => shape.map(([x, y]) => 100 * x + "," + 100 * y).join(" ");

function outline(kind, shape) {
  if (kind === "zones") return svg("polygon", { points: inHundreds(shape) });
  const [[x1, y1], [x2, y2]] = shape;
  return svg("line", { x1: 100 * x1, y1: 100 * y1, x2: 100 * x2, y2: 100 * y2 });
}

function overlay(shapes) {
  const picture = svg("svg", { class: "zones", viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" });
  picture.append(...shapes.map(({ kind, points }) => outline(kind, points)));
  const names = shapes.map(({ name, points, here }) => {
    const label = element("span", { class: "zone-name", text: name + (here ? "  ·  " + here : "") });
    label.style.left = 100 * points.reduce((sum, [x]) => sum + x, 0) / points.length + "%";
    label.style.top = 100 * points.reduce((sum, [, y]) => sum + y, 0) / points.length + "%";
    return label;
  });
  return [picture, ...names];
}

function drawZones() {
  (state.zones || []).forEach((shapes, number) => {
    const tile = tiles[number];
    const key = JSON.stringify(shapes);
    if (tile.zones !== key) {
      tile.zones = key;
      for (const old of tile.tile.querySelectorAll(".view > .zones, .view > .zone-name")) old.remove();
      tile.boxes.before(...overlay(shapes));
      if (drawnOn === number) drawDialog();
    }
    if (state.drawable && !tile.draw) {
      tile.draw = element("button", { type: "button", class: "button draw", text: "Zones", onclick: () => openZones(number) });
      tile.enlarge.before(tile.draw);
    }
    if (tile.draw) tile.draw.setAttribute("aria-label", "Zones of " + visible(state.cameras[number].name));
  });
}

function openZones(number) {
  if (tiles[number].picture.hidden) return;
  drawnOn = number;
  points = [];
  mark = [.5, .5];
  find("zone-picture").src = "/camera/" + number + ".jpg";
  write("zone-title", "Zones of " + visible(state.cameras[number].name));
  write("zone-answer", "");
  find("zone-name").value = "";
  drawDialog();
  find("zone").showModal();
}

function drawDialog() {
  const shapes = state.zones[drawnOn];
  const view = find("zone-view");
  for (const old of view.querySelectorAll(":not(img)")) old.remove();
  view.append(...overlay(shapes));
  const picture = view.querySelector("svg");
  if (points.length > 1) picture.append(svg("polyline", { points: inHundreds(points) }));
  for (const point of [...points, mark]) {
    const dot = element("i", { class: "mark" });
    dot.style.left = 100 * point[0] + "%";
    dot.style.top = 100 * point[1] + "%";
    view.append(dot);
  }
  // Buttons stay while their list does: whoever is about to press one, or has the focus on it, keeps it.
  const list = find("zone-list");
  const listed = JSON.stringify([drawnOn, shapes.map(({ name, kind }) => [name, kind])]);
  if (list.dataset.listed === listed) return;
  list.dataset.listed = listed;
  list.replaceChildren(...shapes.map(({ name, kind }) => element("li", {},
    element("span", { text: name + (kind === "lines" ? "  (line)" : "") }),
    element("button", { type: "button", class: "button", text: "Take away", "aria-label": "Take away " + name, onclick: () => save(kind, name, []) }))));
}

function addPoint(point) {
  const most = find("zone-kind").value === "lines" ? 2 : 64;
  if (points.length < most) points.push(point.map((value) => Math.min(Math.max(Number(value.toFixed(4)), 0), 1)));
  write("zone-answer", count(points.length, "point", "points"));
  drawDialog();
}

async function save(kind, name, shape) {
  const [done, answer] = await act("/api/zone", { camera: drawnOn, kind, name, points: shape });
  write("zone-answer", done ? (shape.length ? "Saved " : "Taken away: ") + name : answer);
  if (!done) return;
  points = [];
  const response = await ask("/api/state");
  if (response.ok) state = await response.json();
  drawZones();
  drawDialog();
}

find("zone-view").addEventListener("click", (event) => {
  const place = find("zone-picture").getBoundingClientRect();
  mark = [(event.clientX - place.left) / place.width, (event.clientY - place.top) / place.height];
  addPoint(mark);
});

find("zone-view").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  const far = event.shiftKey ? .1 : .02;
  if (step) mark = mark.map((value, axis) => Math.min(Math.max(value + far * step[axis], 0), 1));
  else if (event.key === "Enter") addPoint(mark);
  else if (event.key === "Backspace") points.pop();
  else return;
  event.preventDefault();
  drawDialog();
});

find("zone-form").addEventListener("submit", (event) => {
  event.preventDefault();
  save(find("zone-kind").value, find("zone-name").value.trim(), points);
});
find("zone-kind").addEventListener("change", () => { points = []; drawDialog(); });
find("zone-again").addEventListener("click", () => { points = []; write("zone-answer", ""); drawDialog(); });
find("zone-close").addEventListener("click", () => find("zone").close());
find("zone").addEventListener("close", () => { drawnOn = null; });
