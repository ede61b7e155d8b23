// What is seen in a picture, drawn onto it as infer.py does: heatmap, box and label of every face.

import { finish, heat, strength } from "./heat.js";
import { common } from "./yunet.js";
import { answer, percent } from "./words.js";

const DARK = "#14141a";
const FONT = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const OF_FACE = 0.1; // size of letters over the height of a face
const LETTERS = [12, 19]; // their bounds, in pixels of the screen
const OWN = 0.12; // share of a face that its label may cover where all around has no room

/** Return black or white, whichever can be read on a colour [red, green, blue]. */
export function lettersOn([red, green, blue]) {
  return 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#000" : "#fff";
}

export const css = (colour) => `rgb(${colour.join(" ")})`;

/**
 * Draw a picture and its faces.
 * `context` is of a canvas of the size at which it is shown, `picture` another canvas, `style` has the `scale` from its
 * pixels to the canvas's, the `dots` of the canvas for one of the screen, `heatmap` (true or false), the
 * `target` that is explained (null: the predicted one) and `mirror`.
 */
export function draw(context, picture, faces, net, style) {
  const { width, height } = context.canvas;
  context.setTransform(style.mirror ? -1 : 1, 0, 0, 1, style.mirror ? width : 0, 0);
  if (style.scale < 1) context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, width, height);
  if (style.heatmap) for (const face of faces) drawHeat(context, face, net, style);
  context.setTransform(1, 0, 0, 1, 0, 0);
  const boxes = faces.map(({ box: [x, y, w, h] }) => {
    const left = style.mirror ? picture.width - x - w : x;
    return [left, y, w, h].map((value) => value * style.scale);
  });
  for (const [index, face] of faces.entries()) drawBox(context, boxes[index], css(colourOf(face, net)), style.dots);
  const taken = [];
  for (const [index, face] of faces.entries()) {
    const others = [...boxes.slice(0, index), ...boxes.slice(index + 1), ...taken];
    const label = placeLabel(context, forms(face, index, faces.length, net), boxes[index], others, style.dots);
    if (label) drawLabel(context, label, colourOf(face, net));
    if (label) taken.push(label.place);
  }
}

/** Return the colour [red, green, blue] of a face's answer. */
export function colourOf(face, net) {
  return net.colours[answer(face, net.classes)];
}

function drawHeat(context, face, net, { scale, target }) {
  if (!face.maps) return;
  const size = net.input_size;
  const alpha = net.alpha * strength(face.region.side, face.level);
  const values = finish(face.maps, target ?? face.best, size);
  const small = blank(size);
  small.getContext("2d").putImageData(new ImageData(heat(values, size, net.heat, alpha), size, size), 0, 0);
  const { centre, side, angle } = face.region;
  context.save();
  context.translate(centre[0] * scale, centre[1] * scale);
  context.rotate((angle * Math.PI) / 180);
  context.drawImage(small, (-side * scale) / 2, (-side * scale) / 2, side * scale, side * scale);
  context.restore();
}

/** Return a small square canvas. */
function blank(size) {
  return Object.assign(document.createElement("canvas"), { width: size, height: size });
}

function drawBox(context, [x, y, width, height], colour, dots) {
  const thick = Math.max(Math.min(Math.min(width, height) / 60, 4 * dots), 2 * dots);
  for (const [stroke, line] of [
    ["#000", thick + 2 * dots],
    [colour, thick],
  ]) {
    context.beginPath();
    context.roundRect(x, y, width, height, Math.min(width, height) / 12);
    Object.assign(context, { strokeStyle: stroke, lineWidth: line });
    context.stroke();
  }
}

/** Return the label of a face, and shorter forms for where many faces leave no room. */
function forms(face, index, count, net) {
  const { best, sure, probabilities, track } = face;
  const name = answer(face, net.classes);
  const number = track ? `#${track}  ` : count > 1 ? `${index + 1}  ` : "";
  return [...(sure ? [`${number}${name}  ${percent(probabilities[best])}`] : []), number + name, name];
}

/** Return words, size and place of the best label for which there is room; null if there is none. */
function placeLabel(context, words, box, taken, dots) {
  const [least, most] = LETTERS.map((size) => size * dots);
  const best = Math.min(Math.max(OF_FACE * box[3], least), most);
  for (const own of [false, true]) {
    for (const text of words) {
      for (const size of new Set([best, least])) {
        const place = freePlace(labelSize(context, text, size), box, taken, context.canvas, own);
        if (place) return { text, size, place };
      }
    }
  }
  return null;
}

function labelSize(context, text, size) {
  context.font = `600 ${size}px ${FONT}`;
  return [context.measureText(text).width + size, 1.5 * size];
}

/** Return where a label goes: above or below its face, or at its upper or lower edge, covering nothing else. */
function freePlace([width, height], box, taken, canvas, own) {
  const [x, y, w, h] = box;
  if (width > canvas.width || height > canvas.height) return null;
  for (const top of own ? [y, y + h - height] : [y - height, y + h]) {
    const left = Math.max(0, Math.min(x - height / 12, canvas.width - width));
    const place = [left, Math.max(0, Math.min(top, canvas.height - height)), width, height];
    const covers = common(place, box) > (own ? OWN : 0.005) * w * h;
    if (!covers && !taken.some((other) => common(place, other))) return place;
  }
  return null;
}

function drawLabel(context, { text, size, place: [x, y, width, height] }, colour) {
  context.beginPath();
  context.roundRect(x, y, width, height, size / 3);
  context.fillStyle = css(colour);
  context.fill();
  context.fillStyle = lettersOn(colour);
  Object.assign(context, { textBaseline: "middle", font: `600 ${size}px ${FONT}` });
  context.fillText(text, x + size / 2, y + height / 2 + size / 20);
}

/** Return a canvas with the picture and its faces in full size, and below it a line of what it is. */
export function snapshot(picture, faces, net, style) {
  const { width, height } = picture;
  const dots = Math.max(width, height) / 1000;
  const strip = Math.round(Math.max(34 * dots, 20));
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  draw(canvas.getContext("2d"), picture, faces, net, { ...style, scale: 1, dots });
  const whole = Object.assign(document.createElement("canvas"), { width, height: height + strip });
  const context = whole.getContext("2d");
  context.fillStyle = DARK;
  context.fillRect(0, height, width, strip);
  context.drawImage(canvas, 0, 0);
  Object.assign(context, { fillStyle: "#cdd0d8", textBaseline: "middle", font: `${0.45 * strip}px ${FONT}` });
  const words = `Predicted by the net ${net.name}. An expression does not tell what a person feels.`;
  context.fillText(words, strip / 2, height + strip / 2, width - strip);
  return whole;
}
