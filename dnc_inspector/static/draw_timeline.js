// The timeline of an episode. All but the cursor changes rarely and is drawn once.

import { chip, drawImage, frame, headMarks, heatMap } from "./draw_common.js";
import { label, scaleBar, write } from "./draw_common.js";
import { css, headColour, mix, modeColours, opacity, scaleOf } from "./colours.js";
import { count, labelOf, pictureOf, plural, shorten } from "./format.js";
import { drawExtraBand } from "./draw_extras.js";
import { extraOf } from "./extras.js";
import { readMode } from "./slots.js";
import { PICTURE_LINE, stepX, ticks } from "./layout.js";

/**
 * @typedef {import("./colours.js").Colour} Colour
 * @typedef {import("./colours.js").Scale} Scale
 * @typedef {import("./colours.js").Theme} Theme
 * @typedef {import("./draw_common.js").Context} Context
 * @typedef {import("./episode.js").Episode} Episode
 * @typedef {import("./episode.js").Kind} Kind
 * @typedef {import("./layout.js").Box} Box
 * @typedef {import("./layout.js").TimelineLayout} TimelineLayout
 *
 * @typedef {(context: Context, box: Box, layout: TimelineLayout, scene: Scene) => void} Painter
 *
 * @typedef {[value: number, colour: Colour][]} Stack
 *
 * @typedef {{colour: Colour, alpha: number}} Mark how to draw one head's weight
 *
 * @typedef {[head: number, weight: number][]} Pairs
 *
 * @typedef {object} Scene what a view shows, apart from the step
 * @property {Episode} episode
 * @property {import("./answers.js").Answers} answers
 * @property {number[]} order slots from top to bottom
 * @property {string} orderName
 * @property {Set<string>} hidden heads that are not shown: "write 0", "read 2"
 * @property {?number} slot the chosen one
 * @property {number} memoryScale the range of the memory's colours
 * @property {number} memoryLargest the largest size of a number in it
 * @property {Theme} theme
 */

/**
 * Draws everything that does not depend on the step.
 *
 * @type {(context: Context, layout: TimelineLayout, scene: Scene) => void}
 */
export function drawTimeline(context, layout, scene) {
  const { theme } = scene;
  context.fillStyle = css(theme.background);
  context.fillRect(0, 0, layout.width, layout.height);
  for (const band of layout.bands) {
    const box = { x: layout.plot.x, y: band.y, width: layout.plot.width, height: band.height };
    const extra = extraOf(scene.episode, band.id);
    if (extra) drawExtraBand(context, box, extra, scene);
    else BANDS[/** @type {keyof typeof BANDS} */ (band.id)](context, box, layout, scene);
    frame(context, box, theme.hairline);
  }
  drawAxis(context, layout, scene);
  drawLegend(context, layout, scene);
}

