// What the page says when something cannot be: one sentence of what is wrong, one of what to do.

const RELOAD = "Reload the page; if it stays, its folder has to be written again (python -m fer.export ... --page).";

const TROUBLES = {
  missing: (name) => `The file ${name} did not come. ${RELOAD}`,
  damaged: (name) => `The file ${name} is damaged, or another than the page speaks of. ${RELOAD}`,
  failed: (name) => `The net cannot be used: ${name}. ${RELOAD}`,
  memory: () =>
    "The browser has no memory left for the nets. Close other tabs, reload the page, and take a smaller photo; " +
    "old phones may have too little.",
  simd: () =>
    "This browser lacks WebAssembly with SIMD, which the nets need. Any current Firefox, Chrome, Edge or Safari has " +
    "it (Safari from 16.4 on).",
  picture: (name) =>
    `${name} cannot be read here as a picture. JPEG, PNG, WebP, GIF and AVIF can; convert others, such as HEIC, first.`,
  insecure: () => "The camera works by https alone (or on localhost), and this page came without. Photos work.",
  NotAllowedError: () =>
    "The camera was refused. Allow it for this page in the browser's address bar, then start it again. " +
    "Photos work without.",
  NotFoundError: () => "No camera was found. Connect one, then start it again. Photos work without.",
  NotReadableError: () =>
    "The camera gives no picture: perhaps another program has it. Close that one, then start it again.",
  ended: () => "The camera has stopped: it was taken away, or another program has it now.",
};

/** Return the sentences for a trouble {kind, name}, or for an error of the browser's. */
export function sentence({ kind, name, message }) {
  const words = TROUBLES[kind] ?? TROUBLES[name];
  return words ? words(name) : TROUBLES.failed(message ?? name);
}

export const NO_FACE =
  "No face found. Faces that are very small, turned far away or covered are not found; another photo may do.";
export const NOBODY = "No face in sight.";

/** Return a probability as it is written. */
export function percent(probability) {
  return `${Math.round(100 * probability)}%`;
}

/** Return what the net answers for a face. */
export function answer({ best, sure }, classes) {
  return sure ? classes[best] : "not sure";
}

/** Say all faces in one line. */
export function told(faces, classes) {
  const parts = faces.map((face, index) => {
    const number = faces.length > 1 ? `${face.track ?? index + 1} ` : "";
    return number + answer(face, classes) + (face.sure ? ` ${percent(face.probabilities[face.best])}` : "");
  });
  return `${parts.length} face${parts.length > 1 ? "s" : ""}: ${parts.join(", ")}`;
}
