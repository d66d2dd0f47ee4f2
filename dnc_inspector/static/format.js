// Numbers and names as text.

/**
 * A number as people read it in a table: three significant digits, never "-0".
 *
 * @param {number} value
 * @returns {string}
 */
export function number(value) {
  if (Number.isNaN(value)) return "not a number";
  if (!Number.isFinite(value)) return value > 0 ? "infinite" : "−infinite";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 10000) return value < 0 ? `−${size}` : String(size);
  if (size < 0.0005) return value < 0 ? "−0.000…" : "0.000…";
  const digits = size < 10 ? 3 : size < 100 ? 2 : size < 1000 ? 1 : 0;
  const text = size.toFixed(size < 1 ? 3 : Math.max(0, digits - 1));
  return value < 0 ? `−${text}` : text;
}

/**
 * A weight, gate or share in [0, 1] in two digits: "0.98", "1.00", "0".
 *
 * @type {(value: number) => string}
 */
export function share(value) {
  if (!Number.isFinite(value)) return number(value);
  if (value === 0) return "0";
  return Math.abs(value) < 0.005 ? "0.00" : value.toFixed(2).replace("-", "−");
}

/**
 * 12345 as "12,345".
 *
 * @type {(value: number) => string}
 */
export function count(value) {
  return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/**
 * One thing or several: plural(2, "slot") is "2 slots".
 *
 * @type {(value: number, noun: string) => string}
 */
export function plural(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/**
 * Text of at most `length` characters; what is cut off shows as an ellipsis.
 *
 * @type {(text: string, length: number) => string}
 */
export function shorten(text, length) {
  const characters = Array.from(text);
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join("")}…`;
}

/**
 * A token's label, its first line; the others are a picture of the step.
 *
 * @type {(token: string) => string}
 */
export function labelOf(token) {
  return token.split("\n", 1)[0];
}

/**
 * The lines of a token's picture.
 *
 * @type {(token: string) => string[]}
 */
export function pictureOf(token) {
  return token.split("\n").slice(1);
}

/**
 * "a", "a and b", "a, b and c".
 *
 * @type {(parts: string[]) => string}
 */
export function list(parts) {
  if (parts.length < 2) return parts.join("");
  return `${parts.slice(0, -1).join(", ")} and ${parts[parts.length - 1]}`;
}

/**
 * Returns the name of a write head, with its number only if there are several.
 *
 * @type {(head: number, sizes: import("./episode.js").Sizes) => string}
 */
export function writeHead(head, sizes) {
  return sizes.V === 1 ? "write head" : `write head ${head}`;
}

/**
 * Returns the name of a read head, with its number only if there are several.
 *
 * @type {(head: number, sizes: import("./episode.js").Sizes) => string}
 */
export function readHead(head, sizes) {
  return sizes.R === 1 ? "read head" : `read head ${head}`;
}