/** @type {Record<import("./layout.js").KnownBandId, Painter>} */
const BANDS = {
  inputs(context, box, layout, { episode, theme }) {
    const { fields, sizes, length } = episode;
    const scale = scaleOf(fields.inputs.subarray(0, length * sizes.X), theme);
    vectors(context, box, fields.inputs, sizes.X, length, scale, theme);
    label(context, box, "input", [plural(sizes.X, "number"), scale], theme);
  },

  target(context, box, layout, { episode, theme }) {
    const { fields, sizes, length } = episode;
    if (!fields.target || !sizes.Z) return; // There is no such band then.
    const { target } = fields;
    const scale = scaleOf(target.subarray(0, length * sizes.Z), theme);
    vectors(context, box, target, sizes.Z, length, scale, theme);
    fadeUnasked(context, box, layout, episode, theme);
    label(context, box, "target", [fields.mask ? "pale: not asked" : "", scale], theme);
  },

  outputs(context, box, layout, { episode, answers, theme }) {
    const { sizes, length } = episode;
    const scale = scaleOf(answers.outputs.subarray(0, length * sizes.Y), theme);
    vectors(context, box, answers.outputs, sizes.Y, length, scale, theme);
    fadeUnasked(context, box, layout, episode, theme);
    if (answers.wrong) markWrong(context, box, layout, episode, answers.wrong, theme);
    const result = `${count(answers.right)} of ${plural(answers.asked, answers.unit)} right`;
    const squash = answers.squash ? `${answers.squash} of the output` : "";
    label(context, box, "output", [answers.asked ? result : "", squash, scale], theme);
  },

  weights(context, box, layout, scene) {
    const { episode, order, orderName, hidden, theme } = scene;
    drawWeights(context, box, layout, scene);
    label(
      context,
      box,
      "writes and reads",
      [`${count(order.length)} slots by ${orderName}`],
      theme,
    );
    let y = box.y + 38;
    for (const { kind, head, name } of heads(episode.sizes)) {
      const off = hidden.has(`${kind} ${head}`);
      const colour = off ? theme.hairline : headColour(theme, kind, head);
      chip(context, 2, y, colour, off ? `${name} (hidden)` : name, theme);
      y += 15;
    }
    scaleBar(context, 2, y + 2, 50, weightScale(theme), "0", "1", theme);
  },

  usage(context, box, layout, { episode, order, theme }) {
    const { fields, sizes, length } = episode;
    const scale = { table: theme.usageRamp, low: 0, high: 1 };
    /** @type {(t: number, i: number) => number} */
    const valueAt = (t, i) => fields.usage[t * sizes.N + order[i]];
    heatMap(context, box, length, order.length, valueAt, scale, theme);
    label(context, box, "usage", ["same slots"], theme);
    scaleBar(context, 2, box.y + 40, 40, scale, "free", "in use", theme);
  },

  write_gate(context, box, layout, { episode, theme }) {
    gates(context, box, layout, episode.fields.write_gate, episode.sizes.V, "write", theme);
    label(context, box, "write gate", ["bars from 0 to 1"], theme, episode.sizes.V);
  },

  allocation_gate(context, box, layout, { episode, theme }) {
    gates(context, box, layout, episode.fields.allocation_gate, episode.sizes.V, "write", theme);
    label(context, box, "allocation gate", ["1: to a free slot"], theme, episode.sizes.V);
  },

  free_gate(context, box, layout, { episode, theme }) {
    gates(context, box, layout, episode.fields.free_gate, episode.sizes.R, "read", theme);
    label(context, box, "free gate", ["after reading"], theme, episode.sizes.R);
  },

  modes(context, box, layout, { episode, theme }) {
    const { sizes, length } = episode;
    const height = box.height / sizes.R;
    for (let head = 0; head < sizes.R; head++) {
      const shades = modeColours(theme, headColour(theme, "read", head));
      const bottom = box.y + (head + 1) * height - 1;
      for (let t = 0; t < length; t++) {
        const { backward, content, forward } = readMode(episode, t, head);
        /** @type {Stack} */
        const stack = [];
        backward.forEach((value) => stack.push([value, shades.backward]));
        stack.push([content, shades.content]);
        forward.forEach((value) => stack.push([value, shades.forward]));
        drawStack(context, layout, t, bottom, height - 2, stack, theme);
      }
    }
    headMarks(context, box, sizes.R, "read", theme);
    label(context, box, "read mode", ["of each head"], theme, sizes.R);
  },
};

/**
 * All heads in their order, with names.
 *
 * @type {(sizes: {R: number, V: number}) => {kind: Kind, head: number, name: string}[]}
 */
export function heads({ R, V }) {
  /** @type {(kind: Kind, count: number) => {kind: Kind, head: number, name: string}[]} */
  const ofKind = (kind, count) =>
    numbers(count).map((head) => ({ kind, head, name: count === 1 ? kind : `${kind} ${head}` }));
  return [...ofKind("write", V), ...ofKind("read", R)];
}

/**
 * The colours of weights from 0 to 1, as a scale.
 *
 * @type {(theme: Theme) => Scale}
 */
function weightScale(theme) {
  const table = new Uint8ClampedArray(256 * 3);
  for (let i = 0; i < 256; i++) {
    table.set(mix(theme.background, theme.writes[0], opacity(i / 255)), i * 3);
  }
  return { table, low: 0, high: 1 };
}

/**
 * @type {(context: Context, box: Box, values: Float32Array, width: number, length: number,
 *   scale: Scale, theme: Theme) => void}
 */
function vectors(context, box, values, width, length, scale, theme) {
  heatMap(context, box, length, width, (t, i) => values[t * width + i], scale, theme);
}

/**
 * @type {(context: Context, box: Box, layout: TimelineLayout, episode: Episode,
 *   theme: Theme) => void}
 */
