// Quantities that only the recorded model has: read, placed and described by their axes alone.

import assert from "node:assert/strict";
import test from "node:test";
import {
  describeDetails,
  describeEvents,
  describeTimeline,
  groupEvents,
  summary,
} from "../../../dnc_inspector/static/describe.js";
import { history } from "../../../dnc_inspector/static/slots.js";
import { extraOf, matrixOf, places, shapeOf } from "../../../dnc_inspector/static/extras.js";
import { hitDetails, hitTimeline, stepX } from "../../../dnc_inspector/static/layout.js";
import { detailsLayout, timelineLayout } from "../../../dnc_inspector/static/layout.js";
import { readAnswers } from "../../../dnc_inspector/static/answers.js";
import { Replay } from "../../../dnc_inspector/static/replay.js";
import { example, hardEpisode, withExtras } from "./fixture.mjs";

const MASKS = { name: "read_masks", axes: "RW", shape: [2, 4], meaning: "where the key counts" };
const SIMILAR = { name: "similarities", axes: "VN", shape: [2, 6], meaning: "cosines" };
const SINGLE = { name: "temperature", axes: "", shape: [], meaning: "of the softmax" };
const HABITS = { name: "habits", axes: "?", shape: [3], meaning: "what it likes" };
const ALL = [MASKS, SIMILAR, SINGLE, HABITS];
const ORDER = [5, 4, 3, 2, 1, 0];

async function scene(order = ORDER) {
  const episode = await withExtras(ALL);
  return { episode, answers: readAnswers(episode), order };
}

test("an episode without extras, as older ones are, has none", async () => {
  const episode = await example(0);
  assert.deepEqual(episode.extras, []);
  assert.ok(!summary(episode, 2).includes("masks"));
  assert.equal(detailsLayout(episode, 6, 560).extras.length, 0);
});

test("extras arrive with their numbers", async () => {
  const { extras, length } = await withExtras(ALL);
  assert.equal(length, 12);
  assert.deepEqual(
    extras.map(({ name, shape, size }) => [name, shape, size]),
    [
      ["read_masks", [2, 4], 8],
      ["similarities", [2, 6], 12],
      ["temperature", [], 1],
      ["habits", [3], 3],
    ],
  );
  assert.equal(extras[0].values[3 * 8 + 5], Math.fround(3.05));
});

test("extras that do not fit are told in words", async () => {
  const spoilt = (change) => withExtras([MASKS], change);
  await assert.rejects(
    spoilt(({ extras }) => (extras[0].axes = "RN")),
    /read_masks has shape \[12,2,4\], expected \[12,2,6\]/,
  );
  await assert.rejects(
    spoilt(({ extras }) => (extras[0].axes = "R")),
    /read_masks has shape/,
  );
  await assert.rejects(
    spoilt(({ extras }) => (extras[0].name = "other")),
    /has no other/,
  );
  for (const wrong of [{}, [3], [{ name: "read_masks", axes: "RW" }]]) {
    await assert.rejects(
      spoilt((header) => (header.extras = wrong)),
      /explains its quantities in another way/,
    );
  }
  await assert.rejects(
    spoilt((header) => (header.quantities = { usage: "u" })),
    /explains its quantities in another way/,
  );
});

test("an axis without a letter may have any size", async () => {
  const { extras } = await withExtras([{ ...MASKS, axes: "??" }]);
  assert.deepEqual(extras[0].shape, [2, 4]);
});

test("numbers are in rows, slots in the order on the screen", () => {
  assert.deepEqual(places("RW", [2, 2], []), [0, 1, 2, 3]);
  assert.deepEqual(places("RN", [2, 3], [2, 0]), [2, 0, 5, 3]);
  assert.deepEqual(places("NW", [3, 2], [2, 0]), [4, 5, 0, 1]);
  assert.deepEqual(places("", [], [2, 0]), [0]);
  assert.deepEqual(matrixOf({ axes: "RN", shape: [2, 3] }, [2, 0]), {
    rows: [0, 1],
    columns: [2, 0],
    width: 3,
  });
});

