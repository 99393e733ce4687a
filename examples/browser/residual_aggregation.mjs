// Fills a photograph at its own size with an exported HiFill, in plain JavaScript, for browsers and node.
//
// The steps are those of examples/onnx_photograph.py and docs/onnx.md, and so are the results, but for roundings. Python holds
// the residual of the whole photograph; this holds one row of pixels of every patch at a time, so it needs little memory.
//
// A photograph is {width, height, pixels, hole}: pixels is a Uint8ClampedArray or Uint8Array [height * width * 4], RGBA as a
// canvas gives it; hole is an array [height * width], 0 = known. Both sides have to be at least S, the side of the network's
// images.
const WHITE = 255;
const PATCH = 16; // pixels of the network's images in one patch of its attention
const RADIUS = 12; // of the blur's kernel
const LEAST_DEVIATION = 1e-3; // smaller ones of a patch's detail count as this
const LEAST = 1e-3; // of a pixel: OpenCV takes a smaller overlap with a cell for none

// run: async (image [3, S, S], mask [S, S]) -> {output [3, S, S], attention [N, N]}, all Float32Array; size: S;
// detailBlur: of the file's metadata.
// Gives a Uint8ClampedArray like photograph.pixels, in which only pixels of the hole differ. Throws if a side is too short.
export async function fill(run, size, photograph, detailBlur = 0) {
  if (Math.min(photograph.width, photograph.height) < size) {
    throw new Error(`The photograph has ${photograph.width}x${photograph.height} pixels; ` +
      `this model fills photographs of ${size}x${size} or more.`);
  }
  const { image, mask } = reduce(photograph, size);
  const { output, attention } = await run(image, mask);
  return aggregate(photograph, size, output, attention, detailBlur);
}

// 1. The whole photograph at the network's size, in [0, 1], channels first. A cell that touches the hole belongs to the hole.
export function reduce(photograph, size) {
  const { rows, columns } = padded(photograph, size / PATCH), plane = size * size;
  const image = new Float32Array(3 * plane), mask = new Float32Array(plane);
  const across = cells(columns.length, size);
  cells(rows.length, size).forEach((down, y) => across.forEach((along, x) => {
    const cell = y * size + x, sums = [0, 0, 0];
    for (const [row, high] of down) {
      const start = rows[row] * photograph.width;
      for (const [column, wide] of along) {
        const pixel = start + columns[column], share = high * wide;
        for (let c = 0; c < 3; c++) sums[c] += share * photograph.pixels[4 * pixel + c];
        if (photograph.hole[pixel]) mask[cell] = 1;
      }
    }
    for (let c = 0; c < 3; c++) image[c * plane + cell] = sums[c] / WHITE;
  }));
  return { image, mask };
}

// Steps 3 to 6, from the network's outputs.
export function aggregate(photograph, size, output, attention, detailBlur = 0) {
  const grid = size / PATCH, { rows, columns } = padded(photograph, grid);
  const high = rows.length / grid, wide = columns.length / grid; // of a patch
  const known = [], touched = [];
  for (let patch = 0; patch < grid * grid; patch++) {
    const holes = holesOf(photograph, rows, columns, patch, grid);
    if (holes.some(Boolean)) touched.push({ patch, holes });
    else known.push(patch);
  }
  // 4. In a large photograph the hole also lacks coarser detail: the base is blurred, the weights are limited.
  const scale = (Math.sqrt(rows.length * columns.length) / size - 1) / 3;
  const blur = detailBlur * Math.max(0, Math.min(1, scale)), base = blur > 0 ? blurred(output, size, blur) : output;
  if (blur > 0) attention = limited(attention, output.map((value, at) => value - base[at]), size, known, touched);
  const result = new Uint8ClampedArray(photograph.pixels);
  const across = between(columns.length, size), down = between(rows.length, size);
  // By the row that pixels have in their patch. Row g of the arrays is this row of the g-th row of patches.
  const enlarged = new Float64Array(grid * columns.length * 3), residual = new Float64Array(enlarged.length);
  for (let y = 0; y < high; y++) {
    if (!touched.some(({ holes }) => holes[y])) continue;
    for (let g = 0; g < grid; g++) {
      // 5. Enlarged, the base lacks the detail (the residual) that the photograph has outside the hole.
      const first = g * columns.length * 3, row = rows[g * high + y] * photograph.width;
      enlarge(base, size, down[g * high + y], across, enlarged, first);
      for (let x = 0; x < columns.length; x++) {
        const at = first + 3 * x, pixel = 4 * (row + columns[x]);
        for (let c = 0; c < 3; c++) residual[at + c] = photograph.pixels[pixel + c] - enlarged[at + c];
      }
    }
    for (const { patch, holes } of touched) {
      if (!holes[y]) continue;
      // The patch gets the detail of the patches without a hole, as the weights say.
      const [from, to] = holes[y], begin = (i) => 3 * (Math.floor(i / grid) * columns.length + (i % grid) * wide + from);
      const filled = enlarged.slice(begin(patch), begin(patch) + 3 * (to - from));
      const weights = attention.subarray(patch * grid * grid, (patch + 1) * grid * grid);
      for (let k = 0; k < known.length; k += 4) add(filled, known.slice(k, k + 4), weights, residual, begin);
      // 6. Only the pixels of the hole are taken.
      const row = Math.floor(patch / grid) * high + y, left = (patch % grid) * wide;
      if (row >= photograph.height) continue; // padding
      for (let x = from; x < to && left + x < photograph.width; x++) {
        const pixel = row * photograph.width + left + x;
        if (!photograph.hole[pixel]) continue;
        for (let c = 0; c < 3; c++) {
          result[4 * pixel + c] = Math.floor(Math.max(0, Math.min(WHITE, filled[3 * (x - from) + c] + 0.5)));
        }
      }
    }
  }
  return result;
}