function fadeUnasked(context, box, layout, { fields, length }, theme) {
  if (!fields.mask) return;
  context.fillStyle = css(theme.background, 0.72);
  for (let t = 0; t < length; t++) {
    if (fields.mask[t] > 0) continue;
    const x = stepX(layout, t);
    context.fillRect(x, box.y, stepX(layout, t + 1) - x, box.height);
  }
}

/**
 * A frame in each wrong answer; a filled cell where there is no room.
 *
 * @type {(context: Context, box: Box, layout: TimelineLayout, episode: Episode,
 *   wrong: Uint8Array, theme: Theme) => void}
 */
function markWrong(context, box, layout, { sizes, length }, wrong, theme) {
  const height = box.height / sizes.Y;
  const width = layout.plot.width / length;
  context.strokeStyle = css(theme.wrong);
  context.fillStyle = css(theme.wrong);
  context.lineWidth = 1.5;
  for (let i = 0; i < length * sizes.Y; i++) {
    if (!wrong[i]) continue;
    const x = stepX(layout, Math.floor(i / sizes.Y));
    const y = box.y + (i % sizes.Y) * height;
    if (Math.min(width, height) < 5) {
      context.fillRect(x, y, width, height);
      continue;
    }
    context.strokeRect(x + 1.25, y + 1.25, width - 2.5, height - 2.5);
  }
}

/**
 * Weights of all heads over time: writes fill their cell, reads lie over it in stripes.
 *
 * @type {(context: Context, box: Box, layout: TimelineLayout, scene: Scene) => void}
 */
function drawWeights(context, box, layout, { episode, order, hidden, theme }) {
  const { fields, sizes, length } = episode;
  const { N, R, V } = sizes;
  const ratio = context.getTransform().a;
  const width = Math.round(box.width * ratio);
  const height = Math.round(box.height * ratio);
  if (!width || !height) return;
  const image = new ImageData(width, height);
  image.data.fill(255);
  new Uint32Array(image.data.buffer).fill(packed(theme.background));
  const shownWrites = numbers(V).filter((head) => !hidden.has(`write ${head}`));
  const shownReads = numbers(R).filter((head) => !hidden.has(`read ${head}`));
  const painter = new CellPainter(image, theme);
  for (let t = 0; t < length; t++) {
    const left = Math.round((t * width) / length);
    const right = Math.max(left + 1, Math.round(((t + 1) * width) / length));
    for (let i = 0; i < order.length; i++) {
      const top = Math.floor((i * height) / order.length);
      const bottom = Math.max(top + 1, Math.floor(((i + 1) * height) / order.length));
      const slot = order[i];
      const writing = weightsOf(fields.write_weights, shownWrites, t * V, N, slot);
      const reading = weightsOf(fields.read_weights, shownReads, t * R, N, slot);
      const least = Math.max(LEAST_WEIGHT, Math.max(largest(writing), largest(reading)) / 4);
      const writes = marksOf(writing, least, "write", theme);
      const reads = marksOf(reading, least, "read", theme);
      if (writes.length || reads.length) painter.paint(left, top, right, bottom, writes, reads);
    }
  }
  drawImage(context, image, box);
}

/** @type {(count: number) => number[]} */
function numbers(count) {
  return Array.from({ length: count }, (_, i) => i);
}

const LEAST_WEIGHT = 0.004; // that is drawn

/**
 * Pairs of a head and its weight on a slot.
 *
 * @type {(weights: Float32Array, shown: number[], start: number, N: number, slot: number) => Pairs}
 */
function weightsOf(weights, shown, start, N, slot) {
  return shown.map((head) => [head, weights[(start + head) * N + slot]]);
}

/** @type {(pairs: Pairs) => number} */
function largest(pairs) {
  return pairs.reduce((most, [, weight]) => (weight > most ? weight : most), 0);
}

/**
 * Marks for weights, except weights that are small next to another in the same cell.
 *
 * @type {(pairs: Pairs, least: number, kind: Kind, theme: Theme) => Mark[]}
 */
function marksOf(pairs, least, kind, theme) {
  return pairs
    .filter(([, weight]) => !(weight < least))
    .map(([head, weight]) => ({
      colour: Number.isFinite(weight) ? headColour(theme, kind, head) : theme.nan,
      alpha: opacity(weight),
    }));
}

