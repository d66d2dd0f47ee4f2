// The viewer as a whole: keeps the state, loads the episodes that it selects, and shows them.

import { compose, fileName, save } from "./picture.js";
import { count, plural } from "./format.js";
import { DataError, decodeExample } from "./episode.js";
import { differenceOfInputs, readAnswers } from "./answers.js";
import { element, fill } from "./dom.js";
import { EpisodeView, Tooltip } from "./view.js";
import { fromHash, initialState, resolve, somethingElse, toHash } from "./state.js";
import { helpDialog } from "./help.js";
import { Replay } from "./replay.js";
import { themeOf } from "./colours.js";
import { Toolbar } from "./toolbar.js";

const KEPT = 8; // episodes in memory
const PATIENCE = 12; // milliseconds of computing before the browser may draw

/**
 * @typedef {import("./sources.js").Entry} Entry
 * @typedef {import("./state.js").Found} Found
 * @typedef {import("./state.js").Pick} Pick
 * @typedef {import("./state.js").State} State
 *
 * @typedef {object} Options
 * @property {string} title "" for none
 * @property {{prefix: string, read: () => string, write: (hash: string) => void}} address of
 *   the page
 * @property {() => boolean} isDark
 * @property {?{name: () => string, next: () => void}} themes what a button may choose
 *   from
 * @property {boolean} canRefresh whether there may be more later
 * @property {string[]} emptyHint what to do when there is nothing
 *
 * @typedef {import("./view.js").Shown & {example: number, examples: number, error?: undefined}}
 *   Loaded an episode, the number of its example and the number of all examples
 *
 * @typedef {{error: string, episode?: undefined}} Failed
 *
 * @typedef {object} Pane
 * @property {EpisodeView} view
 * @property {HTMLElement} node
 * @property {HTMLElement} heading
 * @property {HTMLElement} facts
 * @property {HTMLElement} trouble
 * @property {?Loaded|Failed} shown
 * @property {?Found} picked
 *
 * @typedef {Pane & {shown: Loaded}} GoodPane
 */

export class App {
  /**
   * @param {HTMLElement} root where to build everything
   * @param {import("./sources.js").Source} source
   * @param {Options} options
   */
  constructor(root, source, options) {
    this.root = root;
    this.source = source;
    this.options = options;
    /** @type {import("./sources.js").Index} */
    this.index = new Map();
    /** @type {Map<string, Loaded>} episodes by entry and example, the latest used last */
    this.loaded = new Map();
    this.request = 0;
    /** @type {?{from: number, t: number, speed: number}} */
    this.playing = null;
    /** @type {?number} */
    this.scheduled = null;
    /** @type {?ReturnType<typeof setTimeout>} */
    this.remembering = null;
    this.state = fromHash(options.address.read(), initialState(), options.address.prefix);

    this.tooltip = new Tooltip();
    this.dialog = helpDialog();
    this.toolbar = new Toolbar(this, options);
    this.message = element("div", { class: "message", role: "status", hidden: true });
    this.panes = [0, 1].map((view) => this.pane(view));
    this.notice = element("p", { class: "trouble notice", role: "status", hidden: true });
    this.main = element("main", { class: "panes" }, ...this.panes.map((pane) => pane.node));
    fill(
      root,
      this.toolbar.node,
      this.message,
      this.notice,
      this.main,
      this.tooltip.node,
      this.dialog,
    );
    root.classList.add("dnc-memory");
    this.readTheme();
    document.addEventListener("keydown", (event) => this.onKey(event));
  }

  /**
   * A view with its heading, and a place for what is wrong with its episode.
   *
   * @type {(view: number) => Pane}
   */
  pane(view) {
    const episodeView = new EpisodeView({
      onStep: (t) => this.go(t),
      onSlot: (slot) => this.choose(view, slot),
      tooltip: this.tooltip,
    });
    const heading = element("h2");
    const facts = element("p", { class: "facts" });
    const trouble = element("p", { class: "trouble", role: "alert", hidden: true });
    const node = element("section", { class: "pane" }, heading, facts, trouble, episodeView.node);
    return { view: episodeView, node, heading, facts, trouble, shown: null, picked: null };
  }

