// Which face is which from frame to frame, and steady answers: fer/inference/tracking in JavaScript. Times in seconds.

export const REACH = 1.0; // how far a face may be from where it was expected, in mean sides of the boxes
export const RATIO = 2.0; // how much a face's side may change between two sightings
export const INERTIA = 0.15; // seconds, time constant of a track's velocity
export const SLOWEST = 2.0; // seconds between frames beyond which nothing is taken to go on
export const PATIENCE = 0.5; // seconds for which a face may be out of sight
export const MEMORY = 10.0; // seconds after which the answers of a track that was not seen are forgotten

/** Gives each face a number, from 1, that it keeps; no number is given twice. */
export class Tracker {
  constructor() {
    this.tracks = [];
    this.count = 0;
  }

  /** Return the number of each box [x, y, width, height] of the next frame. */
  update(boxes, time) {
    const goesOn = ({ missed, time: last }) =>
      Math.abs(time - last) <= (missed ? PATIENCE : Math.max(PATIENCE, SLOWEST));
    this.tracks = this.tracks.filter(goesOn);
    for (const track of this.tracks) track.missed = true;
    const faces = boxes.map(([x, y, width, height]) => {
      const size = [Math.max(width, 1e-6), Math.max(height, 1e-6)];
      return { centre: [x + width / 2, y + height / 2], size };
    });
    const owners = new Map(match(this.tracks, faces, time).map(([row, column]) => [column, this.tracks[row]]));
    return faces.map((face, column) => {
      const track = owners.get(column);
      return track ? see(track, face, time) : this.begin(face, time);
    });
  }

  begin(face, time) {
    this.count += 1;
    this.tracks.push({ ...face, number: this.count, velocity: [0, 0], time, missed: false });
    return this.count;
  }
}

function see(track, { centre, size }, time) {
  const passed = time - track.time;
  if (passed > 0) {
    const weight = 1 - Math.exp(-passed / INERTIA);
    const moved = (value, axis) => value + weight * ((centre[axis] - track.centre[axis]) / passed - value);
    track.velocity = track.velocity.map(moved);
  }
  Object.assign(track, { centre, size, time, missed: false });
  return track.number;
}

/** Return [index of track, index of face] of all that belong together: overlap (IoU) less distance decides. */
function match(tracks, faces, time) {
  if (!tracks.length || !faces.length) return [];
  const costs = tracks.map((track) => faces.map((face) => apart(track, face, time)));
  const pairs = assign(costs.map((row) => row.map((cost) => cost ?? REACH)));
  return pairs.filter(([row, column]) => costs[row][column] !== null);
}

/** Return how badly a face continues a track; null if it cannot. */
function apart(track, face, time) {
  const gaps = face.centre.map((middle, axis) => {
    const expected = track.centre[axis] + track.velocity[axis] * (time - track.time);
    return Math.abs(expected - middle);
  });
  const areas = [track, face].map(({ size: [width, height] }) => width * height);
  const sides = areas.map(Math.sqrt);
  const distance = Math.hypot(...gaps) / ((sides[0] + sides[1]) / 2);
  if (distance >= REACH || Math.max(...sides) / Math.min(...sides) >= RATIO) return null;
  const [across, down] = gaps.map((gap, axis) => {
    const [known, seen] = [track.size[axis], face.size[axis]];
    return Math.min(Math.max((known + seen) / 2 - gap, 0), known, seen);
  });
  return distance - (across * down) / (areas[0] + areas[1] - across * down);
}

/**
 * Return the cheapest way to pair rows and columns, [[row, column], ...], as many pairs as there can be: the Hungarian
 * algorithm (Kuhn, 1955), row by row along the cheapest paths.
 */
export function assign(costs) {
  const [rows, columns] = [costs.length, costs[0].length];
  if (rows > columns) {
    const turned = costs[0].map((_, column) => costs.map((row) => row[column]));
    return assign(turned).map(([row, column]) => [column, row]);
  }
  const ofRow = new Float64Array(rows + 1); // potentials
  const ofColumn = new Float64Array(columns + 1);
  const owner = new Int32Array(columns + 1); // the row of each column, from 1; 0 for none
  for (let row = 1; row <= rows; row++) {
    owner[0] = row;
    const least = new Float64Array(columns + 1).fill(Infinity);
    const from = new Int32Array(columns + 1);
    const done = new Uint8Array(columns + 1);
    let column = 0;
    while (owner[column]) {
      done[column] = 1;
      let [next, step] = [0, Infinity];
      for (let other = 1; other <= columns; other++) {
        if (done[other]) continue;
        const cost = costs[owner[column] - 1][other - 1] - ofRow[owner[column]] - ofColumn[other];
        if (cost < least[other]) [least[other], from[other]] = [cost, column];
        if (least[other] < step) [step, next] = [least[other], other];
      }
      for (let other = 0; other <= columns; other++) {
        if (done[other]) {
          ofRow[owner[other]] += step;
          ofColumn[other] -= step;
        } else {
          least[other] -= step;
        }
      }
      column = next;
    }
    for (; column; column = from[column]) owner[column] = owner[from[column]];
  }
  return [...owner].flatMap((row, column) => (column && row ? [[row - 1, column - 1]] : []));
}

/** Averages each track's probabilities over time, the latest most: s += (1 - exp(-dt / tau)) (p - s). */
export class Smoother {
  constructor(tau) {
    this.tau = tau;
    this.states = new Map();
  }

  /** Return the smoothed probabilities of a track, given those of its face now. */
  smooth(track, probabilities, time) {
    const before = this.states.get(track);
    const weight = before && this.tau > 0 ? 1 - Math.exp(-Math.max(time - before.time, 0) / this.tau) : 1;
    const values = probabilities.map(
      (value, index) => weight * value + (weight < 1 ? (1 - weight) * before.values[index] : 0),
    );
    if (!before) this.forget(time);
    this.states.set(track, { time, values });
    return values;
  }

  forget(now) {
    for (const [track, { time }] of this.states) if (Math.abs(now - time) >= MEMORY) this.states.delete(track);
  }
}
