// One step in detail: what each head does, and the memory with everything that lines up with it.

import { aroundZero, css, headColour, mix, modeColours } from "./colours.js";
import { count, labelOf, number, plural, share } from "./format.js";
import { frame, heatMap, measure, scaleBar, write } from "./draw_common.js";
import { drawExtras } from "./draw_extras.js";
import { heads } from "./draw_timeline.js";
import { readMode, strongest, writeMode } from "./slots.js";
import { row } from "./episode.js";

const MOST_ARCS = 400; // drawn at once; more would be a smudge

/**
 * @typedef {import("./colours.js").Colour} Colour
 * @typedef {import("./colours.js").Theme} Theme
 * @typedef {import("./draw_common.js").Context} Context
 * @typedef {import("./draw_common.js").Style} Style
 * @typedef {import("./draw_timeline.js").Scene} Scene
 * @typedef {import("./episode.js").Episode} Episode
 * @typedef {import("./episode.js").Kind} Kind
 * @typedef {import("./layout.js").Box} Box
 * @typedef {import("./layout.js").DetailsLayout} DetailsLayout
 * @typedef {import("./layout.js").VectorId} VectorId
 * @typedef {import("./replay.js").Replay} Replay
 *
 * @typedef {[name: string, value: number, colour: Colour]} Share of a head's mode
 */

/**
 * @param {Context} context
 * @param {DetailsLayout} layout
 * @param {Scene} scene
 * @param {Replay} replay
 * @param {number} t
 * @param {?number} hoverRow row of the memory under the pointer
 */
export function drawDetails(context, layout, scene, replay, t, hoverRow) {
  const { theme } = scene;
  context.fillStyle = css(theme.background);
  context.fillRect(0, 0, layout.width, layout.height);
  if (!scene.episode.length) return;
  drawHeads(context, layout, scene, t);
  drawTitles(context, layout, scene, replay, t);
  drawVectors(context, layout, scene, t);
  drawMemory(context, layout, scene, replay, t);
  drawSlots(context, layout, scene, t);
  drawLanes(context, layout, scene, t);
  drawLinks(context, layout, scene, replay, t, hoverRow);
  drawMarkedRows(context, layout, scene, hoverRow);
  drawScale(context, layout, scene);
  drawExtras(context, layout, scene, t);
}

// --- What each head does -------------------------------------------------------------------------

const NAME_WIDTH = 70;
const SLOT_WIDTH = 96;
const STRENGTH_WIDTH = 62;

/** @type {(context: Context, layout: DetailsLayout, scene: Scene, t: number) => void} */
function drawHeads(context, layout, { episode, theme }, t) {
  const { fields, sizes, tokens } = episode;
  title(context, 8, `Heads at t = ${t}`, tokens ? `“${labelOf(tokens[t])}”` : "", layout, theme);
  const small = { size: 10, colour: theme.muted };
  write(context, "strongest slot", NAME_WIDTH, 38, small);
  write(context, "how the slot is chosen", NAME_WIDTH + SLOT_WIDTH, 38, small);
  write(context, "key strength", layout.width, 38, { ...small, align: "right" });
  const names = heads(sizes);
  layout.heads.forEach(({ kind, head, y, height }, i) => {
    const middle = y + height / 2;
    const colour = headColour(theme, kind, head);
    context.fillStyle = css(colour);
    context.fillRect(0, middle - 5, 10, 10);
    write(context, names[i].name, 15, middle, { size: 12, weight: 600, colour: theme.text });
    const heads = kind === "write" ? sizes.V : sizes.R;
    const weights = row(weightsOf(episode, kind), sizes.N, t * heads + head);
    const { slot, weight } = strongest(weights);
    const faint = weight >= 0.1 ? theme.text : theme.muted;
    if (slot >= 0) {
      write(context, `slot ${slot}`, NAME_WIDTH, middle, { size: 12, colour: faint });
      write(context, share(weight), NAME_WIDTH + SLOT_WIDTH - 14, middle, {
        size: 12,
        colour: faint,
        align: "right",
      });
    } else {
      write(context, "not a number", NAME_WIDTH, middle, { size: 12, colour: theme.nan });
    }
    const left = NAME_WIDTH + SLOT_WIDTH;
    const bar = {
      x: left,
      y: y + 4,
      width: layout.width - left - STRENGTH_WIDTH,
      height: height - 8,
    };
    drawModes(context, bar, modesOf(episode, t, kind, head, colour, theme), theme);
    const strength = fields[/** @type {const} */ (`${kind}_strengths`)][t * heads + head];
    /** @type {Style} */
    const style = { size: 12, colour: theme.text, align: "right" };
    write(context, number(strength), layout.width, middle, style);
  });
}

