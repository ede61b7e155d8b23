// From one picture to what is seen in it, as fer/inference/pipeline.py: find, cut, classify, explain, follow.

import { brightness, cut, region } from "./image.js";
import { Detector } from "./search.js";
import { Smoother, Tracker } from "./tracking.js";
import { OUTPUTS } from "./yunet.js";

export const NEAR_WIDTH = 320; // pixels at which a camera's frames are searched: whoever looks into it is near
export const CAREFUL = 1; // seconds after which one is searched at the detector's width, as when a face is missing
export const BUDGET = 60; // milliseconds of a frame for the net; with many faces they take turns

/** Looks at photos and at the frames of a camera; `net` is what net.json says. */
export class Looker {
  constructor(ort, net, sessions) {
    Object.assign(this, { ort, net, ...sessions });
    const run = (given) => this.detect(given);
    this.photos = new Detector(run, net.detector);
    this.frames = new Detector(run, { ...net.detector, width: NEAR_WIDTH });
    this.begin();
  }

  /** Load both nets from their bytes. */
  static async load(ort, net, detectorBytes, netBytes) {
    const options = { executionProviders: ["wasm"], logSeverityLevel: 3 };
    const detector = await ort.InferenceSession.create(detectorBytes, { ...options, enableMemPattern: false });
    const classifier = await ort.InferenceSession.create(netBytes, options);
    return new Looker(ort, net, { detector, classifier });
  }

  /** Forget all faces: another camera begins. */
  begin() {
    this.tracker = new Tracker();
    this.smoother = new Smoother(this.net.smoothing);
    this.searched = -Infinity; // when that was
    this.rest = 0; // until when the net rests: it takes half of the time, so that boxes follow on slow devices, too
    this.answers = new Map(); // the last frame's faces, by their tracks
  }

  /** Return the faces of a photo, from left to right. */
  async photo(image) {
    const found = await this.photos.search(image);
    found.sort((one, other) => one.box[0] - other.box[0]);
    const seen = [];
    for (const face of found) seen.push(await this.face(image, face));
    return seen;
  }

  /** Return the faces of a camera's next frame, by their tracks; the time in seconds. */
  async frame(image, time) {
    const isRecent = time - this.searched < CAREFUL;
    let found = isRecent ? await this.frames.find(image) : [];
    if (!isRecent || found.length < this.answers.size) {
      found = await this.photos.find(image);
      this.searched = time;
    }
    const tracks = this.tracker.update(
      found.map(({ box }) => box),
      time,
    );
    const faces = found.map((face, index) => ({
      ...face,
      track: tracks[index],
      last: this.answers.get(tracks[index]),
    }));
    faces.sort((one, other) => (one.last?.time ?? 0) - (other.last?.time ?? 0));
    const [seen, isDue] = [new Map(), performance.now() >= this.rest];
    let spent = 0;
    for (const { last, ...face } of faces) {
      if (last && (!isDue || spent > BUDGET)) {
        seen.set(face.track, { ...last, ...face, region: region(face, this.net.crop) }); // its answer, in its new place
        continue;
      }
      const began = performance.now();
      seen.set(face.track, { ...(await this.face(image, face, time)), time });
      spent += performance.now() - began;
    }
    if (spent) this.rest = performance.now() + spent;
    this.answers = seen;
    return [...seen.values()].sort((one, other) => one.track - other.track);
  }

  /** Return a face with `probabilities`, `best` (its label), `sure`, `maps`, `crop`, `region` and `level` (of gray). */
  async face(image, face, time) {
    const square = region(face, this.net.crop);
    const size = this.net.input_size;
    const crop = cut(image, square, size);
    const faces = new this.ort.Tensor("float32", Float32Array.from(crop), [1, 1, size, size]);
    const answer = await this.classifier.run({ faces }); // one by one: several at once take longer
    let probabilities = Float32Array.from(answer.probabilities.data);
    if (!probabilities.every(Number.isFinite)) throw new Error("the net's answers are no numbers");
    if (face.track !== undefined) probabilities = this.smoother.smooth(face.track, probabilities, time);
    const most = Math.max(...probabilities);
    const [best, sure] = [probabilities.indexOf(most), most >= this.net.not_sure];
    const [, , height, width] = answer.maps?.dims ?? [];
    const maps = answer.maps && { data: Float32Array.from(answer.maps.data), height, width };
    return { ...face, region: square, crop, probabilities, best, sure, maps, level: brightness(image, face.box) };
  }

  async detect({ values, width, height }) {
    const input = new this.ort.Tensor("float32", values, [1, 3, height, width]);
    const found = await this.detector.run({ input }, OUTPUTS);
    return Object.fromEntries(OUTPUTS.map((name) => [name, found[name].data]));
  }
}
