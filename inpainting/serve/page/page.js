// The page: what a person does becomes entries of the history, requests to the server, and a picture.
//
// The photograph's id stands behind the # of the address, so that a reload shows it again; nothing else is kept.
import { History, PaintLayer } from "/paint.js";
import { Picture } from "/picture.js";
import * as server from "/server.js";

const element = (id) => document.getElementById(id);
const canvas = element("canvas");
const picture = new Picture(canvas);
const pointers = new Map(); // of fingers, pens and the mouse that are down: [clientX, clientY]

let known = null; // the server's settings
let remote = null; // the photograph on the server
let about = null; // what the server told of it
let history = new History();
let layer = null;
let stroke = null; // the entry that is being drawn
let busy = null; // {cancel} of what the page waits for
let holding = false; // space is down: the hand, for as long
let sliding = false; // the line between before and after is being moved
let pinch = null; // {distance, middle} of two fingers
let keys = null; // [x, y] of the brush that is moved by keys
const previews = new Map(); // promises of pictures of versions

// ---- Words

function say(text) { element("status").textContent = text; }

function complain(error) {
  element("error-text").textContent = error.message;
  element("error").hidden = false;
  say("");
}

function forgive() { element("error").hidden = true; }

// Runs something that takes time, one at a time, with progress; errors are shown. Returns what it gives, or null.
async function wait(text, action) {
  if (busy) return null;
  forgive();
  const began = performance.now();
  const mine = { text, cancel: null, state: (job) => { mine.text = job.ahead ? `${text}: ${job.ahead} ahead` : text; } };
  busy = mine;
  const show = () => {
    element("doing").textContent = mine.text;
    element("elapsed").textContent = `${Math.floor((performance.now() - began) / 1000)} s`;
    element("cancel").hidden = !mine.cancel;
  };
  const ticking = setInterval(show, 100);
  show();
  element("busy").hidden = false;
  refresh();
  say(`${text}…`);
  try {
    return await action(mine);
  } catch (error) {
    complain(error);
    return null;
  } finally {
    clearInterval(ticking);
    element("busy").hidden = true;
    busy = null;
    refresh();
  }
}

element("dismiss").addEventListener("click", forgive);
element("cancel").addEventListener("click", async () => {
  try { await busy?.cancel?.(); } catch (error) { complain(error); }
});

// ---- What is shown

function refresh() {
  const painted = history.painted.length > 0, version = history.version;
  element("undo").disabled = !history.canUndo || !!busy;
  element("redo").disabled = !history.canRedo || !!busy;
  element("clear").disabled = element("save-mask").disabled = !painted || !!busy;
  element("fill").disabled = !painted || !!busy;
  element("load-mask").disabled = !about || !!busy;
  element("open").disabled = element("choose").disabled = !!busy;
  element("fill").textContent = version ? "Fill again" : "Fill";
  element("compare").hidden = !version;
  const download = element("download");
  download.setAttribute("aria-disabled", String(!version));
  if (version) { download.href = remote.file(version); download.download = remote.fileName(); }
  else download.removeAttribute("href");
  element("zoom").textContent = `${Math.round(picture.zoom * 100)}%`;
}

// Shows the history's state: its version's preview, and what is painted.
async function update() {
  layer.redraw(history.painted);
  const version = history.version;
  const [before, after] = await Promise.all([preview(0), preview(version)]);
  if (version !== history.version) return;
  if (!version) setSplit(0);
  picture.images(before, after);
  refresh();
}

function preview(version) {
  if (!previews.has(version)) {
    const promise = remote.preview(version);
    previews.set(version, promise);
    promise.catch(() => previews.delete(version)); // the next time it is asked for again
  }
  return previews.get(version);
}

function setSplit(share) {
  const slider = element("slider");
  slider.value = Math.round(share * 1000);
  picture.split = share;
  const percent = Math.round(share * 100);
  slider.setAttribute("aria-valuetext",
    percent === 0 ? "all after" : percent === 100 ? "all before" : `${percent} per cent before`);
  picture.draw();
}

element("slider").addEventListener("input", (event) => setSplit(event.target.value / 1000));

// ---- Photographs and masks

async function open(file) {
  if (!file) return;
  forgive();
  if (known && file.size > known.limits.megabytes * 1e6) {
    complain(new Error(`${file.name} has more than ${known.limits.megabytes} MB, which is as much as this server takes.`));
    return;
  }
  const found = await wait("Opening", () => server.openPhotograph(file));
  if (!found) return;
  window.history.replaceState(null, "", `#${found.id}`);
  await begin(found);
}