/**
 * @type {(episode: Episode, t: number, kind: Kind, head: number, colour: Colour,
 *   theme: Theme) => Share[]}
 */
function modesOf(episode, t, kind, head, colour, theme) {
  const shades = modeColours(theme, colour);
  if (kind === "write") {
    const { allocated, content, none } = writeMode(episode, t, head);
    return [
      ["free slot", allocated, shades.allocated],
      ["content", content, shades.content],
      ["no write", none, shades.none],
    ];
  }
  const { backward, content, forward } = readMode(episode, t, head);
  const several = backward.length > 1;
  /** @type {(mode: "backward"|"forward") => (value: number, v: number) => Share} */
  const named = (mode) => (value, v) => [several ? `${mode} ${v}` : mode, value, shades[mode]];
  return [
    ...Array.from(backward, named("backward")),
    ["content", content, shades.content],
    ...Array.from(forward, named("forward")),
  ];
}

/**
 * A bar of shares that sum to 1, named where there is room.
 *
 * @type {(context: Context, bar: Box, modes: Share[], theme: Theme) => void}
 */
function drawModes(context, bar, modes, theme) {
  let { x } = bar;
  for (const [name, value, colour] of modes) {
    if (!Number.isFinite(value)) {
      context.fillStyle = css(theme.nan);
      context.fillRect(bar.x, bar.y, bar.width, bar.height);
      break;
    }
    const width = Math.max(0, Math.min(bar.x + bar.width - x, bar.width * value));
    context.fillStyle = css(colour);
    context.fillRect(x, bar.y, width, bar.height);
    const texts = [`${name} ${share(value)}`, share(value)];
    const text = texts.find((each) => measure(context, each, { size: 11 }) < width - 8);
    if (text) write(context, text, x + 5, bar.y + bar.height / 2 + 0.5, { colour: onto(colour) });
    x += width;
    context.fillStyle = css(theme.background);
    if (width > 2) context.fillRect(x - 1, bar.y, 1, bar.height);
  }
  frame(context, bar, theme.hairline);
}

/**
 * Black or white, whichever can be read on a colour.
 *
 * @type {(colour: Colour) => Colour}
 */
function onto([r, g, b]) {
  return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? [20, 22, 26] : [255, 255, 255];
}

// --- The memory ----------------------------------------------------------------------------------

/**
 * @type {(context: Context, y: number, text: string, note: string, layout: DetailsLayout,
 *   theme: Theme) => void}
 */
function title(context, y, text, note, layout, theme) {
  const style = { size: 14, weight: 600, colour: theme.text };
  write(context, text, 0, y, style);
  const left = measure(context, text, style) + 10;
  write(context, note, left, y + 0.5, { size: 11, colour: theme.muted, most: layout.width - left });
}

/**
 * @type {(context: Context, layout: DetailsLayout, scene: Scene, replay: Replay,
 *   t: number) => void}
 */
function drawTitles(context, layout, { episode, theme }, replay, t) {
  const notes = [];
  if (episode.memory === "derived") notes.push("memory computed from the writes; not stored");
  const top = layout.matrixTop + 8;
  title(context, top, `Memory after step ${t}`, notes.join("; "), layout, theme);
  write(context, linksNote(episode, replay, t), 0, top + 18, {
    size: 10,
    colour: theme.muted,
    most: layout.width,
  });
  /** @type {Style} */
  const style = { size: 10, colour: theme.muted, align: "center" };
  const y = layout.memory.y - 9;
  const { links, slots, usage, memory, lanes } = layout;
  if (episode.links !== "missing") write(context, "links", links.x + links.width / 2, y, style);
  write(context, "slot", slots.x + slots.width - 6, y, { ...style, align: "right" });
  write(context, "usage", usage.x + usage.width / 2, y, style);
  const words = `${plural(layout.rows, "slot")} × ${plural(layout.columns, "number")}`;
  write(context, words, memory.x + memory.width / 2, y, style);
  for (const { kind, head, x, width } of lanes) {
    const several = (kind === "write" ? episode.sizes.V : episode.sizes.R) > 1;
    const name = width >= 34 ? kind : kind[0];
    const text = several ? `${name} ${head}` : name;
    write(context, text, x + width / 2, y, { ...style, colour: headColour(theme, kind, head) });
  }
}