/** @type {(colour: Colour) => number} */
function packed([r, g, b]) {
  return (255 << 24) | (b << 16) | (g << 8) | r;
}

class CellPainter {
  /**
   * @param {ImageData} image
   * @param {Theme} theme
   */
  constructor(image, theme) {
    this.pixels = new Uint32Array(image.data.buffer);
    this.width = image.width;
    this.background = theme.background;
  }

  /**
   * Paints a cell. Heads that coincide share it in upright stripes; tiny cells mix the colours.
   *
   * @type {(left: number, top: number, right: number, bottom: number, writes: Mark[],
   *   reads: Mark[]) => void}
   */
  paint(left, top, right, bottom, writes, reads) {
    const [width, height] = [right - left, bottom - top];
    const base = this.blend(this.background, writes);
    const inset = writes.length && reads.length ? Math.floor(height / 4) : 0;
    if (writes.length && (inset || !reads.length)) this.rectangle(left, top, right, bottom, base);
    if (!reads.length) return;
    if (width < reads.length * 2) {
      const colour = this.blend(writes.length ? base : this.background, reads);
      this.rectangle(left, top + inset, right, bottom - inset, colour);
      return;
    }
    reads.forEach((read, k) => {
      const from = left + Math.round((width * k) / reads.length);
      const to = left + Math.round((width * (k + 1)) / reads.length);
      const colour = mix(this.background, read.colour, read.alpha);
      this.rectangle(from, top + inset, to, bottom - inset, colour);
    });
  }

  /** @type {(colour: Colour, heads: Mark[]) => Colour} */
  blend(colour, heads) {
    if (!heads.length) return colour;
    const sum = heads.reduce((total, head) => total + head.alpha, 0);
    const mean = [0, 1, 2].map((i) =>
      heads.reduce((total, head) => total + (head.colour[i] * head.alpha) / sum, 0),
    );
    return mix(colour, mean, Math.max(...heads.map((head) => head.alpha)));
  }

  /** @type {(left: number, top: number, right: number, bottom: number, colour: Colour) => void} */
  rectangle(left, top, right, bottom, colour) {
    const value = packed(colour);
    for (let y = top; y < bottom; y++) {
      this.pixels.fill(value, y * this.width + left, y * this.width + right);
    }
  }
}

/**
 * Gates as bars from the bottom of each head's row.
 *
 * @type {(context: Context, box: Box, layout: TimelineLayout, values: Float32Array,
 *   heads: number, kind: Kind, theme: Theme) => void}
 */
function gates(context, box, layout, values, heads, kind, theme) {
  const height = box.height / heads;
  for (let head = 0; head < heads; head++) {
    const colour = headColour(theme, kind, head);
    const bottom = box.y + (head + 1) * height - 1;
    for (let t = 0; t < layout.steps; t++) {
      drawStack(
        context,
        layout,
        t,
        bottom,
        height - 2,
        [[values[t * heads + head], colour]],
        theme,
      );
    }
  }
  headMarks(context, box, heads, kind, theme);
}

/**
 * Values stacked from the bottom up, at one step; the whole column shows what is not a number.
 *
 * @type {(context: Context, layout: TimelineLayout, t: number, bottom: number, height: number,
 *   stack: Stack, theme: Theme) => void}
 */
function drawStack(context, layout, t, bottom, height, stack, theme) {
  const x = stepX(layout, t);
  const right = stepX(layout, t + 1);
  const width = right - x > 5 ? right - x - 1 : right - x;
  if (stack.some(([value]) => !Number.isFinite(value))) {
    context.fillStyle = css(theme.nan);
    context.fillRect(x, bottom - height, width, height);
    return;
  }
  let y = bottom;
  for (const [value, colour] of stack) {
    const room = y - (bottom - height);
    const size = Math.max(0, Math.min(room, height * value));
    context.fillStyle = css(colour);
    context.fillRect(x, y - size, width, size);
    y -= size;
  }
}

