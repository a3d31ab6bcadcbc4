// Owns the making and finding of elements for every panel. Knows no market.

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

/** Makes a provider's name behind a swatch of its colour. */
export function providerName(provider: string, colourClass: string): HTMLSpanElement {
  return create("span", { class: `provider ${colourClass}`, title: provider }, provider);
}
