/** @file Correlations: what scipy gives, identities, and where there is none. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { pearson, spearman } from "../../src/base/correlation.js";
import { seriesOf } from "./samples.js";

const A = [1.5, 2, 2, 3.5, -1, 0, 2, 4, 4, 10];
const B = [2, 1, 3, 3, -2, 0.5, 0.5, 6, 5, -7];

test("correlations are those of scipy, ties included", () => {
  // scipy 1.17.1: stats.pearsonr, stats.spearmanr
  expect(pearson(A, B)).toBeCloseTo(-0.3512915172705515, 14);
  expect(spearman(A, B)).toBeCloseTo(0.3529564007903749, 14);
});

test("a constant side has no correlation, also one that sums with rounding", () => {
  for (const constant of [[1, 1, 1], [0, 0, 0], [0.1, 0.1, 0.1], Float32Array.of(0.7, 0.7, 0.7)]) {
    expect([pearson(constant, [1, 2, 3]), pearson([1, 2, 3], constant)]).toEqual([undefined, undefined]);
    expect([spearman(constant, [1, 2, 3]), spearman([1, 2, 3], constant)]).toEqual([undefined, undefined]);
  }
  expect([pearson([1], [2]), spearman([1], [2])]).toEqual([undefined, undefined]);
});

test("tiny and huge values correlate as others do", () => {
  for (const by of [1e-200, 1e150, -1e-320]) {
    const scaled = A.map((value) => value * by);
    // 1e-320 is subnormal and has three digits left.
    expect(pearson(scaled, B)).toBeCloseTo(Math.sign(by) * pearson(A, B)!, Math.abs(by) < 1e-300 ? 3 : 14);
    expect(spearman(scaled, B)).toBeCloseTo(Math.sign(by) * spearman(A, B)!, 14);
  }
});

const sides = fc.integer({ min: 1, max: 15 }).chain((count) => fc.tuple(seriesOf(count, count), seriesOf(count, count)));

test("correlations lie in −1 … 1, are the same both ways, and are 1 of a series with itself", () => {
  fc.assert(
    fc.property(sides, ([a, b]) => {
      for (const correlation of [pearson, spearman]) {
        const r = correlation(a, b);
        expect(correlation(b, a)).toBe(r);
        if (r !== undefined) expect(Math.abs(r)).toBeLessThanOrEqual(1);
        expect(correlation(a, a) ?? 1).toBeCloseTo(1, 14);
      }
    }),
  );
});

test("rank correlation asks for order only", () => {
  fc.assert(
    fc.property(sides, ([a, b]) => {
      const whole = a.map(Math.round);
      expect(
        spearman(
          whole.map((value) => value ** 3 + 5 * value),
          b,
        ),
      ).toBe(spearman(whole, b));
    }),
  );
});

test("sides of different lengths, and values that are no numbers, are refused", () => {
  expect(() => pearson([1, 2], [1])).toThrowErrorMatchingInlineSnapshot(`[SextantError: b: needs a value for each of 2 items, got 1]`);
  expect(() => spearman([1, 2], [1, NaN])).toThrowErrorMatchingInlineSnapshot(
    `[SextantError: b[1]: a statistic needs finite numbers, got NaN]`,
  );
  expect(() => pearson([], [])).toThrow("at least one value");
});
