import assert from "node:assert/strict";
import test from "node:test";
import {
  checkHeader,
  DataError,
  decodeExample,
  fromFloat16,
  inflate,
  parseHeader,
  row,
} from "../../../dnc_inspector/static/episode.js";
import { assertClose, buffer, example, fixture } from "./fixture.mjs";

const { expected, header } = fixture;

test("half-precision floats, special ones too", () => {
  const known = [
    [0x0000, 0],
    [0x8000, -0],
    [0x0001, 2 ** -24],
    [0x03ff, 1023 * 2 ** -24],
    [0x0400, 2 ** -14],
    [0x3555, 0.333251953125],
    [0x3c00, 1],
    [0xc000, -2],
    [0x7bff, 65504],
    [0x7c00, Infinity],
    [0xfc00, -Infinity],
    [0x7e00, NaN],
    [0xfc01, NaN],
  ];
  for (const [bits, value] of known)
    assert.ok(Object.is(fromFloat16(bits), value), bits.toString(16));
});

test("numbers arrive where the model had them", async () => {
  const [first, second] = [await example(0), await example(1)];
  const { N, V, R, W } = first.sizes;

  assertClose(row(first.fields.write_weights, V * N, expected.step), expected.write_weights, 1e-4);
  assertClose(
    row(second.fields.read_words, R * W, second.length - 1),
    expected.last_read_words,
    1e-3,
  );
  assert.deepEqual([first.length, second.length], [12, 7]);
  assert.equal(first.tokens[3], "word 3");
  assert.equal(first.task, "test");
});

test("a header of another version, or of something else, is told in words", () => {
  const changed = (changes) => JSON.stringify({ ...header, ...changes });

  assert.throws(() => parseHeader(changed({ version: 2 })), /version 2.*reads version 1.*Update/);
  assert.throws(() => parseHeader(changed({ format: "other" })), DataError);
  assert.throws(() => parseHeader("null"), DataError);
  assert.throws(() => parseHeader("{"), /not JSON/);
  assert.throws(() => parseHeader(changed({ sizes: { ...header.sizes, N: "6" } })), /axis N/);
  assert.throws(() => parseHeader(changed({ examples: undefined })), /no examples/);
});

test("a cut-off or damaged example is told in words", async () => {
  const whole = await buffer(0);
  const compressed = Buffer.from(fixture.examples[0], "base64");

  assert.throws(() => decodeExample(header, 0, whole.slice(0, -4)), /damaged or cut off/);
  assert.throws(() => decodeExample(header, 5, whole), /no example 5/);
  await assert.rejects(inflate(compressed.subarray(0, 100)), /damaged/);
  await assert.rejects(inflate(Buffer.from("no gzip")), DataError);
});

test("fields that do not fit are told in words", async () => {
  const whole = await buffer(0);
  const changed = (change) => {
    const copy = structuredClone(header);
    change(copy.examples[0], copy);
    return () => decodeExample(checkHeader(copy), 0, whole);
  };
  const field = (first, name) => first.fields.find((each) => each[0] === name);

  assert.throws(
    changed((first) => (field(first, "usage")[2] = [6, 12])),
    /usage has shape \[6,12\]/,
  );
  assert.throws(
    changed((first) => (field(first, "usage")[3] = 10 ** 6)),
    /usage does not fit/,
  );
  assert.throws(
    changed((first) => (field(first, "usage")[3] = 1)),
    /usage does not fit/,
  );
  assert.throws(
    changed((first) => (field(first, "usage")[1] = "int8")),
    /unknown type int8/,
  );
  assert.throws(
    changed((first) => (field(first, "usage")[0] = "other")),
    /has no usage/,
  );
  assert.throws(
    changed((first) => (first.length = 13)),
    /length of 13 steps of 12/,
  );
  assert.throws(
    changed((first, all) => (all.sizes.N = 2)),
    DataError,
  );
  assert.throws(
    changed((first) => (field(first, "link_to")[0] = "other")),
    /links lack link_to/,
  );
});

test("links that point outside of the memory are found", async () => {
  const whole = await buffer(0);
  const [, , , offset] = header.examples[0].fields.find(([name]) => name === "link_to");
  new Uint16Array(whole, offset, 1)[0] = 6;

  assert.throws(() => decodeExample(header, 0, whole), /links do not fit/);
});
