/** @file Sweeps of models with an adapter beside their weights: what the naive loop of full runs gives, for every kind of counterfactual. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { loadModel } from "../../../src/runtime/load.js";
import { fixture } from "../support.js";
import { everyKind, pairsFor } from "./cases.js";
import { equality, METRICS } from "./compare.js";

test.each(["gpt2-hub-names", "phi3-longrope-crossing"])("%s: a sweep equals the naive loop", async (name) => {
  const adapter = fileURLToPath(new URL(`../../fixtures/adapters/${name}`, import.meta.url));
  const model = await loadModel(fixture(name), { threads: 1, lazy: true, adapter });
  const pairs = pairsFor(model.spec, 1);
  const counterfactuals = (await everyKind(model, pairs, 1)).filter((_, i) => i % 5 === 0);
  expect((await equality(model, { pairs, counterfactuals, metrics: METRICS, direction: "denoise" })).first).toBeUndefined();
  await model.close();
});
