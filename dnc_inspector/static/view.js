// One episode on the screen: its timeline and the details of a step, drawn and answering the mouse.

import { describeDetails, describeTimeline, summary } from "./describe.js";
import { detailsLayout, hitDetails, hitTimeline, stepAt, timelineLayout } from "./layout.js";
import { drawCursor, drawTimeline } from "./draw_timeline.js";
import { drawDetails } from "./draw_details.js";
import { element } from "./dom.js";
import { ORDERS, slotOrder } from "./slots.js";
import { prepare } from "./draw_common.js";
import { SlotPanel } from "./slot_panel.js";

/**
 * @typedef {import("./draw_timeline.js").Scene} Scene
 * @typedef {import("./layout.js").DetailsLayout} DetailsLayout
 * @typedef {import("./layout.js").TimelineLayout} TimelineLayout
 *
 * @typedef {object} Shown an episode with what is derived from it
 * @property {import("./episode.js").Episode} episode
 * @property {import("./replay.js").Replay} replay
 * @property {import("./answers.js").Answers} answers
 *
 * @typedef {object} Settings
 * @property {number} t
 * @property {keyof typeof ORDERS} order
 * @property {boolean} touched
 * @property {Set<string>} hidden
 * @property {?number} slot
 * @property {number} memoryScale the range of the memory's colours
 * @property {number} memoryLargest the largest size of a number in it
 * @property {import("./colours.js").Theme} theme
 */
