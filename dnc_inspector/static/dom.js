// Elements in one line each. Text is always set as text, so that names from data stay names.

/**
 * @param {string} tag
 * @param {Object<string, *>} attributes `on...` are listeners; true and false set or leave out
 * @param {...(Node|string|null)} children
 * @returns {HTMLElement}
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null) node.setAttribute(name, String(value));
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Shows other children; does nothing to the node itself. */
export function fill(node, ...children) {
  node.replaceChildren(...children.filter((child) => child !== null));
  return node;
}
