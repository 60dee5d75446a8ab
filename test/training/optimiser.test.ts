/** @file AdamW against torch, and what it leaves alone. */
import { describe, expect, test } from "vitest";
import { clippingOf, gradientNorm } from "../../src/training/gradient-norm.js";
import { makeAdamW, type AdamWOptions } from "../../src/training/optimiser.js";
import type { Parameter } from "../../src/training/step-types.js";

const value = (i: number, k: number): number => Math.sin(1 + 0.7 * i + 1.3 * k);
const one = (data: number[], shape: readonly number[]): Map<string, Parameter> =>
  new Map([["x", { data: Float32Array.from(data), shape }]]);

describe("AdamW", () => {
  /*
   * torch 2.13, AdamW([{W, weight_decay 0.1}, {b, weight_decay 0}], betas (0.9, 0.95)) in float64 and in float32, the rate 0.01 · (t + 1) / 20 at step t, behind
   * clip_grad_norm_([W, b], 2), with W, b and their gradients from `value` as below.
   */
  test("does what torch does, over 20 steps of clipped gradients and changing rates", () => {
    const parameters = new Map<string, Parameter>([
      ["W", { data: Float32Array.from({ length: 6 }, (_, i) => value(i, 0)), shape: [2, 3] }],
      ["b", { data: Float32Array.from({ length: 3 }, (_, i) => value(i, 5)), shape: [3] }],
    ]);
    const optimiser = makeAdamW(parameters, { beta2: 0.95, weightDecay: 0.1 });
    const norms: number[] = [];
    for (let t = 0; t < 20; t++) {
      const gradients = new Map([
        ["W", Float32Array.from({ length: 6 }, (_, i) => value(i, t + 10) * 10 ** ((i % 3) - 1))],
        ["b", Float32Array.from({ length: 3 }, (_, i) => value(i, t + 40))],
      ]);
      norms.push(gradientNorm(gradients));
      optimiser.update(gradients, { learningRate: (0.01 * (1 + t)) / 20, scale: clippingOf(norms.at(-1)!, 2) });
    }
    expect(norms[0]).toBeCloseTo(10.335801124572754, 5);
    expect(norms[19]).toBeCloseTo(11.972935676574707, 5);
    // Twenty roundings of parameters to float32, 3e-8 each at most. Largest difference seen: 1.8e-7 from torch in float64, 3e-7 in float32.
    const [exact, single] = [4e-7, 6e-7];
    expectNear(parameters.get("W")!.data, [0.829552754, 0.979992517, 0.669733531, 0.044757151, -0.601936302, -0.964923595], exact);
    expectNear(parameters.get("b")!.data, [0.939021508, 0.944299903, 0.504659715], exact);
    expectNear(parameters.get("W")!.data, [0.829552889, 0.979992867, 0.669733524, 0.044757158, -0.60193646, -0.964923739], single);
    expectNear(parameters.get("b")!.data, [0.939021528, 0.944299877, 0.504659891], single);
    expect(optimiser.updates).toBe(20);
  });

  test("decays matrices only, unless all shall decay", () => {
    const after = (shape: readonly number[], options: AdamWOptions): number => {
      const parameters = one([1, 1], shape);
      makeAdamW(parameters, options).update(new Map([["x", new Float32Array(2)]]), { learningRate: 0.5 });
      return parameters.get("x")!.data[0]!;
    };
    expect(after([1, 2], { weightDecay: 0.5 })).toBe(0.75);
    expect(after([2], { weightDecay: 0.5 })).toBe(1);
    expect(after([2], { weightDecay: 0.5, decays: "all" })).toBe(0.75);
  });

  test("takes the first step as long as the learning rate, whatever the gradient's length", () => {
    for (const gradient of [1e-3, 1, 1e6]) {
      const parameters = one([0, 0], [2]);
      makeAdamW(parameters).update(new Map([["x", Float32Array.of(gradient, -gradient)]]), { learningRate: 0.1 });
      expectNear(parameters.get("x")!.data, [-0.1, 0.1], 2e-6);
    }
  });

  test("leaves a parameter without a gradient alone", () => {
    const parameters = new Map([...one([1, 2], [1, 2]), ["y", { data: Float32Array.of(3), shape: [1, 1] }]]);
    const optimiser = makeAdamW(parameters);
    optimiser.update(new Map([["x", Float32Array.of(1, 1)]]), { learningRate: 1 });
    expect(parameters.get("y")!.data[0]).toBe(3);
    expect(optimiser.moments.get("y")!.m[0]).toBe(0);
    expect(optimiser.moments.get("x")!.m[0]).toBeCloseTo(0.1, 7);
  });

  test.each([
    [{ beta1: 1 }, "AdamW: beta1 must be 0 or more and below 1, got 1"],
    [{ beta2: NaN }, "AdamW: beta2 must be 0 or more and below 1, got NaN"],
    [{ epsilon: 0 }, "AdamW: epsilon must be above 0, got 0"],
    [{ weightDecay: -1 }, "AdamW: weightDecay must be 0 or more, got -1"],
  ])("refuses %o", (options, message) => {
    expect(() => makeAdamW(one([1], [1]), options)).toThrow(message);
  });

  test("refuses gradients of other things before it changes anything", () => {
    const parameters = one([1, 2], [1, 2]);
    const optimiser = makeAdamW(parameters);
    const x = Float32Array.of(1, 1);
    const update = (gradients: [string, Float32Array][]) => () => optimiser.update(new Map(gradients), { learningRate: 1 });
    expect(update([["x", x], ["z", x]])).toThrow('there is a gradient of "z", which is no parameter'); // oxfmt-ignore
    expect(update([["x", Float32Array.of(1)]])).toThrow('the gradient of "x" has 1 elements, the parameter 2');
    expect([...parameters.get("x")!.data]).toEqual([1, 2]);
    expect(optimiser.updates).toBe(0);
  });
});

describe("the length of gradients", () => {
  test("is that of all together, whatever their number of elements", () => {
    for (const length of [0, 1, 3, 4, 5, 1001]) {
      const data = Float32Array.from({ length }, (_, i) => value(i, length));
      const expected = Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) + 9);
      expect(gradientNorm(new Map([["a", data], ["b", Float32Array.of(3)]]))).toBeCloseTo(expected, 12); // oxfmt-ignore
    }
    expect(gradientNorm(new Map([["a", Float32Array.of(1, NaN)]]))).toBeNaN();
    expect(gradientNorm(new Map([["a", Float32Array.of(1, 2, 3, 4, Infinity)]]))).toBe(Infinity);
  });

  test("is brought down to the limit, never up", () => {
    expect(clippingOf(4, 2)).toBe(0.5);
    expect(clippingOf(1, 2)).toBe(1);
    expect(clippingOf(0, 2)).toBe(1);
    expect(clippingOf(1e9, undefined)).toBe(1);
  });
});

function expectNear(actual: ArrayLike<number>, expected: readonly number[], tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  for (const [i, wanted] of expected.entries()) expect(Math.abs(actual[i]! - wanted), `element ${i}`).toBeLessThanOrEqual(tolerance);
}
