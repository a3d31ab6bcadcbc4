import { expect, test } from "vitest";
import { meritOrder } from "../src/merit-order";
import { spotSentence } from "../src/spot-sentence";
import { offer } from "./fixtures";

const PAYS = "What the next 512 MB call for 100 ms would pay";
const spot = offer({ offer: "o-9", price: "0.00002" });

function withCheaper(...freeMb: number[]) {
  const cheaper = freeMb.map((free_mb, index) => offer({ offer: `o-${index}`, price: "0.00001", free_mb }));
  return meritOrder([spot, ...cheaper]);
}

test.each([
  ["open", "0.00002", withCheaper(), `${PAYS}.`],
  ["open", "0.00002", withCheaper(0, 0), `${PAYS}: cheaper offers are full.`],
  ["open", "0.00002", withCheaper(0, 511), `${PAYS}: cheaper offers have no room for it.`],
  ["open", "0.00002", withCheaper(512), `${PAYS}: cheaper offers do not take it.`],
  ["open", null, withCheaper(0), "No offer has room for a 512 MB call."],
  ["open", null, [], "There is no offer."],
  ["halted", null, withCheaper(), "The market is halted."],
  ["cancel_only", null, withCheaper(), "The market is closed: offers can only be cancelled."],
])("in a market that is %s, with a spot price of %s", (state, spotPrice, steps, sentence) => {
  expect(spotSentence(state, spotPrice, steps)).toBe(sentence);
});
