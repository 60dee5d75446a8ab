import { afterAll, expect, it } from "vitest";
import { gaussNodes, integratedGradients } from "../../../src/analyses/gradients/integrated.js";
import { gradientTimesActivation } from "../../../src/analyses/gradients/gradient-times-activation.js";
import type { Tensor } from "../../../src/base/tensor.js";
import { loadFixture, rowsOf } from "../../runtime/support.js";

const model = await loadFixture("llama-longrope-crossing");
afterAll(() => model.close());
const tokens = rowsOf(5, 5);
const of = "logits[-1,3]-logits[-1,7]";

it("has Gauss and Legendre's points", () => {
  const nodes = gaussNodes(5);
  for (let power = 0; power < 10; power++) {
    const sum = nodes.reduce((total, { place, weight }) => total + weight * place ** power, 0);
    expect(sum).toBeCloseTo(1 / (power + 1), 12);
  }
});

it("adds up to what the metric gains", async () => {
  const { activations } = await model.forward({ tokens: [tokens[1]!, tokens[0]!], read: ["resid_pre.1"], logits: false });
  const given = { tokens, of, at: "resid_pre.1", baseline: activations["resid_pre.1"] as Tensor<Float32Array> };
  const rough = await integratedGradients(model, { ...given, steps: 2, rule: "midpoint" });
  const fine = await integratedGradients(model, { ...given, steps: 48 });
  fine.gaps.forEach((gap, row) => {
    const gained = Math.abs(fine.values[row]! - fine.baselines[row]!);
    expect(gained).toBeGreaterThan(0.01);
    expect(Math.abs(gap)).toBeLessThan(0.02 * gained);
    expect(Math.abs(gap)).toBeLessThan(Math.abs(rough.gaps[row]!) + 1e-4);
  });
  const { logits } = await model.forward({ tokens, logits: { tokens: [3, 7] } });
  expect(fine.values[1]).toBeCloseTo(logits!.data[2]! - logits!.data[3]!, 4);
});

it("is exact at once where the metric is linear, and then equals gradient × activation", async () => {
  const found = await integratedGradients(model, { tokens, of, at: "final_normalized", steps: 1 });
  found.gaps.forEach((gap) => expect(Math.abs(gap)).toBeLessThan(1e-4));
  const { attributions } = await gradientTimesActivation(model, { tokens, of, at: ["final_normalized"] });
  found.attributions.data.forEach((part, i) => expect(part).toBeCloseTo(attributions["final_normalized"]!.data[i]!, 5));
});

it("takes another prompt's value as baseline, and gives nothing where both agree", async () => {
  const other = [tokens[1]!, tokens[1]!];
  const { activations } = await model.forward({ tokens: other, read: ["embed"], logits: false });
  const { attributions, gaps, values, baselines } = await integratedGradients(model, {
    tokens,
    of,
    baseline: activations["embed"] as never,
    steps: 24,
    rows: 7,
  });
  const size = attributions.data.length / 2;
  expect(Math.max(...attributions.data.subarray(size).map(Math.abs))).toBe(0);
  expect(values[1]).toBeCloseTo(baselines[1]!, 5);
  expect(Math.abs(gaps[0]!)).toBeLessThan(0.05 * Math.abs(values[0]! - baselines[0]!) + 1e-3);
});

it.each<[string, object, RegExp]>([
  [
    "a baseline of another shape",
    { baseline: { data: new Float32Array(2), shape: [2], axes: [] } },
    /baseline must have shape \[2, 5, \d+\], got \[2\]/,
  ],
  ["scores", { at: "attn_scores.0" }, /cannot go along a way at attn_scores\.0/],
  ["no steps", { steps: 0 }, /steps must be a whole number from 1 to 1024/],
  ["a loss", { of: { loss: "cross_entropy" } }, /a loss is one number of all rows/],
])("refuses %s", async (_, request, message) => {
  await expect(integratedGradients(model, { tokens, of, ...request } as never)).rejects.toThrow(message);
});
