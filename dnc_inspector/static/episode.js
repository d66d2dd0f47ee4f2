// An episode as it is stored (dnc_trace/episode.py): a header, and one blob for each example.

import { isDecoder } from "./decoder.js";

export const FORMAT = "dnc-episode";
export const VERSION = 1;

// Axes of the fields of one example: T steps, X, Y and Z the widths of inputs, outputs and targets,
// N slots of W numbers, R read heads, V write heads.
const REQUIRED = {
  inputs: "TX",
  outputs: "TY",
  write_weights: "TVN",
  read_weights: "TRN",
  allocation_weights: "TVN",
  write_content_weights: "TVN",
  read_content_weights: "TRN",
  usage: "TN",
  write_gate: "TV",
  allocation_gate: "TV",
  free_gate: "TR",
  backward_mode: "TRV",
  forward_mode: "TRV",
  content_mode: "TR",
  read_keys: "TRW",
  read_strengths: "TR",
  write_keys: "TVW",
  write_strengths: "TV",
  erase_vectors: "TVW",
  write_vectors: "TVW",
  read_words: "TRW",
  initial_memory: "NW",
  initial_usage: "N",
  initial_read_weights: "RN",
  initial_write_weights: "VN",
};
const OPTIONAL = {
  target: "TZ",
  mask: "T",
  retention: "TN",
  precedence_weights: "TVN",
  initial_precedence_weights: "VN",
  initial_link: "VNN",
  memory: "TNW",
};
const LINK_FIELDS = ["link_starts", "link_to", "link_from", "link_values"];
const TYPES = { float16: 2, float32: 4, uint16: 2, uint32: 4 };

/** An error in the data, in words for the user. */
export class DataError extends Error {}

/**
 * @typedef {object} Sizes of the axes above; there need not be a Z, as there need not be targets
 * @property {number} T
 * @property {number} X
 * @property {number} Y
 * @property {number} [Z]
 * @property {number} N
 * @property {number} W
 * @property {number} R
 * @property {number} V
 *
 * @typedef {Record<keyof typeof REQUIRED, Float32Array>
 *   & Partial<Record<keyof typeof OPTIONAL | "link_values", Float32Array>>
 *   & Partial<Record<"link_to"|"link_from", Uint16Array> & {link_starts: Uint32Array}>} Fields
 *
 * @typedef {"write"|"read"} Kind of a head
 *
 * @typedef {object} Header as dnc_trace/episode.py describes it
 * @property {string} format
 * @property {number} version
 * @property {Sizes} sizes
 * @property {string} [task]
 * @property {string} [linkage]
 * @property {string} memory
 * @property {string} links
 * @property {number} [link_threshold]
 * @property {Record<string, [symbol: string, meaning: string]>} [quantities]
 * @property {{name: string, axes: string, meaning: string}[]} [extras]
 * @property {?import("./decoder.js").Decoder} [decoder]
 * @property {{length: number, tokens: ?string[], bytes: number,
 *   fields: [string, keyof typeof TYPES, number[], number][]}[]} examples
 *
 * @typedef {object} Episode one example, all numbers as flat arrays
 * @property {Sizes} sizes
 * @property {number} length number of steps of the T; the rest is padding
 * @property {?string[]} tokens what to call each step's input
 * @property {string} task
 * @property {string} linkage "dense", "sparse" or "" (unknown)
 * @property {"recorded"|"derived"} memory
 * @property {"recorded"|"derived"|"missing"} links
 * @property {number} linkThreshold minimum strength of recorded links
 * @property {Fields} fields by name; see `REQUIRED`
 * @property {Map<string, string>} meanings of the fields, by name
 * @property {import("./extras.js").Extra[]} extras
 * @property {?import("./decoder.js").Decoder} decoder of words of the memory into text
 */

/**
 * Reads and checks a header.
 *
 * @param {string} text JSON
 * @returns {Header}
 * @throws {DataError}
 */
export function parseHeader(text) {
  try {
    return checkHeader(JSON.parse(text));
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError("The header is not JSON: the record is damaged.");
  }
}

