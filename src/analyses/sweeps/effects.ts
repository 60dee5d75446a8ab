/**
 * @file What a sweep found, with what it takes to believe it. Raw values stay; beside them
 *
 *     normalised = Σ (value − corrupted) / Σ (clean − corrupted)        over pairs: 0 corrupted, 1 clean
 *     effect     = value − the unedited run that was changed            per pair
 *
 * with a bootstrap interval over pairs, a sign-flip test of the effect, and Benjamini and Hochberg's q over all cells. A ratio of
 * sums is used, not a mean of ratios, since a pair whose two runs hardly differ would otherwise count without bound.
 *
 * When this misleads: intervals speak of pairs like these, not of other prompts; a q below 0.05 says that an effect is there, not that it is
 * large, which is why cells must also reach `least` to be marked; and where clean and corrupted runs hardly differ (`guard`), nothing
 * normalised means anything.
 */
import { bootstrapIntervals, bootstrapRatioIntervals, type Interval } from "../../base/bootstrap.js";
import { benjaminiHochberg } from "../../base/multiple-testing.js";
import { signFlipTests } from "../../base/sign-flip.js";
import { mean } from "../../base/statistics.js";
import type { SweptMetric } from "../../runtime/sweep/request.js";

/** One counterfactual, over all pairs. */
export interface Effect {
  /** Mean of the metric, raw. */
  readonly value: number;
  /** Absent where there is no corrupted run, or where it scores as the clean one does. */
  readonly normalised?: number;
  /** Mean of value − the unedited run's. */
  readonly effect: number;
  /** Of `normalised`, or of the effect where that is absent; none for a single pair. */
  readonly interval?: Interval;
  /** Two-sided, of the effect. */
  readonly p?: number;
  /** Over all cells. */
  readonly q?: number;
  /** Whether the effect reaches `least`, and where there are pairs enough its q is at most `level`. */
  readonly isMarked: boolean;
}

/** Whether there was anything to find. */
export interface Guard {
  /** Mean of clean − corrupted. */
  readonly gap?: number;
  /** Pairs whose clean run scores better than the corrupted one. */
  readonly pairsAsMeant?: number;
  /** The largest |effect| of all cells. */
  readonly largest: number;
  /** Share of cells whose |effect| reaches `least`. */
  readonly moved: number;
  /** What is wrong, in a sentence; absent where nothing is. */
  readonly warning?: string;
}

export interface Effects {
  readonly pairs: number;
  readonly clean: number;
  readonly corrupted?: number;
  readonly cells: readonly Effect[];
  readonly guard: Guard;
}

export interface EffectOptions {
  /** Which unedited run was changed. */
  readonly edited: "clean" | "corrupted";
  /** Whether the metric is lower where a run does as the clean one, as a divergence is. Default: higher. */
  readonly isDistance?: boolean;
  /** The smallest effect that counts, as a share of the gap between the two runs. Default 0.05. */
  readonly least?: number;
  /** The largest q that counts. Default 0.05. */
  readonly level?: number;
  /** Of bootstrap and sign flips. Default 0. */
  readonly seed?: number;
  readonly resamples?: number;
}

/** The fewest pairs that a sign-flip test can call significant at 0.05: 2⁻⁵ on each side. */
const ENOUGH_PAIRS = 6;

/** Effects of all counterfactuals of a sweep on one metric. */
export function effectsOf(metric: SweptMetric, options: EffectOptions): Effects {
  const { least = 0.05, level = 0.05 } = options;
  const found = seriesOf(metric, options);
  const { effects, gap, series, restored } = found;
  const scale = gap === undefined ? Math.max(...effects.map(Math.abs)) : Math.abs(gap);
  const { intervals, p, q } = testsOf(found, options);
  const isLikely = (cell: number): boolean => q === undefined || series[0]!.length < ENOUGH_PAIRS || (q[cell] ?? 1) <= level;
  const cells = series.map((values, cell): Effect => ({
    value: mean(values),
    ...(restored && gap && { normalised: mean(restored[cell]!) / gap + 0 }),
    effect: effects[cell]!,
    ...(intervals[cell] && { interval: intervals[cell] }),
    ...(p && { p: p[cell]! }),
    ...(q?.[cell] !== undefined && { q: q[cell] }),
    isMarked: scale > 0 && Math.abs(effects[cell]!) >= least * scale && isLikely(cell),
  }));
  const corrupted = metric.corrupted && mean(metric.corrupted);
  const guard = guardOf({ gaps: found.gaps, effects, least, scale, isDistance: options.isDistance ?? false });
  return { pairs: metric.clean.length, clean: mean(metric.clean), ...(corrupted !== undefined && { corrupted }), cells, guard };
}

