// The faces of a picture, as fer/faces/search.py finds them: at the detector's width, in large photos once more for the
// small ones, and in photos that lie turned once more upright.

import { shrink, upright } from "./image.js";
import { common, decode, suppress, toInput } from "./yunet.js";

export const TALLEST = 4; // times the working width; bounds the memory for a picture that is a long strip
export const SEEN = 14; // pixels; few smaller faces are found
export const FINE_PIXELS = 2560 * 1920; // pixels of the finer search
export const SAME = 0.5; // share of the smaller box in common, above which two searches have found one face
export const SURE = 0.92; // score that no face reached in a photo that lay turned
export const BETTER = 0.03; // by how much a turned photo's best score has to exceed the one as it lies

/**
 * Finds faces with YuNet.
 * `run` maps {values, width, height} as of `toInput` to the values of the net's outputs by name; `settings` has the
 * least score, the least side of a face in pixels and the width at which wider pictures are searched.
 */
export class Detector {
  constructor(run, { score, min_size: smallest, width }) {
    Object.assign(this, { run, score, smallest, width });
  }

  /** Return the faces of one frame by falling score. */
  async find(image, share = this.workingShare(image)) {
    const { image: small, scale } = shrink(image, share);
    const given = toInput(small);
    const faces = suppress(decode(await this.run(given), given.width, this.score));
    const boxes = faces.map(({ box, score }) => ({
      box: box.map((value, axis) => value * scale[axis % 2]),
      score,
      turn: 0,
    }));
    return boxes.filter(({ box }) => Math.max(box[2], box[3]) >= this.smallest);
  }

  /** Return the faces of a photo by falling score; if it lies turned, their `turn` says by how much. */
  async search(image) {
    const faces = await this.bothSizes(image);
    const best = highest(faces);
    if (best >= SURE) return faces;
    const found = { turn: 0, score: best + BETTER };
    for (const turn of [90, 180, 270]) {
      const score = highest(await this.find(upright(image, turn)));
      if (score > found.score) Object.assign(found, { turn, score });
    }
    if (!found.turn) return faces;
    const lying = await this.bothSizes(upright(image, found.turn));
    return lying.map((face) => ({ ...face, turn: found.turn, box: clockwise(face.box, found.turn, image) }));
  }

  /** Return the share of its size, at most 1, at which a picture is searched. */
  workingShare({ width, height }) {
    return Math.min(1, this.width / width, (TALLEST * this.width) / height);
  }

  async bothSizes(image) {
    const fine = Math.min(1, SEEN / this.smallest, Math.sqrt(FINE_PIXELS / (image.width * image.height)));
    const found = [await this.find(image)];
    if (fine > this.workingShare(image)) found.push(await this.find(image, fine));
    return merge(found);
  }
}

/** Return the faces of all searches by falling score; of those that two have found, that of the higher. */
export function merge(searches) {
  const faces = searches.flatMap((found, origin) => found.map((face) => ({ face, origin })));
  faces.sort((one, other) => other.face.score - one.face.score);
  const kept = [];
  for (const one of faces) {
    const known = kept.some(({ face, origin }) => origin !== one.origin && isSame(face.box, one.face.box));
    if (!known) kept.push(one);
  }
  return kept.map(({ face }) => face);
}

function isSame(one, other) {
  return common(one, other) > SAME * Math.min(one[2] * one[3], other[2] * other[3]);
}

function highest(faces) {
  return Math.max(0, ...faces.map(({ score }) => score));
}

/** Return a box of the picture turned upright as it lies in the picture, turned clockwise. */
function clockwise([x, y, width, height], turn, image) {
  if (turn === 90) return [image.width - y - height, x, height, width];
  if (turn === 180) return [image.width - x - width, image.height - y - height, width, height];
  return [y, image.height - x - width, height, width];
}
