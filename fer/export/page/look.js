// From one picture to what is seen in it, as fer/inference/pipeline.py: find, cut, classify, explain, follow.

import { cut, region } from "./image.js";
import { Detector } from "./search.js";
import { Smoother, Tracker } from "./tracking.js";
import { OUTPUTS } from "./yunet.js";

export const CAMERA_WIDTH = 320; // pixels at which a camera's frames are searched: one that looks back is near

/** Looks at photos and at the frames of a camera; `net` is what net.json says. */
export class Looker {
  constructor(ort, net, sessions) {
    Object.assign(this, { ort, net, ...sessions });
    const run = (given) => this.detect(given);
    this.photos = new Detector(run, net.detector);
    this.frames = new Detector(run, { ...net.detector, width: CAMERA_WIDTH });
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
    const found = await this.frames.find(image);
    const tracks = this.tracker.update(found.map(({ box }) => box), time);
    const seen = [];
    for (const [index, face] of found.entries()) {
      seen.push(await this.face(image, { ...face, track: tracks[index] }, time));
    }
    return seen.sort((one, other) => one.track - other.track);
  }

  /** Return a face with `probabilities`, `best` (-1: not sure), `maps` with their height and width, `crop`, `region`. */
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
    const best = most >= this.net.not_sure ? probabilities.indexOf(most) : -1;
    const maps = answer.maps && { data: Float32Array.from(answer.maps.data), height: answer.maps.dims[2], width: answer.maps.dims[3] };
    return { ...face, region: square, crop, probabilities, best, maps };
  }

  async detect({ values, width, height }) {
    const input = new this.ort.Tensor("float32", values, [1, 3, height, width]);
    const found = await this.detector.run({ input }, OUTPUTS);
    return Object.fromEntries(OUTPUTS.map((name) => [name, found[name].data]));
  }
}