/**
 * Describes the source of the links and their number.
 *
 * @type {(episode: Episode, replay: Replay, t: number) => string}
 */
export function linksNote(episode, replay, t) {
  const links = replay.linksAt(t);
  if (!links) return "This model keeps its own kind of links, which are not shown.";
  const found = plural(links.values.length, "link");
  const shown = links.values.length > MOST_ARCS ? `, the ${MOST_ARCS} strongest shown` : "";
  if (episode.links === "derived") {
    const sparse = episode.linkage === "sparse" ? "; the model keeps only the strongest" : "";
    const broken = links.unknown ? ` (${count(links.unknown)} are not numbers)` : "";
    return `${found}${shown}${broken}; computed from the writes, not stored${sparse}`;
  }
  return `${found} of at least ${share(episode.linkThreshold)}${shown}; weaker ones are not stored`;
}

/**
 * Keys and vectors as rows that line up with the columns of the memory.
 *
 * @type {(context: Context, layout: DetailsLayout, scene: Scene, t: number) => void}
 */
function drawVectors(context, layout, { episode, theme, memoryScale }, t) {
  const { fields, sizes } = episode;
  for (const { id, kind, head, y, height } of layout.vectors) {
    const heads = kind === "write" ? sizes.V : sizes.R;
    const values = row(fields[id], sizes.W, t * heads + head);
    const box = { x: layout.memory.x, y, width: layout.memory.width, height };
    heatMap(
      context,
      box,
      sizes.W,
      1,
      (i) => values[i],
      vectorScale(id, values, memoryScale, theme),
      theme,
    );
    frame(context, box, theme.hairline);
    const middle = y + height / 2;
    context.fillStyle = css(headColour(theme, kind, head));
    context.fillRect(box.x - 12, middle - 3, 6, 6);
    const several = heads > 1 ? ` ${head}` : "";
    /** @type {Style} */
    const style = { size: 10, colour: theme.muted, align: "right" };
    write(context, `${VECTOR_NAMES[id]}${several}`, box.x - 16, middle, style);
    write(context, VECTOR_NOTES[id] ?? "", box.x + box.width + 8, middle, {
      size: 10,
      colour: theme.muted,
      most: layout.width - box.x - box.width - 8,
    });
  }
}

/** @type {Record<VectorId, string>} */
export const VECTOR_NAMES = {
  write_keys: "write key",
  erase_vectors: "erased",
  write_vectors: "written",
  read_keys: "read key",
  read_words: "word read",
};
/** @type {Partial<Record<VectorId, string>>} */
const VECTOR_NOTES = { write_keys: "key: own scale", erase_vectors: "share, 0 to 1" };

/**
 * Only a key's direction counts: it has a scale of its own. Words have the memory's scale.
 *
 * @type {(id: VectorId, values: Float32Array, memoryScale: number,
 *   theme: Theme) => import("./colours.js").Scale}
 */
function vectorScale(id, values, memoryScale, theme) {
  if (id === "erase_vectors") return { table: theme.inkRamp, low: 0, high: 1 };
  if (!id.endsWith("keys")) return aroundZero(memoryScale, theme);
  const largest = values.reduce(
    (most, x) => (Math.abs(x) < Infinity ? Math.max(most, Math.abs(x)) : most),
    0,
  );
  return aroundZero(largest || 1, theme);
}

/**
 * @type {(context: Context, layout: DetailsLayout, scene: Scene, replay: Replay,
 *   t: number) => void}
 */
function drawMemory(context, layout, { episode, order, memoryScale, theme }, replay, t) {
  const { W } = episode.sizes;
  const values = replay.memoryAt(t);
  /** @type {(column: number, i: number) => number} */
  const valueAt = (column, i) => values[order[i] * W + column];
  heatMap(context, layout.memory, W, order.length, valueAt, aroundZero(memoryScale, theme), theme);
  frame(context, layout.memory, theme.hairline);
}

