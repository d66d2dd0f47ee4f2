// The sources of episodes: TensorBoard's routes, or the page itself.

import { checkHeader, DataError, inflate, parseHeader } from "./episode.js";

/**
 * @typedef {object} Entry one recorded episode
 * @property {number} step of training
 * @property {string} id changes whenever the record does
 * @property {*} header what the source needs to get the header ...
 * @property {Array<*>} examples ... and each example
 *
 * @typedef {Map<string, Map<string, Entry[]>>} Index entries by run and tag, in the order of steps
 *
 * @typedef {import("./episode.js").Header} Header
 *
 * @typedef {object} Source
 * @property {() => Promise<Index>} index
 * @property {(entry: Entry) => Promise<Header>} header
 * @property {(entry: Entry, i: number) => Promise<ArrayBuffer>} example its numbers, not compressed
 *
 * @typedef {Omit<Entry, "id"> & {wall_time?: number}} Listed an entry as the page or a route has it
 *
 * @typedef {Record<string, Record<string, Listed[]>>} Runs entries by run and tag
 */

/** Episodes that TensorBoard has read from the log folder. */
export class TensorBoardSource {
  /** @returns {Promise<Index>} */
  async index() {
    const response = await get("./index");
    const { runs } = await response.json();
    return toIndex(runs, (entry) => `${entry.header} ${entry.wall_time}`);
  }

  /** @type {(entry: Entry) => Promise<Header>} */
  async header(entry) {
    const response = await get(`./header?key=${encodeURIComponent(entry.header)}`);
    return parseHeader(await response.text());
  }

  /**
   * @param {Entry} entry
   * @param {number} index
   * @returns {Promise<ArrayBuffer>} the numbers; the browser has inflated them
   */
  async example(entry, index) {
    const response = await get(`./example?key=${encodeURIComponent(entry.examples[index])}`);
    return response.arrayBuffer();
  }
}

/** @type {(url: string) => Promise<Response>} */
async function get(url) {
  let response;
  try {
    response = await fetch(url, { cache: "no-store" });
  } catch {
    throw new DataError(
      "TensorBoard does not answer, or its answer broke off. Is it still running?",
    );
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new DataError(String(answer.error ?? `TensorBoard answers: error ${response.status}.`));
}

/** Episodes that the page itself contains. */
export class EmbeddedSource {
  /** @param {string} text JSON of <script type="application/json" id="episodes"> */
  constructor(text) {
    /** @type {Runs} */
    this.runs = JSON.parse(text).runs;
  }

  /** @returns {Promise<Index>} */
  async index() {
    return toIndex(this.runs, (entry) => String(entry.step));
  }

  /** @type {(entry: Entry) => Promise<Header>} */
  async header(entry) {
    return checkHeader(entry.header);
  }

  /** @type {(entry: Entry, index: number) => Promise<ArrayBuffer>} */
  async example(entry, index) {
    let text;
    try {
      text = atob(entry.examples[index]);
    } catch {
      throw new DataError("The numbers are not base64: the page is damaged.");
    }
    return inflate(Uint8Array.from(text, (character) => character.charCodeAt(0)));
  }
}

/** @type {(runs: Runs, idOf: (entry: Listed) => string) => Index} */
function toIndex(runs, idOf) {
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  /** @type {<T>(object: Record<string, T>) => [string, T][]} */
  const sorted = (object) => Object.entries(object).sort(([a], [b]) => compare(a, b));
  return new Map(
    sorted(runs ?? {}).map(([run, tags]) => [
      run,
      new Map(
        sorted(tags).map(([tag, entries]) => [
          tag,
          entries
            .map((entry) => ({ ...entry, id: `${run}\n${tag}\n${entry.step}\n${idOf(entry)}` }))
            .sort((a, b) => a.step - b.step),
        ]),
      ),
    ]),
  );
}
