// Drawing that both pictures use: text, heat maps and scales on a canvas.

import { css, headColour, place } from "./colours.js";
import { number } from "./format.js";

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

/**
 * @typedef {CanvasRenderingContext2D} Context
 * @typedef {import("./layout.js").Box} Box
 * @typedef {import("./colours.js").Colour} Colour
 * @typedef {import("./colours.js").Scale} Scale
 * @typedef {import("./colours.js").Theme} Theme
 *
 * @typedef {object} Style of a text
 * @property {number} [size]
 * @property {number} [weight]
 * @property {Colour} colour
 * @property {CanvasTextAlign} [align]
 * @property {number} [most] the maximum width
 * @property {string} [font] its family
 */

/**
 * A canvas that is `width` by `height` CSS pixels large and sharp on this screen.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 * @param {number} ratio of pixels of the screen to CSS pixels
 * @returns {Context} scaled so that one unit is one CSS pixel
 */
export function prepare(canvas, width, height, ratio) {
  const [columns, rows] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== columns || canvas.height !== rows) {
    canvas.width = columns;
    canvas.height = rows;
  }
  const context = contextOf(canvas);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.textBaseline = "middle";
  return context;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2DSettings} [options]
 */
function contextOf(canvas, options) {
  // It would be null for a canvas with a context of another kind.
  return /** @type {Context} */ (canvas.getContext("2d", options));
}

/**
 * Writes text.
 *
 * @type {(context: Context, text: string, x: number, y: number, style: Style) => void}
 */
export function write(context, text, x, y, style) {
  const { size = 11, weight = 400, colour, align = "left", most = 0, font = FONT } = style;
  context.font = `${weight} ${size}px ${font}`;
  context.textAlign = align;
  context.fillStyle = css(colour);
  context.fillText(most ? fit(context, text, most) : text, x, y);
}

/**
 * Width of a text in the font of `write`.
 *
 * @type {(context: Context, text: string, style?: Partial<Style>) => number}
 */
export function measure(context, text, { size = 11, weight = 400 } = {}) {
  context.font = `${weight} ${size}px ${FONT}`;
  return context.measureText(text).width;
}

/** @type {(context: Context, text: string, width: number) => string} */
function fit(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let length = text.length;
  while (length && context.measureText(`${text.slice(0, length)}…`).width > width) length--;
  return `${text.slice(0, length)}…`;
}

/**
 * A heat map of numbers with sharp cells.
 *
 * @param {Context} context
 * @param {Box} box
 * @param {number} columns
 * @param {number} rows
 * @param {(column: number, row: number) => number} valueAt
 * @param {Scale} scale
 * @param {Theme} theme
 */
export function heatMap(context, box, columns, rows, valueAt, scale, theme) {
  if (!columns || !rows) return;
  const image = new ImageData(columns, rows);
  const { data } = image;
  for (let row = 0, i = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, i += 4) {
      const index = place(valueAt(column, row), scale);
      if (index < 0) data.set(theme.nan, i);
      else {
        data[i] = scale.table[index * 3];
        data[i + 1] = scale.table[index * 3 + 1];
        data[i + 2] = scale.table[index * 3 + 2];
      }
      data[i + 3] = 255;
    }
  }
  drawImage(context, image, box);
}

// Node, which runs the tests, has no document, and nothing is drawn there.
const scratch = /** @type {HTMLCanvasElement} */ (
  typeof document === "undefined" ? null : document.createElement("canvas")
);

/**
 * Draws an image into a box; cells stay sharp unless there are more of them than pixels.
 *
 * @type {(context: Context, image: ImageData, box: Box) => void}
 */
export function drawImage(context, image, box) {
  if (scratch.width < image.width) scratch.width = image.width;
  if (scratch.height < image.height) scratch.height = image.height;
  contextOf(scratch, { willReadFrequently: true }).putImageData(image, 0, 0);
  const ratio = context.getTransform().a;
  context.imageSmoothingEnabled = image.height > box.height * ratio;
  const { x, y, width, height } = box;
  context.drawImage(scratch, 0, 0, image.width, image.height, x, y, width, height);
}

/**
 * A thin frame around a box.
 *
 * @type {(context: Context, box: Box, colour: Colour) => void}
 */
export function frame(context, { x, y, width, height }, colour) {
  context.strokeStyle = css(colour);
  context.lineWidth = 1;
  context.strokeRect(x - 0.5, y - 0.5, width + 1, height + 1);
}

/**
 * A small legend of a scale with its ends as numbers. Returns its width.
 *
 * @type {(context: Context, x: number, y: number, width: number, scale: Scale, low: string,
 *   high: string, theme: Theme) => number}
 */
export function scaleBar(context, x, y, width, scale, low, high, theme) {
  const style = { size: 10, colour: theme.muted };
  const left = measure(context, low, style);
  write(context, low, x, y, style);
  const box = { x: x + left + 4, y: y - 4, width, height: 8 };
  const { low: from, high: to } = scale;
  heatMap(context, box, 64, 1, (i) => from + ((to - from) * i) / 63, scale, theme);
  frame(context, box, theme.hairline);
  write(context, high, box.x + width + 4, y, style);
  return left + width + 8 + measure(context, high, style);
}

/**
 * A small filled square with a word. Returns its width.
 *
 * @type {(context: Context, x: number, y: number, colour: Colour, text: string, theme: Theme,
 *   size?: number) => number}
 */
export function chip(context, x, y, colour, text, theme, size = 10) {
  context.fillStyle = css(colour);
  context.fillRect(x, y - 4, 8, 8);
  write(context, text, x + 12, y, { size, colour: theme.muted });
  return 12 + measure(context, text, { size });
}

/**
 * A band's name with notes under it, each a text or a scale, as many as there is room for.
 *
 * @type {(context: Context, box: Box, text: string, notes: (string|Scale)[], theme: Theme,
 *   rows?: number) => void}
 */
export function label(context, box, text, notes, theme, rows = 0) {
  let y = rows === 1 ? box.y + box.height / 2 : box.y + 7;
  write(context, text, 2, y, { size: 12, weight: 600, colour: theme.text, most: box.x - 8 });
  for (const note of rows === 1 ? [] : notes.filter(Boolean)) {
    y += 14;
    if (y + 5 > box.y + box.height) break;
    const style = { size: 10, colour: theme.muted, most: box.x - 8 };
    if (typeof note === "string") write(context, note, 2, y, style);
    else scaleBar(context, 2, y, 40, note, number(note.low), number(note.high), theme);
  }
}

/**
 * Names the rows of a band that has one for each head.
 *
 * @type {(context: Context, box: Box, heads: number, kind: import("./episode.js").Kind, theme: Theme) => void}
 */
export function headMarks(context, box, heads, kind, theme) {
  if (heads === 1) return;
  const height = box.height / heads;
  for (let head = 0; head < heads; head++) {
    const y = box.y + (head + 0.5) * height;
    context.fillStyle = css(headColour(theme, kind, head));
    context.fillRect(box.x - 12, y - 3, 6, 6);
    /** @type {Style} */
    const style = { size: 10, colour: theme.muted, align: "right" };
    write(context, String(head), box.x - 16, y, style);
    if (head) {
      context.fillStyle = css(theme.hairline);
      context.fillRect(box.x, box.y + head * height - 0.5, box.width, 1);
    }
  }
}
