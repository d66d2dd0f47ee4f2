// Computes what is not stored from the writes, by the paper's equations (here in float32).

import { deallocated } from "./extras.js";
import { row } from "./episode.js";

const CHECKPOINT_BYTES = 64 * 2 ** 20; // kept for going back in time, at most, for each quantity
const SAMPLED = 100000; // numbers of the memory that its scale is taken from
const NOTHING = 1e-3; // smaller numbers of the memory do not count for its scale
const STEPS_BETWEEN = 8; // minimum number of steps from one checkpoint to the next

/**
 * @typedef {import("./episode.js").Episode} Episode
 *
 * @typedef {[to: number, from: number, value: number, head: number]} Link
 */

/**
 * One write, in place: M <- M prod_v (1 - w_v e_v^T) + sum_v w_v v_v^T.
 *
 * @param {Float32Array} memory [N, W]
 * @param {Float32Array} weights [V, N]
 * @param {Float32Array} erase [V, W]
 * @param {Float32Array} vectors [V, W]
 * @param {{N: number, W: number, V: number}} sizes
 */
export function writeStep(memory, weights, erase, vectors, { N, W, V }) {
  for (let slot = 0; slot < N; slot++) {
    for (let column = 0; column < W; column++) {
      let kept = 1;
      let added = 0;
      for (let head = 0; head < V; head++) {
        const weight = weights[head * N + slot];
        kept *= 1 - weight * erase[head * W + column];
        added += weight * vectors[head * W + column];
      }
      const index = slot * W + column;
      memory[index] = memory[index] * kept + added;
    }
  }
}

/**
 * Erases slots that are set free, in place, for a model with de-allocation: M <- M psi 1^T.
 *
 * @type {(memory: Float32Array, deallocated: Float32Array|undefined, W: number) => void}
 */
export function eraseFreed(memory, deallocated, W) {
  if (!deallocated) return;
  for (let i = 0; i < memory.length; i++) memory[i] *= 1 - deallocated[Math.floor(i / W)];
}

/**
 * One step of one write head's links and precedence, in place.
 *
 * L[i,j] <- (1 - w[i] - w[j]) L[i,j] + w[i] p[j], L[i,i] = 0; then p <- (1 - sum w) p + w.
 *
 * @param {Float32Array} link [N, N]
 * @param {Float32Array} precedence [N]
 * @param {Float32Array} weights [N]
 */
export function linkStep(link, precedence, weights) {
  const n = weights.length;
  let sum = 0;
  for (let i = 0; i < n; i++) {
    const weight = weights[i];
    sum += weight;
    for (let j = 0, k = i * n; j < n; j++, k++) {
      link[k] = (1 - weight - weights[j]) * link[k] + weight * precedence[j];
    }
    link[i * n + i] = 0;
  }
  for (let i = 0; i < n; i++) precedence[i] = (1 - sum) * precedence[i] + weights[i];
}

/** States of a process after each step, at any step: kept at some, computed from there. */
export class Checkpoints {
  /**
   * @param {Float32Array} first the state before step 0
   * @param {(state: Float32Array, t: number) => void} advance makes it the state after step t
   * @param {number} length number of steps
   */
  constructor(first, advance, length) {
    this.advance = advance;
    const stepsThatFit = Math.max(1, Math.floor(CHECKPOINT_BYTES / Math.max(1, first.byteLength)));
    this.every = Math.max(STEPS_BETWEEN, Math.ceil(length / stepsThatFit));
    this.kept = [first.slice()]; // kept[k] is the state before step k * every
    this.state = first.slice();
    this.next = 0; // `state` is the state before this step
  }

  /**
   * The state after step t; it changes with the next call.
   *
   * @type {(t: number) => Float32Array}
   */
  at(t) {
    const nearest = Math.min(this.kept.length - 1, Math.floor((t + 1) / this.every));
    if (this.next > t + 1 || this.next < nearest * this.every) {
      this.state.set(this.kept[nearest]);
      this.next = nearest * this.every;
    }
    while (this.next <= t) {
      this.advance(this.state, this.next++);
      if (this.next === this.kept.length * this.every) this.kept.push(this.state.slice());
    }
    return this.state;
  }
}

