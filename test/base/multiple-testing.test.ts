/** @file Benjamini & Hochberg's correction: what scipy gives, its properties, its rate of false discoveries, and refusals. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { benjaminiHochberg } from "../../src/base/multiple-testing.js";
import { seededRandom } from "../../src/base/random.js";

const share = fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 0.01, 0.05, 0.5, 1));
const pValues = fc.array(share, { maxLength: 30 });

test("q-values are those of scipy", () => {
  const found = benjaminiHochberg([0.001, 0.2, 0.04, 0.04, 0.9, 0.0005, 0.03, 1, 0.5, 0.012]);
  // scipy 1.17.1: stats.false_discovery_control
  const expected = [0.005, 0.28571428571428575, 1 / 15, 1 / 15, 1, 0.005, 1 / 15, 1, 0.625, 0.04];
  for (const [i, q] of found.entries()) expect(q).toBeCloseTo(expected[i]!, 14);
});

test("what has no p-value has no q-value and does not count", () => {
  const found = benjaminiHochberg([undefined, 0.01, NaN, 0.04]);
  expect(found).toEqual([undefined, 0.02, undefined, 0.04]);
  expect(benjaminiHochberg([undefined, NaN])).toEqual([undefined, undefined]);
  expect(benjaminiHochberg([])).toEqual([]);
  expect(benjaminiHochberg([0.3])).toEqual([0.3]);
});

test("q is at least p, at most 1, and grows with p", () => {
  fc.assert(
    fc.property(pValues, (given) => {
      const sorted = given.toSorted((a, b) => a - b);
      const found = benjaminiHochberg(sorted) as number[];
      for (const [i, q] of found.entries()) {
        expect(q).toBeGreaterThanOrEqual(sorted[i]!);
        expect(q).toBeLessThanOrEqual(1);
        if (i > 0) expect(q).toBeGreaterThanOrEqual(found[i - 1]!);
      }
    }),
  );
});

test("a p-value has the same q-value at whatever place it stands", () => {
  fc.assert(
    fc.property(
      pValues.chain((given) => fc.tuple(fc.constant(given), fc.shuffledSubarray([...given.keys()], { minLength: given.length }))),
      ([given, order]) => {
        const found = benjaminiHochberg(given);
        expect(benjaminiHochberg(order.map((i) => given[i]!))).toEqual(order.map((i) => found[i]));
      },
    ),
  );
});

test("those with q at most α are those that the step-up rule takes", () => {
  fc.assert(
    fc.property(pValues, fc.double({ min: 0.001, max: 0.5, noNaN: true }), (given, alpha) => {
      const sorted = given.toSorted((a, b) => a - b);
      const taken = sorted.findLastIndex((p, i) => p * (given.length / (i + 1)) <= alpha) + 1;
      expect(benjaminiHochberg(given).filter((q) => q! <= alpha)).toHaveLength(taken);
    }),
  );
});

test("of what is found among 150 nulls and 30 effects, at most 0.05 is false in the mean of 200 runs", () => {
  const random = seededRandom(9);
  const rates = Array.from({ length: 200 }, () => {
    const found = benjaminiHochberg(Array.from({ length: 180 }, (_, i) => (i < 30 ? random() / 1000 : random())));
    const discoveries = [...found.keys()].filter((i) => found[i]! <= 0.05);
    return discoveries.filter((i) => i >= 30).length / Math.max(1, discoveries.length);
  });
  // Expected: 0.05 · 150 / 180 = 0.042, with a standard error of about 0.0025
  const rate = rates.reduce((sum, value) => sum + value, 0) / rates.length;
  expect(rate).toBeGreaterThan(0.03);
  expect(rate).toBeLessThan(0.05);
});

test("what is no p-value is refused", () => {
  expect(() => benjaminiHochberg([0.5, undefined, 1.5])).toThrowErrorMatchingInlineSnapshot(
    `[SextantError: pValues[2]: a p-value must be in 0 … 1, got 1.5]`,
  );
  expect(() => benjaminiHochberg([-1e-9])).toThrow("pValues[0]");
});
