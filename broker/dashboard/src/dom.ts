// Owns the few steps between code and elements that every panel takes.

/** The element of index.html with this id. */
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

/** Shows `content` when there is some, else the words that say what to do next. */
export function showEither(content: HTMLElement, explanation: HTMLElement, hasContent: boolean): void {
  content.hidden = !hasContent;
  explanation.hidden = hasContent;
}

/** A price cell: aligned and short to read, exact on hover. */
export function numberCell(text: string, exact?: string): HTMLTableCellElement {
  return create("td", { class: "number", text, ...(exact === undefined ? {} : { title: exact }) });
}

/** A provider's name behind a swatch of its colour. */
export function providerName(provider: string, colourClass: string): HTMLSpanElement {
  return create("span", { class: `provider ${colourClass}`, title: provider }, provider);
}
