// From a class's map to a heatmap: scaled and enlarged as fer/models/maps.py does, coloured as infer.py draws it.

import { between } from "./image.js";

export const EPSILON = 1e-7; // a map of zeros stays one
export const FEATHER = 0.3; // share of the way from the middle to the edge on which it fades
export const SMALL = 64; // side of a face, in pixels, up to which no heatmap is drawn
export const LARGE = 224; // from which it is drawn in full
export const BRIGHT = 64; // mean level of a face from which on it is drawn in full: it would hide a darker one

/** Return one class's map as size * size values from 0 to 1: what is negative is cut off, scaled, enlarged, scaled. */
export function finish({ data, width, height }, label, size) {
  const one = data.subarray(label * width * height, (label + 1) * width * height).map((value) => Math.max(value, 0));
  return scaled(between(scaled(one), width, height, size, size));
}

function scaled(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return values.map((value) => (value - low) / (EPSILON + (high - low)));
}

/**
 * Return size * size pixels (red, green, blue, opacity) of a heatmap that fades towards its edge, and is the fainter
 * the colder it is; `colours` are 256 times three levels, `alpha` the opacity where it is hottest.
 */
export function heat(values, size, colours, alpha) {
  const pixels = new Uint8ClampedArray(4 * size * size);
  for (let index = 0; index < values.length; index++) {
    const [x, y] = [index % size, Math.floor(index / size)].map((at) => Math.abs(((at + 0.5) * 2) / size - 1));
    const rise = Math.min(Math.max((1 - Math.cbrt(x ** 3 + y ** 3)) / FEATHER, 0), 1);
    const colour = 3 * Math.round(255 * values[index]);
    for (let channel = 0; channel < 3; channel++) pixels[4 * index + channel] = colours[colour + channel];
    pixels[4 * index + 3] = 255 * alpha * rise * rise * (3 - 2 * rise) * values[index];
  }
  return pixels;
}

/** Return by what share a heatmap is fainter on a face of a side in pixels and a mean level. */
export function strength(side, level) {
  return Math.min(Math.max((side - SMALL) / (LARGE - SMALL), 0), 1) * Math.min(level / BRIGHT, 1);
}
