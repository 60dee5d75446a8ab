/** @file Training with AdamW: steps are those of torch, the best look is kept, layers are trained as they would be alone. */
import { describe, expect, test } from "vitest";
import { adamw } from "../../../src/analyses/probes/adamw.js";
import { fitProbe } from "../../../src/analyses/probes/fit.js";
import { tensor } from "../../../src/base/tensor.js";
import { cosine, plantedExamples } from "./planted.js";

test("four steps are torch's", () => {
  // torch 2.13.0: optim.AdamW(lr=0.1, betas=(0.9, 0.99), weight_decay=0.01) in float64, gradients sin(i + 3 t).
  const parameters = Float64Array.of(1, -2, 0.5);
  const step = adamw(3, { learningRate: 0.1, betas: [0.9, 0.99], weightDecay: 0.01 });
  for (let t = 0; t < 4; t++)
    step(
      parameters,
      Float64Array.from({ length: 3 }, (_, i) => Math.sin(i + 3 * t)),
    );
  for (const [i, value] of [0.9221373089081953, -2.1258114432528257, 0.37956809694746924].entries())
    expect(parameters[i]).toBeCloseTo(value, 12);
});

describe("training", () => {
  const planted = plantedExamples({ seed: 11, groups: 80, perGroup: 2, width: 12, strength: 1.2 });

  test("keeps the weights of the best look and stops after `patience` worse ones", () => {
    const method = { kind: "softmax_adamw", learningRate: 0.05, weightDecay: 0, evaluateEvery: 5, patience: 4, maxSteps: 2000 } as const;
    const { training } = fitProbe({ ...planted, method, seed: 2, interval: "none" });
    const { losses, step } = training!;
    const best = losses.indexOf(Math.min(...losses));
    expect(step).toBe((best + 1) * 5);
    expect(losses.length).toBe(best + 1 + 4);
    const shorter = fitProbe({ ...planted, method: { ...method, maxSteps: step }, seed: 2, interval: "none" });
    expect(shorter.training!.step).toBe(step);
    expect(shorter.layers).toEqual(fitProbe({ ...planted, method, seed: 2, interval: "none" }).layers);
  });

  test("has no bias, and starts at N(0, 1/d)", () => {
    const method = { kind: "softmax_adamw", learningRate: 1e-9, maxSteps: 1 } as const;
    const wide = { examples: tensor(new Float32Array(20 * 500).fill(1), [20, 500]), labels: planted.labels.slice(0, 20) };
    const { probe } = fitProbe({ ...wide, method, seed: 2, interval: "none" }).layers[0]!;
    expect([...probe.bias.data]).toEqual([0, 0]);
    const squares = probe.weights.data.reduce((sum, w) => sum + w * w, 0);
    // χ² of 1000 / 500: 2 ± 0.09.
    expect(Math.abs(squares - 2)).toBeLessThan(0.3);
  });

  test("comes to what softmax finds, when it is left to", () => {
    const whole = { kind: "softmax_adamw", learningRate: 0.02, weightDecay: 0, batchSize: 500, patience: 1000, maxSteps: 600 } as const;
    const trained = fitProbe({ ...planted, method: whole, seed: 2, interval: "none" }).layers[0]!;
    const exact = fitProbe({ ...planted, method: { kind: "softmax", l2: 1e-3 }, seed: 2, interval: "none" }).layers[0]!;
    const lead = (data: Float32Array): Float32Array => data.slice(12).map((w, i) => w - data[i]!);
    expect(cosine(lead(trained.probe.weights.data), lead(exact.probe.weights.data))).toBeGreaterThan(0.9);
    expect(trained.test.accuracy).toBeGreaterThan(0.8);
  });
});