/**
 * Middle of a row of the memory.
 *
 * @type {(layout: DetailsLayout, i: number) => number}
 */
function rowY({ memory, rows }, i) {
  return memory.y + ((i + 0.5) * memory.height) / rows;
}

/**
 * Slot numbers, as many as fit, and usage as bars.
 *
 * @type {(context: Context, layout: DetailsLayout, scene: Scene, t: number) => void}
 */
function drawSlots(context, layout, { episode, order, slot, theme }, t) {
  const { memory, slots, usage } = layout;
  const height = memory.height / Math.max(1, layout.rows);
  const every = Math.max(1, Math.ceil(11 / height));
  /** @type {Style} */
  const style = { size: 10, colour: theme.muted, align: "right" };
  const chosen = slot === null ? -1 : order.indexOf(slot);
  order.forEach((each, i) => {
    const near = chosen >= 0 && Math.abs(i - chosen) < every;
    if (i === chosen || (i % every === 0 && !near)) {
      const bold = i === chosen ? { weight: 700, colour: theme.text } : {};
      write(context, String(each), slots.x + slots.width - 6, rowY(layout, i), {
        ...style,
        ...bold,
      });
    }
  });
  const colour = css(theme.usage[3]);
  const values = row(episode.fields.usage, episode.sizes.N, t);
  bars(context, layout, usage.x, usage.width, order, values, () => colour, theme);
  context.fillStyle = css(theme.hairline);
  context.fillRect(usage.x - 1, memory.y, 1, memory.height);
}

/**
 * For each head the weights as bars, and what its key alone would choose as outlines.
 *
 * @type {(context: Context, layout: DetailsLayout, scene: Scene, t: number) => void}
 */
function drawLanes(context, layout, { episode, order, hidden, theme }, t) {
  const { fields, sizes } = episode;
  const { memory } = layout;
  const height = memory.height / Math.max(1, layout.rows);
  for (const { kind, head, x, width } of layout.lanes) {
    const heads = kind === "write" ? sizes.V : sizes.R;
    const colour = headColour(theme, kind, head);
    context.fillStyle = css(theme.hairline);
    context.fillRect(x - 1, memory.y, 1, memory.height);
    if (hidden.has(`${kind} ${head}`)) continue;
    const weights = row(weightsOf(episode, kind), sizes.N, t * heads + head);
    const content = fields[/** @type {const} */ (`${kind}_content_weights`)];
    const matches = row(content, sizes.N, t * heads + head);
    bars(context, layout, x, width, order, weights, () => css(colour), theme);
    context.strokeStyle = css(colour, 0.75);
    context.lineWidth = 1;
    context.beginPath();
    order.forEach((slot, i) => {
      const size = width * Math.min(1, matches[slot]);
      if (!(size >= 1)) return;
      const top = memory.y + i * height;
      if (height >= 5) context.rect(x + 0.5, top + 1.5, size, height - 3);
      else {
        context.moveTo(x + size, top);
        context.lineTo(x + size, top + Math.max(1, height));
      }
    });
    context.stroke();
  }
}

/** @type {(episode: Episode, kind: Kind) => Float32Array} */
function weightsOf({ fields }, kind) {
  return kind === "write" ? fields.write_weights : fields.read_weights;
}

/**
 * @type {(context: Context, layout: DetailsLayout, x: number, width: number, order: number[],
 *   values: Float32Array, colourOf: (slot: number) => string, theme: Theme) => void}
 */
function bars(context, layout, x, width, order, values, colourOf, theme) {
  const { memory, rows } = layout;
  const height = memory.height / rows;
  const thickness = height >= 4 ? height - 2 : height;
  order.forEach((slot, i) => {
    const value = values[slot];
    if (!Number.isFinite(value)) context.fillStyle = css(theme.nan);
    else if (value < 0.002) return;
    else context.fillStyle = colourOf(slot);
    const size = Number.isFinite(value) ? width * Math.min(1, value) : width;
    context.fillRect(x, memory.y + i * height + (height - thickness) / 2, size, thickness);
  });
}

/**
 * Links as arcs from a slot to the one that was written right after it.
 *
 * @type {(context: Context, layout: DetailsLayout, scene: Scene, replay: Replay, t: number,
 *   hoverRow: ?number) => void}
 */
