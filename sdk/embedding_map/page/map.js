"use strict";
const { points, colour_by } = JSON.parse(document.getElementById("content").textContent);
const [canvas, card, colour, only, count] = ["map", "card", "colour", "only", "count"].map((id) => document.getElementById(id));
const view = { zoom: 1, x: 0, y: 0 }; // of the unit square; x, y in px
const RADIUS = 5;
let chosen = -1;
let dragged = null;

colour.value = colour_by;
const people = [...new Set(points.map((point) => point.identity).filter((name) => name !== null))];
people.sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
for (const name of people) only.add(new Option(name, name));

const isShown = (point) => !only.value || point.identity === only.value;

function placeOf(point) {
  const side = Math.min(canvas.clientWidth, canvas.clientHeight) - 40;
  const left = (canvas.clientWidth - side) / 2, top = (canvas.clientHeight - side) / 2;
  return [view.x + view.zoom * (left + point.x * side), view.y + view.zoom * (top + point.y * side)];
}

function draw() {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * ratio;
  canvas.height = canvas.clientHeight * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const which = colour.value === "identity" ? 0 : 1;
  points.forEach((point, number) => {
    const [x, y] = placeOf(point);
    pen.globalAlpha = isShown(point) ? 1 : 0.12;
    pen.fillStyle = point.colours[which];
    pen.beginPath();
    pen.arc(x, y, number === chosen ? 2 * RADIUS : RADIUS, 0, 2 * Math.PI);
    pen.fill();
  });
  const shown = points.filter(isShown).length;
  count.textContent = `${shown} of ${points.length} crops, ${people.length} people`;
}

function choose(number) {
  chosen = number;
  card.hidden = number < 0;
  if (number >= 0) {
    const point = points[number];
    const image = card.querySelector("img");
    image.hidden = !point.crop;
    if (point.crop) image.src = `data:image/jpeg;base64,${point.crop}`;
    card.querySelector("p").textContent =
      `${point.identity ?? "unknown"}, camera ${point.camera ?? "unknown"} (${point.name})`;
    const [x, y] = placeOf(point);
    card.style.left = `${Math.max(0, Math.min(x + 14, canvas.clientWidth - card.offsetWidth))}px`;
    card.style.top = `${Math.max(0, Math.min(y + 14, canvas.clientHeight - card.offsetHeight))}px`;
  }
  draw();
}

function nearest(x, y) {
  let best = -1, distance = (3 * RADIUS) ** 2;
  points.forEach((point, number) => {
    const [left, top] = placeOf(point);
    const own = (left - x) ** 2 + (top - y) ** 2;
    if (isShown(point) && own < distance) [best, distance] = [number, own];
  });
  return best;
}

canvas.addEventListener("pointermove", (event) => {
  if (dragged) {
    view.x += event.clientX - dragged.clientX;
    view.y += event.clientY - dragged.clientY;
    dragged = event;
    draw();
  } else {
    const number = nearest(event.offsetX, event.offsetY);
    if (number !== chosen) choose(number);
  }
});
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  choose(nearest(event.offsetX, event.offsetY));
  dragged = event;
});
for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { dragged = null; });
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const zoom = Math.min(40, Math.max(1, view.zoom * Math.exp(-event.deltaY / 500)));
  view.x = event.offsetX - (event.offsetX - view.x) * zoom / view.zoom;
  view.y = event.offsetY - (event.offsetY - view.y) * zoom / view.zoom;
  view.zoom = zoom;
  choose(-1);
}, { passive: false });
canvas.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape") choose(-1);
  if (!step) return;
  event.preventDefault();
  let number = chosen;
  do number = (number + step + points.length) % points.length;
  while (!isShown(points[number]));
  choose(number);
});
for (const select of [colour, only]) select.addEventListener("change", () => choose(-1));
window.addEventListener("resize", () => choose(-1));
draw();
