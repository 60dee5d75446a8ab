/** @file Sign-flip tests: what scipy gives, a second implementation, what p promises, and that under the null it is uniform. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.js";
import { signFlipTest, signFlipTests } from "../../src/base/sign-flip.js";
import { normals, refusalOf, seriesOf } from "./samples.js";

const EIGHTEEN = [0.8, 1.2, -0.3, 2.1, 0.5, 0.9, -0.1, 1.7, 0.4, -1.1, 0, 0.6, -2, 1, -1.5, 0.3, -0.7, 0.2];

// scipy 1.17.1: stats.permutation_test((x,), mean, permutation_type="samples", n_resamples=inf); the third has ties by rounding only
test.each([
  [[0.8, 1.2, -0.3, 2.1, 0.5, 0.9, -0.1, 1.7], 0.03125],
  [[1, 2, 3, -1, -2, 3, 0, 0, 1, 1], 0.2109375],
  [[0.1, 0.2, 0.3, -0.3], 0.75],
  [[3, 1, -1, 2, 2, -1, 4, 0.5, 1, -0.25, 2.5, -2, 1], 0.0712890625],
])("all choices of signs of %j give %d", (values, expected) => {
  expect(signFlipTest(values, { seed: 0 })).toBe(expected);
});

describe("random signs", () => {
  // numpy 2.4.6: the share of all 2¹⁸ choices
  const exact = 0.3978271484375;

  test("give the p-value of all choices to within 4 standard errors", () => {
    expect(signFlipTest(EIGHTEEN, { seed: 0, resamples: 2 ** 18 })).toBe(exact);
    for (const seed of [1, 2, 3]) {
      const p = signFlipTest(EIGHTEEN, { seed });
      expect(Math.abs(p - exact)).toBeLessThan(4 * Math.sqrt((exact * (1 - exact)) / 10_000));
    }
  });

  test("give (b + 1) / (m + 1): never 0, and 1 where nothing can be flipped", () => {
    expect(signFlipTest(new Float32Array(50).fill(1), { seed: 1, resamples: 999 })).toBe(0.001);
    expect(signFlipTest(new Float32Array(50), { seed: 1, resamples: 999 })).toBe(1);
  });

  test("depend on the seed only", () => {
    const [once, again, other] = [1, 1, 3].map((seed) => signFlipTest(EIGHTEEN, { seed }));
    expect(again).toBe(once);
    expect(other).not.toBe(once);
  });
});

describe("what p promises", () => {
  const grid = fc.integer({ min: 1, max: 20 }).chain((count) => fc.array(seriesOf(count, count), { minLength: 1, maxLength: 5 }));
  const options = { seed: 3, resamples: 500 };

  test("all choices give what plain loops over them give", () => {
    fc.assert(
      fc.property(seriesOf(1, 9), (values) => {
        expect(signFlipTest(values, { seed: 0 })).toBe(byPlainLoops(values));
      }),
    );
  });

  test("a series has the same p-value alone, among others, and in any order", () => {
    fc.assert(
      fc.property(grid, (series) => {
        const found = signFlipTests(series, options);
        expect(found).toEqual(series.map((values) => signFlipTest(values, options)));
        expect(signFlipTests(series.toReversed(), options)).toEqual(found.toReversed());
      }),
    );
  });

  test("it is above 0 and at most 1, the same for negated values, and the same in another unit", () => {
    fc.assert(
      fc.property(grid, (series) => {
        const found = signFlipTests(series, options);
        for (const p of found) expect(p > 0 && p <= 1).toBe(true);
        for (const by of [-1, 4]) {
          const scaled = series.map((values) => values.map((value) => by * value));
          expect(signFlipTests(scaled, options)).toEqual(found);
        }
      }),
    );
  });

  test("it is 1 for one item, and for none of the series none", () => {
    expect(signFlipTest([7], { seed: 0 })).toBe(1);
    expect(signFlipTest([7], { seed: 0, resamples: 1 })).toBe(1);
    expect(signFlipTests([], { seed: 0 })).toEqual([]);
  });
});

test.each([
  [8, "all choices"],
  [30, "random signs"],
])("under the null the p-values of 500 data sets of %i items are uniform (%s)", (count) => {
  const random = seededRandom(17);
  const sets = Array.from({ length: 500 }, () => normals(random, count));
  const pValues = sets.map((values, seed) => signFlipTest(values, { seed, resamples: 999 })).toSorted((a, b) => a - b);
  const distance = Math.max(...pValues.map((p, i) => Math.max(Math.abs(p - i / 500), Math.abs(p - (i + 1) / 500))));
  // Kolmogorov & Smirnov: 1.63 / √500 = 0.073 is passed once in 100 times; the steps of p add up to 2 / 2⁸.
  expect(distance).toBeLessThan(0.073 + 2 / 256);
});

test("a planted effect of one deviation is found in 30 items", () => {
  const values = normals(seededRandom(5), 30).map((value) => value + 1);
  expect(signFlipTest(values, { seed: 0 })).toBeLessThan(0.001);
});

test("what cannot be tested is refused", () => {
  const refused = [
    () => signFlipTest([], { seed: 0 }),
    () => signFlipTest([1, Infinity], { seed: 0 }),
    () => signFlipTests([[1, 2], [1]], { seed: 0 }),
    () => signFlipTest([1, 2], { seed: NaN }),
    () => signFlipTest([1, 2], { seed: 0, resamples: 0 }),
  ];
  expect(refused.map(refusalOf)).toMatchInlineSnapshot(`
    [
      "request: values: a statistic needs at least one value, got none",
      "request: values[1]: a statistic needs finite numbers, got Infinity",
      "request: series[1]: needs a value for each of 2 items, got 1",
      "request: seed must be a whole number, got NaN",
      "request: resamples must be a whole number, 1 … 59652323 for so many items, got 0",
    ]
  `);
});

function byPlainLoops(values: readonly number[]): number {
  const sumOf = (choice: number): number => values.reduce((sum, value, i) => sum + (choice & (1 << i) ? -value : value), 0);
  const sums = Array.from({ length: 2 ** values.length }, (_, choice) => Math.abs(sumOf(choice)));
  const size = values.reduce((sum, value) => sum + Math.abs(value), 0);
  return sums.filter((sum) => sum >= sums[0]! - 1e-12 * size).length / sums.length;
}
