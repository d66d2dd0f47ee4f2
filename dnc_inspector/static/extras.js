// Quantities that only the recorded model has, of which the viewer gets only the axes.

import { number, plural, readHead, writeHead } from "./format.js";

/**
 * @typedef {object} Extra
 * @property {string} name
 * @property {string} axes a letter for each axis after time, see dnc_trace/quantities.py, or "?"
 * @property {string} meaning
 * @property {number[]} shape sizes of these axes
 * @property {number} size number of values of a step
 * @property {Float32Array} values [T, ...shape]
 *
 * @typedef {import("./episode.js").Episode} Episode
 * @typedef {import("./episode.js").Sizes} Sizes
 */

/**
 * The extra that a band of the timeline shows, if it shows one.
 *
 * @type {(episode: Episode, band: string) => Extra|undefined}
 */
export function extraOf({ extras }, band) {
  return extras.find(({ name }) => bandOf(name) === band);
}

/**
 * The numbers of an extra at a step, from index * size on; undefined if the model has no such extra.
 *
 * @type {(episode: Episode, name: string, t: number, index: number, size: number) =>
 *   Float32Array|undefined}
 */
export function extraRow({ extras }, name, t, index, size) {
  const extra = extras.find((each) => each.name === name);
  return extra?.values.subarray(t * extra.size + index * size, t * extra.size + (index + 1) * size);
}

/**
 * The share of each slot's contents that is erased at a step because the slot is set free.
 *
 * @type {(episode: Episode, t: number) => Float32Array|undefined}
 */
export function deallocated(episode, t) {
  return extraRow(episode, "deallocated", t, 0, episode.sizes.N);
}

/**
 * The mask of a head's look-up.
 *
 * @type {(episode: Episode, kind: import("./episode.js").Kind, t: number, head: number) =>
 *   Float32Array|undefined}
 */
export function maskOf(episode, kind, t, head) {
  return extraRow(episode, `${kind}_masks`, t, head, episode.sizes.W);
}

/**
 * "compares 7 of 16 numbers", for a look-up with a mask.
 *
 * @type {(mask: Float32Array|undefined) => string[]}
 */
export function maskInWords(mask) {
  if (!mask) return [];
  const compared = mask.filter((value) => value >= 0.5).length;
  return [`compares ${compared} of ${plural(mask.length, "number")}`];
}

/** @type {(name: string) => `extra:${string}`} */
export function bandOf(name) {
  return `extra:${name}`;
}

/** @type {(extra: Extra) => string} */
export function titleOf({ name }) {
  return name.replaceAll("_", " ");
}

/** @type {Record<string, string>} */
const NOUNS = { R: "read head", V: "write head", N: "slot" };

/**
 * "2 read heads × 3 numbers".
 *
 * @type {(extra: {axes: string, shape: number[]}) => string}
 */
export function shapeOf({ axes, shape }) {
  return shape.map((size, k) => plural(size, NOUNS[axes[k]] ?? "number")).join(" × ");
}

/**
 * The number of values of some axes that are shown, with this number of slots.
 *
 * @type {(axes: string, shape: number[], slots: number) => number}
 */
export function countShown(axes, shape, slots) {
  return shape.reduce((product, size, k) => product * (axes[k] === "N" ? slots : size), 1);
}

/**
 * Places of the numbers of some axes, from top to bottom: the last axis changes first, and slots
 * are in the order of those on the screen.
 *
 * @type {(axes: string, shape: number[], order: number[]) => number[]}
 */
export function places(axes, shape, order) {
  let found = [0];
  shape.forEach((size, k) => {
    const along = axes[k] === "N" ? order : Array.from({ length: size }, (_, i) => i);
    found = found.flatMap((place) => along.map((i) => place * size + i));
  });
  return found;
}

/**
 * The numbers of one step as a matrix: its columns are the last axis.
 *
 * @type {(extra: Extra, order: number[]) => {rows: number[], columns: number[], width: number}}
 */
export function matrixOf({ axes, shape }, order) {
  return {
    rows: places(axes, shape.slice(0, -1), order),
    columns: places(axes.slice(-1), shape.slice(-1), order),
    width: shape.at(-1) ?? 1,
  };
}

/**
 * The number at a place of a step.
 *
 * @type {(extra: Extra, t: number, place: number) => number}
 */
export function valueAt({ size, values }, t, place) {
  return values[t * size + place];
}

/**
 * A place in words, such as "read head 1, number 3".
 *
 * @type {(axes: string, shape: number[], place: number, sizes: Sizes) => string}
 */
export function placeName(axes, shape, place, sizes) {
  const parts = [];
  for (let k = shape.length - 1; k >= 0; k--) {
    const i = place % shape[k];
    place = Math.floor(place / shape[k]);
    if (axes[k] === "R") parts.unshift(readHead(i, sizes));
    else if (axes[k] === "V") parts.unshift(writeHead(i, sizes));
    else parts.unshift(`${NOUNS[axes[k]] ?? "number"} ${i}`);
  }
  return parts.join(", ");
}

/**
 * A number of an extra, in lines of a tooltip.
 *
 * @type {(episode: Episode, extra: Extra, t: number, place: number) => string[]}
 */
export function describeExtra({ sizes }, extra, t, place) {
  const where = placeName(extra.axes, extra.shape, place, sizes);
  const name = where ? `${titleOf(extra)}, ${where}` : titleOf(extra);
  return [`${name}: ${number(valueAt(extra, t, place))}`, extra.meaning];
}

/**
 * Describes all extras at a step, for readers who cannot see the picture.
 *
 * @type {(episode: Episode, t: number) => string}
 */
export function extrasInWords({ extras }, t) {
  const sentences = extras.map((extra) => {
    const all = extra.values.subarray(t * extra.size, (t + 1) * extra.size);
    const finite = all.filter(Number.isFinite);
    const most = finite.reduce((a, b) => Math.max(a, b), -Infinity);
    const least = finite.reduce((a, b) => Math.min(a, b), Infinity);
    const range = least < most ? `from ${number(least)} to ${number(most)}` : number(most);
    const broken = all.length - finite.length;
    const said = finite.length ? [range] : [];
    if (broken) said.push(`${plural(broken, "number")} not finite`);
    return ` ${titleOf(extra)}: ${said.join(", ")}.`;
  });
  return sentences.join("");
}
