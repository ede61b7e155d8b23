// The thread that works: it loads the runtime and both nets, whole and checked, and answers one picture after another.
// app.js starts it in such a way that the page's content policy binds it, too.

import { Looker } from "./look.js";

const RUNTIME = {
  code: "ort.wasm.min.mjs",
  loader: "ort-wasm-simd-threaded.mjs",
  program: "ort-wasm-simd-threaded.wasm",
};
const MODELS = { detector: "yunet.onnx", net: "net.onnx" };

let looker;

/** What went wrong, for app.js, which has the words. */
class Trouble extends Error {
  constructor(kind, name) {
    super(`${kind} ${name}`);
    Object.assign(this, { kind, name });
  }
}

const TASKS = {
  load: async ({ net }) => {
    const wanted = [RUNTIME.program, MODELS.detector, MODELS.net];
    const total = wanted.reduce((sum, name) => sum + net.files[name].bytes, 0);
    let come = 0;
    const progress = (bytes) => postMessage({ progress: Math.min((come += bytes) / total, 1) });
    const contents = await Promise.all(wanted.map((name) => whole(name, net.files[name], progress)));
    const ort = await import(`./${RUNTIME.code}`).catch(() => Promise.reject(new Trouble("missing", RUNTIME.code)));
    ort.env.wasm.numThreads = 1; // more would need headers that static hosts do not send
    ort.env.wasm.wasmBinary = contents[0].buffer;
    ort.env.wasm.wasmPaths = { mjs: new URL(RUNTIME.loader, import.meta.url).href };
    looker = await Looker.load(ort, net, contents[1], contents[2]);
    const faint = { data: new Uint8ClampedArray(4 * 64 * 64), width: 64, height: 64 };
    await looker.frames.find(faint); // so that the first picture takes no longer than others
    return { maps: Boolean((await looker.face(faint, { box: [0, 0, 64, 64] })).maps) };
  },
  begin: () => looker.begin(),
  photo: ({ image }) => looker.photo(image),
  frame: ({ image, time }) => looker.frame(image, time),
};

/** Return a file's bytes, if they are those that net.json speaks of. */
async function whole(name, { bytes, sha256 }, progress) {
  const answer = await fetch(new URL(name, import.meta.url), { cache: "no-cache" }).catch(() => null);
  if (!answer?.ok) throw new Trouble("missing", name);
  const content = new Uint8Array(bytes);
  const reader = answer.body.getReader();
  let filled = 0;
  for (;;) {
    const { done, value } = await reader.read().catch(() => Promise.reject(new Trouble("missing", name)));
    if (done) break;
    if (filled + value.length > bytes) throw new Trouble("damaged", name);
    content.set(value, filled);
    filled += value.length;
    progress(value.length);
  }
  if (filled !== bytes || (await digest(content)) !== sha256) throw new Trouble("damaged", name);
  return content;

  async function digest(data) {
    if (!crypto.subtle) return sha256; // not there without https: the length has to do
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
    return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }
}

onmessage = async ({ data: { id, task, ...given } }) => {
  try {
    postMessage({ id, answer: await TASKS[task](given) });
  } catch (error) {
    const full = error instanceof RangeError || /memory|abort|bad_alloc|allocat/i.test(String(error?.message ?? error));
    const said = String(error?.message ?? error);
    const other = { kind: full ? "memory" : "failed", name: said };
    postMessage({ id, trouble: error instanceof Trouble ? { kind: error.kind, name: error.name } : other });
  }
};