/**
 * Checks a header that is parsed already, and returns it.
 *
 * @type {(header: any) => Header}
 */
export function checkHeader(header) {
  if (header === null || typeof header !== "object" || header.format !== FORMAT) {
    throw new DataError("This is not an episode as dnc.summaries.write_episode records it.");
  }
  if (header.version !== VERSION) {
    throw new DataError(
      `The episode has format version ${header.version} and this viewer reads version ` +
        `${VERSION}. Update the package that shows it.`,
    );
  }
  const sizes = header.sizes;
  for (const axis of "TXYNWRV") {
    if (!sizes || !Number.isInteger(sizes[axis]) || sizes[axis] < 0) {
      throw new DataError(`The header has no size for axis ${axis}.`);
    }
  }
  if (!Array.isArray(header.examples)) throw new DataError("The header lists no examples.");
  const { extras = [], quantities = {} } = header; // Older episodes have none.
  const explained = Object.values(quantities).every((row) => isText(row, 0, 1));
  if (!explained || !extras.every?.((/** @type {any} */ x) => isText(x, "name", "axes", "meaning")))
    throw new DataError("The header explains its quantities in another way: it is damaged.");
  if (header.decoder && !isDecoder(header.decoder, sizes.W)) {
    throw new DataError("The header's decoder does not fit the memory: it is damaged.");
  }
  return header;
}

/** @type {(thing: any, ...keys: (string|number)[]) => boolean} */
function isText(thing, ...keys) {
  return keys.every((key) => typeof thing?.[key] === "string");
}

/**
 * Takes one example apart.
 *
 * @param {Header} header from `parseHeader`
 * @param {number} index which example
 * @param {ArrayBuffer} buffer its numbers, not compressed
 * @returns {Episode}
 * @throws {DataError}
 */
export function decodeExample(header, index, buffer) {
  const example = header.examples[index];
  if (!example) throw new DataError(`There is no example ${index} in the header.`);
  if (buffer.byteLength !== example.bytes) {
    throw new DataError(
      `Example ${index} should have ${example.bytes} bytes but has ${buffer.byteLength}: ` +
        "the record is damaged or cut off.",
    );
  }
  const { sizes } = header;
  if (!Number.isInteger(example.length) || example.length < 0 || example.length > sizes.T) {
    throw new DataError(`Example ${index} has a length of ${example.length} steps of ${sizes.T}.`);
  }
  /** @type {Record<string, Float32Array|Uint16Array|Uint32Array>} */
  const fields = {};
  /** @type {Record<string, number[]>} */
  const shapes = {};
  for (const [name, type, shape, offset] of example.fields) {
    fields[name] = decodeField(name, type, shape, offset, buffer);
    shapes[name] = shape;
  }
  for (const [name, axes] of Object.entries({ ...REQUIRED, ...OPTIONAL })) {
    if (!fields[name] && name in REQUIRED) throw new DataError(`Example ${index} has no ${name}.`);
    if (fields[name]) checkShape(name, axes, shapes[name], sizes);
  }
  if (header.memory === "recorded" && !fields.memory) {
    throw new DataError(`Example ${index} has no memory, though the header lists it.`);
  }
  if (header.links === "recorded") checkLinks(fields, sizes);
  const extras = (header.extras ?? []).map((extra) => {
    const field = `extra:${extra.name}`;
    const shape = shapes[field];
    if (!shape) throw new DataError(`Example ${index} has no ${extra.name}.`);
    checkShape(extra.name, `T${extra.axes}`, shape, sizes);
    const values = /** @type {Float32Array} */ (fields[field]);
    return { ...extra, shape: shape.slice(1), size: product(shape.slice(1)), values };
  });
  const meanings = Object.entries(header.quantities ?? {}).map(
    ([name, [symbol, meaning]]) =>
      /** @type {[string, string]} */ ([name, symbol ? `${meaning} (${symbol})` : meaning]),
  );
  return {
    sizes,
    length: example.length,
    tokens: Array.isArray(example.tokens) ? example.tokens.map(String) : null,
    task: String(header.task ?? ""),
    linkage: String(header.linkage ?? ""),
    memory: header.memory === "recorded" ? "recorded" : "derived",
    links: header.links === "recorded" || header.links === "derived" ? header.links : "missing",
    linkThreshold: Number(header.link_threshold) || 0,
    fields: /** @type {Fields} */ (fields),
    meanings: new Map(meanings),
    extras,
    decoder: header.decoder ?? null,
  };
}

