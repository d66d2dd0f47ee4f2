// The episode of fixture.json, taken apart, for all tests.

import { readFileSync } from "node:fs";
import { checkHeader, decodeExample, inflate } from "../../../dnc_inspector/static/episode.js";

export const fixture = JSON.parse(readFileSync(new URL("fixture.json", import.meta.url)));

/** The numbers of an example, not compressed. */
export function buffer(index) {
  return inflate(Buffer.from(fixture.examples[index], "base64"));
}

/** An example, with other values of some of its fields. */
export async function example(index, fields = {}) {
  const episode = decodeExample(checkHeader(fixture.header), index, await buffer(index));
  return { ...episode, fields: { ...episode.fields, ...fields } };
}

/**
 * Example 0 with more in its record: to each extra, { name, axes, meaning, shape }, come numbers
 * that say where they are, t + place / 100. `change` may spoil the header.
 */
export async function withExtras(extras, change = () => {}) {
  const header = structuredClone(fixture.header);
  const [first] = header.examples;
  const parts = [new Uint8Array(await buffer(0))];
  header.extras = extras.map(({ name, axes, meaning }) => ({ name, axes, meaning }));
  for (const { name, shape } of extras) {
    const size = shape.reduce((product, n) => product * n, 1);
    const values = Float32Array.from({ length: header.sizes.T * size }, (_, i) => {
      return Math.floor(i / size) + (i % size) / 100;
    });
    first.fields.push([`extra:${name}`, "float32", [header.sizes.T, ...shape], first.bytes]);
    first.bytes += values.byteLength;
    parts.push(new Uint8Array(values.buffer));
  }
  change(header);
  const numbers = await new Blob(parts).arrayBuffer();
  return decodeExample(checkHeader(header), 0, numbers);
}

/** An episode of one head of each kind; at step t they write writes[t] and read reads[t]. */
export function hardEpisode(writes, reads, { N = 4, W = 2, free = 0, modes = [0, 0, 1] } = {}) {
  const T = writes.length;
  const oneHot = (slots) => {
    const weights = new Float32Array(T * N);
    slots.forEach((slot, t) => slot !== null && (weights[t * N + slot] = 1));
    return weights;
  };
  const all = (size, value) => new Float32Array(size).fill(value);
  return {
    sizes: { T, N, W, R: 1, V: 1, X: 1, Y: 1 },
    length: T,
    tokens: null,
    task: "",
    linkage: "dense",
    memory: "derived",
    links: "derived",
    linkThreshold: 0.01,
    meanings: new Map(),
    extras: [],
    decoder: null,
    fields: {
      inputs: all(T, 0),
      outputs: all(T, 0),
      write_weights: oneHot(writes),
      read_weights: oneHot(reads),
      allocation_weights: oneHot(writes),
      write_content_weights: all(T * N, 0),
      read_content_weights: all(T * N, 0),
      usage: all(T * N, 0),
      write_gate: all(T, 1),
      allocation_gate: all(T, 1),
      free_gate: all(T, free),
      backward_mode: all(T, modes[0]),
      content_mode: all(T, modes[1]),
      forward_mode: all(T, modes[2]),
      read_keys: all(T * W, 0),
      read_strengths: all(T, 1),
      write_keys: all(T * W, 0),
      write_strengths: all(T, 1),
      erase_vectors: all(T * W, 1),
      write_vectors: Float32Array.from({ length: T * W }, (_, i) => i + 1),
      read_words: all(T * W, 0),
      initial_memory: all(N * W, 0),
      initial_usage: all(N, 0),
      initial_read_weights: all(N, 0),
      initial_write_weights: all(N, 0),
    },
  };
}

/** Fails unless all numbers are as close as that. */
export function assertClose(actual, expected, tolerance) {
  const [a, b] = [Array.from(actual), expected.flat(Infinity)];
  if (a.length !== b.length) throw new Error(`${a.length} numbers, expected ${b.length}`);
  a.forEach((value, i) => {
    if (!(Math.abs(value - b[i]) <= tolerance)) throw new Error(`[${i}]: ${value}, not ${b[i]}`);
  });
}
