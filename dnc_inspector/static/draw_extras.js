// Extras as plain heat maps: a band of the timeline, and a matrix in the details of a step.

import { css, headColour, scaleOf } from "./colours.js";
import { frame, headMarks, heatMap, label, measure, scaleBar, write } from "./draw_common.js";
import { matrixOf, placeName, places, shapeOf, titleOf, valueAt } from "./extras.js";
import { number } from "./format.js";

/**
 * @typedef {import("./colours.js").Scale} Scale
 * @typedef {import("./colours.js").Theme} Theme
 * @typedef {import("./draw_common.js").Context} Context
 * @typedef {import("./draw_timeline.js").Scene} Scene
 * @typedef {import("./extras.js").Extra} Extra
 * @typedef {import("./layout.js").Box} Box
 * @typedef {import("./layout.js").DetailsLayout} DetailsLayout
 */

/** @type {WeakMap<Extra, {theme: Theme, scale: Scale}>} */
const scales = new WeakMap();

/**
 * The range of an extra's colours, the same at all steps.
 *
 * @type {(extra: Extra, scene: Scene) => Scale}
 */
function scaleFor(extra, { episode, theme }) {
  const kept = scales.get(extra);
  if (kept && kept.theme === theme) return kept.scale;
  const scale = scaleOf(extra.values.subarray(0, episode.length * extra.size), theme);
  scales.set(extra, { theme, scale });
  return scale;
}

/**
 * A row for each number, over time.
 *
 * @type {(context: Context, box: Box, extra: Extra, scene: Scene) => void}
 */
export function drawExtraBand(context, box, extra, scene) {
  const { episode, order, theme } = scene;
  const rows = places(extra.axes, extra.shape, order);
  const scale = scaleFor(extra, scene);
  /** @type {(t: number, i: number) => number} */
  const value = (t, i) => valueAt(extra, t, rows[i]);
  heatMap(context, box, episode.length, rows.length, value, scale, theme);
  const kind = kindOf(extra);
  let note = shapeOf(extra);
  if (kind && extra.shape[0] > 1) {
    headMarks(context, box, extra.shape[0], kind, theme);
    const own = shapeOf({ axes: extra.axes.slice(1), shape: extra.shape.slice(1) });
    note = own && `${own} each`;
  }
  label(context, box, titleOf(extra), [note, scale], theme, rows.length);
}

/**
 * The kind of the heads that an extra's first axis numbers, if it does.
 *
 * @type {(extra: Extra) => import("./episode.js").Kind|null}
 */
function kindOf({ axes }) {
  return axes[0] === "R" ? "read" : axes[0] === "V" ? "write" : null;
}

/**
 * The numbers of one step, named row by row.
 *
 * @type {(context: Context, layout: DetailsLayout, scene: Scene, t: number) => void}
 */
export function drawExtras(context, layout, scene, t) {
  const { episode, order, theme } = scene;
  const { sizes } = episode;
  for (const { extra, box, titleY } of layout.extras) {
    const { axes, shape } = extra;
    const scale = scaleFor(extra, scene);
    const bold = { size: 12, weight: 600, colour: theme.text };
    const small = { size: 10, colour: theme.muted };
    write(context, titleOf(extra), 0, titleY, bold);
    const left = measure(context, titleOf(extra), bold) + 10;
    const note = shapeOf(extra);
    write(context, note, left, titleY, { ...small, most: Math.max(1, layout.width - left - 130) });
    scaleBar(
      context,
      layout.width - 120,
      titleY,
      40,
      scale,
      number(scale.low),
      number(scale.high),
      theme,
    );
    const { rows, columns, width } = matrixOf(extra, order);
    /** @type {(column: number, i: number) => number} */
    const value = (column, i) => valueAt(extra, t, rows[i] * width + columns[column]);
    heatMap(context, box, columns.length, rows.length, value, scale, theme);
    frame(context, box, theme.hairline);
    if (rows.length * columns.length === 1) {
      write(context, number(value(0, 0)), box.x + box.width + 6, box.y + box.height / 2, small);
    }

    const kind = kindOf(extra);
    const lead = shape.slice(0, -1);
    const height = box.height / Math.max(1, rows.length);
    const every = Math.max(1, Math.ceil(11 / height));
    for (let i = 0; lead.length && i < rows.length; i += every) {
      const y = box.y + (i + 0.5) * height;
      if (kind) {
        const head = Math.floor((i * lead[0]) / rows.length);
        context.fillStyle = css(headColour(theme, kind, head));
        context.fillRect(box.x - 12, y - 3, 6, 6);
      }
      write(context, placeName(axes, lead, rows[i], sizes), box.x - 16, y, {
        ...small,
        align: "right",
        most: box.x - 18,
      });
    }
  }
}
