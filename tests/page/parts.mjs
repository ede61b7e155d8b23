// Calls single functions of the page's modules: node parts.mjs FOLDER < calls.json, which is a list of
// {module, name, given}, or of {module, name, given, calls} for the methods of a class: [[method, ...arguments], ...].
// An array of bytes is {bytes}, one of floats {floats}; the results are written as JSON, with plain arrays.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const read = (_, value) => {
  if (value?.bytes) return Uint8ClampedArray.from(value.bytes);
  return value?.floats ? Float32Array.from(value.floats) : value;
};
const plain = (_, value) => (ArrayBuffer.isView(value) ? [...value] : value);

const results = [];
for (const { module, name, given, calls } of JSON.parse(readFileSync(0, "utf8"), read)) {
  const { [name]: part } = await import(pathToFileURL(join(resolve(process.argv[2]), module)));
  if (!calls) {
    results.push(part(...given));
    continue;
  }
  const one = new part(...given);
  results.push(calls.map(([method, ...words]) => structuredClone(one[method](...words))));
}
console.log(JSON.stringify(results, plain));