/**
 * @typedef {object} Links the links of one step, the strongest first
 * @property {Uint16Array|Uint32Array} to
 * @property {Uint16Array|Uint32Array} from slot to[k] was written right after slot from[k] ...
 * @property {Float32Array} values ... to this degree
 * @property {Uint8Array} heads ... by this write head
 * @property {number} unknown number of further ones that are not numbers
 */

/**
 * The size below which all but the largest hundredth are.
 *
 * @type {(sizes: number[]) => number}
 */
function scaleOfMost(sizes) {
  const sorted = Float32Array.from(sizes).sort();
  return sorted.length ? sorted[Math.floor((sorted.length - 1) * 0.99)] : 0;
}

/** Memory and links of an episode at any step. */
export class Replay {
  /** @param {Episode} episode */
  constructor(episode) {
    this.episode = episode;
    this.memoryScale = 1; // the range of the memory's colours, and ...
    this.memoryLargest = 1; // ... the largest size of a number in it
    /** @type {{t: number, links: ?Links}} */
    this.linksCache = { t: -1, links: null };
    /** @type {?Checkpoints} */
    this.memories = null;
    /** @type {?Checkpoints} */
    this.linkStates = null;
    const { fields, sizes, length } = episode;
    const { N, W, V } = sizes;
    if (episode.memory === "derived") {
      this.memories = new Checkpoints(
        fields.initial_memory,
        (memory, t) => {
          eraseFreed(memory, deallocated(episode, t), W);
          writeStep(
            memory,
            row(fields.write_weights, V * N, t),
            row(fields.erase_vectors, V * W, t),
            row(fields.write_vectors, V * W, t),
            sizes,
          );
        },
        length,
      );
    }
    if (episode.links === "derived") {
      const first = new Float32Array(V * (N * N + N)); // for each head its links, then precedence
      for (let head = 0; head < V; head++) {
        const { link, precedence } = parts(first, head, N);
        if (fields.initial_link) link.set(row(fields.initial_link, N * N, head));
        if (fields.initial_precedence_weights) {
          precedence.set(row(fields.initial_precedence_weights, N, head));
        }
      }
      this.linkStates = new Checkpoints(
        first,
        (state, t) => {
          for (let head = 0; head < V; head++) {
            const { link, precedence } = parts(state, head, N);
            linkStep(link, precedence, row(fields.write_weights, N, t * V + head));
          }
        },
        length,
      );
    }
  }

  /**
   * Goes through the episode once, so that every step is near a checkpoint and the scale is known.
   *
   * @returns {Generator<number>} the share that is done, now and then: the caller may pause there
   */
  *prepare() {
    const { length, sizes } = this.episode;
    const every = Math.ceil((length * sizes.N * sizes.W) / SAMPLED);
    const sample = [];
    let largest = 0;
    for (let t = 0, i = 0; t < length; t++) {
      for (const value of this.memoryAt(t)) {
        const size = Math.abs(value);
        if (size > largest && size < Infinity) largest = size;
        if (i++ % every === 0 && size > NOTHING && size < Infinity) sample.push(size);
      }
      if (this.linkStates) this.linkStates.at(t);
      yield (t + 1) / length;
    }
    this.memoryLargest = largest || 1;
    this.memoryScale = scaleOfMost(sample) || this.memoryLargest;
  }

  /**
   * The memory [N, W] after step t, or the first one for t = -1; valid until the next call.
   *
   * @type {(t: number) => Float32Array}
   */
  memoryAt(t) {
    const { fields, sizes } = this.episode;
    if (t < 0) return fields.initial_memory;
    if (this.memories) return this.memories.at(t);
    return row(/** @type {Float32Array} */ (fields.memory), sizes.N * sizes.W, t);
  }

