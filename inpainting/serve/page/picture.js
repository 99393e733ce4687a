// The photograph on the canvas: zoom, pan, what is painted, before and after, the brush.
//
// Coordinates are pixels of the whole photograph; `at` turns places of the window into them.
const COLOUR = "#ff3d6e"; // of what is painted: rare in photographs
const LARGEST = 16; // pixels of the window for one of the photograph
const MARGIN = 16;
const HANDLE = 18;

export class Picture {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.tinted = new OffscreenCanvas(1, 1);
    this.size = [1, 1];
    this.zoom = 1; this.left = 0; this.top = 0; this.fits = true;
    this.before = this.after = this.layer = this.box = this.brush = null;
    this.split = 0; // of the picture's width, from the left: before
    new ResizeObserver(() => this.#resize()).observe(canvas);
  }

  // A photograph of [width, height] pixels, and the layer that holds what is painted.
  show(size, layer) {
    this.size = size; this.layer = layer; this.split = 0; this.box = null;
    this.tinted = new OffscreenCanvas(layer.canvas.width, layer.canvas.height);
    this.fit();
  }

  // before, after: pictures of any size; the same where nothing is filled.
  images(before, after) { this.before = before; this.after = after; this.draw(); }

  fit() {
    const { clientWidth: w, clientHeight: h } = this.canvas, [width, height] = this.size;
    this.zoom = Math.min((w - 2 * MARGIN) / width, (h - 2 * MARGIN) / height, LARGEST) || 1;
    this.left = (w - width * this.zoom) / 2;
    this.top = (h - height * this.zoom) / 2;
    this.fits = true;
    this.draw();
  }

  // Zooms by a factor around a place of the canvas, its middle by default.
  zoomBy(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const least = Math.min(this.canvas.clientWidth / this.size[0], this.canvas.clientHeight / this.size[1], 1) / 4;
    const zoom = Math.max(least, Math.min(LARGEST, this.zoom * factor));
    this.left = x - (x - this.left) * zoom / this.zoom;
    this.top = y - (y - this.top) * zoom / this.zoom;
    this.zoom = zoom;
    this.moveBy(0, 0);
  }

  // Moves the picture, a part of which stays in the window.
  moveBy(dx, dy) {
    const { clientWidth: w, clientHeight: h } = this.canvas, kept = 60;
    this.left = Math.max(kept - this.size[0] * this.zoom, Math.min(w - kept, this.left + dx));
    this.top = Math.max(kept - this.size[1] * this.zoom, Math.min(h - kept, this.top + dy));
    this.fits = false;
    this.draw();
  }

  // [x, y] of the photograph under a place of the window, rounded to hundredths.
  at(clientX, clientY) {
    const box = this.canvas.getBoundingClientRect();
    const place = [(clientX - box.left - this.left) / this.zoom, (clientY - box.top - this.top) / this.zoom];
    return place.map((value) => Math.round(value * 100) / 100);
  }

  draw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.#draw(); });
  }

  #resize() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.canvas.clientWidth * ratio);
    this.canvas.height = Math.round(this.canvas.clientHeight * ratio);
    if (this.fits) this.fit();
    this.waiting = 0;
    this.#draw();
  }

  #draw() {
    const context = this.context, ratio = window.devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.after) return;
    const width = this.size[0] * this.zoom, height = this.size[1] * this.zoom;
    context.translate(this.left, this.top);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.after, 0, 0, width, height);
    if (this.split > 0) this.#drawBefore(context, width, height);
    this.#drawPaint(context, width, height);
    if (this.before !== this.after) this.#drawHandle(context);
    this.#drawBox(context);
    this.#drawBrush(context);
  }

  #drawBefore(context, width, height) {
    const part = this.split * width;
    context.save();
    context.beginPath();
    context.rect(0, 0, part, height);
    context.clip();
    context.drawImage(this.before, 0, 0, width, height);
    context.restore();
    if (this.split < 1) outlined(context, () => { context.moveTo(part, 0); context.lineTo(part, height); });
  }

  // The handle that moves the line between before and after: [x, y] on the canvas, in the middle of what is seen.
  get handle() {
    const height = this.size[1] * this.zoom;
    const top = Math.max(0, this.top), bottom = Math.min(this.canvas.clientHeight, this.top + height);
    return [this.left + this.split * this.size[0] * this.zoom, (top + bottom) / 2];
  }

  // Whether a place of the window lies on the handle.
  onHandle(clientX, clientY) {
    if (this.before === this.after) return false;
    const box = this.canvas.getBoundingClientRect(), [x, y] = this.handle;
    return Math.hypot(clientX - box.left - x, clientY - box.top - y) < HANDLE;
  }

  #drawHandle(context) {
    const x = this.handle[0] - this.left, y = this.handle[1] - this.top;
    context.beginPath();
    context.arc(x, y, HANDLE, 0, 2 * Math.PI);
    context.fillStyle = "rgb(0 0 0 / 55%)";
    context.fill();
    outlined(context, () => {
      for (const side of [-1, 1]) {
        context.moveTo(x + 4 * side, y - 5);
        context.lineTo(x + 9 * side, y);
        context.lineTo(x + 4 * side, y + 5);
      }
    });
  }

  #drawPaint(context, width, height) {
    const tint = this.tinted.getContext("2d");
    tint.globalCompositeOperation = "copy";
    tint.drawImage(this.layer.canvas, 0, 0);
    tint.globalCompositeOperation = "source-in";
    tint.fillStyle = COLOUR;
    tint.fillRect(0, 0, this.tinted.width, this.tinted.height);
    context.globalAlpha = 0.55;
    context.drawImage(this.tinted, 0, 0, width, height);
    context.globalAlpha = 1;
  }

  #drawBox(context) {
    if (!this.box) return;
    const [left, top, right, bottom] = this.box.map((value) => value * this.zoom);
    outlined(context, () => context.rect(left, top, right - left, bottom - top));
  }

  #drawBrush(context) {
    if (!this.brush) return;
    const { place: [x, y], radius, down } = this.brush;
    outlined(context, () => {
      context.arc(x * this.zoom, y * this.zoom, Math.max(2, radius * this.zoom), 0, 2 * Math.PI);
    }, down ? 3 : 1.5);
  }
}

// A light line with a dark one around it, to be seen on every photograph.
function outlined(context, path, width = 1.5) {
  for (const [style, wide] of [["rgb(0 0 0 / 60%)", width + 2], ["#fff", width]]) {
    context.beginPath();
    path();
    context.strokeStyle = style;
    context.lineWidth = wide;
    context.stroke();
  }
}
