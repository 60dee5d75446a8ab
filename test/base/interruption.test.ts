/** @file Work between whose steps an AbortSignal is heard. */
import { expect, test } from "vitest";
import { breathe, heed } from "../../src/base/interruption.js";

test("nothing is thrown without a signal, or while it says nothing", async () => {
  heed(undefined, "loading");
  heed(new AbortController().signal, "loading");
  await breathe(undefined, "loading");
});

test("a signal that comes while the program breathes ends the work, under its name and with the reason", async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort("enough"), 0);
  await expect(breathe(controller.signal, "loading")).rejects.toMatchObject({
    kind: "interrupted",
    message: "loading was interrupted",
    cause: "enough",
  });
  expect(() => heed(controller.signal, "the run")).toThrow("the run was interrupted");
});
