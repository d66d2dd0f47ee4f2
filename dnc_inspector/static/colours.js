// Colours: one table for light and one for dark, and how numbers become colours.

/**
 * @typedef {number[]} Colour [r, g, b], each from 0 to 255
 *
 * @typedef {Record<"background"|"ink"|"text"|"muted"|"hairline"|"faint"|"cursor"|"wrong"|"nan",
 *   Colour>} Single
 *
 * @typedef {Record<"writes"|"reads"|"usage"|"diverging", Colour[]>} Several
 *
 * @typedef {Single & Several & Record<"usageRamp"|"divergingRamp"|"inkRamp",
 *   Uint8ClampedArray>} Theme
 */

/**
 * "#rrggbb" to [r, g, b].
 *
 * @type {(hex: string) => Colour}
 */
export function rgb(hex) {
  return [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
}

/**
 * A colour for the canvas.
 *
 * @type {(colour: Colour, alpha?: number) => string}
 */
export function css([r, g, b], alpha = 1) {
  return alpha === 1 ? `rgb(${r},${g},${b})` : `rgba(${r},${g},${b},${alpha})`;
}

/**
 * The colour at `share` of the way from `a` to `b`.
 *
 * @type {(a: Colour, b: Colour, share: number) => Colour}
 */
export function mix(a, b, share) {
  return a.map((value, i) => Math.round(value + (b[i] - value) * share));
}

/**
 * 256 colours along evenly spaced stops, as a flat [256, 3] table.
 *
 * @type {(stops: Colour[]) => Uint8ClampedArray}
 */
export function ramp(stops) {
  const table = new Uint8ClampedArray(256 * 3);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (stops.length - 1);
    const left = Math.min(Math.floor(place), stops.length - 2);
    table.set(mix(stops[left], stops[left + 1], place - left), i * 3);
  }
  return table;
}

// Read heads: hues after Okabe and Ito, distinct for any kind of colour vision. Writing is ink.
const THEMES = {
  light: theme({
    background: "#ffffff",
    ink: "#1c2128",
    text: "#24292f",
    muted: "#5c6570",
    hairline: "#d9dde2",
    faint: "#f3f4f6",
    cursor: "#1c2128",
    wrong: "#c2003d",
    nan: "#ff00d4",
    writes: ["#1c2128", "#8a6100", "#6a5d86", "#7d7d7d"],
    reads: ["#0072b2", "#d55e00", "#009e73", "#8f3a72", "#b57b00", "#3a96d2", "#6b4fbb", "#8c8200"],
    usage: ["#ffffff", "#efe3c4", "#d0b06a", "#946f1e", "#4d370a"],
    diverging: ["#7f3b08", "#c8741a", "#f4c787", "#ffffff", "#c6bfe0", "#7d6bb2", "#3b1a78"],
  }),
  dark: theme({
    background: "#1f2124",
    ink: "#f2f4f7",
    text: "#e4e7eb",
    muted: "#a2a9b3",
    hairline: "#43484f",
    faint: "#292c30",
    cursor: "#f2f4f7",
    wrong: "#ff5c86",
    nan: "#ff3fe0",
    writes: ["#f2f4f7", "#d9b04c", "#b5a8d6", "#a9a9a9"],
    reads: ["#4aa8e8", "#ff8746", "#2cc79a", "#b85c9c", "#f0b93f", "#9ad8ff", "#a894ff", "#cfc545"],
    usage: ["#1f2124", "#443a22", "#7d6429", "#c39a3c", "#ffdf91"],
    diverging: ["#ffb45c", "#c97a26", "#6f4a22", "#1f2124", "#463d70", "#7c6cc4", "#c3b5ff"],
  }),
};

/** @type {(named: Record<keyof Single, string> & Record<keyof Several, string[]>) => Theme} */
function theme(named) {
  const colours = /** @type {Single & Several} */ (
    Object.fromEntries(
      Object.entries(named).map(([name, value]) => [
        name,
        Array.isArray(value) ? value.map(rgb) : rgb(value),
      ]),
    )
  );
  return {
    ...colours,
    usageRamp: ramp(colours.usage),
    divergingRamp: ramp(colours.diverging),
    inkRamp: ramp([colours.background, colours.ink]),
  };
}

/** @param {boolean} dark */
export function themeOf(dark) {
  return dark ? THEMES.dark : THEMES.light;
}

/**
 * The colour of a head, the same everywhere.
 *
 * @type {(theme: Theme, kind: import("./episode.js").Kind, head: number) => Colour}
 */
export function headColour(theme, kind, head) {
  const colours = kind === "write" ? theme.writes : theme.reads;
  return colours[head % colours.length];
}

/**
 * Shades of a head's colour for the ways in which it reads or writes.
 *
 * @type {(theme: Theme,
 *   colour: Colour) => Record<"backward"|"content"|"forward"|"allocated"|"none", Colour>}
 */
export function modeColours(theme, colour) {
  return {
    backward: mix(colour, theme.ink, 0.62),
    content: mix(theme.background, colour, 0.3),
    forward: colour,
    allocated: colour,
    none: theme.faint,
  };
}

/**
 * How opaque a weight is drawn: weak weights are lifted so that they can be seen.
 *
 * @type {(weight: number) => number}
 */
export function opacity(weight) {
  if (Number.isNaN(weight)) return 1;
  return Math.min(1, Math.max(0, weight)) ** 0.65;
}

/**
 * How the numbers of a field become colours.
 *
 * @typedef {{table: Uint8ClampedArray, low: number, high: number}} Scale
 */

/**
 * From 0 (paper) to `high` (ink), or around 0 if there are numbers below it.
 *
 * @type {(values: Float32Array, theme: Theme) => Scale}
 */
export function scaleOf(values, theme) {
  let [low, high] = [0, 0];
  for (const value of values) {
    if (value < low && value > -Infinity) low = value;
    if (value > high && value < Infinity) high = value;
  }
  if (low < 0) return aroundZero(Math.max(-low, high), theme);
  return { table: theme.inkRamp, low: 0, high: Math.max(1, high) };
}

/**
 * A diverging scale from -size to size.
 *
 * @type {(size: number, theme: Theme) => Scale}
 */
export function aroundZero(size, theme) {
  return { table: theme.divergingRamp, low: -size, high: size };
}

/**
 * The index of a number in a scale's table: 0 to 255; -1 if it is not finite.
 *
 * @type {(value: number, scale: Scale) => number}
 */
export function place(value, { low, high }) {
  if (!Number.isFinite(value)) return -1;
  const share = (value - low) / (high - low);
  return Math.max(0, Math.min(255, Math.round(share * 255)));
}
