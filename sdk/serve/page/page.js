const STATE_EVERY = 1000;   // ms
const FOUND_EVERY = 3;      // states
const ROUND_LEAST = 120;    // ms for one look at all cameras that are in sight
let state = null;
let shown = null;           // the identity in the dialog
let found = null;           // the last answer to what is searched for
let gone = null;            // when the program answered for the last time, ms, if it does not any more
const tiles = [];
const inSight = new Set();

const watching = new IntersectionObserver((entries) => {
  for (const entry of entries) inSight[entry.isIntersecting ? "add" : "delete"](Number(entry.target.dataset.number));
});

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const pictureOf = (person) => person.picture === null ? null
  : "/picture?identity=" + encodeURIComponent(person.identity) + "&v=" + person.picture;

const PATIENCE = 8000;       // ms without an answer, after which a program is taken for gone

/* Whether what is shown is how it was, and not how it is. */
const over = () => gone !== null || state.ended !== null;

async function ask(address) {
  const response = await fetch(address, { signal: AbortSignal.timeout(PATIENCE) });
  if (response.status === 401) location.assign("/sign-in");
  return response;
}

async function act(address, body) {
  const response = await fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Reid-Secret": state.secret },
    body: JSON.stringify(body),
  });
  if (response.status === 401) location.assign("/sign-in");
  return response.ok ? [true, await response.json()] : [false, await response.text()];
}

/* ---- cameras ---- */

function makeTile(number) {
  const picture = element("img", { alt: "", hidden: true });
  const boxes = element("div", { class: "boxes" });
  const notice = element("p", { text: "Waiting for the first picture" });
  const name = element("b");
  const lamp = element("span", { class: "lamp" });
  const facts = element("span", { class: "facts small faint number" });
  const enlarge = element("button", { type: "button", class: "button enlarge", "aria-pressed": "false", text: "Enlarge" });
  const tile = element("figure", { class: "camera card", "data-number": number },
    element("div", { class: "view" }, picture, boxes, notice), element("figcaption", {}, lamp, swatch(number), name, facts, enlarge));
  enlarge.addEventListener("click", () => {
    const large = tile.classList.toggle("large");
    enlarge.setAttribute("aria-pressed", String(large));
    enlarge.textContent = large ? "Smaller" : "Enlarge";
    if (large) tile.scrollIntoView({ block: "nearest" });
  });
  find("cameras").append(tile);
  watching.observe(tile);
  tiles.push({ tile, picture, boxes, notice, name, lamp, facts, enlarge, frame: -1, address: null });
}

function drawCameras() {
  state.cameras.forEach((camera, number) => {
    if (number >= tiles.length) makeTile(number);
    const { tile, picture, notice, name, lamp, facts, enlarge } = tiles[number];
    const called = visible(camera.name), now = gone === null ? camera.state : "gone";
    name.textContent = called;
    name.title = called;
    enlarge.setAttribute("aria-label", "Enlarge " + called);
    picture.alt = "Live picture of " + called;
    lamp.className = "lamp " + now;
    facts.textContent = now === "live" ? camera.rate.toFixed(1) + "/s" : told(now);
    if (camera.width) tile.querySelector(".view").style.aspectRatio = camera.width + " / " + camera.height;
    const covered = now !== "live" && !(now === "ended" && camera.width);
    notice.hidden = !covered;
    notice.textContent = now === "gone" ? "Not live: the program does not answer" : camera.state === "waiting" ? "Waiting for the first picture"
      : told(camera.state) + (camera.reason ? ": " + visible(camera.reason) : "")
        + (camera.silence !== null ? " – last picture " + duration(camera.silence) + " ago" : "");
  });
}

const told = (name) => ({ waiting: "waiting", silent: "no picture", lost: "connection lost", frozen: "picture stands still", ended: "ended", gone: "not live" }[name] || name);

async function lookAt(number) {
  const tile = tiles[number];
  const response = await ask("/camera/" + number + ".jpg?after=" + tile.frame);
  if (response.status !== 200) return;
  const content = await response.blob();
  const people = JSON.parse(decodeURIComponent(response.headers.get("X-Reid-People")));
  const colours = response.headers.get("X-Reid-Colours").split(" ");
  const old = tile.address;
  tile.frame = Number(response.headers.get("X-Reid-Frame"));
  tile.address = URL.createObjectURL(content);
  tile.picture.src = tile.address;
  try { await tile.picture.decode(); } catch { /* the next one will do */ }
  tile.picture.hidden = false;
  if (old) URL.revokeObjectURL(old);
  drawBoxes(tile.boxes, people, colours);
}

/* Buttons stay the same elements from picture to picture, so that a click does not fall between two of them. They are left out of
   the order of Tab: they move, and the list beside them offers the same people. */