  get theme() {
    return themeOf(this.options.isDark());
  }

  /** Looks for recordings and shows what is chosen, or else the newest. Call it to start, too. */
  async update() {
    try {
      this.index = await this.source.index();
    } catch (error) {
      this.say("The list of recordings cannot be read", [explain(error)]);
      this.root.dataset.ready = "error";
      return;
    }
    await this.load();
  }

  // --- What the controls call --------------------------------------------------------------------

  /**
   * Changes parts of the state and shows the result.
   *
   * @type {(changes: Partial<State>) => void}
   */
  change(changes) {
    const needsLoading = "example" in changes || "picks" in changes;
    if (needsLoading) changes = { chosen: null, ...changes };
    this.state = { ...this.state, ...changes };
    if (needsLoading) this.load();
    else this.show();
  }

  /** @type {(view: number, pick: Pick) => void} */
  pick(view, pick) {
    const picks = [...this.state.picks];
    picks[view] = pick;
    this.change({ picks });
  }

  /** Starts or ends the comparison with another record. */
  compare() {
    const [first, second] = this.state.picks;
    if (second) return this.change({ picks: [first] });
    const found = resolve(this.index, first);
    if (found) this.change({ picks: [first, somethingElse(this.index, found)] });
    return undefined;
  }

  /**
   * Goes to a step that the user has chosen, which ends playing.
   *
   * @type {(t: number) => void}
   */
  go(t) {
    this.pause();
    this.setStep(t);
  }

  /** @type {(t: number) => void} */
  setStep(t) {
    if (this.steps) this.state.t = Math.max(0, Math.min(this.steps - 1, t));
    this.scheduleDraw();
  }

  /** The step on the screen. The state may have a later one, if an episode is short. */
  get t() {
    return Math.max(0, Math.min(this.steps - 1, this.state.t));
  }

  /** @type {(view: number, slot: ?number) => void} */
  choose(view, slot) {
    this.change({ chosen: slot === null ? null : { view, slot } });
  }

  play() {
    if (this.playing) this.pause();
    else {
      if (this.t >= this.steps - 1) this.setStep(0);
      this.playing = { from: performance.now(), t: this.t, speed: this.state.speed };
      requestAnimationFrame((now) => this.tick(now));
    }
    this.scheduleDraw();
  }

  pause() {
    this.playing = null;
  }

  /** @type {(now: number) => void} */
  tick(now) {
    if (!this.playing) return;
    const { from, t, speed } = this.playing;
    if (speed !== this.state.speed) {
      this.playing = { from: now, t: this.t, speed: this.state.speed };
    } else {
      const next = t + Math.floor(((now - from) / 1000) * speed);
      if (next >= this.steps - 1) this.pause();
      if (next !== this.t) this.setStep(next);
    }
    if (this.playing) requestAnimationFrame((later) => this.tick(later));
  }

  nextTheme() {
    this.options.themes?.next();
    this.themeChanged();
  }

  help() {
    this.dialog.showModal();
  }

  savePicture() {
    const panes = this.good();
    if (!panes.length) return;
    panes.forEach(({ view }) => view.leave());
    const headings = panes.map((pane) => pane.heading);
    const canvases = panes.flatMap(({ view }) => [view.timeline, view.details]);
    const picture = compose(headings, canvases, this.theme);
    save(picture, fileName(`${panes[0].heading.textContent} t ${this.t}`));
  }

