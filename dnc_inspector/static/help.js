// How to read the picture.

import { element } from "./dom.js";

/** @type {[heading: string, paragraphs: string[]][]} */
const SECTIONS = [
  [
    "What you see",
    [
      "A Differentiable Neural Computer is a network with a memory: a table of slots, each " +
        "of which holds one word of numbers. At every time step it writes with its write head " +
        "and reads with its read heads. The weighting of a head is how much it touches each " +
        "slot, in numbers from 0 to 1 that sum to at most 1.",
      "On the left is the whole episode, with time from left to right. On the right is one " +
        "step, t: what each head does, and the memory after the step.",
    ],
  ],
  [
    "Patterns in “writes and reads”",
    [
      "With slots in order of first write, a falling diagonal of writes means that one word " +
        "is written after another, each into a fresh slot.",
      "A read head that falls along the same slots reads them back in the order in which " +
        "they were written (forward mode). One that rises reads backward. One that jumps " +
        "looks for content.",
      "Stripes in one cell mean that several heads read the same slot at the same step. A " +
        "coloured core in a cell of ink means that it is written and read at once. Weights " +
        "that are small compared with another in the same cell are omitted; the tooltip shows " +
        "them all. Pink marks numbers that are not finite.",
    ],
  ],
  [
    "Usage and the gates",
    [
      "Usage shows whether a slot is in use (1) or free (0), before the step's write. " +
        "Writing raises it. It falls when a read head opens its free gate at the step after " +
        "reading the slot.",
      "The write gate decides whether anything is written. The allocation gate decides " +
        "where: 1 is a free slot, 0 is the slot whose content is like the write key.",
      "Each head mixes three read modes. Content chooses the slot most like its key. Forward " +
        "and backward choose the slot written after, or before, the one it read last.",
    ],
  ],
  [
    "The memory at t",
    [
      "Each row is a slot. The rows above the memory are what the write head compared " +
        "(key), erased and wrote; those below are the keys of the read heads and the words " +
        "they got. The colours cover all but the largest hundredth of the numbers.",
      "Bars to the right are the weights of each head; outlines are what its key alone " +
        "would choose. A higher key strength makes that choice sharper.",
      "An arc leads from a slot to the one that was written right after it; its arrow head " +
        "is at the later one. These links are what forward and backward modes follow.",
      "Quantities that only this model has, such as an output of a custom part, are below: " +
        "over time on the left, and at t under the memory. Slots have the order of the rows.",
    ],
  ],
  [
    "Keys and clicks",
    [
      "← → one step, Home End first and last step, Space plays. Click or drag in the " +
        "timeline to choose t. Click a slot for its history; ↑ ↓ go to its neighbours once a " +
        "picture has the focus; Escape deselects. Click a head's name above to hide or show it, " +
        "with the links of a write head.",
    ],
  ],
];

/** @type {(section: [heading: string, paragraphs: string[]]) => HTMLElement} */
function section([heading, paragraphs]) {
  const texts = paragraphs.map((text) => element("p", {}, text));
  return element("section", {}, element("h3", {}, heading), ...texts);
}

/** The help as a dialog; `showModal()` opens it. */
export function helpDialog() {
  const dialog = element("dialog", { class: "help", "aria-label": "How to read the picture" });
  const close = element(
    "button",
    { type: "button", "aria-label": "Close", onclick: () => dialog.close() },
    "×",
  );
  dialog.append(
    element("header", {}, element("h2", {}, "How to read the picture"), close),
    element("div", { class: "sections" }, ...SECTIONS.map(section)),
  );
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  return dialog;
}