function drawBoxes(boxes, people, colours) {
  const old = new Map([...boxes.children].filter((box) => box.dataset.name !== undefined).map((box) => [box.dataset.name, box]));
  const made = people.map(([[x0, y0, x1, y1], name], index) => {
    let box = name === null ? null : old.get(name);
    if (box) old.delete(name);
    else if (name === null) box = element("i", { "aria-hidden": "true" });
    else box = element("button", { type: "button", tabindex: "-1", "data-name": name, onclick: () => openPerson(name) }, element("span", { text: name }));
    box.style.setProperty("--person", colours[index]);
    box.classList.toggle("top", y0 < .08);
    box.classList.toggle("right", x0 + x1 > 1);  // a name is less than half as wide as a picture, and stays inside it
    box.style.left = 100 * x0 + "%";
    box.style.top = 100 * y0 + "%";
    box.style.width = 100 * (x1 - x0) + "%";
    box.style.height = 100 * (y1 - y0) + "%";
    return box;
  });
  for (const gone of [...boxes.children]) if (!made.includes(gone)) gone.remove();
  for (const box of made) if (box.parentElement !== boxes) boxes.append(box);
}

/* ---- the plan ---- */

const MOST_DOTS = 12;

function drawPlan() {
  const part = find("plan-part"), plan = find("plan");
  part.hidden = find("nav-plan").hidden = !state.plan;
  if (!state.plan) return;
  if (!plan.firstChild) plan.append(element("img", { src: "/plan", alt: "Plan of the site" }));
  state.cameras.forEach((camera, number) => {
    if (!camera.place) return;
    const people = state.present.filter((person) => person.cameras.includes(number));
    const names = people.map((person) => person.identity).join(", ");
    const now = gone === null ? camera.state : "gone";
    const text = camera.name + ": " + (now === "live" ? "" : told(now) + ", ") + (names || "nobody");
    let spot = plan.querySelector('[data-spot="' + number + '"]');
    if (!spot) {
      spot = element("button", { type: "button", "data-spot": number, onclick: () => showCamera(number) });
      const [x, y] = camera.place.map((share) => 100 * share + "%");
      Object.assign(spot.style, { left: x, top: y, translate: "-" + x + " -" + y });  // inside the plan, also at its edges
      plan.append(spot);
    }
    spot.className = "spot " + now;
    if (spot.title === visible(text)) return;
    spot.title = visible(text);
    spot.setAttribute("aria-label", visible(text));
    spot.replaceChildren(element("span", { class: "spot-name", text: camera.name }), ...people.slice(0, MOST_DOTS).map((person) => {
      const dot = element("i");
      dot.style.setProperty("--person", person.colour);
      return dot;
    }), people.length > MOST_DOTS ? "+" + (people.length - MOST_DOTS) : "");
  });
}

function showCamera(number) {
  tiles[number].tile.scrollIntoView({ block: "center" });
  tiles[number].enlarge.focus({ preventScroll: true });
}

async function watch() {
  for (;;) {
    const began = performance.now();
    if (!document.hidden) {
      for (const number of [...inSight].sort((a, b) => a - b)) {
        try { await lookAt(number); } catch { await pause(500); }
      }
    }
    await pause(Math.max(ROUND_LEAST - (performance.now() - began), 20));
  }
}

/* ---- lists ---- */

/* Rows are kept as long as they say the same, so that neither focus nor a half-made click is lost. */
function fill(list, rows) {
  const old = new Map([...list.children].map((row) => [row.dataset.key, row]));
  const focused = list.contains(document.activeElement) ? document.activeElement.closest("li").dataset.name : null;
  const made = rows.map(({ key, name, make }) => old.get(key) || Object.assign(make(), { key, name }));
  made.forEach((row, index) => {
    if (row.key !== undefined) { row.dataset.key = row.key; row.dataset.name = row.name; delete row.key; delete row.name; }
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] || null);
  });
  while (list.children.length > made.length) list.lastElementChild.remove();
  if (focused !== null && !list.contains(document.activeElement)) {
    [...list.children].find((row) => row.dataset.name === focused)?.querySelector("button")?.focus();
  }
}

function personRow(person, ...details) {
  return element("li", {}, element("button", { type: "button", onclick: () => openPerson(person.identity) },
    portrait(pictureOf(person), person.identity, person.colour),
    element("span", {}, element("b", { text: person.identity, title: person.identity }), element("span", { class: "small faint where" }, ...details))));
}

function cameraName(number) {
  return element("span", { class: "camera-name" }, swatch(number), element("span", { text: state.cameras[number].name }));
}