/**
 * Inflates a gzipped blob.
 *
 * @type {(bytes: BlobPart) => Promise<ArrayBuffer>}
 */
export async function inflate(bytes) {
  try {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return await new Response(stream).arrayBuffer();
  } catch {
    throw new DataError("The numbers cannot be decompressed: the record is damaged.");
  }
}

/**
 * The number that 16 bits stand for as an IEEE half-precision float.
 *
 * @type {(bits: number) => number}
 */
export function fromFloat16(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** @type {(sizes: number[]) => number} */
function product(sizes) {
  return sizes.reduce((result, size) => result * size, 1);
}

/** @type {?Float32Array} */
let float16Table = null;

/**
 * @type {(name: string, type: keyof typeof TYPES, shape: number[], offset: number,
 *   buffer: ArrayBuffer) => Float32Array|Uint16Array|Uint32Array}
 */
function decodeField(name, type, shape, offset, buffer) {
  const width = TYPES[type];
  if (!width) throw new DataError(`${name} has the unknown type ${type}.`);
  const size = product(shape);
  if (!Number.isInteger(size) || offset % width || offset + size * width > buffer.byteLength) {
    throw new DataError(`${name} does not fit into its example: the record is damaged.`);
  }
  // Typed arrays have the byte order of the machine: little-endian wherever browsers run.
  if (type === "float32") return new Float32Array(buffer, offset, size);
  if (type === "uint32") return new Uint32Array(buffer, offset, size);
  const bits = new Uint16Array(buffer, offset, size);
  if (type === "uint16") return bits;
  float16Table ??= Float32Array.from({ length: 65536 }, (_, i) => fromFloat16(i));
  const numbers = new Float32Array(size);
  for (let i = 0; i < size; i++) numbers[i] = float16Table[bits[i]];
  return numbers;
}

/** @type {(name: string, axes: string, shape: number[], sizes: Sizes) => void} */
function checkShape(name, axes, shape, sizes) {
  /** @type {(axis: string, i: number) => number|undefined} */
  const sizeOf = (axis, i) => (axis === "?" ? shape[i] : sizes[/** @type {keyof Sizes} */ (axis)]);
  const expected = Array.from(axes, sizeOf);
  if (shape.length !== expected.length || shape.some((size, i) => size !== expected[i])) {
    throw new DataError(`${name} has shape [${shape}], expected [${expected}].`);
  }
}

/** @type {(fields: Record<string, Float32Array|Uint16Array|Uint32Array>, sizes: Sizes) => void} */
function checkLinks(fields, sizes) {
  const missing = LINK_FIELDS.filter((name) => !fields[name]);
  if (missing.length) throw new DataError(`The recorded links lack ${missing.join(", ")}.`);
  const { link_starts: starts, link_to: to, link_from: from, link_values: values } = fields;
  const end = starts[starts.length - 1];
  const whole = starts.length === sizes.T * sizes.V + 1;
  const rising = starts.every((start, i) => i === 0 || start >= starts[i - 1]);
  const known = [to, from].every((slots) => slots.every((slot) => slot < sizes.N));
  const equal = [to, from, values].every((list) => list.length === end);
  if (!whole || !rising || !known || !equal) {
    throw new DataError("The recorded links do not fit together: the record is damaged.");
  }
}

/**
 * One row of a field: the last axis at the given indices of those before it.
 *
 * row(fields.read_weights, sizes.N, t * sizes.R + head) are the N weights of a head at step t.
 *
 * @type {(values: Float32Array, width: number, index: number) => Float32Array}
 */
export function row(values, width, index) {
  return values.subarray(index * width, (index + 1) * width);
}
