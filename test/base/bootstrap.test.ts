/** @file Bootstrap intervals: known answers, what they promise of draws and order, how often they hold the truth, and refusals. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bootstrapInterval, bootstrapIntervals, bootstrapRatioIntervals, type Interval } from "../../src/base/bootstrap.js";
import { seededRandom } from "../../src/base/random.js";
import { mean, median, standardDeviation } from "../../src/base/statistics.js";
import { normals, refusalOf, seriesOf } from "./samples.js";

const EFFECTS = [0.8, 1.2, -0.3, 2.1, 0.5, 0.9, -0.1, 1.7, 0.4, 1.1, 0, 0.6];
const GAPS = [1, 2, 1.5, 2.5, 0.5, 1.2, 0.9, 2, 1.1, 1.4, 0.7, 1.3];

describe("known answers", () => {
  // scipy 1.17.1: stats.bootstrap(method="percentile", n_resamples=200000), the ratio with paired=True.
  // With 20 000 resamples an end has a standard error of about 0.003, so 0.012 is 4 of them; the median moves in steps of 0.05.
  const options = { seed: 1, resamples: 20_000 };

  test("the interval of the mean is scipy's", () => {
    expectNear(bootstrapInterval(EFFECTS, options), { low: 0.3583, high: 1.1417 }, 0.012);
  });

  test("the interval of the median is scipy's", () => {
    expectNear(bootstrapInterval(EFFECTS, { ...options, statistic: median }), { low: 0.2, high: 1.15 }, 0.051);
  });

  test("the interval of a ratio of means is scipy's", () => {
    expectNear(bootstrapRatioIntervals([EFFECTS], GAPS, options)[0], { low: 0.3109, high: 0.7326 }, 0.012);
  });

  test("four items have the interval of all 4⁴ draws", () => {
    // numpy 2.4.6: quantile of the means of itertools.product([1, 4, 2, 8], repeat=4); they lie 0.25 apart
    expectNear(bootstrapInterval([1, 4, 2, 8], { ...options, level: 0.9 }), { low: 1.75, high: 6.0625 }, 0.25);
  });
});

describe("what intervals promise", () => {
  const grid = fc.integer({ min: 2, max: 12 }).chain((count) => fc.array(seriesOf(count, count), { minLength: 1, maxLength: 6 }));
  const options = { seed: 5, resamples: 100 };

  test("equal seeds give equal intervals, and others do not", () => {
    const [once, again, other] = [3, 3, 4].map((seed) => bootstrapInterval(EFFECTS, { seed }));
    expect(again).toEqual(once);
    expect(other).not.toEqual(once);
  });

  test("a series has the same interval alone, among others, and in any order", () => {
    fc.assert(
      fc.property(grid, (series) => {
        const found = bootstrapIntervals(series, options);
        expect(found).toEqual(series.map((values) => bootstrapInterval(values, options)));
        expect(bootstrapIntervals(series.toReversed(), options)).toEqual(found.toReversed());
      }),
    );
  });

  test("symmetric data have their mean in the interval", () => {
    fc.assert(
      fc.property(seriesOf(2, 20), fc.integer(), (half, seed) => {
        const { low, high } = bootstrapInterval([...half, ...half.map((value) => -value)], { seed, resamples: 200 })!;
        expect(low).toBeLessThan(1e-9);
        expect(high).toBeGreaterThan(-1e-9);
      }),
    );
  });

  test("an interval lies within the values, and a lower level's within it", () => {
    fc.assert(
      fc.property(seriesOf(2, 20), fc.integer(), (values, seed) => {
        const [wide, narrow] = [0.95, 0.5].map((level) => bootstrapInterval(values, { seed, resamples: 200, level })!);
        // Means of values up to 1e6 round at 1e-10 of them.
        expect(wide!.low).toBeGreaterThanOrEqual(Math.min(...values) - 1e-9);
        expect(wide!.high).toBeLessThanOrEqual(Math.max(...values) + 1e-9);
        expect(narrow!.low).toBeGreaterThanOrEqual(wide!.low);
        expect(narrow!.high).toBeLessThanOrEqual(wide!.high);
      }),
    );
  });

  test("a shift and a stretch of the values are those of the interval", () => {
    const { low, high } = bootstrapInterval(EFFECTS, { seed: 2 })!;
    const moved = bootstrapInterval(
      EFFECTS.map((value) => 3 - 2 * value),
      { seed: 2 },
    );
    expectNear(moved, { low: 3 - 2 * high, high: 3 - 2 * low }, 1e-12);
  });

  test("one item has no interval, and no series have none", () => {
    expect(bootstrapInterval([1], { seed: 0 })).toBeUndefined();
    expect(bootstrapIntervals([[1], [2]], { seed: 0 })).toEqual([undefined, undefined]);
    expect(bootstrapRatioIntervals([[1]], [2], { seed: 0 })).toEqual([undefined]);
    expect(bootstrapIntervals([], { seed: 0 })).toEqual([]);
    expect(bootstrapRatioIntervals([], [1, 2], { seed: 0 })).toEqual([]);
  });

  test("a statistic that few draws lack is bounded from both sides, and one that many lack has no interval", () => {
    const unlessAll = (share: number) => (values: Float64Array) =>
      values.filter((value) => value > 0).length > share * values.length ? mean(values) : undefined;
    const plain = bootstrapInterval(EFFECTS, { seed: 1 })!;
    const careful = bootstrapInterval(EFFECTS, { seed: 1, statistic: unlessAll(0.4) })!;
    expect(careful.low).toBeLessThanOrEqual(plain.low);
    expect(careful.high).toBeGreaterThan(plain.high);
    expect(bootstrapInterval(EFFECTS, { seed: 1, statistic: unlessAll(0.8) })).toBeUndefined();
    expect(bootstrapInterval(EFFECTS, { seed: 1, statistic: standardDeviation })!.low).toBeGreaterThan(0);
  });
});

describe("ratios", () => {
  test("over equal gaps are means", () => {
    const ones = EFFECTS.map(() => 1);
    expect(bootstrapRatioIntervals([EFFECTS], ones, { seed: 1 })).toEqual(bootstrapIntervals([EFFECTS], { seed: 1 }));
  });

  test("of effects in proportion to their gaps are that proportion, for gaps of either sign", () => {
    for (const sign of [1, -1]) {
      const effects = [0.25, 0, 1.5].map((share) => GAPS.map((gap) => sign * share * gap));
      const gaps = GAPS.map((gap) => sign * gap);
      for (const [i, found] of bootstrapRatioIntervals(effects, gaps, { seed: 1 }).entries()) {
        const share = [0.25, 0, 1.5][i]!;
        expectNear(found, { low: share, high: share }, 1e-14);
      }
    }
  });

  test("have no interval where the gap may be 0, and a wide one where few draws say so", () => {
    const noise = normals(seededRandom(3), 40);
    const [absent, weak, clear] = [0.1, 0.45, 1].map(
      (gap) =>
        bootstrapRatioIntervals(
          [noise.map((x) => x + 1)],
          noise.map((x) => x + gap),
          { seed: 1 },
        )[0],
    );
    expect(absent).toBeUndefined();
    expect(weak!.high - weak!.low).toBeGreaterThan(4 * (clear!.high - clear!.low));
    expect(bootstrapRatioIntervals([[1, 2]], [1, -1], { seed: 1 })).toEqual([undefined]);
  });
});

describe("of 200 data sets of 30 pairs", () => {
  // 190 are expected to hold the truth, less a little for small samples; 0.88 … 0.98 is −4.5 … +2 standard errors of 0.0154.
  const random = seededRandom(11);
  const sets = Array.from({ length: 200 }, () => ({ noise: normals(random, 30), gaps: normals(random, 30).map((x) => 2 + x / 2) }));

  test("0.88 to 0.98 have the mean in the interval of level 0.95", () => {
    const found = sets.map(({ noise }, seed) => bootstrapInterval(noise, { seed, resamples: 500 }));
    expectCoverage(found, 0);
  });

  test("0.88 to 0.98 have the ratio in the interval of level 0.95", () => {
    const found = sets.map(({ noise, gaps }, seed) => {
      return bootstrapRatioIntervals([noise.map((x, i) => 0.4 * gaps[i]! + x)], gaps, { seed, resamples: 500 })[0];
    });
    expectCoverage(found, 0.4);
  });
});

test("what cannot be resampled is refused", () => {
  const options = { seed: 0 };
  const refused = [
    () => bootstrapInterval([], options),
    () => bootstrapInterval([1, 2, NaN], options),
    () =>
      bootstrapIntervals(
        [
          [1, 2],
          [3, -Infinity],
        ],
        options,
      ),
    () => bootstrapIntervals([[1, 2], [3]], options),
    () => bootstrapRatioIntervals([[1, 2]], [1, 2, 3], options),
    () => bootstrapRatioIntervals([[1, 2]], [1, NaN], options),
    () => bootstrapInterval([1, 2], { seed: 0.5 }),
    () => bootstrapInterval([1, 2], { seed: 0, level: 1 }),
    () => bootstrapInterval([1, 2], { seed: 0, level: 0.99, resamples: 100 }),
    () => bootstrapInterval([1, 2], { seed: 0, resamples: 1e9 }),
  ];
  expect(refused.map(refusalOf)).toMatchInlineSnapshot(`
    [
      "request: values: a statistic needs at least one value, got none",
      "request: values[2]: a statistic needs finite numbers, got NaN",
      "request: series[1][1]: a statistic needs finite numbers, got -Infinity",
      "request: series[1]: needs a value for each of 2 items, got 1",
      "request: effects[0]: needs a value for each of 3 items, got 2",
      "request: gaps[1]: a statistic needs finite numbers, got NaN",
      "request: seed must be a whole number, got 0.5",
      "request: level must be above 0 and below 1, got 1",
      "request: an interval of level 0.99 needs 200 resamples or more, got 100",
      "request: resamples must be a whole number, 1 … 22369621 for so many items, got 1000000000",
    ]
  `);
});

function expectNear(found: Interval | undefined, expected: Interval, tolerance: number): void {
  expect(Math.abs(found!.low - expected.low)).toBeLessThanOrEqual(tolerance);
  expect(Math.abs(found!.high - expected.high)).toBeLessThanOrEqual(tolerance);
}

function expectCoverage(found: readonly (Interval | undefined)[], truth: number): void {
  const share = found.filter((interval) => interval!.low <= truth && truth <= interval!.high).length / found.length;
  expect(share).toBeGreaterThanOrEqual(0.88);
  expect(share).toBeLessThanOrEqual(0.98);
}
