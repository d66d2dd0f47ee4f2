// Descriptions of places, for the tooltip and for users who cannot see the picture.

import { deallocated, maskInWords, maskOf } from "./extras.js";
import { describeExtra, extraOf, extrasInWords, matrixOf, places } from "./extras.js";
import { decodedLines } from "./decoder.js";
import { labelOf, list, number, readHead, share, writeHead } from "./format.js";
import { readMode, strongest, writeMode } from "./slots.js";
import { row } from "./episode.js";
import { similarity } from "./replay.js";
import { VECTOR_NAMES } from "./draw_details.js";

/**
 * @typedef {import("./draw_timeline.js").Scene} Scene
 * @typedef {import("./episode.js").Episode} Episode
 * @typedef {import("./episode.js").Kind} Kind
 * @typedef {import("./layout.js").DetailsHit} DetailsHit
 * @typedef {import("./slots.js").SlotEvent} SlotEvent
 */

/**
 * A step's name: its number, and its token if it has one.
 *
 * @type {(episode: Episode, t: number) => string}
 */
export function stepName({ tokens }, t) {
  return tokens ? `t = ${t}, “${labelOf(tokens[t])}”` : `t = ${t}`;
}

/**
 * @param {Scene} scene
 * @param {import("./layout.js").TimelineHit} hit from `hitTimeline`
 * @returns {string[]} a heading, then a line for each fact
 */
export function describeTimeline({ episode, answers, order }, { band, step: t, row: i }) {
  const { fields, sizes } = episode;
  const { R, V, N } = sizes;
  const heading = stepName(episode, t);
  const extra = extraOf(episode, band);
  if (extra) {
    const place = places(extra.axes, extra.shape, order)[i];
    return [heading, ...describeExtra(episode, extra, t, place)];
  }
  const meaning = meaningOf(episode, band);
  switch (band) {
    case "inputs":
      return [heading, `input ${i}: ${number(fields.inputs[t * sizes.X + i])}`];
    case "target":
    case "outputs":
      return [heading, ...describeAnswer(episode, answers, t, i)];
    case "weights":
    case "usage": {
      const slot = order[i];
      const lines = [`${heading}, slot ${slot}`];
      lines.push(...weightLines(fields.write_weights, V, N, t, slot, (v) => writeHead(v, sizes)));
      lines.push(...weightLines(fields.read_weights, R, N, t, slot, (r) => readHead(r, sizes)));
      return [...lines, ...usageLines(episode, t, slot), ...meaning];
    }
    case "write_gate":
    case "allocation_gate":
      return [
        `${heading}, ${writeHead(i, sizes)}`,
        `write gate ${share(fields.write_gate[t * V + i])}`,
        `allocation gate ${share(fields.allocation_gate[t * V + i])}`,
        ...meaning,
      ];
    case "free_gate":
      return [
        `${heading}, ${readHead(i, sizes)}`,
        `free gate ${share(fields.free_gate[t * R + i])}`,
        ...meaning,
      ];
    default:
      return [`${heading}, ${readHead(i, sizes)}`, ...modeLines(episode, t, i)];
  }
}

/**
 * The meaning of a quantity, with its symbol, from the header.
 *
 * @type {(episode: Episode, name: string) => string[]}
 */
function meaningOf({ meanings }, name) {
  const meaning = meanings.get(name);
  return meaning ? [meaning] : [];
}

/** @type {(episode: Episode, t: number, slot: number) => string[]} */
function usageLines(episode, t, slot) {
  const { fields, sizes } = episode;
  const { usage, retention } = fields;
  const kept = retention ? [`retention ${share(retention[t * sizes.N + slot])}`] : [];
  const erased = deallocated(episode, t)?.[slot] ?? 0;
  const freed = erased >= 0.005 ? [`${percent(erased)} of its contents erased: set free`] : [];
  return [`usage ${share(usage[t * sizes.N + slot])}`, ...kept, ...freed];
}

/**
 * @type {(episode: Episode, answers: import("./answers.js").Answers, t: number,
 *   i: number) => string[]}
 */
function describeAnswer({ fields, sizes }, answers, t, i) {
  const { Z = 0 } = sizes;
  const lines = [];
  if (fields.target && i < Z) lines.push(`target ${i}: ${number(fields.target[t * Z + i])}`);
  if (i < sizes.Y) {
    const index = t * sizes.Y + i;
    const raw = number(fields.outputs[index]);
    const shown = number(answers.outputs[index]);
    lines.push(
      answers.squash
        ? `output ${i}: ${shown} (${answers.squash} of ${raw})`
        : `output ${i}: ${raw}`,
    );
    if (answers.wrong?.[index]) lines.push("wrong");
  }
  if (fields.mask && !(fields.mask[t] > 0)) lines.push("not asked at this step");
  return lines;
}

