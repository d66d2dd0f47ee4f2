// The controls above the picture. They show the state and change it for the user.

import { count, shorten } from "./format.js";
import { css, headColour } from "./colours.js";
import { element, fill } from "./dom.js";
import { heads } from "./draw_timeline.js";
import { NEWEST, resolve, SPEEDS } from "./state.js";
import { ORDERS } from "./slots.js";

/**
 * @typedef {import("./app.js").App} App
 * @typedef {import("./episode.js").Kind} Kind
 * @typedef {import("./episode.js").Sizes} Sizes
 * @typedef {import("./state.js").Pick} Pick
 * @typedef {import("./state.js").State} State
 *
 * @typedef {object} OnScreen what is on the screen
 * @property {number} t
 * @property {Sizes} [sizes] of the first episode, if there is any
 * @property {number} examples
 * @property {number} steps
 * @property {boolean} isPlaying
 * @property {string} [themeName]
 *
 * @typedef {[value: string|number, text: string][]} Options of a select
 */

export class Toolbar {
  /**
   * @param {App} app what to call
   * @param {import("./app.js").Options} options
   */
  constructor(app, { title, themes, canRefresh }) {
    this.app = app;
    this.canRefresh = canRefresh;
    this.pickers = [0, 1].map((view) => new Picker(app, view, canRefresh));
    this.example = select("Example", (value) => app.change({ example: Number(value) }));
    this.compare = button("Compare", "Show a second recording next to this one", () =>
      app.compare(),
    );
    this.stop = button("Stop comparing", "Show one recording only", () => app.compare());
    this.second = element("div", { class: "line" }, this.pickers[1].node, this.stop);
    this.theme = button("", "Colours: light, dark, or as the system has them", () =>
      app.nextTheme(),
    );
    this.theme.hidden = !themes;
    this.save = button("Save PNG", "Save the picture as it is shown", () => app.savePicture());
    this.refresh = button("Refresh", "Look for new recordings", () => app.update());
    this.refresh.hidden = !canRefresh;
    this.helpButton = button("?", "How to read the picture", () => app.help());
    this.helpButton.classList.add("round");

    this.play = button("▶", "Play (Space)", () => app.play());
    this.play.classList.add("round");
    this.speed = select("Speed", (value) => app.change({ speed: Number(value) }));
    options(
      this.speed.control,
      SPEEDS.map((speed) => [speed, `${speed} steps/s`]),
    );
    this.slider = element("input", {
      type: "range",
      min: 0,
      max: 0,
      value: 0,
      "aria-label": "Time step t",
      oninput: () => app.go(Number(this.slider.value)),
    });
    this.time = element("output", { class: "time" });
    this.order = select("Slots by", (value) =>
      app.change({ order: /** @type {keyof typeof ORDERS} */ (value) }),
    );
    options(this.order.control, Object.entries(ORDERS));
    this.touched = element("input", {
      type: "checkbox",
      onchange: () => app.change({ touched: this.touched.checked }),
    });
    /** @type {?string} what the buttons of `heads` were made for */
    this.headsOf = null;
    this.colours = false;
    this.heads = element("div", { class: "heads", role: "group", "aria-label": "Heads shown" });

    this.node = element(
      "header",
      { class: "toolbar" },
      element(
        "div",
        { class: "line" },
        title ? element("h1", {}, title) : null,
        this.pickers[0].node,
        this.example.node,
        this.compare,
        element("span", { class: "space" }),
        this.save,
        this.refresh,
        this.theme,
        this.helpButton,
      ),
      this.second,
      element(
        "div",
        { class: "line" },
        this.play,
        this.speed.node,
        this.slider,
        this.time,
        this.order.node,
        element("label", { class: "check" }, this.touched, "only touched"),
        this.heads,
      ),
    );
  }

  /**
   * Shows a state.
   *
   * @type {(state: State, index: import("./state.js").Index, shown: OnScreen) => void}
   */
  show(state, index, { t, sizes, examples, steps, isPlaying, themeName }) {
    this.pickers.forEach((picker, view) => picker.show(index, state.picks[view]));
    /** @type {Options} */
    const numbers = Array.from({ length: examples }, (_, i) => [i, `${i}`]);
    options(this.example.control, numbers, state.example);
    this.example.node.hidden = examples < 2;
    const isComparing = state.picks.length > 1;
    const recordings = [...index.values()].flatMap((tags) => [...tags.values()]).flat();
    this.compare.hidden = isComparing || (recordings.length < 2 && !this.canRefresh);
    this.second.hidden = !isComparing;
    this.theme.textContent = themeName ?? "";
    this.speed.control.value = String(state.speed);
    this.order.control.value = state.order;
    this.touched.checked = state.touched;
    this.showHeads(state.hidden, sizes);
    this.showTime(t, steps, isPlaying);
  }

