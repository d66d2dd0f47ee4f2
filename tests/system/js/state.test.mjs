import assert from "node:assert/strict";
import test from "node:test";
import { EmbeddedSource } from "../../../dnc_inspector/static/sources.js";
import {
  fromHash,
  initialState,
  NEWEST,
  resolve,
  somethingElse,
  toHash,
} from "../../../dnc_inspector/static/state.js";
import {
  count,
  list,
  number,
  plural,
  share,
  shorten,
} from "../../../dnc_inspector/static/format.js";
import { fixture } from "./fixture.mjs";

test("an address gives back the state that it was made of", () => {
  const state = {
    ...initialState(),
    picks: [
      { run: "a&b=c#<script>", tag: "tag/1", step: 500 },
      { run: "ü", tag: "", step: NEWEST },
    ],
    example: 2,
    t: 17,
    order: "usage",
    touched: true,
    chosen: { view: 1, slot: 5 },
  };
  for (const prefix of ["", "p.dnc_memory."]) {
    assert.deepEqual(fromHash(`#other&${toHash(state, prefix)}`, initialState(), prefix), state);
  }
});

test("an address with nonsense changes nothing", () => {
  const hash =
    "#t=-1&example=x&order=constructor&slot=1e3&step=5&%E0%A4%A=%E0%A4%A&=&touched=maybe";

  assert.deepEqual(fromHash(hash), initialState());
});

const index = new Map([
  ["a", new Map([["x", [{ step: 1 }, { step: 5 }]]])],
  ["b", new Map([["x", [{ step: 3 }]]])],
]);

test("a pick finds its record, or else the nearest thing", () => {
  const steps = (pick) => {
    const { run, tag, entry } = resolve(index, pick);
    return [run, tag, entry.step];
  };

  assert.deepEqual(steps({ run: "a", tag: "x", step: 1 }), ["a", "x", 1]);
  assert.deepEqual(steps({ run: "a", tag: "x", step: NEWEST }), ["a", "x", 5]);
  assert.deepEqual(steps({ run: "gone", tag: "gone", step: 9 }), ["a", "x", 5]);
  assert.equal(resolve(new Map(), { run: "", tag: "", step: NEWEST }), null);
});

test("a comparison starts with something else", () => {
  const found = (run, step) => resolve(index, { run, tag: "x", step });

  assert.deepEqual(somethingElse(index, found("a", 5)), { run: "a", tag: "x", step: 1 });
  assert.deepEqual(somethingElse(index, found("a", 1)), { run: "a", tag: "x", step: 5 });
  assert.deepEqual(somethingElse(index, found("b", 3)), { run: "a", tag: "x", step: NEWEST });
});

test("episodes in a page", async () => {
  const { header, examples } = fixture;
  const runs = {
    "run 10": {
      tag: [
        { step: 7, header, examples },
        { step: 2, header, examples },
      ],
    },
    "run 9": { tag: [{ step: 0, header: { ...header, version: 9 }, examples: ["%%"] }] },
  };
  const source = new EmbeddedSource(JSON.stringify({ runs }));
  const found = await source.index();

  assert.deepEqual([...found.keys()], ["run 9", "run 10"]);
  const entries = found.get("run 10").get("tag");
  assert.deepEqual(
    entries.map(({ step }) => step),
    [2, 7],
  );
  assert.notEqual(entries[0].id, entries[1].id);
  assert.equal((await source.header(entries[0])).sizes.N, 6);
  assert.equal((await source.example(entries[0], 1)).byteLength, header.examples[1].bytes);
  const [bad] = found.get("run 9").get("tag");
  await assert.rejects(source.header(bad), /version 9/);
  await assert.rejects(source.example(bad, 0), /damaged/);
});

test("a run with the name of a method is a run", async () => {
  const text =
    '{"runs": {"__proto__": {"constructor": [{"step": 1, "header": {}, "examples": []}]}}}';
  const found = await new EmbeddedSource(text).index();

  assert.deepEqual([...found.keys()], ["__proto__"]);
  assert.deepEqual([...found.get("__proto__").keys()], ["constructor"]);
});

test("numbers as text", () => {
  const known = [
    [0, "0"],
    [-0, "0"],
    [1, "1"],
    [-3, "−3"],
    [0.12345, "0.123"],
    [1.23456, "1.23"],
    [-12.3456, "−12.3"],
    [1234.5, "1235"],
    [0.0001, "0.000…"],
    [NaN, "not a number"],
    [-Infinity, "−infinite"],
  ];
  for (const [value, text] of known) assert.equal(number(value), text);
  assert.deepEqual(
    [share(0), share(0.001), share(0.984), share(1), share(NaN)],
    ["0", "0.00", "0.98", "1.00", "not a number"],
  );
  assert.equal(count(1234567), "1,234,567");
  assert.deepEqual([plural(1, "slot"), plural(2000, "slot")], ["1 slot", "2,000 slots"]);
  assert.equal(list(["a", "b", "c"]), "a, b and c");
  assert.equal(shorten("abcdef", 4), "abc…");
  assert.equal(shorten("😀😀", 2), "😀😀");
});
