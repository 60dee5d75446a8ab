/** @file Middles and spreads: what numpy and scipy give, and refusals. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mean, median, quantile, standardDeviation, standardError } from "../../src/base/statistics.js";
import { refusalOf, seriesOf } from "./samples.js";

const VALUES = [2.5, -1, 4, 0.5, 3, 7.25, -2, 1.5];

describe("of eight numbers", () => {
  // numpy 2.4.6: mean, std(ddof=1), median, quantile; scipy 1.17.1: stats.sem
  test("the mean, its error, the deviation and the median are those of numpy and scipy", () => {
    expect(mean(VALUES)).toBe(1.96875);
    expect(standardDeviation(VALUES)).toBeCloseTo(2.9351244193633184, 14);
    expect(standardError(VALUES)).toBeCloseTo(1.0377231902790152, 14);
    expect(median(VALUES)).toBe(2);
  });

  test.each([
    [0, -2],
    [0.025, -1.825],
    [0.1, -1.2999999999999998],
    [0.25, 0.125],
    [0.5, 2],
    [0.9, 4.975],
    [0.975, 6.68125],
    [1, 7.25],
  ])("the quantile at %d is %d", (share, expected) => {
    expect(quantile(VALUES, share)).toBeCloseTo(expected, 12);
  });
});

test("one value is its own mean and median, and has no spread", () => {
  expect([mean([3]), median([3]), quantile([3], 0.1)]).toEqual([3, 3, 3]);
  expect([standardDeviation([3]), standardError([3])]).toEqual([undefined, undefined]);
});

test("float32 values are summed in float64", () => {
  expect(mean(Float32Array.of(2 ** 24, 1, 1, 1))).toBe((2 ** 24 + 3) / 4);
});

test("values are left in the order they had", () => {
  const values = Float64Array.of(3, 1, 2);
  median(values);
  expect([...values]).toEqual([3, 1, 2]);
});

test("quantiles grow with their share, from the least to the largest value", () => {
  const shares = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 2, maxLength: 6 });
  fc.assert(
    fc.property(seriesOf(1, 20), shares, (values, unsorted) => {
      const found = [0, ...unsorted.toSorted((a, b) => a - b), 1].map((share) => quantile(values, share));
      expect([found[0], found.at(-1)]).toEqual([Math.min(...values), Math.max(...values)]);
      // One unit in the last place of 1e6: a straight line between neighbours rounds.
      for (let i = 1; i < found.length; i++) expect(found[i]).toBeGreaterThanOrEqual(found[i - 1]! - 1e-9);
    }),
  );
});

test("what has no mean, median or quantile is refused", () => {
  const refused = [() => mean([]), () => mean([1, NaN]), () => mean([Infinity, -Infinity]), () => median([0, 1, -Infinity])];
  expect([...refused, () => quantile([1], 1.5), () => quantile([1], NaN)].map(refusalOf)).toMatchInlineSnapshot(`
    [
      "request: values: a statistic needs at least one value, got none",
      "request: values[1]: a statistic needs finite numbers, got NaN",
      "request: values[0]: a statistic needs finite numbers, got Infinity",
      "request: values[2]: a statistic needs finite numbers, got -Infinity",
      "request: a quantile's share must be in 0 … 1, got 1.5",
      "request: a quantile's share must be in 0 … 1, got NaN",
    ]
  `);
});
