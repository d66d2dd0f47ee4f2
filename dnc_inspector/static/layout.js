// The place of everything, in CSS pixels, and what is at a point. Nothing is drawn here.

import { bandOf, countShown } from "./extras.js";
import { pictureOf } from "./format.js";

/**
 * @typedef {{x: number, y: number, width: number, height: number}} Box
 *
 * @typedef {"inputs"|"target"|"outputs"|"weights"|"usage"|"write_gate"|"allocation_gate"
 *   |"free_gate"|"modes"} KnownBandId
 *
 * @typedef {KnownBandId|`extra:${string}`} BandId
 *
 * @typedef {object} Band one strip of the timeline
 * @property {BandId} id
 * @property {number} y
 * @property {number} height
 * @property {number} rows number of rows, all of the same height
 *
 * @typedef {import("./episode.js").Kind} Kind
 *
 * @typedef {ReturnType<typeof timelineLayout>} TimelineLayout
 * @typedef {ReturnType<typeof detailsLayout>} DetailsLayout
 *
 * @typedef {{kind: Kind, head: number, y: number, height: number}} HeadRow
 *
 * @typedef {"write_keys"|"erase_vectors"|"write_vectors"|"read_keys"|"read_words"} VectorId
 *
 * @typedef {{id: VectorId, kind: Kind, head: number}} Vector
 *
 * @typedef {Vector & {y: number, height: number}} VectorRow
 *
 * @typedef {{extra: import("./extras.js").Extra, rows: number, columns: number, titleY: number,
 *   box: Box}} ExtraBox the matrix of an extra, and the height of its title
 *
 * @typedef {{band: BandId, step: number, row: number}} TimelineHit
 *
 * @typedef {object} DetailsHit which of the others there are depends on the area
 * @property {"head"|"vector"|"memory"|"links"|"slots"|"usage"|"lane"|"extra"} area
 * @property {Kind} [kind] of a head, vector or lane
 * @property {number} [head] of a head, vector or lane
 * @property {VectorId} [id] of a vector
 * @property {?number} [column] of a vector, the memory or an extra; null for a vector's name
 * @property {number} [row] of the memory, lanes, links, slots and usage
 * @property {import("./extras.js").Extra} [extra]
 * @property {number} [line] row of an extra
 */

const GUTTER = 138; // left of the timeline's plot: labels
const BAND_GAP = 10;
const AXIS_HEIGHT = 22;
const TOKEN_HEIGHT = 90;
export const PICTURE_LINE = 11; // of a token with several lines
const LEGEND_HEIGHT = 22;
const CURSOR_LABEL = 20;
const TALLEST = 6000; // Browsers limit how large a canvas is.

/** @type {(value: number, low: number, high: number) => number} */
function clamp(value, low, high) {
  return Math.max(low, Math.min(high, value));
}

/**
 * The timeline: bands above each other that share one axis of time.
 *
 * @param {import("./episode.js").Episode} episode
 * @param {number} slots number of slots shown
 * @param {number} width
 * @returns {{width: number, height: number, plot: Box, steps: number, bands: Band[], axisY: number,
 *   tokensY: ?number, picturesY: number, legendY: number}}
 */
export function timelineLayout({ sizes, length, fields, tokens, extras }, slots, width) {
  const { X, Y, Z = 0, R, V } = sizes;
  const legendOfHeads = 50 + 15 * (R + V);
  /** @type {(rows: number) => number} */
  const vectorHeight = (rows) => Math.round(clamp(rows * 7, 56, 84));
  const tallest = clamp(slots * 1.25, 320, TALLEST);
  const strips = [
    { id: "inputs", rows: X, height: vectorHeight(X) },
    fields.target && { id: "target", rows: Z, height: vectorHeight(Z) },
    { id: "outputs", rows: Y, height: vectorHeight(Y) },
    {
      id: "weights",
      rows: slots,
      height: Math.round(clamp(slots * 8, Math.max(80, legendOfHeads), tallest)),
    },
    { id: "usage", rows: slots, height: Math.round(clamp(slots * 4, 56, 160)) },
    { id: "write_gate", rows: V, height: 16 * V },
    { id: "allocation_gate", rows: V, height: 16 * V },
    { id: "free_gate", rows: R, height: 14 * R },
    { id: "modes", rows: R, height: 22 * R },
    ...extras.map(({ name, axes, shape }) => {
      const rows = countShown(axes, shape, slots);
      return { id: bandOf(name), rows, height: rows < 2 ? 16 : clamp(rows * 7, 48, 120) };
    }),
  ].filter(Boolean);
  const bands = /** @type {Band[]} */ (strips); // Now they get their y.
  let y = CURSOR_LABEL;
  for (const band of bands) {
    band.y = y;
    y += band.height + BAND_GAP;
  }
  y -= BAND_GAP;
  const plot = { x: GUTTER, y: CURSOR_LABEL, width: width - GUTTER - 10, height: y - CURSOR_LABEL };
  const axisY = y + 2;
  const tokensY = tokens ? axisY + AXIS_HEIGHT : null;
  const picturesY = axisY + AXIS_HEIGHT + (tokens ? TOKEN_HEIGHT : 0);
  const lines = Math.max(0, ...(tokens ?? []).map((token) => pictureOf(token).length));
  const legendY = picturesY + (lines ? (lines + 1) * PICTURE_LINE : 0);
  return {
    width,
    height: legendY + LEGEND_HEIGHT,
    plot,
    steps: length,
    bands,
    axisY,
    tokensY,
    picturesY,
    legendY,
  };
}

