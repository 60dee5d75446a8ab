/** @file Effects of made-up metrics whose answers can be worked out by hand, marks on planted and on missing effects, and what the guard says. */
import { describe, expect, it } from "vitest";
import { effectsOf, type EffectOptions, type Effects } from "../../../src/analyses/sweeps/effects.js";
import { seededRandom } from "../../../src/base/random.js";
import type { SweptMetric } from "../../../src/runtime/sweep/request.js";
import { normals } from "../../base/samples.js";

/** A metric from lists: the unedited runs, one value a pair, and the cells, each with one value a pair. */
function metric(clean: readonly number[], corrupted: readonly number[] | undefined, ...cells: readonly (readonly number[])[]): SweptMetric {
  return {
    clean: Float64Array.from(clean),
    ...(corrupted && { corrupted: Float64Array.from(corrupted) }),
    values: Float64Array.from(cells.flat()),
  };
}

const restoring = (made: SweptMetric, options: Omit<EffectOptions, "edited"> = {}): Effects =>
  effectsOf(made, { edited: "corrupted", ...options });

const same = (value: number, count: number): number[] => Array.from({ length: count }, () => value);

/** Effects add up in another order than here: float64, few terms. */
const DIGITS = 12;

describe("a normalised effect", () => {
  it("is 0 where nothing came back, 1 where everything did, and a share between and beyond", () => {
    const [clean, corrupted] = [[4, 6], [0, -2]]; // prettier-ignore
    const { cells } = restoring(metric(clean, corrupted, corrupted, clean, [2, 2], [8, 14], [-4, -10]));
    expect(cells.map(({ normalised }) => normalised)).toEqual([0, 1, 0.5, 2, -1]);
    expect(cells.map(({ effect }) => effect)).toEqual([0, 6, 3, 12, -6]);
    expect(cells.map(({ value }) => value)).toEqual([-1, 5, 2, 11, -7]);
  });

  it("stays on the same scale where the clean run is edited, while the effect is counted from there", () => {
    const [clean, corrupted] = [[4, 6], [0, -2]]; // prettier-ignore
    const { cells } = effectsOf(metric(clean, corrupted, corrupted, clean, [2, 2]), { edited: "clean" });
    expect(cells.map(({ normalised }) => normalised)).toEqual([0, 1, 0.5]);
    expect(cells.map(({ effect }) => effect)).toEqual([-6, 0, -3]);
  });

  it("is a ratio of sums, so that a pair of a small gap does not count without bound", () => {
    const { cells } = restoring(metric([10, 1.1], [0, 1], [5, 2]));
    expect(cells[0]!.normalised).toBeCloseTo((5 + 1) / (10 + 0.1), DIGITS);
    const meanOfRatios = (5 / 10 + 1 / 0.1) / 2;
    expect(cells[0]!.normalised).toBeLessThan(meanOfRatios / 5);
  });

  it("is absent without corrupted runs, and where these score as the clean ones do", () => {
    const alone = effectsOf(metric([3, 5], undefined, [1, 2]), { edited: "clean" });
    expect(alone).not.toHaveProperty("corrupted");
    expect(alone.cells[0]).not.toHaveProperty("normalised");
    expect(alone.cells[0]).toMatchObject({ value: 1.5, effect: -2.5, isMarked: true });
    const equal = restoring(metric([1, 3], [2, 2], [4, 4]));
    expect(equal.cells[0]).not.toHaveProperty("normalised");
    expect(equal.cells[0]).toMatchObject({ effect: 2, isMarked: false });
  });

  it("comes with the means of both unedited runs", () => {
    expect(restoring(metric([4, 6], [0, -2], [1, 1]))).toMatchObject({ pairs: 2, clean: 5, corrupted: -1 });
  });
});

