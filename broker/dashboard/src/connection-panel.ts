// Owns the words and colour of the connection's state in the page's head, and of the age of all that the stream feeds.

import { timeOfDay } from "./clock";
import { byId } from "./dom";
import type { Link } from "./link";

export function renderConnection(link: Link): void {
  const words = wordsFor(link);
  const element = byId("connection");
  document.body.dataset.link = link.state;
  element.dataset.state = link.state;
  // The element is a live region: the same words written again would be read out again.
  if (element.textContent !== words) element.textContent = words;
}

/** Dims what the stream feeds while it is old, with the time as of which it is known. */
export function renderAge(link: Link, knownUntilMs: number | undefined): void {
  const isOld = link.state !== "live" && knownUntilMs !== undefined;
  document.body.toggleAttribute("data-old", isOld);
  const words = isOld ? `as of ${timeOfDay(knownUntilMs)} UTC` : "";
  for (const note of document.querySelectorAll<HTMLElement>(".as-of")) {
    note.hidden = !isOld;
    note.textContent = words;
  }
}

function wordsFor(link: Link): string {
  switch (link.state) {
    case "connecting":
      return "Connecting";
    case "live":
      return "Live";
    case "reconnecting":
      return `Reconnecting since ${timeOfDay(link.sinceMs)} UTC`;
    case "stale":
      return `Stale: nothing heard since ${timeOfDay(link.sinceMs)} UTC`;
  }
}
