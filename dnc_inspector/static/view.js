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
 * @typedef {object} Shown an episode with what is derived from it
 * @property {import("./episode.js").Episode} episode
 * @property {import("./replay.js").Replay} replay
 * @property {import("./answers.js").Answers} answers
 *
 * @typedef {object} Settings
 * @property {number} t
 * @property {string} order
 * @property {boolean} touched
 * @property {Set<string>} hidden
 * @property {?number} slot
 * @property {number} memoryScale what the memory's colours reach to
 * @property {number} memoryLargest the largest size of a number in it
 * @property {object} theme
 */
export class EpisodeView {
  /**
   * @param {{onStep: function(number), onSlot: function(?number), tooltip: object}} options
   */
  constructor({ onStep, onSlot, tooltip }) {
    this.onStep = onStep;
    this.onSlot = onSlot;
    this.tooltip = tooltip;
    this.shown = null;
    this.settings = null;
    this.hover = { step: null, row: null };
    this.base = document.createElement("canvas"); // the timeline without its cursor
    this.baseOf = null;

    this.timeline = element("canvas", { class: "timeline", tabindex: "0", role: "img" });
    this.details = element("canvas", { class: "details", tabindex: "0", role: "img" });
    this.panel = new SlotPanel({ onStep, onClose: () => onSlot(null) });
    this.left = element("figure", {}, this.timeline);
    this.right = element("figure", {}, this.details, this.panel.node);
    this.node = element("div", { class: "columns" }, this.left, this.right);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.node);
  }

  /** Sets what to show; `draw` shows it. */
  set(shown, settings) {
    const { episode } = shown;
    if (
      this.shown !== shown ||
      this.settings?.order !== settings.order ||
      this.settings?.touched !== settings.touched
    ) {
      this.order = slotOrder(episode, settings.order, settings.touched);
      this.hover = { step: null, row: null };
    }
    this.shown = shown;
    this.settings = settings;
    this.scene = {
      episode,
      answers: shown.answers,
      order: this.order,
      orderName: ORDERS[settings.order],
      hidden: settings.hidden,
      slot: settings.slot,
      memoryScale: settings.memoryScale,
      memoryLargest: settings.memoryLargest,
      theme: settings.theme,
    };
  }

  /** Draws all that is seen, at once. */
  draw() {
    if (!this.shown || !this.node.isConnected || !this.left.clientWidth) return;
    const ratio = window.devicePixelRatio || 1;
    this.drawLeft(ratio);
    this.drawRight(ratio);
    this.panel.show(this.shown.episode, this.settings.slot, this.settings.t, this.settings.theme);
  }

  drawLeft(ratio) {
    const { theme, hidden, t } = this.settings;
    const { clientWidth } = this.left;
    const key = [this.shown, this.order, theme, ratio, clientWidth, [...hidden].join()];
    if (!this.baseOf || key.some((value, i) => value !== this.baseOf[i])) {
      this.timelineLayout = timelineLayout(this.shown.episode, this.order.length, clientWidth);
      const { width, height } = this.timelineLayout;
      drawTimeline(prepare(this.base, width, height, ratio), this.timelineLayout, this.scene);
      this.timeline.style.height = `${height}px`;
      this.baseOf = key;
    }
    const { width, height } = this.timelineLayout;
    const context = prepare(this.timeline, width, height, ratio);
    context.drawImage(this.base, 0, 0, width, height);
    drawCursor(context, this.timelineLayout, this.scene, t, this.hover.step);
    this.timeline.setAttribute("aria-label", `Timeline of the episode. ${this.summary()}`);
  }

  drawRight(ratio) {
    const { clientWidth } = this.right;
    this.detailsLayout = detailsLayout(this.shown.episode, this.order.length, clientWidth);
    const { width, height } = this.detailsLayout;
    const context = prepare(this.details, width, height, ratio);
    this.details.style.height = `${height}px`;
    const { replay } = this.shown;
    drawDetails(context, this.detailsLayout, this.scene, replay, this.settings.t, this.hover.row);
    this.details.setAttribute("aria-label", `Heads and memory at this step. ${this.summary()}`);
  }

  /** What the heads do at this step, in words. */
  summary() {
    const { episode } = this.shown;
    return episode.length ? summary(episode, this.settings.t) : "This example has no steps.";
  }

  listen() {
    const { timeline, details } = this;
    const place = (event) => {
      const box = event.currentTarget.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    timeline.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.shown) return;
      const [x, y] = place(event);
      const hit = hitTimeline(this.timelineLayout, x, y);
      if (x < this.timelineLayout.plot.x) return;
      timeline.setPointerCapture(event.pointerId);
      this.dragging = true;
      this.onStep(stepAt(this.timelineLayout, x));
      if (hit && ["weights", "usage"].includes(hit.band))
        this.pressed = { x, slot: this.order[hit.row] };
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
      if (!this.shown) return;
      const [x, y] = place(event);
      if (this.dragging) this.onStep(stepAt(this.timelineLayout, x));
      const hit = hitTimeline(this.timelineLayout, x, y);
      const isSlot = hit && ["weights", "usage"].includes(hit.band);
      this.hoverAt(hit ? hit.step : null, isSlot ? hit.row : null);
      this.tooltip.show(hit && describeTimeline(this.scene, hit), event);
    });
    details.addEventListener("pointermove", (event) => {
      if (!this.shown?.episode.length) return;
      const hit = hitDetails(this.detailsLayout, ...place(event));
      this.hoverAt(null, hit?.row ?? null);
      const { replay } = this.shown;
      this.tooltip.show(hit && describeDetails(this.scene, replay, this.settings.t, hit), event);
    });
    details.addEventListener("click", (event) => {
      if (!this.shown) return;
      const hit = hitDetails(this.detailsLayout, ...place(event));
      if (hit?.row !== undefined) this.toggleSlot(this.order[hit.row]);
    });
    for (const canvas of [timeline, details]) {
      canvas.addEventListener("pointerleave", () => {
        this.hoverAt(null, null);
        this.tooltip.show(null);
      });
      canvas.addEventListener("keydown", (event) => this.onArrow(event));
    }
  }

  /** Up and down choose the slot above or below, in the order on the screen. */
  onArrow(event) {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!by || !this.order?.length) return;
    event.preventDefault();
    const row = this.order.indexOf(this.settings.slot);
    const next = row < 0 ? 0 : Math.max(0, Math.min(this.order.length - 1, row + by));
    this.onSlot(this.order[next]);
  }

  toggleSlot(slot) {
    this.onSlot(slot === this.settings.slot ? null : slot);
  }

  /** Draws nothing for the pointer until it moves again. */
  leave() {
    this.hover = { step: null, row: null };
    this.tooltip.show(null);
    this.draw();
  }

  hoverAt(step, row) {
    if (step === this.hover.step && row === this.hover.row) return;
    this.hover = { step, row };
    this.scheduled ??= requestAnimationFrame(() => {
      this.scheduled = null;
      this.draw();
    });
  }
}

/** A small box with text beside the pointer. */
export class Tooltip {
  constructor() {
    this.node = element("div", { class: "tooltip", role: "tooltip", hidden: true });
  }

  /**
   * @param {?string[]} lines a heading and more; null hides the box
   * @param {PointerEvent} [event]
   */
  show(lines, event) {
    this.node.hidden = !lines;
    if (!lines) return;
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
