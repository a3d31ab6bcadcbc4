// Makes the picture of the README: node picture.mjs MERIT FILE, where MERIT is the built binary.
//
// Starts a market with its demo in an empty folder, lets it trade for a minute, and takes a screenshot of the page.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

import { chromium } from "playwright-core";

/** Time for which the demo trades before the picture. */
const TRADES_MS = 75_000;

const [merit, file] = process.argv.slice(2).map((path) => resolve(path));
const dir = await mkdtemp(join(tmpdir(), "merit-picture-"));
const page = new URL("dist", import.meta.url).pathname;
const market = spawn(merit, ["up", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--page", page], {
  cwd: dir,
  stdio: ["ignore", "pipe", "inherit"],
});
try {
  const [ready] = await once(createInterface(market.stdout), "line");
  const broker = ready.split(" ").find((word) => word.startsWith("http://"));
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    chromiumSandbox: false,
    args: ["--disable-gpu", "--no-first-run", "--disable-background-networking"],
  });
  const tab = await browser.newPage({ viewport: { width: 1440, height: 900 }, colorScheme: "light" });
  await tab.goto(broker);
  await tab.waitForSelector("[data-testid=connection][data-state=live]");
  await tab.waitForTimeout(TRADES_MS);
  await tab.screenshot({ path: file });
  await browser.close();
} finally {
  market.kill("SIGTERM");
  await once(market, "exit");
  await rm(dir, { recursive: true });
}