/** Values of a metric, cell by cell, in the ways that they are looked at: one value a pair. */
interface Series {
  readonly series: readonly Float64Array[];
  /** Less the unedited run's. */
  readonly differences: readonly Float64Array[];
  /** Means of the differences. */
  readonly effects: readonly number[];
  /** Less the corrupted run's. */
  readonly restored: readonly Float64Array[] | undefined;
  /** Clean less corrupted, and its mean. */
  readonly gaps: Float64Array | undefined;
  readonly gap: number | undefined;
}

function seriesOf({ clean, corrupted, values }: SweptMetric, { edited }: EffectOptions): Series {
  const pairs = clean.length;
  const before = (edited === "clean" ? clean : corrupted) ?? clean;
  const series = Array.from({ length: values.length / pairs }, (_, cell) => values.subarray(cell * pairs, (cell + 1) * pairs));
  const less = (of: Float64Array, other: Float64Array): Float64Array => of.map((value, pair) => value - other[pair]!);
  const differences = series.map((one) => less(one, before));
  const gaps = corrupted && less(clean, corrupted);
  return {
    series,
    differences,
    effects: differences.map((one) => mean(one)),
    restored: corrupted && series.map((one) => less(one, corrupted)),
    gaps,
    gap: gaps && mean(gaps),
  };
}

interface Tests {
  readonly intervals: readonly (Interval | undefined)[];
  readonly p?: readonly number[];
  readonly q?: readonly (number | undefined)[];
}

/** Intervals and tests over pairs; none for a single pair. */
function testsOf({ series, differences, restored, gaps, gap }: Series, { seed = 0, resamples }: EffectOptions): Tests {
  if ((series[0]?.length ?? 0) < 2) return { intervals: [] };
  const sampling = { seed, ...(resamples && { resamples }) };
  const isRatio = restored !== undefined && gaps !== undefined && gap !== 0;
  const intervals = isRatio ? bootstrapRatioIntervals(restored, gaps, sampling) : bootstrapIntervals(differences, sampling);
  const p = signFlipTests(differences, sampling);
  return { intervals, p, q: benjaminiHochberg(p) };
}

/** The smallest difference of two float32 runs that is not rounding. */
const NOISE = 1e-4;

interface Guarded {
  readonly gaps: Float64Array | undefined;
  readonly effects: readonly number[];
  readonly least: number;
  readonly scale: number;
  readonly isDistance: boolean;
}

function guardOf({ gaps, effects, least, scale, isDistance }: Guarded): Guard {
  const largest = Math.max(...effects.map(Math.abs));
  const moved = scale > 0 ? effects.filter((effect) => Math.abs(effect) >= least * scale).length / effects.length : 0;
  const better = gaps?.map((one) => (isDistance ? -one : one));
  const pairsAsMeant = better?.reduce((count, one) => count + (one > 0 ? 1 : 0), 0);
  const warning = warningOf({ gap: better && mean(better), pairsAsMeant, pairs: gaps?.length ?? 0, largest, moved });
  return {
    ...(gaps && { gap: mean(gaps) }),
    ...(pairsAsMeant !== undefined && { pairsAsMeant }),
    largest,
    moved,
    ...(warning && { warning }),
  };
}

function warningOf(at: {
  gap: number | undefined;
  pairsAsMeant: number | undefined;
  pairs: number;
  largest: number;
  moved: number;
}): string | undefined {
  const { gap, pairsAsMeant, pairs, largest, moved } = at;
  if (gap !== undefined && Math.abs(gap) < NOISE) return "clean and corrupted runs score the same, so there is nothing to restore";
  if (largest < NOISE) return "no edit moved the run that it changed";
  if (gap !== undefined && gap < 0) return "the corrupted runs score better than the clean ones: are they exchanged, or the answers?";
  if (pairsAsMeant !== undefined && pairsAsMeant < pairs)
    return `in ${pairs - pairsAsMeant} of ${pairs} pairs the clean run does not score better than the corrupted one`;
  if (moved === 0) return "no edit moved the run that it changed by as much as counts";
  return undefined;
}