/**
 * @type {(weights: Float32Array, heads: number, N: number, t: number, slot: number,
 *   nameOf: (head: number) => string) => string[]}
 */
function weightLines(weights, heads, N, t, slot, nameOf) {
  const lines = [];
  for (let head = 0; head < heads; head++) {
    const weight = weights[(t * heads + head) * N + slot];
    if (!(weight < 0.005)) lines.push(`${nameOf(head)}: ${share(weight)}`);
  }
  return lines;
}

/** @type {(episode: Episode, t: number, head: number) => string[]} */
function modeLines(episode, t, head) {
  const { backward, content, forward } = readMode(episode, t, head);
  const several = backward.length > 1;
  /** @type {(mode: string) => (value: number, v: number) => string} */
  const named = (mode) => (value, v) =>
    `${mode}${several ? ` along ${writeHead(v, episode.sizes)}` : ""} ${share(value)}`;
  return [
    ...Array.from(backward, named("backward")),
    `content ${share(content)}`,
    ...Array.from(forward, named("forward")),
  ];
}

/**
 * @param {Scene} scene
 * @param {import("./replay.js").Replay} replay
 * @param {number} t
 * @param {DetailsHit} hit from `hitDetails`
 * @returns {string[]} as `describeTimeline`
 */
export function describeDetails({ episode, order }, replay, t, hit) {
  const { decoder, fields, sizes } = episode;
  const { N, R, V, W } = sizes;
  const { area, kind, head, id, column, row: i } = /** @type {Required<DetailsHit>} */ (hit);
  const headName = kind === "write" ? writeHead(head, sizes) : readHead(head, sizes);
  const heads = kind === "write" ? V : R;
  const slot = order[i];
  switch (area) {
    case "head":
      return describeHead(episode, t, kind, head);
    case "vector": {
      const name = `${headName}: ${VECTOR_NAMES[id]}`;
      const meaning = meaningOf(episode, id);
      const word = row(fields[id], W, t * heads + head);
      const decoded = id === "erase_vectors" ? [] : decodedLines(decoder, word);
      if (column === null) return [name, ...decoded, ...meaning];
      return [name, `number ${column}: ${number(word[column])}`, ...decoded, ...meaning];
    }
    case "memory": {
      const word = row(replay.memoryAt(t), W, slot);
      return [
        `slot ${slot}`,
        `number ${column}: ${number(word[Number(column)])}`,
        ...decodedLines(decoder, word),
      ];
    }
    case "lane": {
      const index = (t * heads + head) * N + slot;
      const mask = maskOf(episode, kind, t, head);
      const key = row(fields[/** @type {const} */ (`${kind}_keys`)], W, t * heads + head);
      const cosine = similarity(key, replay.comparedWord(kind, t, slot), mask);
      const content = fields[/** @type {const} */ (`${kind}_content_weights`)];
      return [
        `slot ${slot}, ${headName}`,
        `weight ${share(fields[/** @type {const} */ (`${kind}_weights`)][index])}`,
        `key alone would give ${share(content[index])}`,
        `cosine of key and word${mask ? ", masked," : ""} ${number(cosine)}`,
        ...maskInWords(mask),
        ...decodedLines(decoder, row(replay.memoryAt(t), W, slot)),
      ];
    }
    case "links":
      return [`slot ${slot}`, ...linkLines(episode, replay.linksAt(t), slot)];
    case "extra": {
      const { extra, line } = /** @type {Required<DetailsHit>} */ (hit);
      const { rows, columns, width } = matrixOf(extra, order);
      const place = rows[line] * width + columns[Number(column)];
      return [stepName(episode, t), ...describeExtra(episode, extra, t, place)];
    }
    default:
      return [`slot ${slot}`, ...usageLines(episode, t, slot), ...meaningOf(episode, "usage")];
  }
}

/** @type {(episode: Episode, links: ?import("./replay.js").Links, slot: number) => string[]} */
function linkLines({ sizes }, links, slot) {
  if (!links) return ["links unknown"];
  const lines = [];
  for (let k = 0; k < links.values.length && lines.length < 6; k++) {
    const by = sizes.V > 1 ? ` by ${writeHead(links.heads[k], sizes)}` : "";
    const degree = `${share(links.values[k])}${by}`;
    if (links.to[k] === slot) lines.push(`written right after slot ${links.from[k]}: ${degree}`);
    if (links.from[k] === slot) lines.push(`slot ${links.to[k]} written right after it: ${degree}`);
  }
  return lines.length ? lines : ["no links"];
}

