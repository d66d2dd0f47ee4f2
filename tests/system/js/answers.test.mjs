import assert from "node:assert/strict";
import test from "node:test";
import { differenceOfInputs, readAnswers, sigmoid } from "../../../dnc_inspector/static/answers.js";
import { example } from "./fixture.mjs";

function episode(outputs, target, width, mask) {
  const length = outputs.length / width;
  const fields = {
    outputs: Float32Array.from(outputs),
    target: target && Float32Array.from(target),
  };
  if (mask) fields.mask = Float32Array.from(mask);
  return { sizes: { Y: width, Z: width }, length, fields };
}

test("logits of bits go through the sigmoid", () => {
  const answers = readAnswers(episode([3, -3, -1, 5], [1, 0, 1, 1], 2));

  assert.equal(answers.squash, "sigmoid");
  assert.ok(Math.abs(answers.outputs[0] - sigmoid(3)) < 1e-6);
  assert.deepEqual([...answers.wrong], [0, 0, 1, 0]);
  assert.deepEqual([answers.asked, answers.right, answers.unit], [4, 3, "bit"]);
});

test("outputs within [0, 1] are shown as they are", () => {
  const answers = readAnswers(episode([0.9, 0.2, 0.4, 1], [1, 0, 1, 1], 2));

  assert.equal(answers.squash, "");
  assert.deepEqual([...answers.wrong], [0, 0, 1, 0]);
});

test("a target of one choice of several: the largest output is the answer", () => {
  const answers = readAnswers(episode([2, 1, 0, -1, 4, 3], [1, 0, 0, 0, 0, 1], 3));

  assert.equal(answers.squash, "softmax");
  assert.deepEqual([...answers.wrong], [0, 0, 0, 0, 1, 1]);
  assert.deepEqual([answers.asked, answers.right, answers.unit], [2, 1, "answer"]);
});

test("only what is asked counts", () => {
  const answers = readAnswers(episode([9, 9, 9, 9], [0, 0, 1, 1], 2, [0, 1]));

  assert.deepEqual([...answers.wrong], [0, 0, 0, 0]);
  assert.deepEqual([answers.asked, answers.right], [2, 2]);
});

test("what is not a number is wrong", () => {
  assert.deepEqual([...readAnswers(episode([NaN, NaN], [0, 1], 2)).wrong], [1, 1]);
});

test("other targets, or none, cannot be right or wrong", () => {
  assert.equal(readAnswers(episode([3, -3], [0.5, 2], 2)).wrong, null);
  assert.equal(readAnswers(episode([3, -3], null, 2)).squash, "");
  const wide = { ...episode([3, -3], [1, 0], 2), sizes: { Y: 2, Z: 1 } };
  assert.equal(readAnswers(wide).wrong, null);
});

test("whether two episodes are of the same inputs", async () => {
  const [first, second] = [await example(0), await example(1)];
  const inputs = first.fields.inputs.slice();
  inputs[3 * first.sizes.X] += 1;

  assert.equal(differenceOfInputs(first, first), "");
  assert.match(differenceOfInputs(first, second), /12 steps, the other 7/);
  assert.match(differenceOfInputs(first, await example(0, { inputs })), /from step 3 on/);
  assert.match(differenceOfInputs(first, { ...first, tokens: null }), /tokens/);
  assert.match(differenceOfInputs(first, { ...first, sizes: { ...first.sizes, X: 2 } }), /widths/);
});