  /**
   * The part of `show` that changes at every step.
   *
   * @type {(t: number, steps: number, isPlaying: boolean) => void}
   */
  showTime(t, steps, isPlaying) {
    this.slider.max = String(Math.max(0, steps - 1));
    this.slider.value = String(t);
    this.slider.disabled = steps < 2;
    this.slider.setAttribute("aria-valuetext", `t = ${t}`);
    this.time.textContent = steps ? `t = ${t} of ${steps - 1}` : "";
    this.play.textContent = isPlaying ? "❚❚" : "▶";
    this.play.setAttribute("aria-label", isPlaying ? "Pause" : "Play");
    this.play.disabled = steps < 2;
  }

  /** @type {(hidden: Set<string>, sizes?: Sizes) => void} */
  showHeads(hidden, sizes = undefined) {
    const key = [JSON.stringify(sizes), [...hidden].join(), this.colours].join();
    if (this.headsOf === key) return;
    this.headsOf = key;
    const all = sizes ? heads(sizes) : [];
    const active = document.activeElement;
    const focused = active && this.heads.contains(active) ? active.id : "";
    fill(
      this.heads,
      ...all.map(({ kind, head, name }) => this.headButton(kind, head, name, hidden)),
    );
    if (focused) document.getElementById(focused)?.focus();
  }

  /** @type {(kind: Kind, head: number, name: string, hidden: Set<string>) => HTMLElement} */
  headButton(kind, head, name, hidden) {
    const id = `${kind} ${head}`;
    const mark = element("span", { class: "mark" });
    mark.style.background = css(headColour(this.app.theme, kind, head));
    return element(
      "button",
      {
        type: "button",
        id: `head-${kind}-${head}`,
        class: "head",
        "aria-pressed": !hidden.has(id),
        title: `Show or hide ${name}`,
        onclick: () => {
          const changed = new Set(hidden);
          if (!changed.delete(id)) changed.add(id);
          this.app.change({ hidden: changed });
        },
      },
      mark,
      name,
    );
  }

  /**
   * Head colours belong to a theme.
   *
   * @param {boolean} isDark
   */
  set coloursOf(isDark) {
    this.colours = isDark;
    this.headsOf = null;
  }
}

/** Run, tag and training step of one view. */
class Picker {
  /**
   * @param {App} app
   * @param {number} view
   * @param {boolean} canRefresh whether there may be more to choose from later
   */
  constructor(app, view, canRefresh) {
    this.canRefresh = canRefresh;
    /** @type {Pick} */
    this.pick = { run: "", tag: "", step: NEWEST };
    /** @type {(changes: Partial<Pick>) => void} */
    const pick = (changes) => app.pick(view, { ...this.pick, ...changes });
    this.run = select(view ? "Compare with run" : "Run", (run) => pick({ run, step: NEWEST }));
    this.tag = select("Tag", (tag) => pick({ tag, step: NEWEST }));
    this.step = select("Training step", (step) =>
      pick({ step: step === NEWEST ? step : Number(step) }),
    );
    this.node = element("span", { class: "picker" }, this.run.node, this.tag.node, this.step.node);
  }

  /** @type {(index: import("./state.js").Index, pick?: Pick) => void} */
  show(index, pick = undefined) {
    const found = pick ? resolve(index, pick) : null;
    this.node.hidden = !found;
    if (!pick || !found) return;
    this.pick = { run: found.run, tag: found.tag, step: pick.step };
    /** @type {(names: Iterable<string>) => Options} */
    const named = (names) => [...names].map((name) => [name, shorten(name || ".", 60)]);
    const tags = index.get(found.run) ?? new Map();
    /** @type {import("./sources.js").Entry[]} */
    const entries = tags.get(found.tag);
    options(this.run.control, named(index.keys()), found.run);
    options(this.tag.control, named(tags.keys()), found.tag);
    const newest = entries[entries.length - 1].step;
    /** @type {Options} */
    const steps = entries.map(({ step }) => [step, count(step)]);
    steps.push([NEWEST, `newest (${count(newest)})`]);
    options(this.step.control, steps.reverse(), pick.step === NEWEST ? NEWEST : found.entry.step);
    /** @type {(choices: number) => boolean} */
    const isNoChoice = (choices) => choices < 2 && !this.canRefresh;
    this.run.node.hidden = isNoChoice(index.size);
    this.tag.node.hidden = isNoChoice(tags.size);
    this.step.node.hidden = isNoChoice(entries.length);
  }
}

/** @type {(text: string, title: string, onclick: () => void) => HTMLButtonElement} */
function button(text, title, onclick) {
  return element("button", { type: "button", title, "aria-label": title, onclick }, text);
}

/**
 * @param {string} label
 * @param {(value: string) => void} onchange
 */
function select(label, onchange) {
  /** @type {HTMLSelectElement} */
  const control = element("select", { onchange: () => onchange(control.value) });
  return { control, node: element("label", {}, element("span", {}, label), control) };
}

/**
 * Sets the options of a select, if they are not the same already, and which one is chosen.
 *
 * @param {HTMLSelectElement} control
 * @param {Options} pairs
 * @param {string|number} [chosen]
 */
function options(control, pairs, chosen) {
  const key = JSON.stringify(pairs);
  if (control.dataset.of !== key) {
    control.dataset.of = key;
    fill(control, ...pairs.map(([value, text]) => element("option", { value }, text)));
  }
  if (chosen !== undefined) control.value = String(chosen);
}
