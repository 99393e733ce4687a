// The script of the user study's page; studies/user_study/page.py inserts it into page.html.j2.
//
// The page holds <script type="application/json"> elements: "study" {format, study, pairs: [id, ...]} and, for every pair,
// one whose id is the pair's: {a, b, masked?, truth?}, data URIs. Only the key file names the methods of a and b.
//
// The order of the pairs and which of a and b comes first follow from the study and the participant's name alone. After
// every choice the answers go to localStorage, and a reload goes on there. Nothing is sent: the answers are a download,
// {format, study, participant, pairs, complete, started, exported, answers: [{pair, chosen, first, switches, seconds}]}.
"use strict";

const STUDY = JSON.parse(document.getElementById("study").textContent);
const CURRENT = `user-study/${STUDY.study}/participant`;
const element = (id) => document.getElementById(id);
const images = [...document.querySelectorAll("#stage img")];

// The participant's session: {participant, started, answers}; null before the start.
let progress = null;
// The pairs in this participant's order: [{pair, first}], first being "a" or "b".
let order = [];
// The pair on the screen: {sources, shown, seen, switches, since}; shown is "first", "second", "masked" or "truth".
let view = null;

// ---- Order and sides

// A number of 32 bits from a text (FNV-1a, then mixed, so that similar texts give unrelated numbers).
function hash(text) {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

function orderOf(participant) {
  const seed = `${STUDY.study}/${participant}`;
  return STUDY.pairs
    .map((pair) => ({ pair, first: hash(`${seed}/side/${pair}`) % 2 ? "a" : "b", rank: hash(`${seed}/order/${pair}`) }))
    .sort((x, y) => x.rank - y.rank || (x.pair < y.pair ? -1 : 1));
}

// ---- What is kept in the browser

function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // forbidden, as in some private windows
  }
}

function store(key, text) {
  try {
    localStorage.setItem(key, text);
  } catch {
    element("unkept").hidden = false;
  }
}

const progressKey = (participant) => `user-study/${STUDY.study}/progress/${participant}`;

// The stored session of a participant, as far as it fits the order; otherwise a new one.
function load(participant) {
  const fresh = { participant, started: new Date().toISOString(), answers: [] };
  try {
    const kept = JSON.parse(stored(progressKey(participant)));
    const sequence = orderOf(participant);
    const fits = kept.answers.every((answer, index) => answer.pair === sequence[index].pair);
    return fits ? kept : fresh;
  } catch {
    return fresh;
  }
}

function save() {
  store(progressKey(progress.participant), JSON.stringify(progress));
}

// ---- The three screens

function screen(id) {
  for (const name of ["start", "compare", "done"]) element(name).hidden = name !== id;
}

function begin(participant) {
  progress = load(participant);
  order = orderOf(participant);
  store(CURRENT, participant);
  save();
  element("who").textContent = participant;
  element("file").textContent = fileName();
  showPair();
}

function showStart() {
  progress = null;
  view = null;
  screen("start");
  element("name").value = new URLSearchParams(location.hash.slice(1)).get("participant") || "";
  element("name").focus();
}

function showDone() {
  view = null;
  screen("done");
  element("thanks").focus();
}

// Shows the first pair without an answer, or the last screen if all pairs are answered.
async function showPair() {
  const number = progress.answers.length;
  if (number === order.length) return showDone();
  const { pair, first } = order[number];
  const data = JSON.parse(element(pair).textContent);
  const sources = { first: data[first], second: data[first === "a" ? "b" : "a"], masked: data.masked, truth: data.truth };
  const opened = { sources, shown: null, seen: new Set(), switches: 0, since: null };
  view = opened;
  screen("compare");
  element("count").textContent = `Pair ${number + 1} of ${order.length}`;
  element("progress").max = order.length;
  element("progress").value = number;
  element("undo").disabled = number === 0;
  for (const name of ["masked", "truth"]) element(name).hidden = !sources[name];
  for (const side of ["first", "second"]) element(`choose-${side}`).disabled = true;
  for (const image of images) image.classList.remove("shown");
  element("showing").textContent = "";
  setActual(false);
  const names = Object.keys(sources).filter((name) => sources[name]);
  for (const name of names) element(`image-${name}`).src = sources[name];
  // Decoded before the first is shown, so that switching does not flicker.
  await Promise.all(names.map((name) => element(`image-${name}`).decode().catch(() => {})));
  if (view !== opened) return; // undone meanwhile
  view.since = performance.now();
  show("first");
  fit();
  element("stage").focus();
}

// ---- Looking

function show(name) {
  view.shown = name;
  if (name === "first" || name === "second") view.seen.add(name);
  for (const image of images) image.classList.toggle("shown", image.id === `image-${name}`);
  const words = { first: "Picture 1 of 2", second: "Picture 2 of 2", masked: "Missing: white", truth: "Original" };
  element("showing").textContent = words[name];
  for (const other of ["masked", "truth"]) element(other).setAttribute("aria-pressed", String(other === name));
  const both = view.seen.size === 2;
  for (const side of ["first", "second"]) element(`choose-${side}`).disabled = !both;
  element("hint").innerHTML = both ? HINT_BOTH : HINT_ONE;
}

// To the other of the two pictures; from the missing part or the original back to the picture before.
function toggle() {
  if (!view || view.since === null) return;
  if (view.shown === "first" || view.shown === "second") {
    view.switches += 1;
    show(view.shown === "first" ? "second" : "first");
  } else {
    show(view.before);
  }
}

