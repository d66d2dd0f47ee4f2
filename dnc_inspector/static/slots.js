// The order in which slots are shown, and the history of a slot over an episode.

import { row } from "./episode.js";

export const EVENT = 0.1; // minimum weight with which a slot counts as written, read or freed

export const ORDERS = {
  written: "first write",
  index: "index",
  usage: "usage",
};

/**
 * @typedef {import("./episode.js").Episode} Episode
 * @typedef {"backward"|"content"|"forward"} Mode in which a head reads
 */

/**
 * Slots from top to bottom.
 *
 * @param {Episode} episode
 * @param {keyof typeof ORDERS} kind by the time of the first write (several at once: the
 *   strongest first; never written: last), by index, or by usage over the whole episode
 * @param {boolean} touchedOnly omit slots that are neither written nor read
 * @returns {number[]}
 */
export function slotOrder(episode, kind, touchedOnly = false) {
  const { N } = episode.sizes;
  let slots = Array.from({ length: N }, (_, slot) => slot);
  if (kind === "written") {
    const first = firstWrites(episode);
    slots.sort(
      (a, b) => first.step[a] - first.step[b] || first.weight[b] - first.weight[a] || a - b,
    );
  } else if (kind === "usage") {
    const total = totalUsage(episode);
    slots.sort((a, b) => total[b] - total[a] || a - b);
  }
  if (touchedOnly) {
    const touched = touchedSlots(episode);
    slots = slots.filter((slot) => touched[slot]);
  }
  return slots;
}

/**
 * For each slot whether any head ever writes or reads it.
 *
 * @type {(episode: Episode) => boolean[]}
 */
export function touchedSlots({ fields, sizes, length }) {
  const touched = new Array(sizes.N).fill(false);
  for (const { weights, heads } of [
    { weights: fields.write_weights, heads: sizes.V },
    { weights: fields.read_weights, heads: sizes.R },
  ]) {
    for (let i = 0; i < length * heads * sizes.N; i++) {
      if (!(weights[i] < EVENT)) touched[i % sizes.N] = true; // also NaN
    }
  }
  return touched;
}

/** @type {(episode: Episode) => {step: number[], weight: number[]}} */
function firstWrites({ fields, sizes, length }) {
  const { N, V } = sizes;
  const step = new Array(N).fill(Number.MAX_SAFE_INTEGER);
  const weight = new Array(N).fill(0);
  for (let t = 0; t < length; t++) {
    for (let slot = 0; slot < N; slot++) {
      if (step[slot] < t) continue;
      for (let head = 0; head < V; head++) {
        const w = fields.write_weights[(t * V + head) * N + slot];
        if (w >= EVENT) step[slot] = t;
        if (w >= EVENT && w > weight[slot]) weight[slot] = w;
      }
    }
  }
  return { step, weight };
}

/** @type {(episode: Episode) => number[]} */
function totalUsage({ fields, sizes, length }) {
  const total = new Array(sizes.N).fill(0);
  for (let i = 0; i < length * sizes.N; i++) total[i % sizes.N] += fields.usage[i] || 0;
  return total;
}

/**
 * The slot with the largest weight, and that weight. Ties go to the lowest index.
 *
 * @param {Float32Array} weights [N]
 * @returns {{slot: number, weight: number}} slot -1 if no weight is a number
 */
export function strongest(weights) {
  let slot = -1;
  for (let i = 0; i < weights.length; i++) {
    if (!Number.isNaN(weights[i]) && (slot < 0 || weights[i] > weights[slot])) slot = i;
  }
  return { slot, weight: slot < 0 ? NaN : weights[slot] };
}

/**
 * A read head's modes, by write head.
 *
 * @param {Episode} episode
 * @param {number} t
 * @param {number} head
 * @returns {{backward: Float32Array, content: number, forward: Float32Array, leading: Mode}}
 */
export function readMode({ fields, sizes }, t, head) {
  const backward = row(fields.backward_mode, sizes.V, t * sizes.R + head);
  const forward = row(fields.forward_mode, sizes.V, t * sizes.R + head);
  const content = fields.content_mode[t * sizes.R + head];
  const sums = { backward: total(backward), content, forward: total(forward) };
  const modes = /** @type {Mode[]} */ (Object.keys(sums));
  const leading = modes.reduce((a, b) => (sums[b] > sums[a] ? b : a));
  return { backward, content, forward, leading };
}

/** @type {(values: Float32Array) => number} */
function total(values) {
  return values.reduce((sum, value) => sum + value, 0);
}

