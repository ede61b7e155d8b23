// YuNet's net between a picture and its faces, as fer/faces/yunet.py has it: grids of 8, 16 and 32 pixels a cell, each
// cell with how sure it is of a face, a box and five points, measured from the cell in cells.

export const STRIDES = [8, 16, 32]; // pixels of a cell's side
export const OUTPUTS = STRIDES.flatMap((stride) => ["cls", "obj", "bbox", "kps"].map((kind) => `${kind}_${stride}`));
export const OVERLAP = 0.3; // IoU above which the lesser box is dropped
export const CANDIDATES = 5000; // boxes that are looked at before that

/** Return a picture as the net takes it: blue, green and red planes, black up to multiples of the last stride. */
export function toInput({ data, width, height }) {
  const cell = STRIDES.at(-1);
  const wide = Math.ceil(width / cell) * cell;
  const high = Math.ceil(height / cell) * cell;
  const plane = wide * high;
  const values = new Float32Array(3 * plane);
  for (let y = 0; y < height; y++) {
    let from = y * width * 4;
    for (let to = y * wide; to < y * wide + width; to++, from += 4) {
      values[to] = data[from + 2];
      values[plane + to] = data[from + 1];
      values[2 * plane + to] = data[from];
    }
  }
  return { values, width: wide, height: high };
}

/**
 * Return the faces that reach a score, many times each: {box: [x, y, width, height], score} in pixels.
 * `outputs` has the values of OUTPUTS by name; `width` is that of the padded picture.
 */
export function decode(outputs, width, least) {
  const found = [];
  for (const stride of STRIDES) {
    const [face, thing, boxes] = ["cls", "obj", "bbox"].map((kind) => outputs[`${kind}_${stride}`]);
    const columns = width / stride;
    for (let cell = 0; cell < face.length; cell++) {
      const score = Math.sqrt(face[cell] * thing[cell]);
      if (!(score >= least)) continue;
      const [right, down, wide, high] = boxes.subarray(4 * cell, 4 * cell + 4);
      const [w, h] = [Math.exp(wide), Math.exp(high)];
      const x = (cell % columns) + right - w / 2;
      const y = Math.floor(cell / columns) + down - h / 2;
      found.push({ box: [x, y, w, h].map((value) => value * stride), score });
    }
  }
  return found;
}

/** Return the faces that overlap none of a higher score, by falling score; boxes count in whole pixels. */
export function suppress(faces) {
  const sorted = [...faces].sort((one, other) => other.score - one.score).slice(0, CANDIDATES);
  const kept = [];
  for (const face of sorted) {
    const box = face.box.map(Math.trunc);
    if (kept.every((other) => overlap(box, other.whole) <= OVERLAP)) kept.push({ face, whole: box });
  }
  return kept.map(({ face }) => face);
}

/** Return how much of two boxes' union they have in common. */
function overlap(one, other) {
  const shared = common(one, other);
  return shared / (one[2] * one[3] + other[2] * other[3] - shared || 1);
}

/** Return how many pixels two boxes have in common. */
export function common([x, y, width, height], [left, top, wide, high]) {
  const across = Math.min(x + width, left + wide) - Math.max(x, left);
  const down = Math.min(y + height, top + high) - Math.max(y, top);
  return Math.max(across, 0) * Math.max(down, 0);
}