async function begin(found) {
  about = found;
  remote = new server.Remote(found.id);
  history = new History();
  previews.clear();
  layer = new PaintLayer(found.preview.width, found.preview.height, found.preview.width / found.width);
  document.body.classList.remove("empty");
  element("title").textContent = found.name;
  document.title = found.name;
  if (found.versions) history.add({ kind: "fill", version: found.versions });
  picture.show([found.width, found.height], layer);
  setSplit(0);
  await wait("Showing", update);
  refresh();
  say(`${found.name}, ${found.width} by ${found.height} pixels. ${found.note || "Paint over what should go."}`);
  canvas.focus({ focusVisible: false });
}

async function addMask(number) {
  const shown = await remote.maskPreview(number);
  history.add({ kind: "mask", mask: number, picture: shown });
  await update();
}

async function loadMask(file) {
  if (!file) return;
  await wait("Loading the mask", async () => {
    await addMask(await remote.loadMask(file));
    say("The mask is added.");
  });
}

async function saveMask() {
  const blob = await wait("Saving the mask", () => remote.saveMask(history.strokes));
  if (!blob) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${about.name.replace(/\.[^.]*$/, "")}-mask.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  say("The mask is saved.");
}

function choose(input) { element(input).value = ""; element(input).click(); }

for (const id of ["open", "choose"]) element(id).addEventListener("click", () => choose("photograph-file"));
element("photograph-file").addEventListener("change", (event) => open(event.target.files[0]));
element("load-mask").addEventListener("click", () => choose("mask-file"));
element("mask-file").addEventListener("change", (event) => loadMask(event.target.files[0]));
element("save-mask").addEventListener("click", saveMask);
element("download").addEventListener("click", (event) => {
  if (!history.version) event.preventDefault();
  else say("The result is downloaded.");
});
for (const name of ["dragenter", "dragover"]) {
  addEventListener(name, (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
}
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  open(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => open(event.clipboardData.files[0]));

// ---- Filling and snapping

async function fill() {
  if (busy || !history.painted.length) return;
  const asked = { model: element("model").value, base: history.version, strokes: history.strokes };
  const job = await wait("Filling", (watch) => remote.fill(asked, watch));
  if (!job) {
    if (element("error").hidden) say("The fill is cancelled.");
    return;
  }
  history.add({ kind: "fill", version: job.version });
  await wait("Showing", update);
  say(`Filled in ${Math.round(job.seconds)} seconds. The slider compares before and after.`);
}

async function snap(asked) {
  const job = await wait("Looking for the edge", (watch) => remote.snap({ base: history.version, ...asked }, watch));
  if (job) {
    await wait("Showing", () => addMask(job.mask));
    say("The object is painted over.");
  } else await update();
}

element("fill").addEventListener("click", fill);
element("undo").addEventListener("click", undo);
element("redo").addEventListener("click", redo);
element("clear").addEventListener("click", clear);

function undo() { if (history.canUndo && !busy) { history.undo(); update(); say("Undone."); } }

function redo() { if (history.canRedo && !busy) { history.redo(); update(); say("Redone."); } }

function clear() {
  if (!history.painted.length || busy) return;
  history.add({ kind: "clear" });
  update();
  say("Nothing is painted.");
}

// ---- Tools

const tool = () => document.querySelector("input[name=tool]:checked").value;

function pick(name) {
  const input = document.querySelector(`input[name=tool][value=${name}]`);
  if (!input) return; // a page without this tool
  input.checked = true;
  picked();
}

function picked() {
  canvas.className = holding || tool() === "hand" ? "hand" : tool() === "box" ? "box" : "";
  if (canvas.className) { picture.brush = null; picture.draw(); }
}

for (const input of document.querySelectorAll("input[name=tool]")) input.addEventListener("change", picked);

// The brush's radius in the photograph's pixels: 2 to a quarter of its longer side, in equal ratios.
function radius() {
  const largest = Math.max(8, Math.max(about.width, about.height) / 4);
  const share = element("size").value / 100;
  const chosen = 2 * (largest / 2) ** share;
  return tool() === "scribble" ? Math.min(chosen, largest / 12) : chosen;
}

function resizeBrush(by) {
  element("size").value = Number(element("size").value) + by;
  if (picture.brush) { picture.brush.radius = radius(); picture.draw(); }
}

element("size").addEventListener("input", () => {
  const middle = canvas.getBoundingClientRect();
  picture.brush = { place: picture.at(middle.left + middle.width / 2, middle.top + middle.height / 2), radius: radius() };
  picture.draw();
});

// ---- Strokes

function startStroke(place, erase) {
  const kind = tool();
  if (kind === "box") picture.box = [...place, ...place];
  stroke = { kind: erase || kind === "erase" ? "erase" : "paint", snap: !erase && ["scribble", "box"].includes(kind) && kind,
    radius: Math.round(radius() * 100) / 100, points: [place] };
  setSplit(0);
  drawStroke();
}

function continueStroke(place) {
  const [x, y] = stroke.points.at(-1);
  if (stroke.snap === "box") picture.box = [picture.box[0], picture.box[1], ...place];
  else if (Math.hypot(place[0] - x, place[1] - y) * picture.zoom < 1) return;
  else stroke.points.push(place);
  drawStroke();
}

function drawStroke() {
  if (stroke.snap !== "box") {
    const { kind, radius: wide, points } = stroke;
    layer.draw({ kind, radius: wide, points: points.slice(-2) });
  }
  picture.draw();
}

function endStroke() {
  const { kind, snap: how, radius: wide, points } = stroke, box = picture.box;
  stroke = picture.box = null;
  if (how === "box") {
    const corners = [Math.min(box[0], box[2]), Math.min(box[1], box[3]), Math.max(box[0], box[2]), Math.max(box[1], box[3])];
    if ((corners[2] - corners[0]) * picture.zoom > 4 && (corners[3] - corners[1]) * picture.zoom > 4) snap({ box: corners });
    picture.draw();
    return;
  }
  const entry = { kind, radius: wide, points };
  if (how) { snap({ strokes: [entry] }); return; }
  if (kind === "paint" || history.painted.length) history.add(entry);
  layer.redraw(history.painted);
  picture.draw();
  refresh();
}

function dropStroke() {
  stroke = picture.box = null;
  layer.redraw(history.painted);
  picture.draw();
}

// ---- Pointers: mouse, pen and fingers. Two fingers zoom and move.

const moves = (event) => holding || tool() === "hand" || event.button === 1;

canvas.addEventListener("pointerdown", (event) => {
  if (!about) return;
  event.preventDefault();
  canvas.focus({ focusVisible: false });
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [event.clientX, event.clientY]);
  if (pointers.size === 2) {
    if (stroke) dropStroke();
    pinch = spread();
  } else if (pointers.size === 1 && picture.onHandle(event.clientX, event.clientY)) sliding = true;
  else if (pointers.size > 2 || moves(event)) canvas.classList.add("moving");
  else if (!busy && (event.button === 0 || event.button === 5)) {
    startStroke(picture.at(event.clientX, event.clientY), event.button === 5 || (event.buttons & 32) > 0);
  }
});

canvas.addEventListener("pointermove", (event) => {
  if (!about) return;
  const last = pointers.get(event.pointerId);
  if (last) pointers.set(event.pointerId, [event.clientX, event.clientY]);
  if (pinch) movePinch();
  else if (last && sliding) {
    setSplit(Math.max(0, Math.min(1, picture.at(event.clientX, event.clientY)[0] / about.width)));
  } else if (last && canvas.classList.contains("moving")) {
    picture.moveBy(event.clientX - last[0], event.clientY - last[1]);
  } else if (last && stroke) {
    const all = event.getCoalescedEvents?.() ?? [];
    for (const one of all.length ? all : [event]) continueStroke(picture.at(one.clientX, one.clientY));
  }
  if (!keys && event.pointerType !== "touch" && !["hand", "box"].includes(canvas.classList[0])) {
    const over = sliding || (!stroke && picture.onHandle(event.clientX, event.clientY));
    picture.brush = over ? null : { place: picture.at(event.clientX, event.clientY), radius: radius() };
    canvas.classList.toggle("sliding", over);
    picture.draw();
  }
});

for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, (event) => {
    if (!pointers.delete(event.pointerId)) return;
    if (stroke && !pointers.size) (name === "pointerup" ? endStroke : dropStroke)();
    if (pointers.size < 2) pinch = null;
    sliding = false;
    if (!pointers.size) canvas.classList.remove("moving");
    else if (!stroke) canvas.classList.add("moving"); // the finger that is left moves the picture
  });
}
canvas.addEventListener("pointerleave", () => { if (!keys) { picture.brush = null; picture.draw(); } });

