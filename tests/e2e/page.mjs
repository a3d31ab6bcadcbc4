// Drives the market page in Chromium and checks what it shows: node page.mjs BROKER_URL SCREENSHOTS_DIR SCRATCH_DIR
//
// The first failed assertion ends it with status 1. Two providers with offers must be there, the function echo, and a
// deferred bid that rests.

import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(new URL("../../broker/dashboard/package.json", import.meta.url));
const { chromium } = require("playwright-core");

const [broker, screenshots, scratch] = process.argv.slice(2);
const VIEWPORTS = [
  { width: 1280, height: 800 },
  { width: 390, height: 844 },
];
/** Timeout between a call's answer and its price on the page. */
const SHOWN_WITHIN_MS = 1000;
const PATIENCE_MS = 30_000;
const AXE = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");

await mkdir(screenshots, { recursive: true });
const context = await chromium.launchPersistentContext(join(scratch, "chromium"), {
  executablePath: "/usr/bin/chromium",
  headless: true,
  chromiumSandbox: false,
  viewport: VIEWPORTS[0],
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
try {
  await check(await context.newPage());
} finally {
  await context.close();
}

async function check(page) {
  page.setDefaultTimeout(PATIENCE_MS);
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("requestfailed", (request) => {
    const reason = request.failure()?.errorText;
    // A reload ends the stream of the former page.
    if (reason !== "net::ERR_ABORTED") complaints.push(`${request.url()}: ${reason}`);
  });

  await page.goto(broker);
  await page.waitForSelector("[data-testid=connection][data-state=live]");
  assert.equal(await page.locator("[data-testid=market]").inputValue(), "local/wasm");
  await checkSpot(page);
  await checkMeritOrder(page);
  await checkBids(page);

  for (const provider of ["edge-cheap", "edge-dear", "edge-cheap", "edge-dear"]) await checkTrade(page, provider);
  const cheapest = page.locator("[data-testid=merit-order] g.step").first();
  assert.equal(await cheapest.getAttribute("data-provider"), "edge-cheap");
  assert.equal(await cheapest.getAttribute("data-marginal"), "true");

  for (const viewport of VIEWPORTS) await checkLayout(page, viewport);
  assert.deepEqual(complaints, []);
}

/** Checks that each offer has a step, cheapest first, and that one is marginal. */
async function checkMeritOrder(page) {
  const { providers } = await getJson("/v1/providers");
  const steps = page.locator("[data-testid=merit-order] g.step");
  for (const { name, offers } of providers) {
    assert.ok(offers > 0, `${name} has no offers`);
    const ids = await steps.and(page.locator(`[data-provider="${name}"]`)).evaluateAll((all) => all.map((step) => step.dataset.offer));
    assert.equal(new Set(ids).size, offers, `${name}: ${ids}`);
  }
  assert.equal(await steps.count(), providers.reduce((sum, { offers }) => sum + offers, 0));
  assert.equal(await page.locator("[data-testid=merit-order] g.step[data-marginal=true]").count(), 1);
}

/** Checks that the resting bids stand there by their limits. */
async function checkBids(page) {
  const { bids } = await getJson("/v1/markets/local/wasm/book");
  assert.equal(bids.length, 1);
  const row = page.locator(`[data-testid=bids] tr[data-limit="${bids[0].price}"]`);
  await row.waitFor();
  assert.ok((await row.innerText()).includes(String(bids[0].memory_mb)));
}

/** Checks that the spot price is the book's: what the next call pays, before any was made. */
async function checkSpot(page) {
  const { spot_price } = await getJson("/v1/markets/local/wasm/book");
  await page.waitForSelector(`[data-testid=spot-price][title^="${spot_price} USD"]`);
  const shown = await page.locator("[data-testid=spot-price]").innerText();
  assert.equal(shown.replace(/\s+/g, " "), `$${spot_price} per GB-s`);
}

/** Checks that a call at this provider makes the last price, leaves the spot price, and stands on top of the tape. */
async function checkTrade(page, provider) {
  const answer = await fetch(`${broker}/v1/functions/echo/invocations`, {
    method: "POST",
    headers: { "Merit-Only": provider },
    body: "hello",
  });
  const answeredAt = performance.now();
  assert.equal(answer.status, 200, await answer.text());
  const price = answer.headers.get("merit-price");
  await page.waitForSelector(`[data-testid=last-price][title^="${price} USD"]`);
  const shownMs = performance.now() - answeredAt;
  assert.ok(shownMs < SHOWN_WITHIN_MS, `the price of a call was on the page ${Math.round(shownMs)} ms after its answer`);
  console.log(`${provider} at ${price}: on the page after ${Math.round(shownMs)} ms`);

  await checkSpot(page);
  const { trades } = await getJson("/v1/markets/local/wasm/trades");
  assert.equal(trades[0].price, price);
  const row = page.locator("[data-testid=tape] tbody tr").first();
  await page.waitForSelector(`[data-testid=tape] tbody tr[data-sequence="${trades[0].sequence}"]`);
  assert.equal(await row.getAttribute("data-sequence"), String(trades[0].sequence));
  assert.ok((await row.innerText()).includes(provider));
}

/** Checks that nothing is cut off or scrolls sideways, and that each panel has a size. */
async function checkLayout(page, viewport) {
  await page.setViewportSize(viewport);
  await page.reload();
  await page.waitForSelector("[data-testid=tape] tbody tr");
  const name = `${viewport.width}x${viewport.height}`;
  for (const id of ["spot-price", "merit-order", "tape", "market", "connection"]) {
    const box = await page.locator(`[data-testid=${id}]`).boundingBox();
    assert.ok(box !== null && box.width > 0 && box.height > 0, `${id} is not to be seen at ${name}`);
    assert.ok(box.x >= 0 && box.x + box.width <= viewport.width, `${id} sticks out at ${name}: ${JSON.stringify(box)}`);
  }
  assert.ok((await page.locator("[data-testid=merit-order] g.step").first().boundingBox()).width > 0);
  const chart = await page.locator("#merit-order-chart svg").boundingBox();
  const label = await page.locator("#merit-order-chart .marginal text").boundingBox();
  assert.ok(label.x >= chart.x && label.x + label.width <= chart.x + chart.width, `${JSON.stringify(label)} at ${name}`);
  await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
  const { scrollWidth, clientWidth } = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return { scrollWidth, clientWidth };
  });
  assert.ok(scrollWidth <= clientWidth, `the page scrolls sideways at ${name}: ${scrollWidth} px of ${clientWidth}`);
  await checkAccess(page, name);
}

/** Checks the page by the rules of axe: light and dark, with all rungs unfolded, live and dimmed. */
async function checkAccess(page, name) {
  await page.evaluate(AXE);
  const folded = page.locator("[aria-expanded=false]");
  while ((await folded.count()) > 0) await folded.first().click();
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const state of ["live", "old"]) {
      await page.evaluate((isOld) => document.body.toggleAttribute("data-old", isOld), state === "old");
      const { violations } = await page.evaluate(() => axe.run());
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target).join(", ")}`);
      assert.deepEqual(found, [], `${name}, ${colorScheme}, ${state}`);
    }
  }
}

async function getJson(path) {
  const answer = await fetch(broker + path);
  assert.equal(answer.status, 200, path);
  return answer.json();
}