/** @type {(episode: Episode, t: number, kind: Kind, head: number) => string[]} */
function describeHead(episode, t, kind, head) {
  const { fields, sizes } = episode;
  if (kind === "read") {
    return [
      readHead(head, sizes),
      ...modeLines(episode, t, head),
      `free gate ${share(fields.free_gate[t * sizes.R + head])}`,
      ...maskInWords(maskOf(episode, kind, t, head)),
    ];
  }
  const { allocated, content, none } = writeMode(episode, t, head);
  return [
    writeHead(head, sizes),
    `to a free slot ${share(allocated)}`,
    `where the key matches ${share(content)}`,
    `nowhere ${share(none)}`,
    `write gate ${share(fields.write_gate[t * sizes.V + head])}`,
    `allocation gate ${share(fields.allocation_gate[t * sizes.V + head])}`,
    ...maskInWords(maskOf(episode, kind, t, head)),
  ];
}

/**
 * Describes all heads at a step, in a sentence or two, and each extra in one.
 *
 * @param {Episode} episode
 * @param {number} t
 * @returns {string}
 */
export function summary(episode, t) {
  const { fields, sizes } = episode;
  const parts = [];
  for (let head = 0; head < sizes.V; head++) {
    const { slot, weight } = strongest(row(fields.write_weights, sizes.N, t * sizes.V + head));
    const where = weight >= 0.1 ? `writes slot ${slot} (${share(weight)})` : "writes nothing";
    parts.push(`${writeHead(head, sizes)} ${where}`);
  }
  for (let head = 0; head < sizes.R; head++) {
    const { slot, weight } = strongest(row(fields.read_weights, sizes.N, t * sizes.R + head));
    const { leading } = readMode(episode, t, head);
    const where =
      weight >= 0.1 ? `reads slot ${slot} (${share(weight)}, ${leading})` : "reads nothing";
    const how = maskInWords(maskOf(episode, "read", t, head));
    parts.push(`${readHead(head, sizes)} ${[where, ...how].join(", ")}`);
  }
  return `${stepName(episode, t)}: ${list(parts)}.${extrasInWords(episode, t)}`;
}

const WAYS = { backward: "backward", content: "by content", forward: "forward" };

/**
 * A slot's events of one step and kind, in words.
 *
 * @param {SlotEvent[]} events
 * @param {number} slot
 * @param {Episode} episode
 * @returns {string}
 */
export function describeEvents(events, slot, episode) {
  const { sizes } = episode;
  const all = /** @type {Required<SlotEvent>[]} */ (events); // Each kind has properties of its own.
  const [{ kind }] = all;
  if (kind === "free") {
    const [{ t, head, before, after }] = all;
    const gone = deallocated(episode, t)?.[slot];
    const contents = gone === undefined ? "" : `, ${percent(gone)} of its contents erased`;
    return `freed by ${readHead(head, sizes)}: usage ${share(before)} → ${share(after)}${contents}`;
  }
  if (kind === "read") {
    const modes = [...new Set(all.map(({ mode }) => mode))];
    const readers = modes.map((mode) => {
      const weights = all
        .filter((event) => event.mode === mode)
        .map(({ head, weight }) => `${sizes.R > 1 ? `${head}: ` : ""}${share(weight)}`);
      return `${WAYS[mode]} (${weights.join(", ")})`;
    });
    return `read ${list(readers)}`;
  }
  const writers = all.map(({ head, weight, how }) => {
    const by = sizes.V > 1 ? `${head}: ` : "";
    const reason = how === "allocated" ? "as a free slot" : "as the key matched";
    return `${reason} (${by}${share(weight)})`;
  });
  const [{ replaces, erased }] = all;
  const old = replaces === null ? "" : `; erased ${percent(erased)} of what t = ${replaces} left`;
  return `written ${list(writers)}${old}`;
}

/** @type {(value: number) => string} */
function percent(value) {
  return `${Math.round(value * 100)} %`;
}

/**
 * Events of the same step and kind together.
 *
 * @type {(events: SlotEvent[]) => SlotEvent[][]}
 */
export function groupEvents(events) {
  /** @type {SlotEvent[][]} */
  const groups = [];
  for (const event of events) {
    const last = groups[groups.length - 1];
    if (last && last[0].t === event.t && last[0].kind === event.kind) last.push(event);
    else groups.push([event]);
  }
  return groups;
}
