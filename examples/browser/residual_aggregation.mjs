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
const LEAST = 1e-3; // of a pixel: OpenCV takes a smaller overlap with a cell for none

// run: async (image [3, S, S], mask [S, S]) -> {output [3, S, S], attention [N, N]}, all Float32Array; size: S.
// Gives a Uint8ClampedArray like photograph.pixels, in which only pixels of the hole differ. Throws if a side is too short.
export async function fill(run, size, photograph) {
  if (Math.min(photograph.width, photograph.height) < size) {
    throw new Error(`The photograph has ${photograph.width}x${photograph.height} pixels; ` +
      `this model fills photographs of ${size}x${size} or more.`);
  }
  const { image, mask } = reduce(photograph, size);
  const { output, attention } = await run(image, mask);
  return aggregate(photograph, size, output, attention);
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

// Steps 3 to 5, from the network's outputs.
export function aggregate(photograph, size, output, attention) {
  const grid = size / PATCH, { rows, columns } = padded(photograph, grid);
  const high = rows.length / grid, wide = columns.length / grid; // of a patch
  const known = [], touched = [];
  for (let patch = 0; patch < grid * grid; patch++) {
    const holes = holesOf(photograph, rows, columns, patch, grid);
    if (holes.some(Boolean)) touched.push({ patch, holes });
    else known.push(patch);
  }
  const result = new Uint8ClampedArray(photograph.pixels);
  const across = between(columns.length, size), down = between(rows.length, size);
  // By the row that pixels have in their patch. Row g of the arrays is this row of the g-th row of patches.
  const blurred = new Float64Array(grid * columns.length * 3), residual = new Float64Array(blurred.length);
  for (let y = 0; y < high; y++) {
    if (!touched.some(({ holes }) => holes[y])) continue;
    for (let g = 0; g < grid; g++) {
      // 3. Enlarged, `output` lacks the detail (the residual) that the photograph has outside the hole.
      const first = g * columns.length * 3, row = rows[g * high + y] * photograph.width;
      enlarge(output, size, down[g * high + y], across, blurred, first);
      for (let x = 0; x < columns.length; x++) {
        const at = first + 3 * x, pixel = 4 * (row + columns[x]);
        for (let c = 0; c < 3; c++) residual[at + c] = photograph.pixels[pixel + c] - blurred[at + c];
      }
    }
    for (const { patch, holes } of touched) {
      if (!holes[y]) continue;
      // 4. The patch gets the detail of the patches without a hole, as the attention weighs them.
      const [from, to] = holes[y], begin = (i) => 3 * (Math.floor(i / grid) * columns.length + (i % grid) * wide + from);
      const filled = blurred.slice(begin(patch), begin(patch) + 3 * (to - from));
      const weights = attention.subarray(patch * grid * grid, (patch + 1) * grid * grid);
      for (let k = 0; k < known.length; k += 4) add(filled, known.slice(k, k + 4), weights, residual, begin);
      // 5. Only the pixels of the hole are taken.
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
