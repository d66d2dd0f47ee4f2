// The user's choices, and their form in an address.

import { ORDERS } from "./slots.js";

/** @type {"newest"} */
export const NEWEST = "newest";
export const SPEEDS = [2, 5, 10, 25]; // steps a second

/**
 * @typedef {object} Pick which record to show
 * @property {string} run
 * @property {string} tag
 * @property {number|"newest"} step of training; "newest" follows while more are recorded
 *
 * @typedef {object} State
 * @property {Pick[]} picks one, or two to compare
 * @property {number} example
 * @property {number} t
 * @property {keyof typeof ORDERS} order
 * @property {boolean} touched only slots that are written or read
 * @property {?{view: number, slot: number}} chosen
 * @property {number} speed of playing
 * @property {Set<string>} hidden heads, such as "read 2"
 *
 * @typedef {import("./sources.js").Index} Index
 *
 * @typedef {{run: string, tag: string, entry: import("./sources.js").Entry}} Found
 */

/** @returns {State} */
export function initialState() {
  return {
    picks: [{ run: "", tag: "", step: NEWEST }],
    example: 0,
    t: 0,
    order: "written",
    touched: false,
    chosen: null,
    speed: 5,
    hidden: new Set(),
  };
}

/**
 * The state as the part of an address after "#".
 *
 * @type {(state: State, prefix?: string) => string}
 */
export function toHash(state, prefix = "") {
  /** @type {string[]} */
  const parts = [];
  /** @type {(name: string, value: string|number) => unknown} */
  const put = (name, value) => parts.push(`${prefix}${name}=${encodeURIComponent(value)}`);
  state.picks.forEach((pick, i) => {
    const suffix = i ? String(i + 1) : "";
    put(`run${suffix}`, pick.run);
    put(`tag${suffix}`, pick.tag);
    if (pick.step !== NEWEST || i) put(`step${suffix}`, pick.step);
  });
  if (state.example) put("example", state.example);
  put("t", state.t);
  if (state.order !== "written") put("order", state.order);
  if (state.touched) put("touched", 1);
  if (state.chosen) put(state.chosen.view ? "slot2" : "slot", state.chosen.slot);
  return parts.join("&");
}

/**
 * The state in an address; entries that are missing or wrong are as in `base`.
 *
 * @param {string} hash
 * @param {State} base
 * @param {string} prefix of each name
 * @returns {State}
 */
export function fromHash(hash, base = initialState(), prefix = "") {
  /** @type {Map<string, string>} */
  const values = new Map();
  for (const part of hash.replace(/^#/, "").split("&")) {
    const [name, ...rest] = part.split("=");
    if (name.startsWith(prefix)) values.set(name.slice(prefix.length), decode(rest.join("=")));
  }
  /** @type {<T>(name: string, otherwise: T) => number|T} */
  const natural = (name, otherwise) => {
    const text = values.get(name) ?? "";
    return /^\d{1,15}$/.test(text) ? Number(text) : otherwise;
  };
  const state = { ...base, picks: base.picks.map((pick) => ({ ...pick })) };
  for (const [i, suffix] of ["", "2"].entries()) {
    const run = values.get(`run${suffix}`);
    if (run === undefined) continue;
    state.picks[i] = {
      run,
      tag: values.get(`tag${suffix}`) ?? "",
      step: natural(`step${suffix}`, NEWEST),
    };
  }
  state.example = natural("example", base.example);
  state.t = natural("t", base.t);
  const order = values.get("order") ?? "";
  if (Object.hasOwn(ORDERS, order)) state.order = /** @type {keyof typeof ORDERS} */ (order);
  if (values.has("touched")) state.touched = values.get("touched") === "1";
  for (const [view, name] of ["slot", "slot2"].entries()) {
    const slot = natural(name, -1);
    if (slot >= 0) state.chosen = { view, slot };
  }
  return state;
}

/** @type {(text: string) => string} */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * The record for a pick. An available record replaces one that is missing.
 *
 * @param {Index} index
 * @param {Pick} pick
 * @returns {?Found}
 */
export function resolve(index, pick) {
  const run = index.has(pick.run) ? pick.run : firstKey(index);
  const tags = index.get(run);
  if (!tags) return null;
  const tag = tags.has(pick.tag) ? pick.tag : firstKey(tags);
  const entries = tags.get(tag) ?? [];
  const entry = entries.find((each) => each.step === pick.step) ?? entries[entries.length - 1];
  return entry ? { run, tag, entry } : null;
}

/** @type {(map: Map<string, any>) => string} */
function firstKey(map) {
  return map.keys().next().value ?? "";
}

/**
 * The record to compare with by default: the step before it, or another run.
 *
 * @type {(index: Index, found: Found) => Pick}
 */
export function somethingElse(index, { run, tag, entry }) {
  const entries = index.get(run)?.get(tag) ?? [];
  if (entries.length > 1) {
    const other = entries.indexOf(entry) === 0 ? entries[entries.length - 1] : entries[0];
    return { run, tag, step: other.step };
  }
  const runs = [...index.keys()];
  const next = runs[(runs.indexOf(run) + 1) % runs.length];
  return { run: next, tag, step: NEWEST };
}