test("a shape names its axes", () => {
  assert.equal(shapeOf(MASKS), "2 read heads × 4 numbers");
  assert.equal(shapeOf({ axes: "VN", shape: [1, 6] }), "1 write head × 6 slots");
  assert.equal(shapeOf(SINGLE), "");
});

test("each extra has a band with a row for each number", async () => {
  const { episode } = await scene();
  const { bands } = timelineLayout(episode, 5, 640);
  const rows = Object.fromEntries(bands.map(({ id, rows }) => [id, rows]));
  assert.equal(rows["extra:read_masks"], 8);
  assert.equal(rows["extra:similarities"], 10); // Of five slots that are shown.
  assert.equal(rows["extra:temperature"], 1);
  assert.equal(rows["extra:habits"], 3);
  assert.equal(extraOf(episode, "extra:habits").meaning, "what it likes");
  assert.equal(extraOf(episode, "usage"), undefined);
});

test("a band and a matrix name the number under the pointer", async () => {
  const shown = await scene();
  const layout = timelineLayout(shown.episode, 6, 640);
  const band = layout.bands.find(({ id }) => id === "extra:similarities");
  const y = band.y + (band.height * 7.5) / 12; // Row 7: the second slot of the second head.
  const hit = hitTimeline(layout, stepX(layout, 3) + 1, y);
  const details = detailsLayout(shown.episode, 6, 560);
  const { box } = details.extras.find(({ extra }) => extra.name === "similarities");
  const at = [box.x + (box.width * 1.5) / 6, box.y + (box.height * 1.5) / 2];
  const other = hitDetails(details, ...at);
  assert.equal(other.row, undefined); // Or a click would choose a slot.

  const lines = describeTimeline(shown, hit);
  assert.deepEqual(lines, [
    "t = 3, “word 3”",
    "similarities, write head 1, slot 4: 3.10",
    "cosines",
  ]);
  assert.deepEqual(describeDetails(shown, new Replay(shown.episode), 3, other), lines);
});

test("every number of every extra can be pointed at", async () => {
  const shown = await scene();
  const replay = new Replay(shown.episode);
  for (const { extra, rows, columns } of detailsLayout(shown.episode, 6, 560).extras) {
    const texts = new Set();
    for (let line = 0; line < rows; line++) {
      for (let column = 0; column < columns; column++) {
        const hit = { area: "extra", extra, line, column };
        const [, text, meaning] = describeDetails(shown, replay, 7, hit);
        assert.match(text, /: 7(\.\d\d)?$/);
        assert.equal(meaning, extra.meaning);
        texts.add(text);
      }
    }
    assert.equal(texts.size, extra.size);
  }
});

test("matrices are below the memory and do not overlap", async () => {
  const { episode } = await scene();
  for (const width of [380, 560, 900]) {
    const layout = detailsLayout(episode, 6, width);
    layout.extras.reduce((end, { titleY, box }) => {
      assert.ok(titleY > end && box.y > titleY && box.height > 0);
      assert.ok(box.x + box.width <= width);
      return box.y + box.height;
    }, layout.scaleY);
    assert.ok(layout.height > layout.extras.at(-1).box.y + layout.extras.at(-1).box.height);
  }
});

test("words of an extra line up with the words of the memory", async () => {
  const { memory, extras } = detailsLayout((await scene()).episode, 6, 560);
  assert.deepEqual(
    [extras[0].box.x, extras[0].box.width],
    [memory.x, memory.width],
  );
});

test("a summary in words has a sentence for each extra", async () => {
  const { episode } = await scene();
  const text = summary(episode, 5);
  assert.ok(text.includes("read masks: from 5 to 5.07."), text);
  assert.ok(text.includes("temperature: 5."), text);
  episode.extras[0].values.set([NaN, Infinity], 5 * 8);
  assert.ok(summary(episode, 5).includes("from 5.02 to 5.07, 2 numbers not finite."));
  episode.extras[2].values[5] = NaN;
  assert.ok(summary(episode, 5).includes("temperature: 1 number not finite."));
});