// [3, size, size] blurred by a Gaussian of a deviation in pixels; the border is reflected.
function blurred(image, size, deviation) {
  const kernel = Array.from({ length: 2 * RADIUS + 1 }, (_, at) => Math.exp(-0.5 * ((at - RADIUS) / deviation) ** 2));
  const total = kernel.reduce((sum, value) => sum + value), inside = (at) => size - 1 - Math.abs(size - 1 - Math.abs(at));
  const along = (from, step) => from.map((_, at) => {
    const place = Math.floor(at / step) % size, start = at - place * step;
    return kernel.reduce((sum, value, k) => sum + value * from[start + step * inside(place + k - RADIUS)], 0) / total;
  });
  return along(along(Float64Array.from(image), 1), size);
}

// The attention, with rows of `touched` times a factor of at most 1: then the deviation of the copied `band` [3, size, size]
// is at most that around the hole, the geometric mean over the patches `known`, weighted by 1 / distance^4.
function limited(attention, band, size, known, touched) {
  const grid = size / PATCH, count = grid * grid, result = attention.slice(), values = 3 * PATCH * PATCH;
  const detail = new Map(known.map((patch) => [patch, Float64Array.from({ length: values }, (_, at) => {
    const [c, y, x] = [Math.floor(at / (PATCH * PATCH)), Math.floor(at / PATCH) % PATCH, at % PATCH];
    return band[(c * size + Math.floor(patch / grid) * PATCH + y) * size + (patch % grid) * PATCH + x];
  })]));
  const deviation = (patch) => Math.max(LEAST_DEVIATION, Math.sqrt(patch.reduce((sum, v) => sum + v * v, 0) / values));
  const logarithms = new Map(known.map((patch) => [patch, Math.log(deviation(detail.get(patch)))]));
  for (const { patch } of touched) {
    const copied = new Float64Array(values), row = result.subarray(patch * count, (patch + 1) * count);
    let total = 0, sum = 0;
    for (const source of known) {
      const down = Math.floor(patch / grid) - Math.floor(source / grid), across = patch % grid - source % grid;
      const near = (down * down + across * across) ** -2;
      total += near;
      sum += near * logarithms.get(source);
      if (row[source] > 0) detail.get(source).forEach((value, at) => { copied[at] += row[source] * value; });
    }
    const factor = Math.min(1, Math.exp(sum / total) / deviation(copied));
    if (factor < 1) row.forEach((value, at) => { row[at] = factor * value; });
  }
  return result;
}

// sums += weights[i] * values[begin(i) ...] for up to four i at once, which is twice as fast as one by one.
function add(sums, [i, j = i, k = i, l = i], weights, values, begin) {
  const wi = weights[i], wj = j === i ? 0 : weights[j], wk = k === i ? 0 : weights[k], wl = l === i ? 0 : weights[l];
  const bi = begin(i), bj = begin(j), bk = begin(k), bl = begin(l);
  for (let at = 0; at < sums.length; at++) {
    sums[at] += wi * values[bi + at] + wj * values[bj + at] + wk * values[bk + at] + wl * values[bl + at];
  }
}

// For each row of a patch, [first, behind the last] column of the hole in it, or undefined if it has none.
function holesOf({ width, hole }, rows, columns, patch, grid) {
  const high = rows.length / grid, wide = columns.length / grid;
  const top = Math.floor(patch / grid) * high, left = (patch % grid) * wide;
  return Array.from({ length: high }, (_, y) => {
    const start = rows[top + y] * width, isHole = (x) => hole[start + columns[left + x]];
    let from = 0, to = wide;
    while (from < to && !isHole(from)) from++;
    while (to > from && !isHole(to - 1)) to--;
    return from < to ? [from, to] : undefined;
  });
}

// Rows and columns of the photograph when reflection pads both sides to multiples of grid: the padded one's row y is rows[y].
function padded({ width, height }, grid) {
  const [columns, rows] = [width, height].map((length) => Int32Array.from({ length: Math.ceil(length / grid) * grid },
    (_, at) => (at < length ? at : 2 * length - 1 - at)));
  return { rows, columns };
}

// A side of `length` pixels reduced to `size` cells: for each cell, the pixels [index, weight] whose mean it is.
function cells(length, size) {
  const scale = length / size;
  return Array.from({ length: size }, (_, cell) => {
    const from = cell * scale, to = Math.min(from + scale, length), found = [];
    for (let index = Math.floor(from); index < to; index++) {
      const overlap = Math.min(to, index + 1) - Math.max(from, index);
      if (overlap > LEAST) found.push([index, overlap / (to - from)]);
    }
    return found;
  });
}

// A side of `size` pixels enlarged to `length`: for each pixel, {first, second, share}: its neighbours and the second's weight.
function between(length, size) {
  return Array.from({ length }, (_, at) => {
    const place = Math.max(0, Math.min(size - 1, (at + 0.5) * size / length - 0.5)), first = Math.floor(place);
    return { first, second: Math.min(first + 1, size - 1), share: place - first };
  });
}

// One row of the bilinear enlargement of `output` [3, size, size], written to target[start ...], channels last.
function enlarge(output, size, { first, second, share }, across, target, start) {
  for (let c = 0; c < 3; c++) {
    const above = (c * size + first) * size, below = (c * size + second) * size;
    const column = (x) => output[above + x] + share * (output[below + x] - output[above + x]);
    across.forEach((at, x) => {
      const left = column(at.first);
      target[start + 3 * x + c] = left + at.share * (column(at.second) - left);
    });
  }
}