describe("an interval", () => {
  it("is there from two pairs on, as p and q are, and not for one", () => {
    const [one] = restoring(metric([2], [0], [1])).cells;
    expect(one).toEqual({ value: 1, normalised: 0.5, effect: 1, isMarked: true });
    const [two] = restoring(metric([2, 2], [0, 0], [1, 0.5])).cells;
    expect(two).toMatchObject({ normalised: 0.375, interval: { low: 0.25, high: 0.5 } });
    // ++ and −− of the four choices of signs are at least as far from 0 as what was seen.
    expect(two).toMatchObject({ p: 0.5, q: 0.5 });
  });

  it("holds the estimate: the normalised effect, or the effect where there is nothing to normalise by", () => {
    for (let seed = 0; seed < 50; seed++) {
      const noise = [...normals(seededRandom(seed), 40)];
      const pairs = 2 + (seed % 9);
      const corrupted = noise.slice(0, pairs);
      const clean = corrupted.map((value, i) => value + 2 + Math.abs(noise[10 + i]!));
      const cell = corrupted.map((value, i) => value + noise[20 + i]!);
      const [found] = restoring(metric(clean, corrupted, cell), { seed }).cells;
      expect(found!.interval!.low).toBeLessThanOrEqual(found!.normalised!);
      expect(found!.interval!.high).toBeGreaterThanOrEqual(found!.normalised!);
      const [plain] = effectsOf(metric(clean, undefined, cell), { edited: "clean", seed }).cells;
      expect(plain!.interval!.low).toBeLessThanOrEqual(plain!.effect);
      expect(plain!.interval!.high).toBeGreaterThanOrEqual(plain!.effect);
    }
  });

  it("has no width where all pairs say the same", () => {
    const [found] = restoring(metric(same(4, 8), same(0, 8), same(1, 8))).cells;
    expect(found).toMatchObject({ normalised: 0.25, interval: { low: 0.25, high: 0.25 } });
  });

  it("is missing where the gap may as well be 0, which a ratio cannot be taken by", () => {
    const [found] = restoring(metric([1, -1, 0.1], [0, 0, 0], [1, 1, 1])).cells;
    expect(found).toHaveProperty("normalised");
    expect(found).not.toHaveProperty("interval");
  });

  it("is the same for the same seed, and another for another", () => {
    const noise = [...normals(seededRandom(1), 12)];
    const made = metric(same(1, 12), same(0, 12), noise);
    expect(restoring(made, { seed: 3 })).toEqual(restoring(made, { seed: 3 }));
    expect(restoring(made, { seed: 4 }).cells[0]!.interval).not.toEqual(restoring(made, { seed: 3 }).cells[0]!.interval);
  });
});

describe("a mark", () => {
  /** Effects of one sign are the rarest choice of signs: p = 2 / 2ⁿ. */
  const [SIX, FIVE] = [2 / 2 ** 6, 2 / 2 ** 5];

  it("needs an effect of a twentieth of the gap, or as much as is asked for", () => {
    const made = metric(same(1, 6), same(0, 6), same(0.04, 6), same(0.06, 6), same(-0.06, 6));
    expect(restoring(made).cells.map(({ isMarked }) => isMarked)).toEqual([false, true, true]);
    expect(restoring(made).cells.map(({ q }) => q)).toEqual([SIX, SIX, SIX]);
    expect(restoring(made, { least: 0.03 }).cells.map(({ isMarked }) => isMarked)).toEqual([true, true, true]);
    expect(restoring(made, { least: 0.1 }).cells.map(({ isMarked }) => isMarked)).toEqual([false, false, false]);
  });

  it("needs from six pairs on a small q as well", () => {
    const unsteady = [3, -1, -1, 3, -1, -1];
    const { cells } = restoring(metric(same(1, 6), same(0, 6), unsteady, same(1, 6), same(-1, 6)));
    expect(cells.map(({ effect }) => effect)).toEqual([1 / 3, 1, -1]);
    expect(cells.map(({ isMarked }) => isMarked)).toEqual([false, true, true]);
    expect(cells[1]).toMatchObject({ p: SIX, q: (SIX * 3) / 2 });
  });

  it("goes by the size alone where there are too few pairs for a test to say anything", () => {
    const { cells } = restoring(metric(same(1, 5), same(0, 5), [3, -1, -1, 3, -1], same(1, 5)));
    expect(cells.map(({ isMarked }) => isMarked)).toEqual([true, true]);
    expect(cells[1]!.p).toBe(FIVE);
  });

  it("goes by the level that is asked for", () => {
    const made = metric(same(1, 6), same(0, 6), same(1, 6));
    expect(restoring(made).cells[0]!.isMarked).toBe(true);
    expect(restoring(made, { level: 0.03 }).cells[0]!.isMarked).toBe(false);
  });

  it("goes by the largest effect where there are no corrupted runs", () => {
    const { cells } = effectsOf(metric(same(0, 6), undefined, same(-2, 6), same(0.2, 6), same(0.09, 6)), { edited: "clean" });
    expect(cells.map(({ isMarked }) => isMarked)).toEqual([true, true, false]);
  });

  it("is on a planted effect, and nearly always on it alone, among noise that reaches the size in many cells", () => {
    const [grids, pairs, cells, planted] = [40, 30, 60, 17];
    const shares: number[] = [];
    for (let seed = 0; seed < grids; seed++) {
      const random = seededRandom(seed, 5);
      const noise = Array.from({ length: cells }, (_, cell) => [...normals(random, pairs)].map((x) => x / 2 + (cell === planted ? 1 : 0)));
      const { cells: found, guard } = restoring(metric(same(1, pairs), same(0, pairs), ...noise), { seed });
      expect(guard.moved).toBeGreaterThan(0.3);
      const marked = [...found.keys()].filter((cell) => found[cell]!.isMarked);
      expect(marked).toContain(planted);
      shares.push((marked.length - 1) / marked.length);
    }
    expect(shares[0]).toBe(0);
    // Marked by mistake is a share of 0.05 at that level; its mean over 40 grids has a standard deviation of some 0.025.
    expect(shares.reduce((sum, share) => sum + share, 0) / grids).toBeLessThan(0.125);
  });

  it("is anywhere in a grid without effects about as often as the level says", () => {
    const [grids, pairs, cells] = [200, 11, 20];
    let marked = 0;
    for (let seed = 0; seed < grids; seed++) {
      const random = seededRandom(seed, 11);
      const noise = Array.from({ length: cells }, () => [...normals(random, pairs)]);
      // Of any size, so that q alone decides.
      const found = restoring(metric(same(1, pairs), same(0, pairs), ...noise), { seed, least: 0, resamples: 2 ** 11 });
      if (found.cells.some(({ isMarked }) => isMarked)) marked++;
    }
    // 10 of 200 at a level of 0.05, with a standard deviation of 3.1.
    expect(marked).toBeGreaterThan(2);
    expect(marked).toBeLessThan(20);
  });
});

