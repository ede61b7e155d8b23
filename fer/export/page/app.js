// The page: what its buttons do, and what it shows. The work is done in worker.js.

import { Cards } from "./cards.js";
import { css, draw, lettersOn, snapshot } from "./draw.js";
import { Camera, readPicture } from "./pictures.js";
import { start } from "./thread.js";
import { NOBODY, NO_FACE, sentence, told } from "./words.js";

// The smallest program with SIMD.
const SIMD = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
];
const STEADY = 1; // seconds over which frames per second are averaged
const QUIET = 3000; // milliseconds between what a screen reader is told of a camera
const TALL = 0.7; // of the window's height, for the picture
const LARGER = 3; // times a small picture is enlarged at most

const part = Object.fromEntries([...document.querySelectorAll("[id]")].map((element) => [element.id, element]));
const state = { net: null, picture: null, faces: [], target: null, camera: null, mirror: false, spoken: 0, turn: 0 };
let ask;
let cards;
let drawnFaces;

/** Show one of the things that the stage can show. */
function stage(which) {
  for (const name of ["wait", "empty", "trouble", "view"]) part[name].hidden = name !== which;
  part.stage.dataset.shows = which;
}

function trouble(error) {
  part.trouble.textContent = sentence(error);
  part.note.hidden = part.rate.hidden = true;
  stage("trouble");
}

/** Draw the picture and its faces again, as large as there is room. */
function redraw() {
  if (!state.picture) return;
  const { width, height } = state.picture;
  const dots = Math.min(window.devicePixelRatio || 1, 2);
  const room = [part.stage.clientWidth / width, (window.innerHeight * TALL) / height, LARGER];
  const scale = Math.min(...room);
  const size = [Math.round(width * scale * dots), Math.round(height * scale * dots)];
  if (part.view.width !== size[0] || part.view.height !== size[1]) {
    [part.view.width, part.view.height] = size;
    part.view.style.width = `${size[0] / dots}px`;
  }
  draw(part.view.getContext("2d"), state.picture, state.faces, state.net, { ...style(), scale: scale * dots, dots });
}

function style() {
  return { heatmap: part.heatmap.checked, target: state.target, mirror: state.mirror };
}

/** Show what was seen in a picture; a camera's is said aloud only now and then. */
function show(picture, faces, nothing, mirror) {
  Object.assign(state, { picture, faces, mirror });
  stage("view");
  redraw();
  cards.show(faces, state.target);
  const words = faces.length ? told(faces, state.net.classes) : nothing;
  part.note.hidden = faces.length > 0;
  part.note.textContent = faces.length ? "" : nothing;
  part.guide.hidden = faces.length > 0;
  part.summary.hidden = !faces.length || !state.net.maps;
  part.view.setAttribute("aria-label", words);
  part.save.disabled = false;
  if (!state.camera || performance.now() - state.spoken > QUIET) {
    state.spoken = performance.now();
    if (part.said.textContent !== words) part.said.textContent = words;
  }
}

/** Begin with another picture: what is still being looked at is of no interest any more. Return whether it still is. */
function begin() {
  stopCamera();
  const turn = ++state.turn;
  return () => turn === state.turn;
}

async function photo(file) {
  const isLatest = begin();
  try {
    const { canvas, image } = await readPicture(file);
    part.waiting.textContent = "Looking …";
    if (!state.picture) stage("wait");
    await ready;
    const faces = await ask("photo", { image }, [image.data.buffer]);
    if (isLatest()) show(canvas, faces, NO_FACE, false);
  } catch (error) {
    if (isLatest()) trouble(error);
  }
}

async function startCamera(id) {
  const isLatest = begin();
  try {
    const camera = await Camera.start(id);
    if (!isLatest()) return camera.stop();
    state.camera = camera;
    part.camera.textContent = "Stop camera";
    part.camera.classList.add("live");
    part.other.hidden = (await camera.all()).length < 2;
    await ready;
    await ask("begin");
    await watch(camera);
  } catch (error) {
    if (!isLatest()) return;
    stopCamera();
    trouble(error);
  }
}

