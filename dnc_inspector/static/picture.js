// Saves what is on the screen as a PNG.

import { css } from "./colours.js";
import { prepare, write } from "./draw_common.js";

const MARGIN = 16;

/**
 * Puts headings and canvases into one picture, as they lie on the screen.
 *
 * @param {HTMLElement[]} headings their text is written where they are
 * @param {HTMLCanvasElement[]} canvases
 * @param {import("./colours.js").Theme} theme
 * @returns {HTMLCanvasElement} at the resolution of the screen
 */
export function compose(headings, canvases, theme) {
  const ratio = window.devicePixelRatio || 1;
  const boxes = [...headings, ...canvases].map((node) => node.getBoundingClientRect());
  const left = Math.min(...boxes.map((box) => box.left)) - MARGIN;
  const top = Math.min(...boxes.map((box) => box.top)) - MARGIN;
  const width = Math.max(...boxes.map((box) => box.right)) - left + MARGIN;
  const height = Math.max(...boxes.map((box) => box.bottom)) - top + MARGIN;
  const picture = document.createElement("canvas");
  const context = prepare(picture, width, height, ratio);
  context.fillStyle = css(theme.background);
  context.fillRect(0, 0, width, height);
  headings.forEach((heading, i) => {
    const style = { size: 13, weight: 600, colour: theme.text, most: boxes[i].width };
    write(context, heading.textContent ?? "", boxes[i].left - left, boxes[i].top - top + 9, style);
  });
  canvases.forEach((canvas, i) => {
    const box = boxes[headings.length + i];
    context.drawImage(canvas, box.left - left, box.top - top, box.width, box.height);
  });
  return picture;
}

/**
 * Offers a picture for download.
 *
 * @type {(picture: HTMLCanvasElement, name: string) => void}
 */
export function save(picture, name) {
  picture.toBlob((blob) => {
    const link = document.createElement("a");
    // It would be null for a picture that is too large, and that is an error.
    link.href = URL.createObjectURL(/** @type {Blob} */ (blob));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }, "image/png");
}

/**
 * A name for a file out of any text.
 *
 * @type {(text: string) => string}
 */
export function fileName(text) {
  return `${
    text
      .replace(/[^\w.-]+/g, "_")
      .replace(/^[_.]+|_+$/g, "")
      .slice(0, 100) || "dnc"
  }.png`;
}
