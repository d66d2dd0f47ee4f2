// TensorBoard around the plugin's frame: dark mode, reloading, the address.

const PREFIX = "p.dnc_memory."; // names that TensorBoard leaves to this plugin in its address

function outerBody() {
  try {
    return window.parent.document.body;
  } catch {
    return document.body; // Another site shows TensorBoard in a frame.
  }
}

/** Whether TensorBoard is in its dark mode. */
export function isDark() {
  return outerBody().classList.contains("dark-mode");
}

/**
 * Calls back whenever dark mode may have changed.
 *
 * @type {(callback: () => void) => void}
 */
export function onDarkChange(callback) {
  const observer = new MutationObserver(callback);
  observer.observe(outerBody(), { attributes: true, attributeFilter: ["class"] });
}

/**
 * Calls back when TensorBoard has read the log folder again.
 *
 * The protocol is experimental: without an answer nothing happens, and the button in the plugin's
 * own tool bar is there in any case.
 *
 * @type {(callback: () => void) => void}
 */
export function onReload(callback) {
  if (window.parent === window) return;
  const channel = new MessageChannel();
  channel.port1.onmessage = ({ data }) => {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (!message || message.isReply) return;
    const { type, id } = message;
    const reply = { type, id, payload: null, error: null, isReply: true };
    channel.port1.postMessage(JSON.stringify(reply));
    if (type === "experimental.DataReloaded") callback();
  };
  window.parent.postMessage("experimental.bootstrap", "*", [channel.port2]);
}

/** The plugin's part of TensorBoard's address. */
export const address = {
  prefix: PREFIX,

  read() {
    try {
      return window.parent.location.hash;
    } catch {
      return "";
    }
  },

  /**
   * Replaces the plugin's part; the page is not loaded again, and "back" does not return to it.
   *
   * @type {(hash: string) => void}
   */
  write(hash) {
    try {
      const { location, history } = window.parent;
      const others = location.hash.split("&").filter((part) => !part.startsWith(PREFIX));
      history.replaceState(history.state, "", [...others, hash].join("&"));
    } catch {
      // It is only a convenience.
    }
  },
};
