/**
 * @file A Chromium that is on this machine, for the tests of the browser: where `SEXTANT_CHROMIUM` says, or where distributions put it. None is
 * downloaded; without one these tests are skipped.
 */
import { existsSync } from "node:fs";
import { env } from "node:process";
import { chromium, type Browser } from "playwright-core";

const PLACES = [
  env["SEXTANT_CHROMIUM"] ?? "",
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

const path = PLACES.find((place) => place !== "" && existsSync(place));

/** Whether there is one: `describe.skipIf(!hasChromium)`. */
export const hasChromium = path !== undefined;

/** A headless browser. Its sandbox is off, since that does not start for root or in containers; only pages of our own are opened. */
export function openChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: path ?? "", args: ["--no-sandbox"] });
}
