// Owns the merit order panel around its curve: size, legend, tooltip, keyboard. Never orders offers.

import { select } from "d3-selection";
import { byId, create, providerName, showEither } from "./dom";
import type { Step } from "./merit-order";
import { MeritOrderChart, describeStep } from "./merit-order-chart";
import { NAME_IN_TEXT } from "./middle-cut";
import { colourClass } from "./palette";

export class MeritOrderPanel {
  readonly #body = byId("merit-order-body");
  readonly #container = byId("merit-order-chart");
  readonly #legend = byId("merit-order-legend");
  readonly #empty = byId("merit-order-empty");
  readonly #tooltip = create("div", { class: "tooltip" });
  readonly #chart = new MeritOrderChart(this.#container);
  #steps: readonly Step[] = [];
  #providers = "";

  constructor(emptyWords: Node[]) {
    this.#empty.append(...emptyWords);
    this.#tooltip.hidden = true;
    this.#tooltip.ariaHidden = "true";
    this.#container.append(this.#tooltip);
    new ResizeObserver(() => this.#draw()).observe(this.#container);

    this.#container.addEventListener("pointermove", (event) => this.#pointAt(event.target));
    this.#container.addEventListener("pointerdown", (event) => this.#pointAt(event.target));
    this.#container.addEventListener("pointerleave", () => this.#pointAt(null));
    this.#container.addEventListener("focusin", (event) => this.#pointAt(event.target));
    this.#container.addEventListener("focusout", () => this.#pointAt(null));
    this.#container.addEventListener("keydown", (event) => this.#moveFocus(event));
  }

  render(steps: readonly Step[]): void {
    this.#steps = steps;
    showEither(this.#body, this.#empty, steps.length > 0);
    this.#draw();
    this.#renderLegend();
  }

  clear(): void {
    this.#steps = [];
    this.#body.hidden = true;
    this.#empty.hidden = true;
    this.#tooltip.hidden = true;
  }

  #draw(): void {
    const { clientWidth: width, clientHeight: height } = this.#container;
    if (this.#steps.length > 0 && width > 0 && height > 0) this.#chart.draw(this.#steps, { width, height });
  }

  #renderLegend(): void {
    const providers = [...new Set(this.#steps.map((step) => step.offer.provider))].sort();
    const joined = providers.join(" ");
    if (joined === this.#providers) return;
    this.#providers = joined;
    this.#legend.replaceChildren(
      ...providers.map((provider) => create("li", {}, providerName(provider, colourClass(provider), NAME_IN_TEXT))),
      create("li", { class: "key" }, create("span", { class: "key-used" }), "in use"),
      create("li", { class: "key" }, create("span", { class: "key-free" }), "free"),
    );
  }

  #pointAt(target: EventTarget | null): void {
    const group = target instanceof Element ? target.closest<SVGGElement>("g.step") : null;
    this.#tooltip.hidden = group === null;
    if (group === null) return;
    this.#tooltip.textContent = describeStep(select<SVGGElement, Step>(group).datum());
    const column = group.getBoundingClientRect();
    const frame = this.#container.getBoundingClientRect();
    const middle = (column.left + column.right) / 2 - frame.left - this.#tooltip.offsetWidth / 2;
    const rightmost = frame.width - this.#tooltip.offsetWidth;
    this.#tooltip.style.left = `${Math.max(0, Math.min(middle, rightmost))}px`;
  }

  /** Moves the focus by an arrow key: the whole curve is one stop of the Tab key. */
  #moveFocus(event: KeyboardEvent): void {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by === undefined) return;
    const groups = [...this.#chart.svg.querySelectorAll<SVGGElement>("g.step")];
    groups[groups.findIndex((group) => group === document.activeElement) + by]?.focus();
    event.preventDefault();
  }
}
