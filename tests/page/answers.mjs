// What a page's modules see in photos, without a browser: node answers.mjs PAGE < photos.json, which is a list of
// {file, width, height}, each file with four bytes a pixel; the answers are written as JSON.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const page = resolve(process.argv[2]);
const module = (name) => import(pathToFileURL(join(page, name)));
const net = JSON.parse(readFileSync(join(page, "net.json"), "utf8"));
const ort = await module("ort.wasm.min.mjs");
const { Looker } = await module("look.js");
const { finish } = await module("heat.js");

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmBinary = readFileSync(join(page, "ort-wasm-simd-threaded.wasm")).buffer;
const looker = await Looker.load(
  ort,
  net,
  readFileSync(join(page, "yunet.onnx")),
  readFileSync(join(page, "net.onnx")),
);
const answers = [];
for (const { file, width, height } of JSON.parse(readFileSync(0, "utf8"))) {
  const faces = await looker.photo({ data: new Uint8ClampedArray(readFileSync(file)), width, height });
  const told = faces.map(({ box, score, turn, probabilities, best, sure, maps, crop }) => {
    const heatmap = finish(maps, best, net.input_size);
    return { box, score, turn, best, sure, probabilities: [...probabilities], heatmap: [...heatmap], crop: [...crop] };
  });
  answers.push(told);
}
console.log(JSON.stringify(answers));
