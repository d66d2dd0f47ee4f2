import assert from "node:assert/strict";
import test from "node:test";
import { Checkpoints, linkStep, Replay, similarity } from "../../../dnc_inspector/static/replay.js";
import { assertClose, example, fixture, hardEpisode } from "./fixture.mjs";

const { step } = fixture.expected;

test("links of a worked example: three writes", () => {
  const link = new Float32Array(9);
  const precedence = new Float32Array(3);
  const writes = [
    [0.5, 0.5, 0],
    [0, 0.2, 0.6],
    [0.5, 0, 0],
  ];
  for (const weights of writes) linkStep(link, precedence, Float32Array.from(weights));

  assertClose(link, [0, 0.15, 0.3, 0.05, 0, 0, 0.15, 0.3, 0], 1e-6);
  assertClose(precedence, [0.55, 0.15, 0.3], 1e-6);
});

test("derived memory is what the model had", async () => {
  const recorded = await example(0);
  const replay = new Replay({ ...recorded, memory: "derived" });

  assertClose(replay.memoryAt(step), fixture.expected.memory, 2e-3);
  for (let t = 0; t < recorded.length; t++) {
    assertClose(replay.memoryAt(t), [...new Replay(recorded).memoryAt(t)], 5e-3);
  }
});

test("derived links are what the model had, of each write head", async () => {
  const recorded = await example(0);
  const derived = new Replay({ ...recorded, links: "derived", linkThreshold: 0 });

  const dense = denseLinks(derived.linksAt(step), recorded.sizes);
  assertClose(dense, fixture.expected.link, 2e-3);
  const stored = denseLinks(new Replay(recorded).linksAt(step), recorded.sizes);
  const strong = Array.from(dense, (value) => (value >= 0.01 ? value : 0));
  assertClose(stored, strong, 2e-3);
});

function denseLinks({ to, from, values, heads }, { N, V }) {
  const dense = new Float32Array(V * N * N);
  values.forEach((value, k) => (dense[(heads[k] * N + to[k]) * N + from[k]] = value));
  return dense;
}

test("links come strongest first", async () => {
  const { values } = new Replay(await example(0)).linksAt(5);

  assert.deepEqual(
    [...values],
    [...values].sort((a, b) => b - a),
  );
});

test("any order of steps gives the same", () => {
  const writes = Array.from({ length: 60 }, (_, t) => t % 7);
  const episode = hardEpisode(writes, writes, { N: 7 });
  const replay = new Replay(episode);
  const seen = (t) => [[...replay.memoryAt(t)], replay.linksAt(t)];
  const forwards = writes.map((_, t) => seen(t));

  for (const t of [59, 3, 4, 40, 8, 7, 0, 58]) assert.deepEqual(seen(t), forwards[t]);
});

test("a chain of writes is a chain of links", () => {
  const links = new Replay(hardEpisode([2, 0, 3], [0, 0, 0])).linksAt(2);

  assert.deepEqual([...links.from], [2, 0]);
  assert.deepEqual([...links.to], [0, 3]);
  assert.deepEqual([...links.values], [1, 1]);
});

test("a write replaces what it erases", () => {
  const replay = new Replay(hardEpisode([1, 1, null], [0, 0, 0]));

  assertClose(replay.memoryAt(0), [0, 0, 1, 2, 0, 0, 0, 0], 0);
  assertClose(replay.memoryAt(2), [0, 0, 3, 4, 0, 0, 0, 0], 0);
  assertClose(replay.memoryAt(-1), [0, 0, 0, 0, 0, 0, 0, 0], 0);
});

test("the scale of the memory leaves out what is rare, not a number, or nothing", () => {
  const episode = hardEpisode(Array(50).fill(0), Array(50).fill(0));
  const memory = new Float32Array(50 * 8).fill(0.5);
  memory[3] = 100;
  memory[5] = NaN;
  memory[6] = Infinity;
  memory.fill(0, 200);
  const replay = new Replay({
    ...episode,
    memory: "recorded",
    fields: { ...episode.fields, memory },
  });
  const shares = [...replay.prepare()];

  assert.equal(replay.memoryScale, 0.5);
  assert.equal(replay.memoryLargest, 100);
  assert.equal(shares.at(-1), 1);
});

test("unknown links are none", () => {
  assert.equal(new Replay({ ...hardEpisode([0], [0]), links: "missing" }).linksAt(0), null);
});

test("weights that are not numbers make links unknown, and stop nothing", () => {
  const episode = hardEpisode([0, 1], [0, 0]);
  episode.fields.write_weights[0] = NaN;
  const links = new Replay(episode).linksAt(1);

  assert.ok(links.unknown > 0);
});

test("checkpoints keep to their memory", () => {
  const first = new Float32Array(2 ** 22); // 16 MiB: four of them fit
  const states = new Checkpoints(first, (state) => state[0]++, 1000);

  assert.equal(states.at(999)[0], 1000);
  assert.equal(states.at(10)[0], 11);
  assert.ok(states.kept.length <= 5);
});

test("similarity is the cosine", () => {
  assert.ok(Math.abs(similarity([1, 0], [2, 0]) - 1) < 1e-5);
  assert.ok(Math.abs(similarity([1, 0], [0, 3])) < 1e-5);
  assert.equal(similarity([0, 0], [1, 1]), 0);
});
