// What was done to a photograph, with undo and redo, and how it looks.
//
// An entry is {kind: "paint" | "erase", radius, points: [[x, y], ...]} in the photograph's pixels,
// {kind: "mask", mask: number, picture}, {kind: "clear"}, or {kind: "fill", version}. What is painted is what came after the
// last fill or clearing; the version that is shown is that of the last fill, 0 without one.
export class History {
  constructor() { this.entries = []; this.at = 0; }

  add(entry) { this.entries.length = this.at; this.entries.push(entry); this.at += 1; }

  undo() { this.at = Math.max(0, this.at - 1); }

  redo() { this.at = Math.min(this.entries.length, this.at + 1); }

  get canUndo() { return this.at > 0; }

  get canRedo() { return this.at < this.entries.length; }

  get version() { return this.#done().findLast((entry) => entry.kind === "fill")?.version ?? 0; }

  get painted() {
    const done = this.#done();
    return done.slice(done.findLastIndex((entry) => entry.kind === "fill" || entry.kind === "clear") + 1);
  }

  // As the server takes it.
  get strokes() { return this.painted.map(({ picture, ...stroke }) => stroke); }

  #done() { return this.entries.slice(0, this.at); }
}

// Draws entries on a canvas of the preview's size. scale: its pixels in one of the photograph's.
export class PaintLayer {
  constructor(width, height, scale) {
    this.canvas = new OffscreenCanvas(width, height);
    this.context = this.canvas.getContext("2d", { willReadFrequently: false });
    this.scale = scale;
  }

  redraw(entries) {
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    for (const entry of entries) this.draw(entry);
  }

  draw(entry) {
    const context = this.context;
    context.globalCompositeOperation = entry.kind === "erase" ? "destination-out" : "source-over";
    if (entry.kind === "mask") context.drawImage(entry.picture, 0, 0, this.canvas.width, this.canvas.height);
    else line(context, entry, this.scale);
    context.globalCompositeOperation = "source-over";
  }
}

function line(context, { radius, points }, scale) {
  context.lineWidth = 2 * radius * scale;
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = "#fff";
  context.beginPath();
  context.moveTo(points[0][0] * scale, points[0][1] * scale);
  if (points.length === 1) context.lineTo(points[0][0] * scale, points[0][1] * scale + 0.001);
  for (const [x, y] of points.slice(1)) context.lineTo(x * scale, y * scale);
  context.stroke();
}
