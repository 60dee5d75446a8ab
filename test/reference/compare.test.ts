import { expect, it } from "vitest";
import { floats } from "./arrays.js";
import { compareRuns, compareTensors } from "./compare.js";

const limits = { name: "llama/gqa", relative: 1e-3 };

function run(values: Record<string, readonly number[]>): Parameters<typeof compareRuns>[0] {
  return { points: new Map(Object.entries(values).map(([address, data]) => [address, floats([1, data.length], Float64Array.from(data))])) };
}

it("names the first point in forward order that differs, whatever the order it was given", () => {
  const ours = run({ logits: [9, 9], "resid_post.1": [1, 2.5], "resid_post.0": [1, 2] });
  const theirs = run({ "resid_post.1": [1, 2], "resid_post.0": [1, 2], logits: [1, 2] });
  expect(compareRuns(ours, theirs, limits).message).toBe(
    "✗ llama/gqa  resid_post.1 max |Δ| 5.0e-1 (relative 2.5e-1) at [0,1] ours 2.5000 reference 2.0000 (first point to differ; resid_post.0 agrees)",
  );
});

it("orders blocks by number, with the two ends around them", () => {
  const addresses = ["final_normalized", "resid_post.10", "q.10", "resid_post.9", "embed", "logits"];
  const same = run(Object.fromEntries(addresses.map((address) => [address, [1]])));
  const { agrees, differences } = compareRuns(same, same, limits);
  expect(agrees).toBe(true);
  expect(differences.map(({ address }) => address)).toEqual([
    "embed",
    "resid_post.9",
    "q.10",
    "resid_post.10",
    "final_normalized",
    "logits",
  ]);
});

it("reports a point that is missing or has another shape", () => {
  expect(compareRuns(run({}), run({ "z.0": [1] }), limits).message).toBe("✗ llama/gqa  z.0 is missing in ours, [1,1] in reference");
  expect(compareRuns(run({ "z.0": [1, 2] }), run({ "z.0": [1] }), limits).message).toBe(
    "✗ llama/gqa  z.0 is [1,2] in ours, [1,1] in reference",
  );
});

it("takes equal infinities as equal, and NaN or a lone infinity as infinitely far", () => {
  const difference = (ours: number, theirs: number): number =>
    compareTensors("attn_scores.0", floats([2], Float64Array.of(ours, 1)), floats([2], Float64Array.of(theirs, 1))).maxAbs;
  expect(difference(-Infinity, -Infinity)).toBe(0);
  expect(difference(-Infinity, 3)).toBe(Infinity);
  expect(difference(NaN, 3)).toBe(Infinity);
  expect(difference(NaN, NaN)).toBe(0);
});

it("holds logits to an absolute limit where one is given", () => {
  const [ours, theirs] = [run({ logits: [100.01] }), run({ logits: [100] })];
  expect(compareRuns(ours, theirs, limits).agrees).toBe(true);
  expect(compareRuns(ours, theirs, { ...limits, logits: 1e-3 }).agrees).toBe(false);
});
