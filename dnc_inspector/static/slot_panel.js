// The history of one slot: when it was written, read and freed. Each entry leads to its step.

import { count, labelOf, plural, shorten } from "./format.js";
import { css, headColour, scaleOf } from "./colours.js";
import { describeEvents, groupEvents } from "./describe.js";
import { element } from "./dom.js";
import { EVENT, history } from "./slots.js";
import { contentsOf } from "./decoder.js";
import { heatMap, prepare } from "./draw_common.js";
import { row } from "./episode.js";

const MOST = 300; // entries in the list

/**
 * @typedef {import("./colours.js").Theme} Theme
 * @typedef {import("./episode.js").Episode} Episode
 * @typedef {import("./replay.js").Replay} Replay
 * @typedef {import("./slots.js").SlotEvent} SlotEvent
 */

export class SlotPanel {
  /** @param {{onStep: (t: number) => void, onClose: () => void}} listeners */
  constructor({ onStep, onClose }) {
    this.onStep = onStep;
    this.heading = element("h3");
    this.contents = element("p");
    this.counts = element("p");
    this.list = element("ol");
    const close = element(
      "button",
      { type: "button", "aria-label": "Close", onclick: onClose },
      "×",
    );
    this.node = element(
      "aside",
      { class: "slot-panel", "aria-label": "History of a slot", hidden: true },
      element("header", {}, this.heading, close),
      this.contents,
      this.counts,
      this.list,
    );
    /** @type {unknown[]} */
    this.of = [];
  }

  /**
   * Shows the history of a slot, with the entries of step t marked; null hides the panel.
   *
   * @type {(episode: Episode, replay: Replay, slot: ?number, t: number, theme: Theme) => void}
   */
  show(episode, replay, slot, t, theme) {
    this.node.hidden = slot === null;
    if (slot === null) return;
    const of = [episode, slot, theme];
    if (of.some((value, i) => value !== this.of[i])) this.build(episode, slot, theme);
    this.of = of;
    const contents = contentsOf(episode, replay.memoryAt(t), slot);
    this.contents.textContent = contents ? `contains “${contents}” after t = ${t}, decoded` : "";
    this.contents.hidden = !contents;
    for (const item of this.list.querySelectorAll("li")) {
      item.classList.toggle("now", item.dataset.t === String(t));
    }
  }

  /** @type {(episode: Episode, slot: number, theme: Theme) => void} */
  build(episode, slot, theme) {
    const events = history(episode, slot);
    const groups = groupEvents(events);
    /** @type {(kind: SlotEvent["kind"]) => number} */
    const times = (kind) => groups.filter(([event]) => event.kind === kind).length;
    this.heading.textContent = `Slot ${slot}`;
    this.counts.textContent = events.length
      ? `written ${count(times("write"))}×, read at ${plural(times("read"), "step")}, freed ` +
        `${count(times("free"))}× (weights of at least ${EVENT})`
      : `No head writes or reads it with a weight of at least ${EVENT}.`;
    this.list.replaceChildren(
      ...groups.slice(0, MOST).map((group) => this.item(group, slot, episode, theme)),
    );
    if (groups.length > MOST) {
      this.list.append(element("li", {}, `… and ${count(groups.length - MOST)} more`));
    }
    this.list.scrollTop = 0;
  }

  /**
   * @type {(group: SlotEvent[], slot: number, episode: Episode, theme: Theme) => HTMLElement}
   */
  item(group, slot, episode, theme) {
    const [{ t, kind }] = group;
    const token = episode.tokens ? ` “${shorten(labelOf(episode.tokens[t]), 14)}”` : "";
    const go = element(
      "button",
      { type: "button", onclick: () => this.onStep(t) },
      `t = ${t}${token}`,
    );
    const marks = group.map(({ head }) => {
      const mark = element("span", { class: "mark" });
      mark.style.background = css(headColour(theme, kind === "write" ? "write" : "read", head));
      return mark;
    });
    const text = element("span", {}, describeEvents(group, slot, episode));
    if (kind === "write") text.append(this.input(episode, t, theme));
    return element("li", { "data-t": t }, go, element("span", { class: "marks" }, ...marks), text);
  }

  /**
   * The input of a step, as in the timeline but lying.
   *
   * @type {(episode: Episode, t: number, theme: Theme) => HTMLElement}
   */
  input({ fields, sizes, length }, t, theme) {
    const [width, height] = [Math.min(160, sizes.X * 7), 8];
    const picture = element("canvas", {
      class: "input",
      role: "img",
      "aria-label": `input of t = ${t}`,
    });
    Object.assign(picture.style, { width: `${width}px`, height: `${height}px` });
    const context = prepare(picture, width, height, window.devicePixelRatio || 1);
    const scale = scaleOf(fields.inputs.subarray(0, length * sizes.X), theme);
    const values = row(fields.inputs, sizes.X, t);
    heatMap(context, { x: 0, y: 0, width, height }, sizes.X, 1, (i) => values[i], scale, theme);
    return element("span", { class: "nowrap" }, " input ", picture);
  }
}
