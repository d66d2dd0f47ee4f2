import { test } from "node:test";
import assert from "node:assert/strict";
import { contentsOf, decode, isDecoder } from "../../../dnc_inspector/static/decoder.js";
import { checkHeader } from "../../../dnc_inspector/static/episode.js";
import { describeDetails } from "../../../dnc_inspector/static/describe.js";
import { Replay } from "../../../dnc_inspector/static/replay.js";
import { fixture, hardEpisode } from "./fixture.mjs";

// The first number of a word says yes or no, the second one which of two digits.
const DECODER = {
  kernel: [
    [-4, 4, 0, 0],
    [0, 0, -4, 4],
  ],
  bias: [0, 0, 0, 0],
  classes: [
    ["no ", "yes "],
    ["0", "1"],
  ],
};

test("a word is a name of each group, or ? where none is likelier than the others together", () => {
  assert.equal(decode(DECODER, Float32Array.of(1, 1)), "yes 1");
  assert.equal(decode(DECODER, Float32Array.of(-1, 1)), "no 1");
  const three = {
    kernel: [
      [0, 0, 0],
      [0, 0, 0],
    ],
    bias: [0, 0.1, 0],
    classes: [["a ", "b ", "c "]],
  };
  assert.equal(decode(three, Float32Array.of(1, 1)), "?");
  assert.equal(decode({ ...three, bias: [0, 5, 0] }, Float32Array.of(1, 1)), "b");
});

test("an empty word says nothing, and nothing says anything without a decoder", () => {
  assert.equal(decode(DECODER, Float32Array.of(0, 1e-4)), null);
  assert.equal(decode(null, Float32Array.of(1, 1)), null);
});

test("slots and keys are described by what they say, as of a step", () => {
  // At step t slot t gets the word (2 t + 1, 2 t + 2).
  const episode = { ...hardEpisode([0, 1], [null, null]), decoder: DECODER };
  const replay = new Replay(episode);
  assert.equal(contentsOf(episode, replay.memoryAt(0), 0), "yes 1");
  assert.equal(contentsOf(episode, replay.memoryAt(0), 1), null);
  assert.equal(contentsOf(episode, replay.memoryAt(1), 1), "yes 1");
  const scene = { episode, order: [1, 0] };
  const lines = (hit) => describeDetails(scene, replay, 0, { head: 0, column: 0, ...hit });
  assert.ok(lines({ area: "memory", row: 1 }).includes("decoded: yes 1"));
  assert.ok(!lines({ area: "memory", row: 0 }).join().includes("decoded"));
  const vector = { area: "vector", kind: "write", row: 0 };
  assert.ok(lines({ ...vector, id: "write_vectors" }).includes("decoded: yes 1"));
  assert.ok(!lines({ ...vector, id: "erase_vectors" }).join().includes("decoded"));
});

test("a decoder that does not fit is told in words", () => {
  assert.ok(isDecoder(DECODER, 2));
  assert.ok(!isDecoder(DECODER, 3));
  for (const wrong of [3, {}, { ...DECODER, bias: [0] }, { ...DECODER, classes: [["a"], []] }]) {
    const header = { ...fixture.header, decoder: wrong };
    assert.throws(() => checkHeader(header), /decoder does not fit the memory/);
  }
});