function spread() {
  const [[x, y], [u, v]] = [...pointers.values()];
  return { distance: Math.max(1, Math.hypot(x - u, y - v)), middle: [(x + u) / 2, (y + v) / 2] };
}

function movePinch() {
  const now = spread(), box = canvas.getBoundingClientRect();
  picture.moveBy(now.middle[0] - pinch.middle[0], now.middle[1] - pinch.middle[1]);
  zoom(now.distance / pinch.distance, now.middle[0] - box.left, now.middle[1] - box.top);
  pinch = now;
}

function zoom(factor, x, y) { picture.zoomBy(factor, x, y); refresh(); }

canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  if (!about) return;
  const box = canvas.getBoundingClientRect(), lines = event.deltaMode === 1 ? 16 : 1;
  if (event.shiftKey) picture.moveBy(-(event.deltaX || event.deltaY) * lines, 0);
  else zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0015)), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

element("zoom-in").addEventListener("click", () => zoom(1.25));
element("zoom-out").addEventListener("click", () => zoom(0.8));
element("fit").addEventListener("click", fit);

function fit() { picture.fit(); refresh(); }

// ---- Keys

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const LETTERS = {
  b: () => pick("paint"), e: () => pick("erase"), s: () => pick("scribble"), x: () => pick("box"), h: () => pick("hand"),
  f: fill, c: () => history.version && setSplit(picture.split > 0.5 ? 0 : 1), "[": () => resizeBrush(-5), "]": () => resizeBrush(5),
  "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: fit, delete: clear, backspace: clear,
};

