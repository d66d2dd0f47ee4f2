// Outputs as they are shown next to targets, and where the two disagree.

/**
 * @typedef {import("./episode.js").Episode} Episode
 *
 * @typedef {object} Answers
 * @property {Float32Array} outputs [T, Y] as shown
 * @property {""|"sigmoid"|"softmax"} squash what was applied to the recorded outputs to show them
 * @property {?Uint8Array} wrong [T, Y], 1 where the answer counts and is not the target's; null if
 *   that is unknown
 * @property {number} asked number of answers that count
 * @property {number} right number of these that are right
 * @property {string} unit what is counted: "bit" or "answer"
 */

/**
 * Decides how outputs are to be read.
 *
 * Only targets of zeros and ones can be right or wrong. Where exactly one is 1 at every step that
 * counts, the output names one of several choices (softmax, right if the largest is the target's);
 * else each output is a bit. Outputs beyond [0, 1] are logits and go through the sigmoid or
 * softmax; others are shown as they are.
 *
 * @param {Episode} episode
 * @returns {Answers}
 */
export function readAnswers({ fields, sizes, length }) {
  const { outputs, target, mask } = fields;
  const { Y, Z } = sizes;
  /** @type {Answers} */
  const plain = { outputs, squash: "", wrong: null, asked: 0, right: 0, unit: "bit" };
  if (!target || Y !== Z || !isBinary(target.subarray(0, length * Z))) return plain;

  const counts = Array.from({ length }, (_, t) => !mask || mask[t] > 0);
  const chooses =
    Y > 2 && counts.some(Boolean) && counts.every((yes, t) => !yes || one(target, t, Y));
  const areLogits = outputs.subarray(0, length * Y).some((value) => value < 0 || value > 1);
  const squash = !areLogits ? "" : chooses ? "softmax" : "sigmoid";
  const shown =
    squash === "softmax" ? softmax(outputs, Y) : squash ? outputs.map(sigmoid) : outputs;

  const wrong = new Uint8Array(outputs.length);
  let [asked, right] = [0, 0];
  for (let t = 0; t < length; t++) {
    if (!counts[t]) continue;
    const best = chooses ? largest(shown, t, Y) : -1;
    let errors = 0;
    for (let i = t * Y; i < (t + 1) * Y; i++) {
      const answer = chooses ? i === best : shown[i] >= 0.5;
      wrong[i] = answer === target[i] >= 0.5 && !Number.isNaN(shown[i]) ? 0 : 1;
      errors += wrong[i];
    }
    asked += chooses ? 1 : Y;
    right += chooses ? Number(errors === 0) : Y - errors;
  }
  return { outputs: shown, squash, wrong, asked, right, unit: chooses ? "answer" : "bit" };
}

/**
 * 1 / (1 + exp(-x)).
 *
 * @type {(x: number) => number}
 */
export function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}

/** @type {(values: Float32Array, width: number) => Float32Array} */
function softmax(values, width) {
  const result = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += width) {
    const step = values.subarray(start, start + width);
    const most = Math.max(...step);
    const powers = Array.from(step, (value) => Math.exp(value - most));
    const sum = powers.reduce((a, b) => a + b, 0);
    powers.forEach((power, i) => (result[start + i] = power / sum));
  }
  return result;
}

/** @type {(values: Float32Array) => boolean} */
function isBinary(values) {
  return values.length > 0 && values.every((value) => value === 0 || value === 1);
}

/** @type {(target: Float32Array, t: number, width: number) => boolean} */
function one(target, t, width) {
  let sum = 0;
  for (let i = t * width; i < (t + 1) * width; i++) sum += target[i];
  return sum === 1;
}

/** @type {(values: Float32Array, t: number, width: number) => number} */
function largest(values, t, width) {
  let best = t * width;
  for (let i = t * width; i < (t + 1) * width; i++) if (values[i] > values[best]) best = i;
  return best;
}

/**
 * Compares the inputs of two episodes, in words.
 *
 * @param {Episode} a
 * @param {Episode} b
 * @returns {string} "" if they are the same; else how they differ
 */
export function differenceOfInputs(a, b) {
  if (a.sizes.X !== b.sizes.X) return "Their inputs are of different widths.";
  if (a.length !== b.length) return `One has ${a.length} steps, the other ${b.length}.`;
  if (String(a.tokens) !== String(b.tokens)) return "Their tokens differ.";
  for (let i = 0; i < a.length * a.sizes.X; i++) {
    const [x, y] = [a.fields.inputs[i], b.fields.inputs[i]];
    if (x !== y && !(Number.isNaN(x) && Number.isNaN(y))) {
      return `Their inputs differ from step ${Math.floor(i / a.sizes.X)} on.`;
    }
  }
  return "";
}