  /**
   * The word that a head's look-up at step t compares its key with.
   *
   * A write key is compared with the memory as it was before the write, without what was freed.
   *
   * @type {(kind: import("./episode.js").Kind, t: number, slot: number) => Float32Array}
   */
  comparedWord(kind, t, slot) {
    const { W } = this.episode.sizes;
    const word = row(this.memoryAt(kind === "write" ? t - 1 : t), W, slot).slice();
    const freed = kind === "write" ? deallocated(this.episode, t) : undefined;
    eraseFreed(word, freed?.subarray(slot, slot + 1), W);
    return word;
  }

  /**
   * The links after step t that are at least as strong as the threshold.
   *
   * @param {number} t
   * @returns {?Links} null if the links are unknown
   */
  linksAt(t) {
    if (this.episode.links === "missing") return null;
    if (this.linksCache.t !== t) {
      const { linkStates } = this;
      const { found, unknown } = linkStates
        ? this.derivedLinks(linkStates, t)
        : this.recordedLinks(t);
      this.linksCache = { t, links: { ...sorted(found), unknown } };
    }
    return this.linksCache.links;
  }

  /** @type {(states: Checkpoints, t: number) => {found: Link[], unknown: number}} */
  derivedLinks(states, t) {
    const { sizes, linkThreshold } = this.episode;
    const state = states.at(t);
    /** @type {Link[]} */
    const found = [];
    let unknown = 0;
    for (let head = 0; head < sizes.V; head++) {
      const { link } = parts(state, head, sizes.N);
      for (let k = 0; k < link.length; k++) {
        if (link[k] >= linkThreshold) {
          found.push([Math.floor(k / sizes.N), k % sizes.N, link[k], head]);
        } else if (Number.isNaN(link[k])) unknown++;
      }
    }
    return { found, unknown };
  }

  /** @type {(t: number) => {found: Link[], unknown: number}} */
  recordedLinks(t) {
    const { sizes } = this.episode;
    const fields = /** @type {Required<import("./episode.js").Fields>} */ (this.episode.fields);
    /** @type {Link[]} */
    const found = [];
    for (let head = 0; head < sizes.V; head++) {
      const start = fields.link_starts[t * sizes.V + head];
      const end = fields.link_starts[t * sizes.V + head + 1];
      for (let k = start; k < end; k++) {
        found.push([fields.link_to[k], fields.link_from[k], fields.link_values[k], head]);
      }
    }
    return { found, unknown: 0 };
  }
}

/**
 * @type {(state: Float32Array, head: number, n: number) => {link: Float32Array,
 *   precedence: Float32Array}}
 */
function parts(state, head, n) {
  const start = head * (n * n + n);
  return {
    link: state.subarray(start, start + n * n),
    precedence: state.subarray(start + n * n, start + n * n + n),
  };
}

/** @type {(found: Link[]) => Omit<Links, "unknown">} */
function sorted(found) {
  found.sort((a, b) => b[2] - a[2]);
  return {
    to: Uint32Array.from(found, (link) => link[0]),
    from: Uint32Array.from(found, (link) => link[1]),
    values: Float32Array.from(found, (link) => link[2]),
    heads: Uint8Array.from(found, (link) => link[3]),
  };
}

/**
 * Similarity of a key and a word: their cosine, as the model computes it.
 *
 * @param {Float32Array} key [W]
 * @param {Float32Array} word [W]
 * @param {Float32Array} [mask] [W], of a look-up that compares only what it selects
 * @returns {number} in [-1, 1]
 */
export function similarity(key, word, mask) {
  const epsilon = 1e-6;
  let product = 0;
  let keySquares = epsilon;
  let wordSquares = epsilon;
  for (let i = 0; i < key.length; i++) {
    const share = mask ? mask[i] ** 2 : 1;
    product += key[i] * word[i] * share;
    keySquares += key[i] * key[i] * share;
    wordSquares += word[i] * word[i] * share;
  }
  return product / (Math.sqrt(keySquares) * Math.sqrt(wordSquares) + epsilon);
}