/**
 * Left edge of a step; `t` = steps gives the right end.
 *
 * @type {(layout: TimelineLayout, t: number) => number}
 */
export function stepX({ plot, steps }, t) {
  return plot.x + (plot.width * t) / Math.max(1, steps);
}

/**
 * The step at x, the nearest one outside of the plot.
 *
 * @type {(layout: TimelineLayout, x: number) => number}
 */
export function stepAt({ plot, steps }, x) {
  return clamp(Math.floor(((x - plot.x) / plot.width) * steps), 0, Math.max(0, steps - 1));
}

/**
 * The row at y of a box, from the top.
 *
 * @type {(box: {y: number, height: number}, rows: number, y: number) => number}
 */
function rowAt(box, rows, y) {
  return clamp(Math.floor(((y - box.y) / box.height) * rows), 0, rows - 1);
}

/**
 * What is at a point of the timeline.
 *
 * @param {TimelineLayout} layout
 * @param {number} x
 * @param {number} y
 * @returns {?TimelineHit} null outside of the bands
 */
export function hitTimeline(layout, x, y) {
  const { plot, bands, steps } = layout;
  if (!steps || x < plot.x || x >= plot.x + plot.width) return null;
  const band = bands.find((each) => y >= each.y && y < each.y + each.height);
  if (!band || !band.rows) return null;
  return { band: band.id, step: stepAt(layout, x), row: rowAt(band, band.rows, y) };
}

/**
 * Steps with a number on the axis: `gap` pixels apart or more, by 1, 2 or 5 times a power of 10.
 *
 * @type {(steps: number, width: number, gap?: number) => number[]}
 */
export function ticks(steps, width, gap = 44) {
  const least = Math.max(1, (steps * gap) / width);
  const power = 10 ** Math.floor(Math.log10(least));
  const every = [1, 2, 5].map((n) => n * power).find((n) => n >= least) ?? 10 * power;
  const result = [];
  for (let t = 0; t < steps; t += every) result.push(t);
  return result;
}

const HEAD_ROW = 24;
const HEADS_TOP = 50;
const MATRIX_TITLE = 46;
const VECTOR_ROW = 12;
const SECTION_GAP = 26;

/**
 * The details of one step: a row for each head, then the memory with all that lines up with it.
 *
 * Rows of the memory share their height with links, slot numbers, usage and weights; vectors
 * written and read share its columns.
 *
 * @param {import("./episode.js").Episode} episode
 * @param {number} slots number of slots shown
 * @param {number} width
 */