function drawLinks(context, layout, { order, hidden, slot, theme }, replay, t, hoverRow) {
  const links = replay.linksAt(t);
  if (!links) return;
  const rowOf = new Map(order.map((each, i) => [each, i]));
  const marked = hoverRow === null ? slot : order[hoverRow];
  const right = layout.links.x + layout.links.width - 4;
  const most = Math.min(links.values.length, MOST_ARCS);
  for (let pass = 0; pass < 2; pass++) {
    for (let k = most - 1; k >= 0; k--) {
      const [to, from, head] = [links.to[k], links.from[k], links.heads[k]];
      const isMarked = marked !== null && (to === marked || from === marked);
      if ((pass === 1) !== isMarked || hidden.has(`write ${head}`)) continue;
      const [fromRow, toRow] = [rowOf.get(from), rowOf.get(to)];
      if (fromRow === undefined || toRow === undefined) continue;
      const fade = marked === null || isMarked ? 1 : 0.4;
      const colour = headColour(theme, "write", head);
      const [start, end] = [rowY(layout, fromRow), rowY(layout, toRow)];
      drawArc(context, right, layout.links.width - 14, start, end, colour, {
        alpha: Math.min(1, links.values[k]) ** 0.6 * fade,
        width: isMarked ? 2 : 1.25,
        theme,
      });
    }
  }
}

/**
 * An arc from one height to another: pale where it starts, an arrow head where it ends.
 *
 * @type {(context: Context, x: number, reach: number, start: number, end: number, colour: Colour,
 *   style: {alpha: number, width: number, theme: Theme}) => void}
 */
function drawArc(context, x, reach, start, end, colour, { alpha, width, theme }) {
  const distance = Math.abs(end - start);
  const depth = Math.min(reach, 8 + distance * 0.35) * 1.3;
  const strong = mix(theme.background, colour, alpha);
  const gradient = context.createLinearGradient(0, start, 0, end);
  gradient.addColorStop(0, css(mix(theme.background, colour, alpha * 0.3)));
  gradient.addColorStop(1, css(strong));
  context.strokeStyle = gradient;
  context.lineWidth = width;
  context.beginPath();
  context.moveTo(x, start);
  context.bezierCurveTo(x - depth, start, x - depth, end, x - 4, end);
  context.stroke();
  context.fillStyle = css(strong);
  context.beginPath();
  context.moveTo(x + 1, end);
  context.lineTo(x - 5, end - 2.5);
  context.lineTo(x - 5, end + 2.5);
  context.fill();
}

/**
 * Outlines the chosen slot; tints the one under the pointer.
 *
 * @type {(context: Context, layout: DetailsLayout, scene: Scene, hoverRow: ?number) => void}
 */
function drawMarkedRows(context, layout, { order, slot, theme }, hoverRow) {
  const { memory, rows, end } = layout;
  const height = memory.height / Math.max(1, rows);
  if (hoverRow !== null) {
    context.fillStyle = css(theme.cursor, 0.07);
    context.fillRect(layout.slots.x, memory.y + hoverRow * height, end - layout.slots.x, height);
  }
  const chosen = slot === null ? -1 : order.indexOf(slot);
  if (chosen < 0) return;
  const box = {
    x: layout.slots.x + 2,
    y: memory.y + chosen * height,
    width: end - layout.slots.x - 4,
    height,
  };
  frame(context, box, theme.cursor);
}

/** @type {(context: Context, layout: DetailsLayout, scene: Scene) => void} */
function drawScale(context, layout, { memoryScale, memoryLargest, theme }) {
  const { memory, scaleY } = layout;
  const scale = aroundZero(memoryScale, theme);
  const beyond = memoryLargest > memoryScale;
  const low = `${beyond ? "≤ " : ""}${number(-memoryScale)}`;
  const high = `${beyond ? "≥ " : ""}${number(memoryScale)}`;
  const width = scaleBar(context, memory.x, scaleY + 8, 90, scale, low, high, theme);
  const style = { size: 10, colour: theme.muted };
  const left = memory.x + width + 16;
  const text = "bar: weight   outline: what the key alone matches";
  const needed = measure(context, text, style);
  if (left + needed <= layout.width)
    write(context, text, layout.width, scaleY + 8, { ...style, align: "right" });
  else write(context, text, layout.width, scaleY + 22, { ...style, align: "right" });
}
