/** @file The area under the curve: all pairs counted, what scikit-learn gives, and DeLong's error. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { auroc, delong, weightedAuroc } from "../../src/base/auroc.js";
import { seededRandom } from "../../src/base/random.js";
import { normals } from "./samples.js";

/** Every positive against every negative. */
function counted(scores: readonly number[], positive: readonly boolean[], weights = scores.map(() => 1)): number | undefined {
  let [above, pairs] = [0, 0];
  for (const [i, a] of scores.entries()) {
    for (const [j, b] of scores.entries()) {
      if (!positive[i]! || positive[j]!) continue;
      const weight = weights[i]! * weights[j]!;
      pairs += weight;
      above += weight * (a > b ? 1 : a === b ? 0.5 : 0);
    }
  }
  return pairs > 0 ? above / pairs : undefined;
}

const item = fc.record({ score: fc.integer({ min: -4, max: 4 }), isPositive: fc.boolean(), weight: fc.integer({ min: 0, max: 3 }) });

test("the area is the share of pairs in order, ties half, whatever the weights", () => {
  fc.assert(
    fc.property(fc.array(item, { minLength: 1, maxLength: 25 }), (items) => {
      const [scores, positive, weights] = [items.map((i) => i.score), items.map((i) => i.isPositive), items.map((i) => i.weight)];
      for (const [ours, naive] of [
        [auroc(scores, positive), counted(scores, positive)],
        [weightedAuroc(scores, positive)(weights), counted(scores, positive, weights)],
      ]) {
        if (naive === undefined) expect(ours).toBeUndefined();
        else expect(ours).toBeCloseTo(naive, 12);
      }
    }),
  );
});

const SCORES = [0.1, 0.4, 0.35, 0.8, 0.4, 0.9, 0.2, 0.7];
const POSITIVE = [false, false, true, true, true, true, false, false];

test("DeLong's error is that of placements by hand", () => {
  // Placements of positives among [0.1, 0.2, 0.4, 0.7]: 0.5, 1, 0.625, 1; of negatives: 1, 1, 0.625, 0.5. Variances (n − 1) by numpy 2.4.6, each / 4.
  const { auroc: area, standardError } = delong(SCORES, POSITIVE);
  expect(area).toBe(0.78125);
  expect(standardError).toBeCloseTo(Math.sqrt(0.06640625 / 4 + 0.06640625 / 4), 12);
});

test("DeLong's error is how far areas of new samples differ", () => {
  const random = seededRandom(3);
  const positive = Array.from({ length: 80 }, (_, i) => i % 2 === 0);
  const estimates = Array.from({ length: 400 }, () =>
    delong(
      normals(random, 80).map((value, i) => value + (positive[i]! ? 1 : 0)),
      positive,
    ),
  );
  const areas = estimates.map((estimate) => estimate.auroc);
  const middle = areas.reduce((sum, area) => sum + area, 0) / areas.length;
  const spread = Math.sqrt(areas.reduce((sum, area) => sum + (area - middle) ** 2, 0) / (areas.length - 1));
  const claimed = estimates.reduce((sum, estimate) => sum + estimate.standardError, 0) / estimates.length;
  // Φ(1/√2) is the area of normals one deviation apart; a spread of 400 is known to 4 %.
  expect(middle).toBeCloseTo(0.7602, 2);
  expect(Math.abs(claimed / spread - 1)).toBeLessThan(0.12);
});

test("what has no area is undefined, what cannot be ordered is refused", () => {
  expect(auroc([1, 2], [true, true])).toBeUndefined();
  expect(() => auroc([1, NaN], [true, false])).toThrow("scores[1]: a statistic needs finite numbers, got NaN");
  expect(() => auroc([1, 2], [true])).toThrow("positive: needs a value for each of 2 items, got 1");
  expect(() => delong([1, 2, 3], [true, false, false])).toThrow("two items of each side, got 1 positive and 2 negative");
});
