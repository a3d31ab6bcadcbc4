// Owns the making, finding and placing of elements for every panel. Knows no market.

import { middleCut } from "./middle-cut";

/** Returns the element of index.html with this id. */
export function byId<E extends HTMLElement = HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`index.html has no element #${id}`);
  return found as E;
}

export interface Attributes {
  class?: string;
  text?: string;
  title?: string;
}

export function create<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (attributes.class !== undefined) element.className = attributes.class;
  if (attributes.title !== undefined) element.title = attributes.title;
  if (attributes.text !== undefined) element.textContent = attributes.text;
  element.append(...children);
  return element;
}

/** Shows `content` if there is any, else the words about the next step. */
export function showEither(content: HTMLElement, explanation: HTMLElement, hasContent: boolean): void {
  content.hidden = !hasContent;
  explanation.hidden = hasContent;
}

/** Makes a cell of a number: aligned and short to read, exact on hover. */
export function numberCell(text: string, exact?: string): HTMLTableCellElement {
  return create("td", { class: "number", text, ...(exact === undefined ? {} : { title: exact }) });
}

/** Makes a provider's name behind a swatch of its colour, the middle cut, whole on hover. */
export function providerName(provider: string, colourClass: string, most: number): HTMLSpanElement {
  return create("span", { class: `provider ${colourClass}`, title: provider }, middleCut(provider, most));
}

/** Puts elements in this order into their parent. Those in their place are not moved, and the focus stays. */
export function arrange(parent: Element, elements: readonly Element[]): void {
  const wanted = new Set(elements);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  const focused = document.activeElement;
  let place = parent.firstElementChild;
  for (const element of elements) {
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  if (focused instanceof HTMLElement && focused !== document.activeElement && parent.contains(focused)) {
    focused.focus({ preventScroll: true });
  }
}