function toggleExtra(name) {
  if (!view || view.since === null || !view.sources[name]) return;
  if (view.shown === name) return show(view.before);
  if (view.shown === "first" || view.shown === "second") view.before = view.shown;
  show(name);
}

// As large as the window allows, at most 4 times the picture's own size; or, on demand, its own size.
const LARGEST = 4;

function fit() {
  if (!view || !view.shown) return;
  const frame = element("frame");
  const stage = element("stage");
  const { naturalWidth: width, naturalHeight: height } = element("image-first");
  const fitting = Math.min(frame.clientWidth / width, frame.clientHeight / height, LARGEST);
  const actual = frame.classList.contains("actual");
  const scale = actual ? 1 : fitting;
  stage.style.width = actual ? `${width}px` : "";
  stage.style.height = actual ? `${height}px` : "";
  for (const image of images) {
    image.style.width = `${width * scale}px`;
    image.style.height = `${height * scale}px`;
  }
  element("actual").hidden = !actual && fitting >= 1;
}

function setActual(on) {
  element("frame").classList.toggle("actual", on);
  element("actual").setAttribute("aria-pressed", String(on));
  fit();
}

function toggleActual() {
  if (!element("actual").hidden) setActual(!element("frame").classList.contains("actual"));
}

// ---- Choosing

function choose(side) {
  if (!view || view.seen.size < 2) return;
  const { pair, first } = order[progress.answers.length];
  const other = first === "a" ? "b" : "a";
  progress.answers.push({
    pair,
    chosen: side === "first" ? first : other,
    first,
    switches: view.switches,
    seconds: Math.round((performance.now() - view.since) / 100) / 10,
  });
  save();
  if (progress.answers.length === order.length) download();
  showPair();
}

function undo() {
  if (!progress || !progress.answers.length) return;
  progress.answers.pop();
  save();
  showPair();
}

// ---- The download

function fileName() {
  return `user_study_${STUDY.study}_${progress.participant.replace(/[^\p{L}\p{N}_-]/gu, "_")}.json`;
}

function download() {
  const result = {
    format: STUDY.format,
    study: STUDY.study,
    participant: progress.participant,
    pairs: order.length,
    complete: progress.answers.length === order.length,
    started: progress.started,
    exported: new Date().toISOString(),
    answers: progress.answers,
  };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(result, null, 1)], { type: "application/json" }));
  link.download = fileName();
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// ---- Keys and buttons

const KEYS = [
  [["Space", "←", "→"], "the other picture", toggle, [" ", "ArrowLeft", "ArrowRight"]],
  [["1"], "picture 1 looks better", () => choose("first"), ["1"]],
  [["2"], "picture 2 looks better", () => choose("second"), ["2"]],
  [["U"], "undo the last choice", undo, ["u", "U"]],
  [["M"], "show which part was missing, if the page has it", () => toggleExtra("masked"), ["m", "M"]],
  [["O"], "show the original, if the page has it", () => toggleExtra("truth"), ["o", "O"]],
  [["F"], "full size, if the picture is larger than the window", toggleActual, ["f", "F"]],
  [["D"], "download the answers so far", download, ["d", "D"]],
  [["?"], "this help", () => element("helping").showModal(), ["?"]],
];
const kbd = (names) => names.map((name) => `<kbd>${name}</kbd>`).join(" ");
const HINT_ONE = `${kbd(["Space", "←", "→"])} Look at the other picture, too, then choose. ${kbd(["?"])}`;
const HINT_BOTH = `${kbd(["Space", "←", "→", "1", "2"])} Switch as often as you like, or choose. ${kbd(["?"])}`;

function pressed(event) {
  if (element("compare").hidden || element("helping").open) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = KEYS.find(([, , , names]) => names.includes(event.key));
  if (!key) return;
  // A focused button has its own use for the space bar; the picture's own is to switch.
  if (event.key === " " && event.target.closest("button")) return;
  event.preventDefault();
  if (!event.repeat) key[2](); // a key that is held down chooses once
}

element("key-list").innerHTML = KEYS.map(([names, what]) => `<dt>${kbd(names)}</dt><dd>${what}</dd>`).join("");
document.addEventListener("keydown", pressed);
new ResizeObserver(fit).observe(element("frame"));
element("stage").addEventListener("click", toggle);
element("switch").addEventListener("click", toggle);
element("masked").addEventListener("click", () => toggleExtra("masked"));
element("truth").addEventListener("click", () => toggleExtra("truth"));
element("actual").addEventListener("click", toggleActual);
element("choose-first").addEventListener("click", () => choose("first"));
element("choose-second").addEventListener("click", () => choose("second"));
element("undo").addEventListener("click", undo);
element("undo-last").addEventListener("click", undo);
element("export").addEventListener("click", download);
element("again").addEventListener("click", download);
element("help").addEventListener("click", () => element("helping").showModal());
element("next").addEventListener("click", () => {
  try {
    localStorage.removeItem(CURRENT);
  } catch {
    // nothing is stored, so nothing is removed
  }
  showStart();
});
element("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  const participant = element("name").value.trim().replace(/\s+/g, " ").toLowerCase();
  if (participant) begin(participant);
});
// The same participant in a second tab: what was chosen there counts here too.
window.addEventListener("storage", (event) => {
  if (progress && event.key === progressKey(progress.participant) && event.newValue) begin(progress.participant);
});

const returning = stored(CURRENT);
if (returning) begin(returning);
else showStart();