test("meanings of known quantities come from the header", async () => {
  const episode = await withExtras([], (header) => {
    header.quantities = { usage: ["u", "use of a slot"], mask: ["", "where it counts"] };
  });
  const shown = { episode, answers: readAnswers(episode), order: ORDER };
  assert.equal(
    describeTimeline(shown, { band: "usage", step: 0, row: 0 }).at(-1),
    "use of a slot (u)",
  );
  assert.equal(episode.meanings.get("mask"), "where it counts");
  const bare = { ...shown, episode: await example(0) };
  assert.match(describeTimeline(bare, { band: "usage", step: 0, row: 0 }).at(-1), /^usage /);
});

test("a slot's retention is told where it is recorded", () => {
  const episode = hardEpisode([0], [0]);
  const lines = () =>
    describeDetails({ episode, order: [0] }, null, 0, { area: "usage", row: 0 });
  assert.deepEqual(lines(), ["slot 0", "usage 0"]);
  episode.fields.retention = Float32Array.of(0.5, 1, 1, 1);
  assert.deepEqual(lines(), ["slot 0", "usage 0", "retention 0.50"]);
});

/** An episode whose slot 1 is written, read, and half erased as it is set free. */
function deallocating() {
  const episode = hardEpisode([1, null, null, 2], [0, 1, 0, 0], { free: 1 });
  const extra = { name: "deallocated", axes: "N", meaning: "", shape: [4], size: 4 };
  episode.extras = [{ ...extra, values: new Float32Array(4 * 4) }];
  episode.extras[0].values[2 * 4 + 1] = 0.5;
  return episode;
}

test("a freed slot's contents are erased where the model deallocates", () => {
  const episode = deallocating();
  const replay = new Replay(episode);
  assert.deepEqual([...replay.memoryAt(1)].slice(2, 4), [1, 2]);
  assert.deepEqual([...replay.memoryAt(2)].slice(2, 4), [0.5, 1]);
  assert.deepEqual([...replay.comparedWord("write", 2, 1)], [0.5, 1]); // Erased before it looks.
  assert.deepEqual([...replay.comparedWord("read", 1, 1)], [1, 2]);
});

test("erasure by de-allocation in words", () => {
  const episode = deallocating();
  episode.fields.usage.set([0, 1, 0, 0], 4);
  const [, , freed] = groupEvents(history(episode, 1)).map((group) =>
    describeEvents(group, 1, episode),
  );
  assert.equal(freed, "freed by read head: usage 1.00 → 0, 50 % of its contents erased");
  const shown = { episode, order: [1] };
  const lines = (t) => describeDetails(shown, null, t, { area: "usage", row: 0 });
  assert.deepEqual(lines(2).slice(0, 3), [
    "slot 1",
    "usage 0",
    "50 % of its contents erased: set free",
  ]);
  assert.ok(!lines(1).join().includes("erased"));
});

test("masks in words, and in the cosine", () => {
  const episode = hardEpisode([1, null], [1, 1]);
  const extra = { name: "read_masks", axes: "RW", meaning: "", shape: [1, 2], size: 2 };
  episode.extras = [{ ...extra, values: Float32Array.of(0, 0, 1, 0) }];
  episode.fields.read_keys.set([1, -2], 2); // Slot 1 holds [1, 2].
  const shown = { episode, order: [1] };
  const lane = (kind) =>
    describeDetails(shown, new Replay(episode), 1, { area: "lane", kind, head: 0, row: 0 });
  assert.deepEqual(lane("read").slice(3), [
    "cosine of key and word, masked, 1.000",
    "compares 1 of 2 numbers",
  ]);
  assert.equal(lane("write").length, 4);
  const head = describeDetails(shown, null, 0, { area: "head", kind: "read", head: 0 });
  assert.equal(head.at(-1), "compares 0 of 2 numbers");
  assert.ok(summary(episode, 1).includes("reads slot 1 (1.00, forward), compares 1 of 2 numbers"));
});
