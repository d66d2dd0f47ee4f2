// The entry points: `render` as a TensorBoard plugin, `startPage` on a self-contained page.

import { address, isDark, onDarkChange, onReload } from "./tensorboard.js";
import { App } from "./app.js";
import { EmbeddedSource, TensorBoardSource } from "./sources.js";
import { element } from "./dom.js";

/** TensorBoard calls this once, in the plugin's frame. */
export async function render() {
  await loadStyle();
  const app = new App(document.body, new TensorBoardSource(), {
    title: "",
    address,
    isDark,
    themes: null,
    canRefresh: true,
    emptyHint: [
      "Record one while training, with a summary writer of the log folder as the default:",
      "trace = dnc.record(core, inputs)\ndnc.summaries.write_episode(trace, step)",
      "train.py does so automatically. Then press Refresh.",
    ],
  });
  onDarkChange(() => app.themeChanged());
  onReload(() => app.update());
  window.focus(); // So that the arrow keys work at once.
  await app.update();
}

/** @type {() => Promise<unknown>} */
function loadStyle() {
  return new Promise((resolve) => {
    const link = element("link", { rel: "stylesheet", href: "./static/style.css" });
    link.onload = link.onerror = resolve;
    document.head.append(link);
  });
}

/**
 * Shows the episodes that the page has in <script type="application/json" id="episodes">.
 *
 * @param {HTMLElement} root
 */
export async function startPage(root) {
  const data = /** @type {HTMLElement} */ (document.getElementById("episodes")).textContent ?? "";
  const themes = pageThemes();
  const app = new App(root, new EmbeddedSource(data), {
    title: "DNC Memory",
    address: {
      prefix: "",
      read: () => location.hash,
      /** @param {string} hash */
      write(hash) {
        try {
          history.replaceState(history.state, "", `#${hash}`);
        } catch {
          // Not allowed in a frame without its own address. It is only a convenience.
        }
      },
    },
    isDark: themes.isDark,
    themes,
    canRefresh: false,
    emptyHint: ["This page contains no episodes. Make it again with python -m dnc_inspector."],
  });
  themes.media.addEventListener("change", () => app.themeChanged());
  await app.update();
}

/** Light, dark, or as the system has it; the choice is kept where the browser allows it. */
function pageThemes() {
  /** @type {("auto"|"light"|"dark")[]} */
  const names = ["auto", "light", "dark"];
  const media = window.matchMedia("(prefers-color-scheme: dark)");
  let chosen = names[0];
  try {
    const kept = localStorage.getItem("dnc-memory-theme");
    chosen = names.find((name) => name === kept) ?? chosen;
  } catch {
    // Not allowed here: it is "auto" each time.
  }
  return {
    media,
    isDark: () => (chosen === "auto" ? media.matches : chosen === "dark"),
    name: () => ({ auto: "◐ auto", light: "☀ light", dark: "☾ dark" })[chosen],
    next() {
      chosen = names[(names.indexOf(chosen) + 1) % names.length];
      try {
        localStorage.setItem("dnc-memory-theme", chosen);
      } catch {
        // As above.
      }
    },
  };
}
