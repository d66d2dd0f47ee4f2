// What is at a place, in words: for the tooltip and for those who cannot see the picture.

import { list, number, readHead, share, writeHead } from "./format.js";
import { readMode, strongest, writeMode } from "./slots.js";
import { row } from "./episode.js";
import { similarity } from "./replay.js";
import { VECTOR_NAMES } from "./draw_details.js";

/** A step's name: its number, and its token if it has one. */
export function stepName({ tokens }, t) {
  return tokens ? `t = ${t}, “${tokens[t]}”` : `t = ${t}`;
}

/**
 * @param {import("./draw_timeline.js").Scene} scene
 * @param {{band: string, step: number, row: number}} hit from `hitTimeline`
 * @returns {string[]} a heading, then a line for each thing there is to say
 */
export function describeTimeline({ episode, answers, order }, { band, step: t, row: i }) {
  const { fields, sizes } = episode;
  const { R, V, N } = sizes;
  const heading = stepName(episode, t);
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
      return [...lines, `usage ${share(fields.usage[t * N + slot])}`];
    }
    case "write_gate":
    case "allocation_gate":
      return [
        `${heading}, ${writeHead(i, sizes)}`,
        `write gate ${share(fields.write_gate[t * V + i])}`,
        `allocation gate ${share(fields.allocation_gate[t * V + i])}`,
      ];
    case "free_gate":
      return [
        `${heading}, ${readHead(i, sizes)}`,
        `free gate ${share(fields.free_gate[t * R + i])}`,
      ];
    default:
      return [`${heading}, ${readHead(i, sizes)}`, ...modeLines(episode, t, i)];
  }
}

function describeAnswer({ fields, sizes }, answers, t, i) {
  const lines = [];
  if (fields.target && i < sizes.Z)
    lines.push(`target ${i}: ${number(fields.target[t * sizes.Z + i])}`);
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

function weightLines(weights, heads, N, t, slot, nameOf) {
  const lines = [];
  for (let head = 0; head < heads; head++) {
    const weight = weights[(t * heads + head) * N + slot];
    if (!(weight < 0.005)) lines.push(`${nameOf(head)}: ${share(weight)}`);
  }
  return lines;
}

function modeLines(episode, t, head) {
  const { backward, content, forward } = readMode(episode, t, head);
  const several = backward.length > 1;
  const named = (mode) => (value, v) =>
    `${mode}${several ? ` along ${writeHead(v, episode.sizes)}` : ""} ${share(value)}`;
  return [
    ...Array.from(backward, named("backward")),
    `content ${share(content)}`,
    ...Array.from(forward, named("forward")),
  ];
}

/**
 * @param {import("./draw_timeline.js").Scene} scene
 * @param {import("./replay.js").Replay} replay
 * @param {number} t
 * @param {object} hit from `hitDetails`
 * @returns {string[]} as `describeTimeline`
 */
export function describeDetails({ episode, order }, replay, t, hit) {
  const { fields, sizes } = episode;
  const { N, R, V, W } = sizes;
  const headName = hit.kind === "write" ? writeHead(hit.head, sizes) : readHead(hit.head, sizes);
  const heads = hit.kind === "write" ? V : R;
  const slot = order[hit.row];
  switch (hit.area) {
    case "head":
      return describeHead(episode, t, hit.kind, hit.head);
    case "vector": {
      const name = `${headName}: ${VECTOR_NAMES[hit.id]}`;
      if (hit.column === null) return [name];
      const value = fields[hit.id][(t * heads + hit.head) * W + hit.column];
      return [name, `number ${hit.column}: ${number(value)}`];
    }
    case "memory":
      return [
        `slot ${slot}`,
        `number ${hit.column}: ${number(replay.memoryAt(t)[slot * W + hit.column])}`,
      ];
    case "lane": {
      const index = (t * heads + hit.head) * N + slot;
      // A write key is compared with the memory as it was before the write.
      const memory = replay.memoryAt(hit.kind === "write" ? t - 1 : t);
      const key = row(fields[`${hit.kind}_keys`], W, t * heads + hit.head);
      return [
        `slot ${slot}, ${headName}`,
        `weight ${share(fields[`${hit.kind}_weights`][index])}`,
        `key alone would give ${share(fields[`${hit.kind}_content_weights`][index])}`,
        `cosine of key and word ${number(similarity(key, row(memory, W, slot)))}`,
      ];
    }
    case "links":
      return [`slot ${slot}`, ...linkLines(episode, replay.linksAt(t), slot)];
    default:
      return [`slot ${slot}`, `usage ${share(fields.usage[t * N + slot])}`];
  }
}

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

function describeHead(episode, t, kind, head) {
  const { fields, sizes } = episode;
  if (kind === "read") {
    return [
      readHead(head, sizes),
      ...modeLines(episode, t, head),
      `free gate ${share(fields.free_gate[t * sizes.R + head])}`,
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
  ];
}

/**
 * What all heads do at a step, in a sentence or two.
 *
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
    parts.push(`${readHead(head, sizes)} ${where}`);
  }
  return `${stepName(episode, t)}: ${list(parts)}.`;
}

const WAYS = { backward: "backward", content: "by content", forward: "forward" };

/**
 * A slot's events of one step and kind, in words.
 *
 * @param {import("./slots.js").SlotEvent[]} events
 * @param {import("./episode.js").Episode} episode
 * @returns {string}
 */
export function describeEvents(events, { sizes }) {
  const [{ kind }] = events;
  if (kind === "free") {
    const [{ head, before, after }] = events;
    return `freed by ${readHead(head, sizes)}: usage ${share(before)} → ${share(after)}`;
  }
  if (kind === "read") {
    const modes = [...new Set(events.map(({ mode }) => mode))];
    const readers = modes.map((mode) => {
      const weights = events
        .filter((event) => event.mode === mode)
        .map(({ head, weight }) => `${sizes.R > 1 ? `${head}: ` : ""}${share(weight)}`);
      return `${WAYS[mode]} (${weights.join(", ")})`;
    });
    return `read ${list(readers)}`;
  }
  const writers = events.map(({ head, weight, how }) => {
    const by = sizes.V > 1 ? `${head}: ` : "";
    const reason = how === "allocated" ? "as a free slot" : "as the key matched";
    return `${reason} (${by}${share(weight)})`;
  });
  const [{ replaces, erased }] = events;
  const old = replaces === null ? "" : `; erased ${percent(erased)} of what t = ${replaces} left`;
  return `written ${list(writers)}${old}`;
}

function percent(value) {
  return `${Math.round(value * 100)} %`;
}

/** Events of the same step and kind together. */
export function groupEvents(events) {
  const groups = [];
  for (const event of events) {
    const last = groups[groups.length - 1];
    if (last && last[0].t === event.t && last[0].kind === event.kind) last.push(event);
    else groups.push([event]);
  }
  return groups;
}
