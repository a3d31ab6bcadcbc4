// Owns the drawing of the merit order curve: steps, axes, the marginal mark. Never orders offers or shows the tooltip.

import { axisBottom, axisLeft } from "d3-axis";
import { type ScaleLinear, scaleLinear } from "d3-scale";
import { type Selection, select } from "d3-selection";
import { line } from "d3-shape";
import type { Step } from "./merit-order";
import { NAME_IN_TEXT, middleCut } from "./middle-cut";
import { colourClass } from "./palette";
import { PER_MILLION_DECIMALS, coordinate, perMillion } from "./price";

const MARGIN = { top: 30, right: 14, bottom: 24, left: 52 };
/** Least height and width of a step: an offer at price 0, or of little capacity, still shows. */
const LEAST_PX = 3;
const PX_PER_X_TICK = 90;
const PX_PER_Y_TICK = 40;
/** Height of the axis in relation to the dearest offer: room for the marginal label. */
const HEADROOM = 1.1;

export interface Size {
  width: number;
  height: number;
}

interface Scales {
  x: ScaleLinear<number, number>;
  y: ScaleLinear<number, number>;
}

type Layer = Selection<SVGGElement, unknown, null, undefined>;

export class MeritOrderChart {
  readonly svg: SVGSVGElement;
  readonly #axisX: Layer;
  readonly #axisY: Layer;
  readonly #marginal: Layer;
  readonly #steps: Layer;

  constructor(container: HTMLElement) {
    const svg = select(container).append("svg");
    this.svg = svg.node() as SVGSVGElement;
    this.#axisX = svg.append("g").attr("class", "axis").attr("aria-hidden", "true");
    this.#axisY = svg.append("g").attr("class", "axis axis-price").attr("aria-hidden", "true");
    this.#steps = svg.append("g").attr("role", "list").attr("aria-labelledby", "merit-order-heading");
    this.#marginal = svg.append("g").attr("class", "marginal").attr("aria-hidden", "true");
  }

  draw(steps: readonly Step[], { width, height }: Size): void {
    const scales = scalesFor(steps, { width, height });
    select(this.svg).attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height);
    this.#drawAxes(scales, { width, height });
    this.#drawSteps(steps, scales);
    this.#drawMarginal(steps.find((step) => step.marginal), scales, width);
  }

  #drawAxes({ x, y }: Scales, { width, height }: Size): void {
    this.#axisX
      .attr("transform", `translate(0,${height - MARGIN.bottom})`)
      .call(axisBottom(x).ticks(Math.max(2, width / PX_PER_X_TICK)).tickSizeOuter(0));
    this.#axisY
      .attr("transform", `translate(${MARGIN.left},0)`)
      .call(
        axisLeft(y)
          .ticks(Math.max(2, height / PX_PER_Y_TICK))
          .tickSizeInner(-(width - MARGIN.left - MARGIN.right))
          .tickSizeOuter(0),
      );
  }

  #drawSteps(steps: readonly Step[], { x, y }: Scales): void {
    const groups = this.#steps
      .selectAll<SVGGElement, Step>("g.step")
      .data([...steps], (step) => step.offer.offer)
      .join((entered) => {
        const group = entered.append("g").attr("role", "listitem");
        group.append("rect").attr("class", "free");
        group.append("rect").attr("class", "used");
        group.append("path").attr("class", "tread");
        group.append("rect").attr("class", "reach");
        return group;
      })
      .order();

    const top = (step: Step) => Math.min(y(coordinate(step.price)), y(0) - LEAST_PX);
    const width = (fromMb: number, toMb: number) => (toMb > fromMb ? Math.max(x(toMb) - x(fromMb), LEAST_PX) : 0);
    const tread = line<number>().x((mb) => x(mb));

    groups
      .attr("class", (step) => `step ${colourClass(step.offer.provider)}`)
      .classed("is-marginal", (step) => step.marginal)
      .attr("data-offer", (step) => step.offer.offer)
      .attr("data-provider", (step) => step.offer.provider)
      .attr("data-marginal", (step) => String(step.marginal))
      .attr("tabindex", (_, index) => (index === 0 ? 0 : -1))
      .attr("aria-label", describeStep);
    groups
      .select("rect.used")
      .attr("x", (step) => x(step.fromMb))
      .attr("y", top)
      .attr("width", (step) => width(step.fromMb, step.freeFromMb))
      .attr("height", (step) => y(0) - top(step));
    groups
      .select("rect.free")
      .attr("x", (step) => x(step.freeFromMb))
      .attr("y", top)
      .attr("width", (step) => width(step.freeFromMb, step.toMb))
      .attr("height", (step) => y(0) - top(step));
    groups.select("path.tread").attr("d", (step) => tread.y(top(step))([step.fromMb, step.toMb]));
    // The whole column answers the pointer, also above a low step.
    groups
      .select("rect.reach")
      .attr("x", (step) => x(step.fromMb))
      .attr("y", MARGIN.top)
      .attr("width", (step) => width(step.fromMb, step.toMb))
      .attr("height", y(0) - MARGIN.top);
  }

  #drawMarginal(step: Step | undefined, { x, y }: Scales, width: number): void {
    this.#marginal.selectAll("*").remove();
    if (step === undefined) return;
    const at = { x: x(step.freeFromMb), y: y(coordinate(step.price)) };
    const inRightHalf = at.x > width / 2;
    this.#marginal.append("line").attr("x1", MARGIN.left).attr("x2", at.x).attr("y1", at.y).attr("y2", at.y);
    this.#marginal.append("line").attr("x1", at.x).attr("x2", at.x).attr("y1", MARGIN.top - 8).attr("y2", y(0));
    this.#marginal.append("circle").attr("cx", at.x).attr("cy", at.y).attr("r", 4.5);
    const label = this.#marginal.append("text").attr("y", MARGIN.top - 12);
    label.text(`marginal: ${middleCut(step.offer.provider, NAME_IN_TEXT)} at ${perMillion(step.price)}`);
    const length = label.node()?.getComputedTextLength() ?? 0;
    const left = inRightHalf ? at.x - 6 - length : at.x + 6;
    label.attr("x", Math.max(0, Math.min(left, width - length)));
  }
}

/** Describes a step for the tooltip and for screen readers. */
export function describeStep(step: Step): string {
  const freeMb = step.toMb - step.freeFromMb;
  const usedMb = step.freeFromMb - step.fromMb;
  return (
    `${step.offer.provider}, offer ${step.offer.offer}: ${perMillion(step.price)} dollars per million GB-s, ` +
    `${usedMb} MB used, ${freeMb} MB free of ${step.toMb - step.fromMb} MB` +
    (step.marginal ? ", the marginal offer" : "")
  );
}

function scalesFor(steps: readonly Step[], { width, height }: Size): Scales {
  const dearest = Math.max(...steps.map((step) => coordinate(step.price)), 10 ** -PER_MILLION_DECIMALS);
  return {
    x: scaleLinear([0, steps.at(-1)?.toMb ?? 1], [MARGIN.left, width - MARGIN.right]),
    y: scaleLinear([0, dearest * HEADROOM], [height - MARGIN.bottom, MARGIN.top]),
  };
}
