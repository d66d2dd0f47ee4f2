// Decodes words of the memory into text, as dnc_trace/decoder.py does.

const LEAST = 0.5; // minimum probability of a class that is named
const NOTHING = 1e-3; // a word of smaller numbers is empty

/**
 * @typedef {object} Decoder a softmax for each group of classes
 * @property {number[][]} kernel a row for each number of a word
 * @property {number[]} bias one for each class of all groups
 * @property {string[][]} classes their names
 */

/** @type {(thing: any, wordSize: number) => boolean} */
export function isDecoder(thing, wordSize) {
  /** @type {(x: any) => boolean} */
  const isText = (x) => typeof x === "string";
  const { kernel, bias, classes } = thing ?? {};
  if (![kernel, bias, classes].every(Array.isArray) || kernel.length !== wordSize) return false;
  if (!classes.every((/** @type {any} */ names) => names?.length && names.every?.(isText))) {
    return false;
  }
  return [...kernel, bias].every(
    (x) => Array.isArray(x) && x.length === classes.flat().length && x.every(Number.isFinite),
  );
}

/**
 * The likeliest name of each group, "?" where none is likely; null for an empty word.
 *
 * @type {(decoder: ?Decoder, word: Float32Array) => ?string}
 */
export function decode(decoder, word) {
  if (!decoder || word.every((x) => Math.abs(x) < NOTHING)) return null;
  const { kernel, bias, classes } = decoder;
  let text = "";
  let first = 0;
  for (const names of classes) {
    const logits = names.map((_, k) =>
      word.reduce((sum, x, i) => sum + x * kernel[i][first + k], bias[first + k]),
    );
    const largest = Math.max(...logits);
    const total = logits.reduce((sum, x) => sum + Math.exp(x - largest), 0);
    const space = names.every((name) => name.endsWith(" ")) ? " " : "";
    text += total * LEAST <= 1 ? names[logits.indexOf(largest)] : `?${space}`;
    first += names.length;
  }
  return text.trim();
}

/**
 * The text of a word as a line of a description; no line without a decoder.
 *
 * @type {(decoder: ?Decoder, word: Float32Array) => string[]}
 */
export function decodedLines(decoder, word) {
  const text = decode(decoder, word);
  return text ? [`decoded: ${text}`] : [];
}

/**
 * The contents of a slot as text; null if they are unknown.
 *
 * @type {(episode: import("./episode.js").Episode, memory: Float32Array, slot: number) => ?string}
 */
export function contentsOf({ decoder, sizes }, memory, slot) {
  return decode(decoder, memory.subarray(slot * sizes.W, (slot + 1) * sizes.W));
}
