// Owns the words and colour of the connection's state in the page's head.

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