export class EpisodeView {
  /**
   * @param {{onStep: (t: number) => void, onSlot: (slot: ?number) => void, tooltip: Tooltip}}
   *   options
   */
  constructor({ onStep, onSlot, tooltip }) {
    this.onStep = onStep;
    this.onSlot = onSlot;
    this.tooltip = tooltip;
    /** @type {?{shown: Shown, settings: Settings, scene: Scene}} the arguments of `set` */
    this.current = null;
    /** @type {?TimelineLayout} as it was drawn last */
    this.timelineLayout = null;
    /** @type {?DetailsLayout} as it was drawn last */
    this.detailsLayout = null;
    /** @type {{step: ?number, row: ?number}} */
    this.hover = { step: null, row: null };
    this.base = document.createElement("canvas"); // the timeline without its cursor
    /** @type {?unknown[]} */
    this.baseOf = null;
    /** @type {?{x: number, slot: number}} where the pointer went down, on a slot */
    this.pressed = null;
    this.dragging = false;
    /** @type {?number} */
    this.scheduled = null;

    this.timeline = element("canvas", { class: "timeline", tabindex: "0", role: "img" });
    this.details = element("canvas", { class: "details", tabindex: "0", role: "img" });
    this.panel = new SlotPanel({ onStep, onClose: () => onSlot(null) });
    this.left = element("figure", {}, this.timeline);
    this.right = element("figure", {}, this.details, this.panel.node);
    this.node = element("div", { class: "columns" }, this.left, this.right);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.node);
  }

  /**
   * Sets what to show; `draw` shows it.
   *
   * @param {Shown} shown
   * @param {Settings} settings
   */
  set(shown, settings) {
    const { episode, answers } = shown;
    const before = this.current;
    const isSameOrder =
      before?.shown === shown &&
      before.settings.order === settings.order &&
      before.settings.touched === settings.touched;
    const order = isSameOrder
      ? before.scene.order
      : slotOrder(episode, settings.order, settings.touched);
    if (!isSameOrder) this.hover = { step: null, row: null };
    const { hidden, slot, memoryScale, memoryLargest, theme } = settings;
    const orderName = ORDERS[settings.order];
    const scene = {
      episode,
      answers,
      order,
      orderName,
      hidden,
      slot,
      memoryScale,
      memoryLargest,
      theme,
    };
    this.current = { shown, settings, scene };
  }

  /** Draws all that is seen, at once. */
  draw() {
    if (!this.current || !this.node.isConnected || !this.left.clientWidth) return;
    const { shown, settings, scene } = this.current;
    const ratio = window.devicePixelRatio || 1;
    this.drawLeft(scene, settings.t, ratio);
    this.drawRight(scene, shown.replay, settings.t, ratio);
    this.panel.show(scene.episode, shown.replay, settings.slot, settings.t, settings.theme);
  }

  /** @type {(scene: Scene, t: number, ratio: number) => void} */
  drawLeft(scene, t, ratio) {
    const { episode, order, theme, hidden } = scene;
    const { clientWidth } = this.left;
    const key = [episode, order, theme, ratio, clientWidth, [...hidden].join()];
    const { baseOf } = this;
    let layout = this.timelineLayout;
    if (!layout || !baseOf || key.some((value, i) => value !== baseOf[i])) {
      layout = timelineLayout(episode, order.length, clientWidth);
      const { width, height } = layout;
      drawTimeline(prepare(this.base, width, height, ratio), layout, scene);
      this.timeline.style.height = `${height}px`;
      this.timelineLayout = layout;
      this.baseOf = key;
    }
    const { width, height } = layout;
    const context = prepare(this.timeline, width, height, ratio);
    context.drawImage(this.base, 0, 0, width, height);
    drawCursor(context, layout, scene, t, this.hover.step);
    this.timeline.setAttribute("aria-label", `Timeline of the episode. ${inWords(episode, t)}`);
  }

  /** @type {(scene: Scene, replay: Shown["replay"], t: number, ratio: number) => void} */
  drawRight(scene, replay, t, ratio) {
    const { episode, order } = scene;
    const layout = detailsLayout(episode, order.length, this.right.clientWidth);
    const { width, height } = layout;
    const context = prepare(this.details, width, height, ratio);
    this.details.style.height = `${height}px`;
    this.detailsLayout = layout;
    drawDetails(context, layout, scene, replay, t, this.hover.row);
    const said = inWords(episode, t);
    this.details.setAttribute("aria-label", `Heads and memory at this step. ${said}`);
  }

  listen() {
    const { timeline, details } = this;
    /** @type {(event: PointerEvent|MouseEvent) => [x: number, y: number]} */
    const place = (event) => {
      const box = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    timeline.addEventListener("pointerdown", (event) => {
      const { current, timelineLayout: layout } = this;
      if (event.button !== 0 || !current || !layout) return;
      const [x, y] = place(event);
      const hit = hitTimeline(layout, x, y);
      if (x < layout.plot.x) return;
      timeline.setPointerCapture(event.pointerId);
      this.dragging = true;
      this.onStep(stepAt(layout, x));
      if (hit && isOfSlots(hit)) this.pressed = { x, slot: current.scene.order[hit.row] };
    });
    timeline.addEventListener("pointerup", (event) => {
      const [x] = place(event);
      if (this.pressed && Math.abs(x - this.pressed.x) < 4) this.toggleSlot(this.pressed.slot);
      this.dragging = false;
      this.pressed = null;
    });
    timeline.addEventListener("pointercancel", () => {
      this.dragging = false;
      this.pressed = null;
    });
    timeline.addEventListener("pointermove", (event) => {
      const { current, timelineLayout: layout } = this;
      if (!current || !layout) return;
      const [x, y] = place(event);
      if (this.dragging) this.onStep(stepAt(layout, x));
      const hit = hitTimeline(layout, x, y);
      this.hoverAt(hit ? hit.step : null, hit && isOfSlots(hit) ? hit.row : null);
      this.tooltip.show(hit && describeTimeline(current.scene, hit), event);
    });
    details.addEventListener("pointermove", (event) => {
      const { current, detailsLayout: layout } = this;
      if (!current?.scene.episode.length || !layout) return;
      const hit = hitDetails(layout, ...place(event));
      this.hoverAt(null, hit?.row ?? null);
      const { shown, settings, scene } = current;
      this.tooltip.show(hit && describeDetails(scene, shown.replay, settings.t, hit), event);
    });
    details.addEventListener("click", (event) => {
      const { current, detailsLayout: layout } = this;
      if (!current || !layout) return;
      const hit = hitDetails(layout, ...place(event));
      if (hit?.row !== undefined) this.toggleSlot(current.scene.order[hit.row]);
    });
    for (const canvas of [timeline, details]) {
      canvas.addEventListener("pointerleave", () => {
        this.hoverAt(null, null);
        this.tooltip.show(null);
      });
      canvas.addEventListener("keydown", (event) => this.onArrow(event));
    }
  }

  /**
   * Up and down choose the slot above or below, in the order on the screen.
   *
   * @type {(event: KeyboardEvent) => void}
   */
  onArrow(event) {
    const by = event.key === "ArrowUp" ? -1 : event.key === "ArrowDown" ? 1 : 0;
    if (!by || !this.current?.scene.order.length) return;
    event.preventDefault();
    const { order, slot } = this.current.scene;
    const row = slot === null ? -1 : order.indexOf(slot);
    const next = row < 0 ? 0 : Math.max(0, Math.min(order.length - 1, row + by));
    this.onSlot(order[next]);
  }

  /** @type {(slot: number) => void} */
  toggleSlot(slot) {
    this.onSlot(slot === this.current?.settings.slot ? null : slot);
  }

  /** Draws nothing for the pointer until it moves again. */
  leave() {
    this.hover = { step: null, row: null };
    this.tooltip.show(null);
    this.draw();
  }

  /** @type {(step: ?number, row: ?number) => void} */
  hoverAt(step, row) {
    if (step === this.hover.step && row === this.hover.row) return;
    this.hover = { step, row };
    this.scheduled ??= requestAnimationFrame(() => {
      this.scheduled = null;
      this.draw();
    });
  }
}

/** @type {(hit: import("./layout.js").TimelineHit) => boolean} */
function isOfSlots({ band }) {
  return band === "weights" || band === "usage";
}

/**
 * Describes the heads at a step.
 *
 * @type {(episode: Shown["episode"], t: number) => string}
 */
function inWords(episode, t) {
  return episode.length ? summary(episode, t) : "This example has no steps.";
}

/** A small box with text next to the pointer. */
export class Tooltip {
  constructor() {
    this.node = element("div", { class: "tooltip", role: "tooltip", hidden: true });
  }

  /**
   * @param {?string[]} lines a heading and more; null hides the box
   * @param {PointerEvent} [event] where to show them
   */
  show(lines, event) {
    this.node.hidden = !lines;
    if (!lines || !event) return;
    const [heading, ...rest] = lines;
    this.node.replaceChildren(
      element("strong", {}, heading),
      ...rest.map((line) => element("div", {}, line)),
    );
    const { offsetWidth: width, offsetHeight: height } = this.node;
    const x =
      event.clientX + 14 + width > window.innerWidth
        ? event.clientX - width - 10
        : event.clientX + 14;
    const y = Math.max(4, Math.min(event.clientY + 12, window.innerHeight - height - 4));
    this.node.style.left = `${Math.max(4, x)}px`;
    this.node.style.top = `${y}px`;
  }
}