describe("the guard", () => {
  const guardOf = (made: SweptMetric): Effects["guard"] => restoring(made).guard;

  it("counts what moved, and says nothing where all is well", () => {
    expect(guardOf(metric([2, 4], [0, 0], [0, 0], [3, 3], [0.1, 0.1], [-1, -1]))).toEqual({
      gap: 3,
      pairsAsMeant: 2,
      largest: 3,
      moved: 0.5,
    });
    expect(effectsOf(metric([2, 4], undefined, [2, 4], [0, 0]), { edited: "clean" }).guard).toEqual({ largest: 3, moved: 0.5 });
  });

  it("warns where both runs score the same", () => {
    expect(guardOf(metric([1, 2], [1, 2], [5, 5])).warning).toMatchInlineSnapshot(
      `"clean and corrupted runs score the same, so there is nothing to restore"`,
    );
  });

  it("warns where nothing moved", () => {
    expect(guardOf(metric([1, 2], [0, 0], [0, 0], [0, 1e-5])).warning).toMatchInlineSnapshot(`"no edit moved the run that it changed"`);
    expect(effectsOf(metric([1, 2], undefined, [1, 2]), { edited: "clean" }).guard).toMatchObject({
      moved: 0,
      warning: "no edit moved the run that it changed",
    });
  });

  it("warns where the prompts look exchanged", () => {
    expect(guardOf(metric([0, 0], [1, 2], [0.5, 1])).warning).toMatchInlineSnapshot(
      `"the corrupted runs score better than the clean ones: are they exchanged, or the answers?"`,
    );
  });

  it("takes a distance the other way round: the clean run is the lower one", () => {
    const distances = metric([0, 0], [1, 2], [0.5, 1]);
    expect(restoring(distances, { isDistance: true }).guard).toEqual({ gap: -1.5, pairsAsMeant: 2, largest: 0.75, moved: 1 });
    expect(restoring(distances, { isDistance: true }).cells).toEqual(restoring(distances).cells);
    expect(restoring(metric([1, 2], [0, 0], [0.5, 1]), { isDistance: true }).guard).toHaveProperty("warning");
  });

  it("warns where some pairs are not as meant", () => {
    expect(guardOf(metric([1, 0, 9], [0, 0, 6], [1, 1, 1]))).toMatchInlineSnapshot(`
      {
        "gap": 1.3333333333333333,
        "largest": 1,
        "moved": 1,
        "pairsAsMeant": 2,
        "warning": "in 1 of 3 pairs the clean run does not score better than the corrupted one",
      }
    `);
  });

  it("warns where effects are too small to count", () => {
    expect(guardOf(metric([1, 1], [0, 0], [0.01, 0.01])).warning).toMatchInlineSnapshot(
      `"no edit moved the run that it changed by as much as counts"`,
    );
  });
});
