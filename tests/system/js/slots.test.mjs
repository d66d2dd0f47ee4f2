import assert from "node:assert/strict";
import test from "node:test";
import {
  history,
  readMode,
  slotOrder,
  strongest,
  touchedSlots,
  writeMode,
} from "../../../dnc_inspector/static/slots.js";
import { describeEvents, groupEvents, summary } from "../../../dnc_inspector/static/describe.js";
import { example, hardEpisode } from "./fixture.mjs";

test("order by first write, then by index; slots never written are last", () => {
  const episode = hardEpisode([2, 0, 2, null], [2, 2, 0, 3]);

  assert.deepEqual(slotOrder(episode, "written"), [2, 0, 1, 3]);
  assert.deepEqual(slotOrder(episode, "index"), [0, 1, 2, 3]);
  assert.deepEqual(slotOrder(episode, "written", true), [2, 0, 3]);
});

test("of slots first written at once the strongest comes first", () => {
  const episode = hardEpisode([null, 1], [0, 0]);
  episode.fields.write_weights.set([0.2, 0, 0.7, 0.1]);

  assert.deepEqual(slotOrder(episode, "written"), [2, 0, 3, 1]);
});

test("order by usage over the whole episode", () => {
  const episode = hardEpisode([0, 0], [0, 0]);
  episode.fields.usage.set([0, 1, 0.5, 0, NaN, 0, 0.6, 0]);

  assert.deepEqual(slotOrder(episode, "usage"), [2, 1, 0, 3]);
});

test("only steps within the episode count", () => {
  const episode = { ...hardEpisode([1, 3], [1, 2]), length: 1 };

  assert.deepEqual(touchedSlots(episode), [false, true, false, false]);
  assert.equal(history(episode, 3).length, 0);
});

test("a slot's history: written, read, freed, written over", () => {
  const episode = hardEpisode([1, null, null, 1], [0, 1, 0, 0], { free: 1 });
  episode.fields.usage.set([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  const events = history(episode, 1);

  assert.deepEqual(
    events.map(({ t, kind }) => [t, kind]),
    [
      [0, "write"],
      [1, "read"],
      [2, "free"],
      [3, "write"],
    ],
  );
  assert.deepEqual(events[0], {
    t: 0,
    kind: "write",
    head: 0,
    weight: 1,
    how: "allocated",
    replaces: null,
    erased: 1,
  });
  assert.equal(events[1].mode, "forward");
  assert.deepEqual([events[2].before, events[2].after], [1, 0]);
  assert.equal(events[3].replaces, 0);
});

test("a history in words", () => {
  const episode = hardEpisode([1, null, null, 1], [0, 1, 0, 0], { free: 1 });
  episode.fields.usage.set([0, 1, 0, 0], 4);
  const texts = groupEvents(history(episode, 1)).map((group) => describeEvents(group, 1, episode));

  assert.deepEqual(texts, [
    "written as a free slot (1.00)",
    "read forward (1.00)",
    "freed by read head: usage 1.00 → 0",
    "written as a free slot (1.00); erased 100 % of what t = 0 left",
  ]);
});

test("events of several heads at one step are one entry", async () => {
  const episode = await example(0);
  const event = { t: 3, kind: "read", weight: 0.5, mode: "content" };
  const groups = groupEvents([
    { ...event, head: 0 },
    { ...event, head: 1 },
    { ...event, t: 4, head: 1, mode: "backward" },
  ]);

  assert.equal(groups.length, 2);
  assert.equal(describeEvents(groups[0], 1, episode), "read by content (0: 0.50, 1: 0.50)");
});

test("what is not a number is never an event, and stops nothing", () => {
  const episode = hardEpisode([0, 1], [0, 1]);
  for (const values of Object.values(episode.fields)) values.fill(NaN);

  assert.deepEqual(history(episode, 0), []);
  assert.equal(slotOrder(episode, "written").length, 4);
  assert.equal(slotOrder(episode, "usage").length, 4);
  assert.equal(strongest(episode.fields.usage).slot, -1);
  assert.equal(typeof summary(episode, 0), "string");
});

test("modes of heads", async () => {
  const episode = await example(0);
  const { backward, content, forward, leading } = readMode(episode, 4, 1);
  const sum = [...backward, content, ...forward].reduce((a, b) => a + b);
  const { allocated, content: byContent, none } = writeMode(episode, 4, 1);

  assert.equal(backward.length, 2);
  assert.ok(Math.abs(sum - 1) < 5e-3);
  assert.ok(["backward", "content", "forward"].includes(leading));
  assert.ok(Math.abs(allocated + byContent + none - 1) < 1e-6);
});

test("a step in a sentence", () => {
  assert.equal(
    summary(hardEpisode([1, 2], [0, 1]), 1),
    "t = 1: write head writes slot 2 (1.00) and read head reads slot 1 (1.00, forward).",
  );
});