export function detailsLayout({ sizes, extras }, slots, width) {
  const { R, V, W } = sizes;
  /** @type {HeadRow[]} */
  const heads = [];
  /** @type {(kind: Kind, head: number) => void} */
  const addHead = (kind, head) => {
    heads.push({ kind, head, y: HEADS_TOP + heads.length * HEAD_ROW, height: HEAD_ROW });
  };
  for (let head = 0; head < V; head++) addHead("write", head);
  for (let head = 0; head < R; head++) addHead("read", head);
  const headsEnd = HEADS_TOP + heads.length * HEAD_ROW;

  const links = clamp(width * 0.15, 56, 120);
  const slotLabel = 30;
  const usage = clamp(width * 0.07, 30, 54);
  const matrixX = links + slotLabel + usage + 8;
  const available = width - matrixX - 14; // for the memory and the lanes of weights
  const lanes = clamp(available * 0.46, 14 * (R + V), 46 * (R + V));
  const matrixWidth = Math.min(available - lanes, Math.max(W * 26, 140));
  const lane = Math.min((available - matrixWidth) / (R + V), 72);

  const top = headsEnd + SECTION_GAP;
  /** @type {Vector[]} */
  const written = [];
  for (let head = 0; head < V; head++) {
    written.push({ id: "write_keys", kind: "write", head });
    written.push({ id: "erase_vectors", kind: "write", head });
    written.push({ id: "write_vectors", kind: "write", head });
  }
  /** @type {Vector[]} */
  const read = [];
  for (let head = 0; head < R; head++) {
    read.push({ id: "read_keys", kind: "read", head });
    read.push({ id: "read_words", kind: "read", head });
  }
  let y = top + MATRIX_TITLE;
  y = stack(written, y);
  const rowHeight = Math.min(clamp(384 / Math.max(1, slots), 2, 20), TALLEST / Math.max(1, slots));
  const memory = {
    x: matrixX,
    y: y + 20,
    width: matrixWidth,
    height: Math.round(rowHeight * slots),
  };
  y = stack(read, memory.y + memory.height + 8);
  const scaleY = y + 10;
  let bottom = scaleY + 30;
  /** @type {ExtraBox[]} */
  const boxes = [];
  for (const extra of extras) {
    const { axes, shape } = extra;
    const rows = countShown(axes, shape.slice(0, -1), slots);
    const columns = countShown(axes.slice(-1), shape.slice(-1), slots);
    const titleY = bottom + 18;
    const box = {
      x: matrixX,
      y: titleY + 12,
      // Numbers of a word are below the same numbers of the memory.
      width: axes.endsWith("W") ? matrixWidth : Math.min(available, Math.max(14, columns * 14)),
      height: rows * clamp(160 / Math.max(1, rows), 2, VECTOR_ROW),
    };
    boxes.push({ extra, rows, columns, titleY, box });
    bottom = box.y + box.height + 10;
  }
  return {
    width,
    height: bottom,
    extras: boxes,
    end: matrixX + matrixWidth + 14 + lane * (R + V), // of the rows of slots
    heads,
    headsTop: 0,
    matrixTop: top,
    vectors: /** @type {VectorRow[]} */ ([...written, ...read]), // `stack` gave them their y.
    memory,
    rows: slots,
    columns: W,
    links: { x: 0, width: links },
    slots: { x: links, width: slotLabel },
    usage: { x: links + slotLabel, width: usage },
    lanes: heads.map(({ kind, head }, i) => ({
      kind,
      head,
      x: matrixX + matrixWidth + 14 + i * lane,
      width: lane - 4,
    })),
    scaleY,
  };
}

/**
 * Puts rows of vectors under each other, with gaps between different heads.
 *
 * @type {(vectors: Vector[], y: number) => number}
 */
function stack(vectors, y) {
  vectors.forEach((vector, i) => {
    if (i && vector.head !== vectors[i - 1].head) y += 4;
    Object.assign(vector, { y, height: VECTOR_ROW - 1 });
    y += VECTOR_ROW;
  });
  return y;
}

/**
 * What is at a point of the details.
 *
 * @param {DetailsLayout} layout
 * @param {number} x
 * @param {number} y
 * @returns {?DetailsHit}
 */
export function hitDetails(layout, x, y) {
  /** @type {(start: number, size: number, value: number) => boolean} */
  const inside = (start, size, value) => value >= start && value < start + size;
  for (const { kind, head, y: top, height } of layout.heads) {
    if (inside(top, height, y)) return { area: "head", kind, head };
  }
  const { memory } = layout;
  const column = clamp(
    Math.floor(((x - memory.x) / memory.width) * layout.columns),
    0,
    layout.columns - 1,
  );
  for (const vector of layout.vectors) {
    if (inside(vector.y, vector.height + 1, y) && x < memory.x + memory.width) {
      const { id, kind, head } = vector;
      return { area: "vector", id, kind, head, column: x < memory.x ? null : column };
    }
  }
  for (const { extra, rows, columns, box } of layout.extras) {
    if (!columns || !inside(box.y, box.height, y) || !inside(box.x, box.width, x)) continue;
    const at = clamp(Math.floor(((x - box.x) / box.width) * columns), 0, columns - 1);
    return { area: "extra", extra, line: rowAt(box, rows, y), column: at };
  }
  if (!layout.rows || !inside(memory.y, memory.height, y)) return null;
  const row = rowAt(memory, layout.rows, y);
  if (inside(memory.x, memory.width, x)) return { area: "memory", row, column };
  for (const area of /** @type {const} */ (["links", "slots", "usage"])) {
    if (inside(layout[area].x, layout[area].width, x)) return { area, row };
  }
  for (const { kind, head, x: left, width } of layout.lanes) {
    if (inside(left, width + 4, x)) return { area: "lane", row, kind, head };
  }
  return null;
}