/** @type {(context: Context, layout: TimelineLayout, scene: Scene) => void} */
function drawAxis(context, layout, { episode, theme }) {
  const { plot, axisY, steps } = layout;
  const style = { size: 10, colour: theme.muted };
  write(context, "time step t", 2, axisY + 10, style);
  for (const t of ticks(steps, plot.width)) {
    const x = (stepX(layout, t) + stepX(layout, t + 1)) / 2;
    context.fillStyle = css(theme.muted);
    context.fillRect(Math.round(x), axisY, 1, 4);
    write(context, String(t), x, axisY + 11, { ...style, align: "center" });
  }
  const { tokensY } = layout;
  if (!episode.tokens || tokensY === null) return;
  write(context, "token", 2, tokensY + 6, style);
  for (const t of ticks(steps, plot.width, 13)) {
    const x = (stepX(layout, t) + stepX(layout, t + 1)) / 2;
    context.save();
    context.translate(x, tokensY);
    context.rotate(Math.PI / 2);
    write(context, shorten(labelOf(episode.tokens[t]), 16), 0, 0, { ...style, most: 86 });
    context.restore();
  }
  for (const t of ticks(steps, plot.width, 26)) {
    const x = (stepX(layout, t) + stepX(layout, t + 1)) / 2;
    pictureOf(episode.tokens[t]).forEach((line, number) => {
      const y = layout.picturesY + (number + 0.5) * PICTURE_LINE;
      write(context, line, x, y, { ...style, align: "center", font: "monospace" });
    });
  }
}

/** @type {(context: Context, layout: TimelineLayout, scene: Scene) => void} */
function drawLegend(context, layout, { episode, answers, theme }) {
  const y = layout.legendY + 12;
  let x = layout.plot.x;
  const style = { size: 10, colour: theme.muted };
  write(context, "read mode", 2, y, style);
  const shades = modeColours(theme, headColour(theme, "read", 0));
  for (const mode of /** @type {const} */ (["backward", "content", "forward"])) {
    x += chip(context, x, y, shades[mode], mode, theme) + 14;
  }
  if (answers.wrong && answers.right < answers.asked) {
    x += chip(context, x, y, theme.wrong, `wrong ${answers.unit}`, theme) + 14;
  }
  if (hasStrange(episode)) chip(context, x, y, theme.nan, "not a finite number", theme);
}

/** @type {WeakMap<Episode, boolean>} */
const strange = new WeakMap();

/**
 * Whether any number of an episode is not finite.
 *
 * @type {(episode: Episode) => boolean}
 */
export function hasStrange(episode) {
  let found = strange.get(episode);
  if (found === undefined) {
    found = Object.values(episode.fields).some(
      (values) => values instanceof Float32Array && values.some((value) => !Number.isFinite(value)),
    );
    strange.set(episode, found);
  }
  return found;
}

/**
 * The cursor at step t, the chosen slot, and the place under the pointer.
 *
 * @type {(context: Context, layout: TimelineLayout, scene: Scene, t: number,
 *   hover: ?number) => void}
 */
export function drawCursor(context, layout, scene, t, hover) {
  const { theme, order, slot } = scene;
  const { plot, steps } = layout;
  if (!steps) return;
  const row = slot === null ? -1 : order.indexOf(slot);
  for (const band of layout.bands) {
    if (row < 0 || !["weights", "usage"].includes(band.id)) continue;
    const height = band.height / band.rows;
    const y = band.y + row * height;
    context.strokeStyle = css(theme.cursor);
    context.lineWidth = 1;
    context.strokeRect(plot.x - 2, y - 1, plot.width + 4, Math.max(3, height) + 2);
  }
  if (hover !== null && hover !== t) {
    context.fillStyle = css(theme.cursor, 0.06);
    context.fillRect(stepX(layout, hover), plot.y, plot.width / steps, plot.height);
  }
  const left = stepX(layout, t);
  const width = plot.width / steps;
  context.fillStyle = css(theme.cursor, 0.07);
  context.fillRect(left, plot.y - 4, width, plot.height + 6);
  context.fillStyle = css(theme.cursor);
  context.fillRect(Math.round(left) - 1, plot.y - 4, 1, plot.height + 6);
  context.fillRect(Math.round(left + width), plot.y - 4, 1, plot.height + 6);
  const text = `t = ${t}`;
  const labelX = Math.min(Math.max(left + width / 2, plot.x + 18), plot.x + plot.width - 18);
  /** @type {import("./draw_common.js").Style} */
  const style = { size: 11, weight: 600, colour: theme.text, align: "center" };
  write(context, text, labelX, plot.y - 12, style);
}
