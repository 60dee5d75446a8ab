/** @file What single heads do to units: against plain passes over each row with one head off. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { headEffectsOnUnits } from "../../../src/analyses/verification/unit-effects.js";
import { mean } from "../../../src/base/statistics.js";
import type { Edit } from "../../../src/runtime/edit.js";
import type { Model } from "../../../src/runtime/model.js";
import { at, loadFixture, rowsOf } from "../../runtime/support.js";

/** Means of differences of float32 values below 1. Seen: 2e-8. */
const DIGITS = 6;

const rows = rowsOf(9, 5, 7);
const heads = [
  { layer: 1, head: 2 },
  { layer: 0, head: 3 },
];
const units = [
  { layer: 1, unit: 4 },
  { layer: 0, unit: 1 },
  { layer: 1, unit: 0 },
];

let model: Model;
beforeAll(async () => {
  model = await loadFixture("gemma3-old-style");
});
afterAll(() => model.close());

/** The units' mean at each row's last position, each row and unit by itself. */
async function meanOfUnits(edits: readonly Edit[]): Promise<number> {
  const values: number[] = [];
  for (const row of rows)
    for (const { layer, unit } of units) {
      const address = `mlp_post.${layer}`;
      const { activations } = await model.forward({ tokens: [row], read: [address], edits, logits: false });
      values.push(at(activations[address]!, 0, row.length - 1)[unit]!);
    }
  return mean(values);
}

test("are the units' mean with the head, less that without it", async () => {
  const found = await headEffectsOnUnits(model, { rows, heads, units });
  const before = await meanOfUnits([]);
  expect(found).toHaveLength(2);
  for (const [i, { layer, head }] of heads.entries()) {
    const after = await meanOfUnits([{ at: `z.${layer}`, op: "set", value: 0, heads: [head] }]);
    expect(found[i]).toBeCloseTo(before - after, DIGITS);
    expect(Math.abs(found[i]!)).toBeGreaterThan(1e-4);
  }
});

test("of heads behind the units are nothing", async () => {
  const [later] = await headEffectsOnUnits(model, { rows, heads: [{ layer: 1, head: 0 }], units: [{ layer: 0, unit: 1 }] });
  expect(later).toBe(0);
});

test("need rows and units, end when interrupted, and are none for no heads", async () => {
  await expect(headEffectsOnUnits(model, { rows: [], heads, units })).rejects.toThrow("at least one row and one unit");
  await expect(headEffectsOnUnits(model, { rows, heads, units: [] })).rejects.toThrow("at least one row and one unit");
  expect(await headEffectsOnUnits(model, { rows, heads: [], units })).toEqual([]);
  const controller = new AbortController();
  const options = { signal: controller.signal, onProgress: () => controller.abort() };
  await expect(headEffectsOnUnits(model, { rows, heads, units }, options)).rejects.toMatchObject({ kind: "interrupted" });
});