/** Look at one frame after the other, until the camera stops. */
async function watch(camera) {
  let [last, step] = [0, 0];
  for (;;) {
    const view = await camera.next();
    if (state.camera !== camera) return;
    if (!view) throw { kind: "ended" };
    const { canvas, image } = view;
    const time = performance.now() / 1000;
    const faces = await ask("frame", { image, time }, [image.data.buffer]);
    if (state.camera !== camera) return;
    show(canvas, faces, NOBODY, camera.isFacing);
    const passed = last ? time - last : 0;
    step += (passed - step) * (step ? Math.min(passed / STEADY, 1) : 1);
    last = time;
    if (!step) continue;
    part.rate.hidden = false;
    part.rate.textContent = `${Math.round(1 / step)} fps`;
  }
}

function stopCamera() {
  const { camera } = state;
  if (!camera) return;
  state.camera = null;
  camera.stop();
  part.camera.textContent = "Start camera";
  part.camera.classList.remove("live");
  part.other.hidden = part.rate.hidden = true;
}

function aim(label) {
  state.target = state.target === label ? null : label;
  part.target.value = state.target ?? "";
  if (state.target !== null) part.heatmap.checked = true;
  redraw();
  cards.show(state.faces, state.target);
}

function save() {
  snapshot(state.picture, state.faces, state.net, style()).toBlob((blob) => {
    const moment = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
    const link = element("a", { href: URL.createObjectURL(blob), download: `${state.net.name}-${moment}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}

function element(name, values) {
  return Object.assign(document.createElement(name), values);
}

/** Fill in what net.json says. */
function introduce(net) {
  state.net = net;
  cards = new Cards(part.cards, net, aim);
  for (const [index, name] of net.classes.entries()) {
    part.target.append(new Option(name, index));
    const label = element("li", { textContent: name });
    label.style.setProperty("--colour", css(net.colours[name]));
    label.style.setProperty("--letters", lettersOn(net.colours[name]));
    part.labels.append(label);
  }
  part["not-for"].textContent = net.not_for;
  for (const words of net.limits) part.limits.append(element("li", { textContent: words }));
  part.licence.textContent = net.licence;
  const size = `${net.classes.length} labels, faces of ${net.input_size} pixels`;
  part.made.textContent = `The net ${net.name}: ${size}. Made with fer ${net.version}. `;
  if (net.card) part.made.append(element("a", { href: "card.md", textContent: "Its card" }));
}

async function get(name) {
  const answer = await fetch(name, { cache: "no-cache" }).catch(() => null);
  if (!answer?.ok) throw { kind: "missing", name };
  return answer;
}

/** Load all that will ever be needed: from then on nothing is asked of the host. */
async function load() {
  if (!window.WebAssembly || !WebAssembly.validate(new Uint8Array(SIMD))) throw { kind: "simd" };
  const net = await (await get("net.json")).json().catch(() => Promise.reject({ kind: "damaged", name: "net.json" }));
  introduce(net);
  part.waiting.textContent = "Loading the nets …";
  part.progress.hidden = false;
  ask = start((share) => (part.progress.value = share));
  drawnFaces = await (await get("drawn.jpg")).blob();
  Object.assign(net, await ask("load", { net })); // whether it explains itself
  part.options.hidden = part.warm.hidden = !net.maps;
  part.progress.hidden = true;
}

function listen() {
  part.choose.addEventListener("click", () => part.file.click());
  part.file.addEventListener("change", () => {
    if (part.file.files[0]) photo(part.file.files[0]);
    part.file.value = "";
  });
  part.drawn.addEventListener("click", async () => {
    await ready.catch(() => null);
    if (drawnFaces) photo(drawnFaces);
  });
  part.camera.addEventListener("click", () => (state.camera ? stopCamera() : startCamera()));
  part.other.addEventListener("click", async () => startCamera((await state.camera.all())[1]));
  part.save.addEventListener("click", save);
  part.heatmap.addEventListener("change", redraw);
  part.target.addEventListener("change", () => {
    state.target = null;
    aim(part.target.value === "" ? null : Number(part.target.value));
  });
  window.addEventListener("resize", redraw);
  window.addEventListener("pagehide", stopCamera);
  document.addEventListener("paste", ({ clipboardData }) => clipboardData.files[0] && photo(clipboardData.files[0]));
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      part.stage.classList.toggle("over", kind === "dragenter" || kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files[0]) photo(event.dataTransfer.files[0]);
    });
  }
}

document.querySelector(".stuck").remove();
listen();
const ready = load();
ready.then(() => state.picture || state.camera || stage("empty"), trouble);