function drawPresent() {
  fill(find("present"), state.present.map((person) => {
    const since = moment(person.since);
    return { key: JSON.stringify([person.identity, person.cameras, person.picture, since]), name: person.identity,
      make: () => personRow(person, ...person.cameras.map(cameraName), element("span", { class: "number", text: "since " + since })) };
  }));
  const unnamed = state.unnamed ? " + " + state.unnamed + " not sure" : "";
  find("present-count").textContent = state.present.length + unnamed;
  find("nav-count").textContent = state.present.length;
  find("present-title").textContent = over() ? "Here at the end" : "Here now";
  find("nobody").hidden = state.present.length > 0;
}

async function drawFound() {
  const response = await ask("/api/people?find=" + encodeURIComponent(find("find").value));
  if (!response.ok) return;
  found = await response.json();
  showFound();
}

function showFound() {
  if (found === null) return;
  const { people, total } = found;
  const here = new Set(state.present.map((person) => person.identity));
  fill(find("found"), people.map((person) => {
    const last = person.last === null ? "not seen yet" : here.has(person.identity) && !over() ? "here now" : "last seen " + moment(person.last);
    return { key: JSON.stringify([person.identity, person.picture, last]), name: person.identity,
      make: () => personRow(person, element("span", { class: "number", text: last })) };
  }));
  find("known").textContent = find("find").value.trim() ? total + " found" : String(total);
}

function drawLately() {
  fill(find("lately"), state.lately.map((line) => ({
    key: JSON.stringify(line), name: "",
    make: () => element("li", {}, element("span", { class: "number faint", text: moment(line.time) }),
      element("span", {}, line.colour ? personDot(line.colour) : null, lineText(line))),
  })));
}

function personDot(colour) {
  const dot = element("span", { class: "person", "aria-hidden": "true" });
  dot.style.setProperty("--person", colour);
  return dot;
}

function lineText(line) {
  const camera = line.camera === null ? "" : state.cameras[line.camera].name;
  const detail = line.detail || {};
  switch (line.kind) {
    case "came": return line.identity + " came to " + camera;
    case "merged": return detail.other + " and " + line.identity + " are one person, " + line.identity;
    case "split": return "a track of " + camera + " passed to another person";
    case "entered": return (line.identity || "somebody") + " entered " + detail.zone + " at " + camera;
    case "left_zone": return (line.identity || "somebody") + " left " + detail.zone + " at " + camera + " after " + duration(detail.seconds);
    case "crossed": return (line.identity || "somebody") + " crossed " + detail.line + " at " + camera + ", " + detail.direction;
    case "camera_lost": return camera + " was lost" + (detail.reason ? ": " + detail.reason : "");
    case "camera_back": return camera + " is back" + (typeof detail.seconds === "number" ? " after " + duration(detail.seconds) : "");
    case "camera_frozen": return camera + " shows a standing picture";
    case "camera_changed": return camera + " changed its resolution";
    case "camera_clock": return (camera ? camera + ": " : "") + detail.what;
    case "camera_ended": return camera + " has ended" + (detail.reason ? ": " + detail.reason : "");
    default: return line.kind;
  }
}

function drawFacts() {
  const live = over() ? 0 : state.cameras.filter((camera) => camera.state === "live").length;
  find("facts").textContent = live + " of " + count(state.cameras.length, "camera", "cameras") + " live  ·  "
    + count(state.present.length, "person", "people") + (over() ? " at the end  ·  " : " here  ·  ") + moment(state.now, true);
  write("trouble", gone !== null ? "No answer from the program since " + moment(gone / 1000)
    + ": it has ended, or cannot be reached. All that is shown is from before then. It is asked again every second."
    : [state.ended, state.traces].filter(Boolean).join("  ·  "));
  document.body.classList.toggle("over", over());
  find("sign-out").hidden = !state.signed_in;
}

function draw() {
  drawCameras();
  window.drawZones?.();
  drawFacts();
  drawPresent();
  drawPlan();
  drawLately();
  showFound();
}

/* The last answer was at `since`, ms. A program that comes back counts its pictures anew. */
function setGone(since) {
  gone = since;
  for (const tile of tiles) tile.frame = -1;
  if (state !== null) draw();
  else write("trouble", "No answer from the program. It is asked again every second.");
}

async function refresh() {
  let turns = 0, answered = Date.now();
  for (;;) {
    try {
      if (!document.hidden || state === null) {
        const response = await ask("/api/state");
        if (!response.ok) throw new Error("a proxy answers, or the sign-in has run out");
        state = await response.json();
        answered = Date.now();
        gone = null;
        draw();
        if (!(turns++ % FOUND_EVERY)) await drawFound();
        if (shown !== null) await drawPerson();
      }
    } catch {
      if (gone === null) setGone(answered);
    }
    await pause(STATE_EVERY);
  }
}

/* ---- one person ---- */

async function openPerson(identity) {
  shown = identity;
  write("answer", "");
  find("merge").hidden = true;
  sure(false);
  find("new-name").value = identity;
  if (await drawPerson() && !find("person").open) find("person").showModal();
}