addEventListener("keydown", (event) => {
  if (element("help-dialog").open) return;
  if (event.key === "?") { element("help-dialog").showModal(); return; }
  if (!about || /^(SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const key = event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey) {
    if (key === "z" || key === "y") { event.preventDefault(); (event.shiftKey || key === "y" ? redo : undo)(); }
    return;
  }
  if (event.altKey) return;
  if (event.target === canvas && keyOnCanvas(event)) event.preventDefault();
  else if (LETTERS[key]) { event.preventDefault(); LETTERS[key](); }
});

addEventListener("keyup", (event) => { if (event.key === " " && holding) { holding = false; picked(); } });

// Keys that mean something on the picture alone; true if this one does.
function keyOnCanvas(event) {
  if (keys) return keyOfBrush(event);
  if (ARROWS[event.key]) {
    const [dx, dy] = ARROWS[event.key];
    picture.moveBy(-60 * dx, -60 * dy);
  } else if (event.key === " ") { holding = true; picked(); }
  else if (event.key === "Enter") startKeys();
  else return false;
  return true;
}

function startKeys() {
  if (["hand", "box"].includes(tool())) pick("paint");
  const box = canvas.getBoundingClientRect();
  keys = picture.at(box.left + box.width / 2, box.top + box.height / 2);
  showKeys();
  say("Painting by keys. Arrow keys move the brush, space lowers and lifts it, Escape ends it.");
}

function keyOfBrush(event) {
  if (ARROWS[event.key]) {
    const step = event.shiftKey ? 1 / picture.zoom : Math.max(1 / picture.zoom, radius() / 2);
    keys = keys.map((value, axis) => Math.max(0, Math.min(picture.size[axis], value + step * ARROWS[event.key][axis])));
    if (stroke) continueStroke(keys);
  } else if (event.key === " " && !busy) {
    if (stroke) { endStroke(); say("The brush is up."); } else { startStroke(keys); say("The brush is down."); }
  } else if (event.key === "Escape" || event.key === "Enter") {
    if (stroke) endStroke();
    keys = picture.brush = null;
    picture.draw();
    say("Painting by keys has ended.");
    return true;
  } else return false;
  showKeys();
  return true;
}

function showKeys() {
  picture.brush = { place: keys, radius: radius(), down: !!stroke };
  picture.draw();
}

canvas.addEventListener("blur", () => {
  if (keys && stroke) endStroke();
  if (keys) { keys = picture.brush = null; picture.draw(); }
  holding = false;
  picked();
});
element("help").addEventListener("click", () => element("help-dialog").showModal());

// ---- The start

async function start() {
  try {
    known = await server.settings();
    for (const [name, label] of Object.entries(known.models)) {
      element("model").append(new Option(label, name, name === known.model, name === known.model));
    }
    element("limits").textContent = server.takes(known);
  } catch (error) {
    complain(error);
  }
  refresh();
  const id = decodeURIComponent(location.hash.slice(1));
  if (!id) return;
  try {
    await begin(await new server.Remote(id).describe());
  } catch (error) {
    window.history.replaceState(null, "", location.pathname);
    complain(error);
  }
}

start();
