// Of the picture, all that needs no screen: where things are, what is said of them, their colours.

import assert from "node:assert/strict";
import test from "node:test";
import {
  aroundZero,
  headColour,
  opacity,
  place,
  ramp,
  scaleOf,
  themeOf,
} from "../../../dnc_inspector/static/colours.js";
import { describeDetails, describeTimeline } from "../../../dnc_inspector/static/describe.js";
import {
  PICTURE_LINE,
  detailsLayout,
  hitDetails,
  hitTimeline,
  stepAt,
  stepX,
  ticks,
  timelineLayout,
} from "../../../dnc_inspector/static/layout.js";
import { labelOf, pictureOf } from "../../../dnc_inspector/static/format.js";
import { fileName } from "../../../dnc_inspector/static/picture.js";
import { linksNote } from "../../../dnc_inspector/static/draw_details.js";
import { readAnswers } from "../../../dnc_inspector/static/answers.js";
import { Replay } from "../../../dnc_inspector/static/replay.js";
import { slotOrder } from "../../../dnc_inspector/static/slots.js";
import { example, hardEpisode } from "./fixture.mjs";

test("bands of the timeline do not overlap and lie within it", async () => {
  const episode = await example(0);
  for (const width of [420, 640, 1100]) {
    const layout = timelineLayout(episode, 6, width);
    const ids = layout.bands.map(({ id }) => id);
    assert.ok(ids.includes("target") && ids.includes("modes"));
    layout.bands.reduce((end, { y, height }) => {
      assert.ok(y >= end);
      return y + height;
    }, 0);
    assert.ok(layout.height > layout.axisY);
    assert.ok(layout.plot.x + layout.plot.width <= width);
  }
});

test("a token's further lines are a picture below its label", async () => {
  const episode = await example(0);
  const tokens = episode.tokens.map((token, t) => (t === 2 ? `${token}\n..4\n123` : token));
  const [plain, pictured] = [episode, { ...episode, tokens }].map((each) =>
    timelineLayout(each, 6, 640),
  );
  assert.equal(plain.legendY, plain.picturesY);
  assert.equal(pictured.picturesY, plain.picturesY);
  assert.equal(pictured.legendY - pictured.picturesY, 3 * PICTURE_LINE);
  assert.equal(pictured.height - plain.height, 3 * PICTURE_LINE);
  assert.equal(labelOf(tokens[2]), episode.tokens[2]);
  assert.deepEqual(pictureOf(tokens[2]), ["..4", "123"]);
  assert.deepEqual(pictureOf(tokens[3]), []);
});

test("a step's place and the step at a place", async () => {
  const layout = timelineLayout(await example(0), 6, 640);
  for (let t = 0; t < 12; t++) {
    assert.equal(stepAt(layout, (stepX(layout, t) + stepX(layout, t + 1)) / 2), t);
  }
  assert.equal(stepAt(layout, -50), 0);
  assert.equal(stepAt(layout, 5000), 11);
});

test("what is at a point of the timeline", async () => {
  const layout = timelineLayout(await example(0), 6, 640);
  const band = layout.bands.find(({ id }) => id === "weights");
  const y = band.y + (band.height * 4.5) / 6;

  assert.deepEqual(hitTimeline(layout, stepX(layout, 3) + 1, y), {
    band: "weights",
    step: 3,
    row: 4,
  });
  assert.equal(hitTimeline(layout, 5, y), null);
  assert.equal(hitTimeline(layout, 300, 1), null);
});

test("rows of the details line up and lie beside each other", async () => {
  for (const width of [380, 560, 900]) {
    const layout = detailsLayout(await example(0), 6, width);
    const { links, slots, usage, memory, lanes } = layout;
    const boxes = [links, slots, usage, memory, ...lanes];
    boxes.reduce((end, box) => {
      assert.ok(box.x >= end - 0.001 && box.width > 0);
      return box.x + box.width;
    }, 0);
    assert.ok(layout.end <= width + 0.001);
    assert.equal(lanes.length, 4);
  }
});

