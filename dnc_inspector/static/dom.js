// Elements in one line each. Text is always set as text, so that names from data stay names.

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Object<string, *>} attributes `on...` are listeners; true and false set or omit
 * @param {...(Node|string|null)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null) node.setAttribute(name, String(value));
  }
  node.append(...children.filter(isThere));
  return node;
}

/**
 * Shows other children; does nothing to the node itself.
 *
 * @template {HTMLElement} Parent
 * @param {Parent} node
 * @param {...(Node|string|null)} children
 * @returns {Parent}
 */
export function fill(node, ...children) {
  node.replaceChildren(...children.filter(isThere));
  return node;
}

/** @type {(child: Node|string|null) => child is Node|string} */
function isThere(child) {
  return child !== null;
}