  /** @type {(event: KeyboardEvent) => void} */
  onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || this.dialog.open) return;
    const action = this.actionOf(event.key, /** @type {HTMLInputElement} */ (event.target));
    if (!action) return;
    event.preventDefault();
    action();
  }

  /**
   * Handles a key. A control with the focus keeps the keys that it uses itself.
   *
   * @type {(key: string, target: {tagName?: string, type?: string}) => (() => void)|null}
   */
  actionOf(key, { tagName, type }) {
    const isSlider = type === "range";
    if (tagName === "SELECT") return null;
    if (key === " " && (tagName === "BUTTON" || type === "checkbox")) return null;
    /** @type {Record<string, () => void>} */
    const steps = {
      ArrowLeft: () => this.go(this.t - 1),
      ArrowRight: () => this.go(this.t + 1),
      Home: () => this.go(0),
      End: () => this.go(this.steps - 1),
    };
    /** @type {Record<string, () => void>} */
    const others = {
      " ": () => this.play(),
      "?": () => this.help(),
      Escape: () => this.choose(0, null),
    };
    return others[key] ?? (isSlider ? null : steps[key]) ?? null;
  }

  readTheme() {
    this.root.classList.toggle("dark", this.options.isDark());
    document.documentElement.style.colorScheme = this.options.isDark() ? "dark" : "light";
    this.toolbar.coloursOf = this.options.isDark();
  }

  /** Call it when the result of `isDark` has changed. */
  themeChanged() {
    this.readTheme();
    this.show();
  }

  // --- Loading -----------------------------------------------------------------------------------

  /** Loads the episodes that the state selects. The latest call wins. */
  async load() {
    const request = ++this.request;
    if (![...this.index.values()].some((tags) => tags.size)) {
      this.panes.forEach((pane) => (pane.shown = null));
      this.say("No episode has been recorded yet", this.options.emptyHint);
      this.show();
      this.root.dataset.ready = "empty";
      return;
    }
    this.message.hidden = true;
    const found = this.state.picks.map((pick) => resolve(this.index, pick));
    const picks = /** @type {Found[]} */ (found); // Where there is any, each pick leads to one.
    this.main.classList.add("loading");
    const shown = await Promise.all(
      picks.map(({ run, tag, entry }) =>
        this.loadOne(entry, this.state.example).catch((error) => ({
          error: `${explain(error)} (run ${run || "."}, tag ${tag}, training step ${entry.step})`,
        })),
      ),
    );
    if (request !== this.request) return;
    this.main.classList.remove("loading");
    this.panes.forEach((pane, i) => {
      pane.shown = shown[i] ?? null;
      pane.picked = picks[i] ?? null;
    });
    this.show();
  }

  /**
   * @param {Entry} entry
   * @param {number} example
   * @returns {Promise<Loaded>}
   */
  async loadOne(entry, example) {
    const key = `${entry.id}\n${example}`;
    const kept = this.loaded.get(key);
    this.loaded.delete(key);
    const shown = kept ?? (await this.decode(entry, example));
    this.loaded.set(key, shown);
    if (this.loaded.size > KEPT) this.loaded.delete([...this.loaded.keys()][0]);
    return shown;
  }

  /** @type {(entry: Entry, wanted: number) => Promise<Loaded>} */
  async decode(entry, wanted) {
    const header = await this.source.header(entry);
    const example = Math.min(wanted, header.examples.length - 1);
    if (example < 0) throw new DataError("The recording has no examples.");
    if (entry.examples.length !== header.examples.length) {
      throw new DataError("The recording has lost some of its examples: it is damaged.");
    }
    const episode = decodeExample(header, example, await this.source.example(entry, example));
    const replay = new Replay(episode);
    await inPieces(replay.prepare());
    const answers = readAnswers(episode);
    return { episode, replay, answers, example, examples: header.examples.length };
  }

  // --- Showing -----------------------------------------------------------------------------------

  /** The number of steps of the longest episode on the screen. */
  get steps() {
    return Math.max(0, ...this.good().map(({ shown }) => shown.episode.length));
  }

  /** The panes that have an episode. */
  good() {
    return /** @type {GoodPane[]} */ (this.panes.filter(({ shown }) => shown?.episode));
  }

  /** Brings everything on the screen up to date. */
  show() {
    const { state } = this;
    const good = this.good();
    const [first] = good;
    this.root.classList.toggle("comparing", state.picks.length > 1);
    this.toolbar.show(state, this.index, {
      t: this.t,
      sizes: first?.shown.episode.sizes,
      examples: first?.shown.examples ?? 0,
      steps: this.steps,
      isPlaying: Boolean(this.playing),
      themeName: this.options.themes?.name(),
    });
    const [one, other] = good.map(({ shown }) => shown.episode);
    const difference = other ? differenceOfInputs(one, other) : "";
    this.notice.hidden = !difference;
    this.notice.textContent = `Not the same episode. ${difference} Compare patterns, not steps.`;
    this.panes.forEach((pane) => this.showPane(pane));
    this.draw();
  }

  /** @type {(pane: Pane) => void} */
  showPane(pane) {
    const { shown, picked } = pane;
    pane.node.hidden = !shown;
    if (!shown || !picked) return;
    const { run, tag, entry } = picked;
    const names = run === "." ? [tag] : [run, tag]; // "." is the log folder itself.
    pane.heading.textContent = [...names, `training step ${count(entry.step)}`].join(" · ");
    pane.trouble.hidden = !shown.error;
    pane.trouble.textContent = shown.error ?? "";
    pane.view.node.hidden = !shown.episode;
    pane.facts.textContent = shown.episode ? facts(shown) : "";
  }

  scheduleDraw() {
    this.scheduled ??= requestAnimationFrame(() => {
      this.scheduled = null;
      this.draw();
    });
  }

  /** Draws the step. */
  draw() {
    const start = performance.now();
    const { state } = this;
    const good = this.good();
    /** @type {(name: "memoryScale"|"memoryLargest") => number} */
    const most = (name) => Math.max(...good.map(({ shown }) => shown.replay[name]));
    const [memoryScale, memoryLargest] = [most("memoryScale"), most("memoryLargest")];
    for (const pane of good) {
      const { shown, view } = pane;
      const { chosen } = state;
      const isChosen =
        chosen?.view === this.panes.indexOf(pane) && chosen.slot < shown.episode.sizes.N;
      const slot = chosen && isChosen ? chosen.slot : null;
      view.set(shown, {
        t: Math.max(0, Math.min(this.t, shown.episode.length - 1)),
        order: state.order,
        touched: state.touched,
        hidden: state.hidden,
        slot,
        memoryScale,
        memoryLargest,
        theme: this.theme,
      });
      view.draw();
    }
    this.toolbar.showTime(this.t, this.steps, Boolean(this.playing));
    if (!this.panes[0].picked) return;
    this.rememberSoon();
    const { run, tag, entry } = this.panes[0].picked;
    this.root.dataset.ready = [run, tag, entry.step, this.t].join("|");
    this.root.dataset.drawn = (performance.now() - start).toFixed(1);
  }

  /** Puts the state into the address, at most a few times per second. */
  rememberSoon() {
    this.remembering ??= setTimeout(() => {
      this.remembering = null;
      this.options.address.write(toHash(this.stateWithNames(), this.options.address.prefix));
    }, 300);
  }

  stateWithNames() {
    const picks = this.state.picks.map((pick, i) => {
      const picked = this.panes[i].picked;
      return picked ? { run: picked.run, tag: picked.tag, step: pick.step } : pick;
    });
    return { ...this.state, picks };
  }

  /** @type {(heading: string, paragraphs: string[]) => void} */
  say(heading, paragraphs) {
    this.message.hidden = false;
    fill(
      this.message,
      element("h2", {}, heading),
      ...paragraphs.map((text) => element(text.includes("\n") ? "pre" : "p", {}, text)),
    );
  }
}

/** @type {(shown: Loaded) => string} */
function facts({ episode, example, examples }) {
  const { N, W, R, V } = episode.sizes;
  const parts = [
    episode.task,
    examples > 1 ? `example ${example}, of ${examples}` : "",
    plural(episode.length, "step"),
    `${plural(N, "slot")} of ${plural(W, "number")}`,
    `${plural(V, "write head")}, ${plural(R, "read head")}`,
  ];
  return parts.filter(Boolean).join(" · ");
}

/**
 * Describes an error in words for the user.
 *
 * @type {(error: unknown) => string}
 */
function explain(error) {
  if (error instanceof DataError) return error.message;
  console.error(error);
  return `The viewer failed: ${error instanceof Error ? error.message : error}`;
}

/**
 * Runs a long computation so that the page stays alive.
 *
 * @type {(steps: Iterable<number>) => Promise<void>}
 */
async function inPieces(steps) {
  let start = performance.now();
  for (const _ of steps) {
    if (performance.now() - start < PATIENCE) continue;
    await new Promise((resume) => setTimeout(resume));
    start = performance.now();
  }
}