test("what is at a point of the details", async () => {
  const layout = detailsLayout(await example(0), 6, 560);
  const { memory, lanes, usage, heads, vectors } = layout;
  const y = memory.y + (memory.height * 2.5) / 6;

  const at = (x, where) => hitDetails(layout, x, where);
  assert.deepEqual(at(memory.x + memory.width * 0.6, y), { area: "memory", row: 2, column: 2 });
  assert.deepEqual(at(lanes[3].x + 1, y), { area: "lane", row: 2, kind: "read", head: 1 });
  assert.deepEqual(at(usage.x + 1, y), { area: "usage", row: 2 });
  assert.deepEqual(at(200, heads[1].y + 3), { area: "head", kind: "write", head: 1 });
  const { id, kind, head } = vectors[0];
  assert.deepEqual(at(memory.x + 1, vectors[0].y + 2), {
    area: "vector",
    id,
    kind,
    head,
    column: 0,
  });
  assert.equal(at(200, 5), null);
});

test("an episode without steps or slots has a layout too", () => {
  const episode = { ...hardEpisode([0], [0]), length: 0 };
  const layout = timelineLayout(episode, 0, 500);

  assert.equal(hitTimeline(layout, 300, 100), null);
  assert.equal(stepAt(layout, 300), 0);
  assert.equal(hitDetails(detailsLayout(episode, 0, 500), 300, 300)?.area === "memory", false);
});

