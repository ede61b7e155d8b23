// The list beside the picture: each face with its answer, what the net saw of it, and a bar for every label.

import { colourOf, css, lettersOn } from "./draw.js";
import { answer, percent } from "./words.js";

/** A list of cards that follows the faces; `onTarget` gets the index of a label whose bar was pressed. */
export class Cards {
  constructor(list, net, onTarget) {
    Object.assign(this, { list, net, onTarget, cards: [] });
  }

  /** Show faces; `target` is the label whose heatmap is shown, or null. */
  show(faces, target) {
    while (this.cards.length > faces.length) this.cards.pop().root.remove();
    while (this.cards.length < faces.length) this.add();
    for (const [index, face] of faces.entries()) this.fill(this.cards[index], face, index, faces.length, target);
  }

  add() {
    const card = { root: make("li", "card"), head: make("div", "head"), crop: make("canvas"), rows: [] };
    card.number = make("span", "number");
    card.answer = make("span", "answer");
    card.share = make("span", "share");
    card.head.append(card.crop, card.number, card.answer, card.share);
    Object.assign(card.crop, { width: this.net.input_size, height: this.net.input_size });
    card.crop.setAttribute("aria-hidden", "true");
    const bars = make("ul", "bars");
    for (const [index, name] of this.net.classes.entries()) bars.append(this.bar(card, name, index));
    card.root.append(card.head, bars);
    this.list.append(card.root);
    this.cards.push(card);
  }

  bar(card, name, index) {
    const row = { root: make("button", "bar"), fill: make("span", "fill"), share: make("span", "per-cent") };
    row.root.type = "button";
    if (this.net.maps) row.root.title = `Heatmap of ${name}`;
    row.root.disabled = !this.net.maps;
    row.root.addEventListener("click", () => this.onTarget(index));
    row.fill.style.display = "block";
    row.fill.style.setProperty("--colour", css(this.net.colours[name]));
    const groove = make("span", "groove");
    groove.append(row.fill);
    row.root.append(make("span", "name", name), groove, row.share);
    card.rows.push(row);
    const item = make("li");
    item.append(row.root);
    return item;
  }

  fill(card, face, index, count, target) {
    const colour = colourOf(face, this.net);
    card.root.style.setProperty("--colour", css(colour));
    card.root.style.setProperty("--letters", lettersOn(colour));
    put(card.number, face.track ? `#${face.track}` : count > 1 ? `${index + 1}` : "");
    put(card.answer, answer(face, this.net.classes));
    put(card.share, percent(Math.max(...face.probabilities)));
    const pixels = new ImageData(this.net.input_size, this.net.input_size);
    for (const [at, value] of face.crop.entries()) pixels.data.set([value, value, value, 255], 4 * at);
    card.crop.getContext("2d").putImageData(pixels, 0, 0);
    for (const [label, row] of card.rows.entries()) {
      const probability = face.probabilities[label];
      row.fill.style.transform = `scaleX(${probability.toFixed(3)})`;
      put(row.share, percent(probability));
      row.root.classList.toggle("best", label === face.best);
      row.root.setAttribute("aria-pressed", String(label === target));
    }
  }
}

function make(name, className = "", text = "") {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
