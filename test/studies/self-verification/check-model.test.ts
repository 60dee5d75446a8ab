/** @file Models that the study refuses before it begins. */
import { expect, test } from "vitest";
import type { LayerSpec } from "../../../src/models/spec.js";
import { checkModel } from "../../../src/studies/self-verification/check-model.js";

function specOf(...kinds: ("gated" | "plain" | "experts" | undefined)[]) {
  const layers = kinds.map((kind) => ({ ...(kind !== undefined && { mlp: { kind } }) }) as unknown as LayerSpec);
  return { family: "some", layers };
}

test("a model of gated MLPs is taken", () => {
  expect(() => checkModel(specOf("gated", "gated"))).not.toThrow();
});

test.each([
  [specOf("plain"), "layer 0 has an MLP without gates"],
  [specOf("gated", "experts"), "layer 1 has a mixture of experts"],
  [specOf("gated", undefined), "layer 1 has no MLP"],
])("one with %j is refused", (spec, words) => {
  expect(() => checkModel(spec)).toThrow(words);
});
