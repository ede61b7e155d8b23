// Pictures as infer.py handles them: made smaller by averaging over areas, gray by OpenCV's weights, cut out at whole
// pixels with the border repeated. A canvas smooths otherwise, and the net would see other faces than it learned from.
//
// A picture is {data, width, height}, four bytes a pixel (red, green, blue, opacity) as a canvas gives them.

const CHANNELS = 4;
const TURNS = { 90: [0, 1], 180: [-1, 0], 270: [0, -1] }; // cosine and sine

/** Round as Python does: a half goes to the even neighbour. */
export function round(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/** Return a picture at a share of its size, and how many of its pixels one of the result has along x and y. */
export function shrink(image, share) {
  if (share === 1) return { image, scale: [1, 1] };
  const width = Math.max(round(image.width * share), 1);
  const height = Math.max(round(image.height * share), 1);
  const data = average(image.data, image.width, image.height, CHANNELS, width, height);
  return { image: { data, width, height }, scale: [image.width / width, image.height / height] };
}

/** Return a picture turned back by so many degrees clockwise: 90, 180 or 270. */
export function upright({ data, width, height }, turn) {
  const from = new Uint32Array(data.buffer, data.byteOffset, width * height);
  const to = new Uint32Array(width * height);
  const [wide, high] = turn === 180 ? [width, height] : [height, width];
  for (let y = 0; y < high; y++) {
    for (let x = 0; x < wide; x++) {
      let source;
      if (turn === 90) source = x * width + (width - 1 - y);
      else if (turn === 180) source = (height - 1 - y) * width + (width - 1 - x);
      else source = (height - 1 - x) * width + y;
      to[y * wide + x] = from[source];
    }
  }
  return { data: new Uint8ClampedArray(to.buffer), width: wide, height: high };
}

/** Return the square {centre, side, angle} around a face, of which a margin and a shift make one as in the training. */
export function region({ box: [x, y, width, height], turn = 0 }, { margin, shift }) {
  const down = shift * (turn % 180 ? width : height);
  const [cosine, sine] = TURNS[turn] ?? [1, 0];
  const centre = [x + width / 2 - down * sine, y + height / 2 + down * cosine];
  return { centre, side: margin * Math.max(width, height), angle: turn };
}

/** Cut a square out of a picture, as size * size bytes of gray; beyond the border its last pixels are repeated. */
export function cut(image, { centre, side, angle }, size) {
  let whole = Math.max(round(side), 1);
  const left = round(centre[0] - whole / 2);
  const top = round(centre[1] - whole / 2);
  if (!angle) return resize(gray(image, left, top, whole), whole, size);
  whole = Math.max(whole, size); // turned at full resolution: made smaller after it, by averaging
  return resize(turned(image, { centre, side, angle }, whole), whole, size);
}

/** Return a square of gray levels in another size: smaller by averaging, larger between its pixels. */
export function resize(levels, from, to) {
  if (from === to) return levels;
  if (from > to) return average(levels, from, from, 1, to, to);
  return enlarge(levels, from, to);
}

/** Return a square of gray levels in a larger size: with shares in eleven binary places, as OpenCV counts. */
function enlarge(levels, from, to) {
  const places = Array.from({ length: to }, (_, place) => {
    const [first, second, share] = neighbours(place, from, to);
    return [first, second, round((1 - share) * 2048), round(share * 2048)];
  });
  const found = new Uint8ClampedArray(to * to);
  for (const [y, [above, below, more, less]] of places.entries()) {
    for (const [x, [before, after, here, there]] of places.entries()) {
      const mixed = (row) => levels[row * from + before] * here + levels[row * from + after] * there;
      const [upper, lower] = [mixed(above), mixed(below)];
      found[y * to + x] = (((more * (upper >> 4)) >> 16) + ((less * (lower >> 4)) >> 16) + 2) >> 2;
    }
  }
  return found;
}

/** Return values (height, width) in another size, each between the four that are nearest (cv2.INTER_LINEAR). */
export function between(values, width, height, toWidth, toHeight) {
  const found = new Float32Array(toWidth * toHeight);
  for (let y = 0; y < toHeight; y++) {
    const [above, below, down] = neighbours(y, height, toHeight);
    for (let x = 0; x < toWidth; x++) {
      const [before, after, across] = neighbours(x, width, toWidth);
      const upper = values[above * width + before] * (1 - across) + values[above * width + after] * across;
      const lower = values[below * width + before] * (1 - across) + values[below * width + after] * across;
      found[y * toWidth + x] = upper * (1 - down) + lower * down;
    }
  }
  return found;
}

function neighbours(place, from, to) {
  const middle = Math.min(Math.max(Math.fround((place + 0.5) * (from / to) - 0.5), 0), from - 1);
  const first = Math.floor(middle);
  return [first, Math.min(first + 1, from - 1), middle - first];
}

/** Average over areas, as cv2.resize does with INTER_AREA; of four channels the last, the opacity, is full. */
export function average(data, width, height, channels, toWidth, toHeight) {
  if (width === 2 * toWidth && height === 2 * toHeight) return halve(data, width, channels, toWidth, toHeight);
  const columns = weights(width, toWidth);
  const rows = weights(height, toHeight);
  const kept = Math.min(channels, 3);
  const row = new Float32Array(toWidth * kept);
  const sum = new Float32Array(toWidth * kept);
  const found = new Uint8ClampedArray(toWidth * toHeight * channels).fill(255);
  for (let y = 0; y < toHeight; y++) {
    sum.fill(0);
    for (let part = rows.starts[y]; part < rows.starts[y + 1]; part++) {
      averageRow(data, rows.places[part] * width * channels, channels, kept, columns, row);
      const share = rows.shares[part];
      for (let index = 0; index < sum.length; index++) sum[index] += Math.fround(share * row[index]);
    }
    for (let x = 0, from = 0, to = y * toWidth * channels; x < toWidth; x++, from += kept, to += channels) {
      for (let channel = 0; channel < kept; channel++) found[to + channel] = sum[from + channel]; // rounded as `round`
    }
  }
  return found;
}

/** Average two times two pixels: as often as a camera's picture is searched, and OpenCV, too, has a way of its own. */
function halve(data, width, channels, toWidth, toHeight) {
  const found = new Uint8ClampedArray(toWidth * toHeight * channels);
  const line = width * channels;
  for (let y = 0, to = 0; y < toHeight; y++) {
    for (let x = 0, at = 2 * y * line; x < toWidth; x++, at += channels) {
      for (const end = at + channels; at < end; at++, to++) {
        found[to] = (data[at] + data[at + channels] + data[at + line] + data[at + line + channels] + 2) >> 2;
      }
    }
  }
  return found;
}

/** Average one row's pixels: in single precision as OpenCV does, so that nothing rounds otherwise. */
function averageRow(data, start, channels, kept, { starts, places, shares }, row) {
  const { fround } = Math;
  for (let x = 0, to = 0; to < row.length; x++, to += kept) {
    let [red, green, blue] = [0, 0, 0];
    for (let part = starts[x]; part < starts[x + 1]; part++) {
      const share = shares[part];
      const at = start + places[part] * channels;
      red = fround(red + fround(share * data[at]));
      if (kept === 1) continue;
      green = fround(green + fround(share * data[at + 1]));
      blue = fround(blue + fround(share * data[at + 2]));
    }
    row[to] = red;
    if (kept === 1) continue;
    row[to + 1] = green;
    row[to + 2] = blue;
  }
}

/** Return which places each place of the result averages: those from its start to the next one's, with their shares. */
function weights(from, to) {
  const scale = from / to;
  const [starts, places, shares] = [[0], [], []];
  const add = (place, share) => places.push(place) && shares.push(share);
  for (let place = 0; place < to; place++) {
    const start = place * scale;
    const cell = Math.min(scale, from - start);
    const last = Math.min(Math.floor(start + scale), from - 1);
    const first = Math.min(Math.ceil(start), last);
    if (first - start > 1e-3) add(first - 1, (first - start) / cell);
    for (let whole = first; whole < last; whole++) add(whole, 1 / cell);
    const rest = start + scale - last;
    if (rest > 1e-3) add(last, Math.min(rest, 1, cell) / cell);
    starts.push(places.length);
  }
  return { starts: Int32Array.from(starts), places: Int32Array.from(places), shares: Float32Array.from(shares) };
}

/** Return a square of a picture in levels of gray, side * side bytes. */
function gray({ data, width, height }, left, top, side) {
  const found = new Uint8ClampedArray(side * side);
  for (let y = 0; y < side; y++) {
    const line = Math.min(Math.max(top + y, 0), height - 1) * width;
    for (let x = 0; x < side; x++) {
      found[y * side + x] = level(data, (line + Math.min(Math.max(left + x, 0), width - 1)) * CHANNELS);
    }
  }
  return found;
}

/** Return the gray of a pixel: 0.299 red + 0.587 green + 0.114 blue in fifteen binary places, as OpenCV counts. */
function level(data, at) {
  return (data[at] * 9798 + data[at + 1] * 19235 + data[at + 2] * 3735 + (1 << 14)) >> 15;
}

/** Return a turned square, upright, in levels of gray: pixels are sampled at 32nds of a pixel, as by cv2.warpAffine. */
function turned(image, { centre: [x, y], side, angle }, to) {
  const [cosine, sine] = TURNS[angle].map((value) => (value * side) / to);
  const middle = (to - 1) / 2;
  const start = [x - 0.5 - (cosine - sine) * middle, y - 0.5 - (sine + cosine) * middle];
  const fine = (value) => round(1024 * value);
  const found = new Uint8ClampedArray(to * to);
  for (let row = 0; row < to; row++) {
    const [left, top] = [fine(start[0] - sine * row) + 16, fine(start[1] + cosine * row) + 16];
    for (let column = 0; column < to; column++) {
      found[row * to + column] = sampled(image, (left + fine(cosine * column)) >> 5, (top + fine(sine * column)) >> 5);
    }
  }
  return found;
}

/** Return the gray between the four pixels around a place, in 32nds of a pixel. */
function sampled({ data, width, height }, x, y) {
  const at = (column, row) => {
    const line = Math.min(Math.max(row, 0), height - 1) * width;
    return level(data, (line + Math.min(Math.max(column, 0), width - 1)) * CHANNELS);
  };
  const [left, top, across, down] = [x >> 5, y >> 5, x & 31, y & 31];
  const upper = at(left, top) * (32 - across) + at(left + 1, top) * across;
  const lower = at(left, top + 1) * (32 - across) + at(left + 1, top + 1) * across;
  return (upper * (32 - down) + lower * down + 512) >> 10;
}

/** Return the mean level of a box, from 0 to 255, of a few hundred of its pixels. */
export function brightness({ data, width, height }, [x, y, wide, high]) {
  const steps = Array.from({ length: 24 }, (_, step) => (step + 0.5) / 24);
  const columns = steps.map((share) => Math.floor(x + share * wide)).filter((column) => column >= 0 && column < width);
  const rows = steps.map((share) => Math.floor(y + share * high)).filter((row) => row >= 0 && row < height);
  let sum = 0;
  for (const row of rows) for (const column of columns) sum += level(data, (row * width + column) * CHANNELS);
  return sum / (rows.length * columns.length || 1);
}
