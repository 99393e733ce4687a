// What the page of `inpaint serve` asks its server for (inpainting/serve/page/server.js), done in this browser.
//
// A photograph is kept until the next one is opened: {name, width, height, files, masks}. files[0] is the user's file and
// files[n] the PNG of the n-th fill; masks are canvases of the photograph's size, white where the hole is.
import { PaintLayer } from "/paint.js";

const FILES = ["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm", "model.onnx"];
const PREVIEW = 2500; // pixels of a preview's longer side
const HALF = 128; // of 256 levels: what is lighter or more opaque belongs to the hole

let photograph = null;
let filler = null; // the worker; it keeps the network between two fills

// Throws an error that names the files that are not beside the page.
export async function settings() {
  const found = await Promise.all(FILES.map(async (name) => (await fetch(name, { method: "HEAD" })).ok));
  const missing = FILES.filter((_, index) => !found[index]);
  if (missing.length) throw new Error(`Missing beside this page: ${missing.join(", ")}. docs/onnx.md says where they come from.`);
  return { models: { hifill: "HiFill" }, model: "hifill", limits: { megabytes: Infinity } };
}

export const takes = () => "JPEG, PNG, WebP, or what else this browser shows.";

export async function openPhotograph(file) {
  const bitmap = await decoded(file), { width, height } = bitmap;
  bitmap.close();
  photograph?.addresses.forEach((address) => URL.revokeObjectURL(address));
  photograph = { name: file.name || "photograph", width, height, files: [file], addresses: [], masks: [] };
  const [small, low] = reduced(photograph);
  return { id: "", name: photograph.name, width, height, versions: 0, preview: { width: small, height: low } };
}

export class Remote {
  constructor() { this.photograph = photograph; }

  file(version) {
    const { files, addresses } = this.photograph;
    addresses[version] ??= URL.createObjectURL(files[version]);
    return addresses[version];
  }

  fileName() { return `${this.photograph.name.replace(/\.[^.]*$/, "")}-filled.png`; }

  preview(version) {
    const [resizeWidth, resizeHeight] = reduced(this.photograph);
    return decoded(this.photograph.files[version], { resizeWidth, resizeHeight, resizeQuality: "high" });
  }

  async loadMask(file) {
    const { width, height, masks } = this.photograph, picture = await decoded(file);
    if (picture.width !== width || picture.height !== height) {
      throw new Error(`${file.name} has ${picture.width}x${picture.height} pixels, but the photograph has ${width}x${height}.`);
    }
    const image = pixels(picture), grey = image.data;
    for (let at = 0; at < grey.length; at += 4) {
      grey[at + 3] = 0.299 * grey[at] + 0.587 * grey[at + 1] + 0.114 * grey[at + 2] >= HALF ? 255 : 0;
      grey.fill(255, at, at + 3);
    }
    return masks.push(canvas(image)) - 1;
  }

  async maskPreview(number) { return this.photograph.masks[number]; }

  saveMask(strokes) {
    const hole = this.#hole(strokes), image = new ImageData(this.photograph.width, this.photograph.height);
    hole.forEach((is, at) => image.data.set(is ? [255, 255, 255, 255] : [0, 0, 0, 255], 4 * at));
    return png(image);
  }

  // Gives {version, seconds}, or null if it was cancelled: watch.cancel is set to a function that cancels.
  async fill({ base, strokes }, watch) {
    const began = performance.now(), { width, height, files } = this.photograph;
    const image = pixels(await decoded(files[base]));
    const filled = await work({ width, height, pixels: image.data, hole: this.#hole(strokes) }, watch);
    if (!filled) return null;
    const version = files.push(await png(new ImageData(filled, width, height))) - 1;
    return { version, seconds: (performance.now() - began) / 1000 };
  }

  // Uint8Array [height * width], 1 where the strokes lie.
  #hole(strokes) {
    const { width, height, masks } = this.photograph, layer = new PaintLayer(width, height, 1);
    layer.redraw(strokes.map((stroke) => ({ ...stroke, picture: masks[stroke.mask] })));
    const { data } = layer.context.getImageData(0, 0, width, height);
    return Uint8Array.from({ length: width * height }, (_, at) => (data[4 * at + 3] >= HALF ? 1 : 0));
  }
}

// ---- Filling, in a worker, so that the page can be used meanwhile

function work(asked, watch) {
  filler ??= new Worker(new URL("worker.mjs", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    const stop = () => { filler.terminate(); filler = null; };
    watch.cancel = () => { stop(); resolve(null); };
    filler.onmessage = ({ data }) => { if (data.error) { stop(); reject(new Error(data.error)); } else resolve(data.filled); };
    filler.onerror = () => { stop(); reject(new Error("This browser cannot run the filling: it needs WebAssembly and modules in workers.")); };
    filler.postMessage(asked, [asked.pixels.buffer, asked.hole.buffer]);
  });
}

// ---- Pictures

async function decoded(file, options) {
  try {
    return await createImageBitmap(file, options);
  } catch {
    throw new Error(`${file.name || "This"} is not a picture that this browser can read.`);
  }
}

// [width, height] of a photograph's preview.
function reduced({ width, height }) {
  const scale = Math.min(1, PREVIEW / Math.max(width, height));
  return [width, height].map((side) => Math.max(1, Math.round(side * scale)));
}

// ImageData of a bitmap, which is closed. What is transparent becomes white: a canvas does not keep its colours.
function pixels(bitmap) {
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  const image = context.getImageData(0, 0, bitmap.width, bitmap.height);
  bitmap.close();
  return image;
}

function canvas(image, options) {
  const drawn = new OffscreenCanvas(image.width, image.height);
  drawn.getContext("2d", options).putImageData(image, 0, 0);
  return drawn;
}

const png = (image) => canvas(image, { alpha: false }).convertToBlob({ type: "image/png" });