/**
 * Ways in which a write head writes, as shares of its write gate.
 *
 * @param {Episode} episode
 * @param {number} t
 * @param {number} head
 * @returns {{allocated: number, content: number, none: number}} they sum to 1
 */
export function writeMode({ fields, sizes }, t, head) {
  const gate = fields.write_gate[t * sizes.V + head];
  const allocation = fields.allocation_gate[t * sizes.V + head];
  return { allocated: gate * allocation, content: gate * (1 - allocation), none: 1 - gate };
}

/**
 * @typedef {object} SlotEvent
 * @property {number} t
 * @property {"write"|"read"|"free"} kind
 * @property {number} head the write head, or the read head that reads or frees
 * @property {number} weight the write or read weight, or the share of the usage that goes
 * @property {"allocated"|"content"} [how] of a write: what the larger part of its weight comes from
 * @property {?number} [replaces] of a write: the step of the last write before it, if any
 * @property {number} [erased] of a write: the mean share of the old word that it erases
 * @property {Mode} [mode] of a read, whichever is largest
 * @property {number} [before] of a free: usage before ...
 * @property {number} [after] ... and after
 */

/**
 * Events of a slot in the order of time; within a step first frees, then writes, then reads.
 *
 * @param {Episode} episode
 * @param {number} slot
 * @returns {SlotEvent[]}
 */
export function history(episode, slot) {
  const { length } = episode;
  /** @type {SlotEvent[]} */
  const events = [];
  let lastWrite = null;
  for (let t = 0; t < length; t++) {
    const freed = freeEvent(episode, slot, t);
    if (freed) events.push(freed);
    const writes = writeEvents(episode, slot, t, lastWrite);
    if (writes.length) lastWrite = t;
    events.push(...writes, ...readEvents(episode, slot, t));
  }
  return events;
}

/**
 * A slot's usage falls when heads free it that read it at the step before.
 *
 * @type {(episode: Episode, slot: number, t: number) => ?SlotEvent}
 */
function freeEvent({ fields, sizes }, slot, t) {
  const { N, R, V } = sizes;
  const readBefore = t ? row(fields.read_weights, R * N, t - 1) : fields.initial_read_weights;
  const writtenBefore = t ? row(fields.write_weights, V * N, t - 1) : fields.initial_write_weights;
  const usageBefore = t ? fields.usage[(t - 1) * N + slot] : fields.initial_usage[slot];
  let unwritten = 1;
  for (let head = 0; head < V; head++) unwritten *= 1 - writtenBefore[head * N + slot];
  const before = 1 - (1 - usageBefore) * unwritten;
  let retained = 1;
  let freer = 0;
  let most = -1;
  for (let head = 0; head < R; head++) {
    const freed = fields.free_gate[t * R + head] * readBefore[head * N + slot];
    retained *= 1 - freed;
    if (freed > most) [most, freer] = [freed, head];
  }
  const weight = before * (1 - retained);
  if (!(weight >= EVENT)) return null;
  return { t, kind: "free", head: freer, weight, before, after: fields.usage[t * N + slot] };
}

/** @type {(episode: Episode, slot: number, t: number, lastWrite: ?number) => SlotEvent[]} */
function writeEvents({ fields, sizes }, slot, t, lastWrite) {
  const { N, V, W } = sizes;
  /** @type {SlotEvent[]} */
  const events = [];
  for (let head = 0; head < V; head++) {
    const k = t * V + head;
    const weight = fields.write_weights[k * N + slot];
    if (!(weight >= EVENT)) continue;
    const gate = fields.allocation_gate[k];
    const allocated = gate * fields.allocation_weights[k * N + slot];
    const content = (1 - gate) * fields.write_content_weights[k * N + slot];
    events.push({
      t,
      kind: "write",
      head,
      weight,
      how: allocated >= content ? "allocated" : "content",
      replaces: lastWrite,
      erased: (weight * total(row(fields.erase_vectors, W, k))) / W,
    });
  }
  return events;
}

/** @type {(episode: Episode, slot: number, t: number) => SlotEvent[]} */
function readEvents(episode, slot, t) {
  const { fields, sizes } = episode;
  /** @type {SlotEvent[]} */
  const events = [];
  for (let head = 0; head < sizes.R; head++) {
    const weight = fields.read_weights[(t * sizes.R + head) * sizes.N + slot];
    if (!(weight >= EVENT)) continue;
    events.push({ t, kind: "read", head, weight, mode: readMode(episode, t, head).leading });
  }
  return events;
}