async function drawPerson() {
  const identity = shown;
  const response = await ask("/api/person?identity=" + encodeURIComponent(identity));
  if (identity !== shown) return false;
  if (!response.ok) {
    write("answer", identity + " is not known any more.");
    return false;
  }
  const person = await response.json();
  write("person-name", identity);
  const key = identity + " " + person.picture;
  if (find("person-picture").dataset.key !== key) {
    find("person-picture").dataset.key = key;
    find("person-picture").replaceChildren(portrait(pictureOf(person), identity, person.colour));
  }
  const together = person.stays.reduce((sum, stay) => sum + stay.last - stay.first, 0);
  find("person-facts").textContent = person.stays.length
    ? count(person.stays.length, "stay", "stays") + ", " + duration(together) + " in view"
    : "Not seen since this program began.";
  drawLanes(person);
  fill(find("person-stays"), person.stays.map((stay) => {
    const here = person.now - stay.last <= 3 && !over();
    const times = moment(stay.first) + (here ? " until now" : " to " + moment(stay.last));
    const long = duration(stay.last - stay.first);
    return { key: JSON.stringify([stay.camera, times, long]), name: "", make: () => element("li", {}, cameraName(stay.camera),
      element("span", { class: "number", text: times }), element("span", { class: "number faint", text: long })) };
  }));
  return true;
}

function drawLanes(person) {
  const first = Math.min(...person.stays.map((stay) => stay.first)), length = Math.max(person.now - first, 1);
  const cameras = [...new Set(person.stays.map((stay) => stay.camera))].sort((a, b) => a - b);
  find("person-lanes").replaceChildren(...cameras.map((number) => {
    const bar = element("span", { class: "time" });
    for (const stay of person.stays.filter((stay) => stay.camera === number)) {
      const piece = element("i", { class: cameraClass(number) });
      piece.style.left = 100 * (stay.first - first) / length + "%";
      piece.style.width = 100 * (stay.last - stay.first) / length + "%";
      bar.append(piece);
    }
    return element("div", { class: "lane" }, element("span", {}, swatch(number), element("span", { text: state.cameras[number].name })), bar);
  }));
}

function say(text) { write("said", text); }

find("rename").addEventListener("submit", async (event) => {
  event.preventDefault();
  const identity = shown, to = find("new-name").value.trim();
  if (!to || to === identity) return;
  write("answer", "");
  const [done, answer] = await act("/api/rename", { identity, to });
  if (done) {
    shown = answer.identity;
    find("merge").hidden = true;
    say(identity + " is called " + shown + " now");
    await drawPerson();
    return;
  }
  write("answer", answer);
  const other = await ask("/api/person?identity=" + encodeURIComponent(to));
  find("merge").hidden = !other.ok;
  write("merge-text", "Are " + identity + " and " + to + " the same person? This cannot be undone.");
  find("merge").dataset.into = to;
});

find("merge-button").addEventListener("click", async () => {
  const identity = shown, into = find("merge").dataset.into;
  const [done, answer] = await act("/api/merge", { identity, into });
  if (!done) { write("answer", answer); return; }
  say(identity + " and " + into + " are one person");
  find("new-name").focus();
  openPerson(into);
});

function sure(asked) {
  find("forget-sure").hidden = !asked;
  find("forget-button").hidden = asked;
  if (asked) write("forget-text", "Delete everything that is kept of " + shown + "? Recordings on disk are not touched.");
}

find("forget-button").addEventListener("click", () => { sure(true); find("forget-no").focus(); });
find("forget-no").addEventListener("click", () => { sure(false); find("forget-button").focus(); });
find("forget-yes").addEventListener("click", async () => {
  const identity = shown;
  const [done, answer] = await act("/api/forget", { identity });
  if (!done) { write("answer", answer); return; }
  find("person").close();
  say(identity + " is forgotten" + (answer.traces ? ", but " + answer.traces : ""));
});

find("close").addEventListener("click", () => find("person").close());
find("person").addEventListener("close", () => { shown = null; });
find("person").addEventListener("click", (event) => { if (event.target === find("person")) find("person").close(); });
find("sign-out").addEventListener("click", async () => { await act("/sign-out", {}); location.assign("/sign-in"); });
find("find").addEventListener("input", () => drawFound());
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  if (event.key === "/" && document.activeElement !== find("find")) {
    event.preventDefault();
    find("find").focus();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const list = document.activeElement?.closest(".people");
    const rows = list ? [...list.querySelectorAll("button")] : document.activeElement === find("find") ? [null, ...find("found").querySelectorAll("button")] : [];
    const at = list ? rows.indexOf(document.activeElement) : 0;
    const next = rows[at + (event.key === "ArrowDown" ? 1 : -1)];
    if (next) { event.preventDefault(); next.focus(); }
  }
});

refresh();
watch();