test("numbers on the axis are round and not crowded", () => {
  assert.deepEqual(ticks(10, 640), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual(ticks(43, 460), [0, 5, 10, 15, 20, 25, 30, 35, 40]);
  assert.deepEqual(ticks(0, 460), []);
});

async function scene(changes = {}) {
  const episode = { ...(await example(0)), ...changes };
  return { episode, answers: readAnswers(episode), order: slotOrder(episode, "index") };
}

test("tooltips of every band and area have a heading and a line", async () => {
  const shown = await scene();
  const layout = timelineLayout(shown.episode, 6, 640);
  for (const { id } of layout.bands) {
    const lines = describeTimeline(shown, { band: id, step: 2, row: 0 });
    assert.ok(lines.length > 1, id);
    assert.match(lines[0], /t = 2, “word 2”/);
    assert.ok(!lines.join().includes("undefined"), lines.join());
  }
  const replay = new Replay(shown.episode);
  const hits = [
    { area: "head", kind: "write", head: 1 },
    { area: "head", kind: "read", head: 0 },
    { area: "vector", id: "read_keys", kind: "read", head: 1, column: 3 },
    { area: "memory", row: 5, column: 1 },
    { area: "lane", row: 1, kind: "write", head: 0 },
    { area: "links", row: 2 },
    { area: "usage", row: 2 },
  ];
  for (const hit of hits) {
    const lines = describeDetails(shown, replay, 0, hit);
    assert.ok(lines.length > 1 && !lines.join().includes("undefined"), lines.join());
  }
});

test("what is not a number is said", async () => {
  const shown = await scene();
  shown.episode.fields.usage[2 * 6] = NaN;

  const lines = describeTimeline(shown, { band: "usage", step: 2, row: 0 });
  assert.ok(lines.includes("usage not a number"));
});

test("links of a slot lead to it and from it", () => {
  const episode = hardEpisode([2, 0, 1], [null, null, null]);
  const shown = { episode, order: [0, 1, 2, 3] };

  const lines = describeDetails(shown, new Replay(episode), 2, { area: "links", row: 0 });

  assert.deepEqual(lines.slice(1).sort(), [
    "slot 1 written right after it: 1.00",
    "written right after slot 2: 1.00",
  ]);
});

test("a write key is compared with the word before the write, a read key with that after", () => {
  const episode = hardEpisode([0, 0], [0, 0]);
  episode.fields.write_keys.set([1, 2]); // What is written at step 0.
  episode.fields.read_keys.set([1, 2]);
  const replay = new Replay(episode);
  const cosine = (kind) => {
    const hit = { area: "lane", row: 0, kind, head: 0 };
    return describeDetails({ episode, order: [0] }, replay, 0, hit).at(-1);
  };

  assert.equal(cosine("write"), "cosine of key and word 0");
  assert.match(cosine("read"), /1(\.0+)?$/);
});

test("where links come from is said", async () => {
  const { episode } = await scene();
  const note = (changes) =>
    linksNote({ ...episode, ...changes }, new Replay({ ...episode, ...changes }), 5);

  assert.match(note({}), /links of at least 0.01; weaker ones are not stored/);
  assert.match(note({ links: "derived" }), /computed from the writes, not stored$/);
  assert.match(note({ links: "derived", linkage: "sparse" }), /keeps only the strongest/);
  assert.match(note({ links: "missing" }), /which are not shown/);
});

test("scales reach from paper to ink, or around zero", () => {
  const theme = themeOf(false);
  assert.deepEqual([scaleOf([0, 0.5], theme).low, scaleOf([0, 0.5], theme).high], [0, 1]);
  assert.equal(scaleOf([0, 7, Infinity, NaN], theme).high, 7);
  const scale = scaleOf([-2, 1], theme);
  assert.deepEqual([scale.low, scale.high], [-2, 2]);
  assert.deepEqual([place(-2, scale), place(0, scale), place(9, scale)], [0, 128, 255]);
  assert.equal(place(NaN, scale), -1);
  assert.equal(place(Infinity, scale), -1);
  assert.equal(aroundZero(3, theme).low, -3);
  assert.equal(
    ramp([
      [0, 0, 0],
      [255, 255, 255],
    ])[3 * 100],
    100,
  );
});

test("weak weights can be seen, none cannot", () => {
  assert.equal(opacity(0), 0);
  assert.equal(opacity(1), 1);
  assert.equal(opacity(7), 1);
  assert.equal(opacity(NaN), 1);
  assert.ok(opacity(0.05) > 0.1);
});

test("heads can be told from the paper, and from each other with any colour vision", () => {
  for (const dark of [false, true]) {
    const theme = themeOf(dark);
    for (const kind of ["write", "read"]) {
      for (let head = 0; head < 8; head++) {
        const colour = headColour(theme, kind, head);
        assert.ok(contrast(colour, theme.background) >= 3, `${dark} ${kind} ${head}`);
      }
    }
    const common = [0, 1, 2, 3].map((head) => headColour(theme, "read", head));
    common.push(headColour(theme, "write", 0));
    for (const vision of [NORMAL, PROTAN, DEUTAN]) {
      common.forEach((a, i) =>
        common.slice(i + 1).forEach((b) => {
          assert.ok(distance(see(a, vision), see(b, vision)) > 20, `${dark} ${a} ${b}`);
        }),
      );
    }
  }
});

const NORMAL = [1, 0, 0, 0, 1, 0, 0, 0, 1];
// Machado, Oliveira and Fernandes (2009), full severity, on linear light.
const PROTAN = [
  0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998,
];
const DEUTAN = [
  0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881,
];

function linear(value) {
  const share = value / 255;
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
}

function see(colour, m) {
  const [r, g, b] = colour.map(linear);
  return [0, 3, 6].map((k) => Math.max(0, m[k] * r + m[k + 1] * g + m[k + 2] * b));
}

function contrast(a, b) {
  const [x, y] = [a, b].map((colour) => {
    const [r, g, blue] = colour.map(linear);
    return 0.2126 * r + 0.7152 * g + 0.0722 * blue + 0.05;
  });
  return Math.max(x / y, y / x);
}

/** The CIE 1976 difference of two colours in linear light. */
function distance(a, b) {
  const [x, y] = [a, b].map(([r, g, blue]) => {
    const f = (t) => (t > 216 / 24389 ? Math.cbrt(t) : ((24389 / 27) * t + 16) / 116);
    const fx = f((0.4124 * r + 0.3576 * g + 0.1805 * blue) / 0.9505);
    const fy = f(0.2126 * r + 0.7152 * g + 0.0722 * blue);
    const fz = f((0.0193 * r + 0.1192 * g + 0.9505 * blue) / 1.089);
    return [116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)];
  });
  return Math.hypot(...x.map((value, i) => value - y[i]));
}

test("names of files hold nothing strange", () => {
  assert.equal(fileName("<script>/../run · t 3"), "script_.._run_t_3.png");
  assert.equal(fileName("…"), "dnc.png");
});
