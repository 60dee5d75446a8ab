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
  /** Pairs whose clean run scores higher than the corrupted one. */
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
  const { edited, least = 0.05, level = 0.05, seed = 0, resamples } = options;
  const pairs = metric.clean.length;
  const before = (edited === "clean" ? metric.clean : metric.corrupted) ?? metric.clean;
  const series = Array.from({ length: metric.values.length / pairs }, (_, cell) =>
    metric.values.subarray(cell * pairs, (cell + 1) * pairs),
  );
  const differences = series.map((values) => values.map((value, pair) => value - before[pair]!));
  const effects = differences.map((values) => mean(values));
  const gaps = metric.corrupted && metric.clean.map((value, pair) => value - metric.corrupted![pair]!);
  const gap = gaps && mean(gaps);
  const scale = gap === undefined ? Math.max(...effects.map(Math.abs)) : Math.abs(gap);
  const sampling = { seed, ...(resamples && { resamples }) };
  const normalise = gaps !== undefined && gap !== 0;
  const restored = metric.corrupted && series.map((values) => values.map((value, pair) => value - metric.corrupted![pair]!));
  const intervals =
    pairs < 2 ? [] : normalise && restored ? bootstrapRatioIntervals(restored, gaps, sampling) : bootstrapIntervals(differences, sampling);
  const p = pairs < 2 ? undefined : signFlipTests(differences, sampling);
  const q = p && benjaminiHochberg(p);
  const cells = series.map((values, cell): Effect => {
    const reaches = scale > 0 && Math.abs(effects[cell]!) >= least * scale;
    const isLikely = q === undefined || pairs < ENOUGH_PAIRS || (q[cell] ?? 1) <= level;
    return {
      value: mean(values),
      ...(normalise && restored && { normalised: mean(restored[cell]!) / gap! }),
      effect: effects[cell]!,
      ...(intervals[cell] && { interval: intervals[cell] }),
      ...(p && { p: p[cell]! }),
      ...(q?.[cell] !== undefined && { q: q[cell] }),
      isMarked: reaches && isLikely,
    };
  });
  const corrupted = metric.corrupted && mean(metric.corrupted);
  return {
    pairs,
    clean: mean(metric.clean),
    ...(corrupted !== undefined && { corrupted }),
    cells,
    guard: guardOf({ gaps, effects, least, scale }),
  };
}

/** The smallest difference of two float32 runs that is not rounding. */
const NOISE = 1e-4;

function guardOf(found: { gaps: Float64Array | undefined; effects: readonly number[]; least: number; scale: number }): Guard {
  const { gaps, effects, least, scale } = found;
  const largest = Math.max(...effects.map(Math.abs));
  const moved = scale > 0 ? effects.filter((effect) => Math.abs(effect) >= least * scale).length / effects.length : 0;
  const gap = gaps && mean(gaps);
  const pairsAsMeant = gaps?.reduce((count, one) => count + (one > 0 ? 1 : 0), 0);
  const warning = warningOf({ gap, pairsAsMeant, pairs: gaps?.length ?? 0, largest, moved });
  return {
    ...(gap !== undefined && { gap }),
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
  if (gap !== undefined && gap < 0) return "the corrupted runs score higher than the clean ones: are they exchanged, or the answers?";
  if (pairsAsMeant !== undefined && pairsAsMeant < pairs)
    return `in ${pairs - pairsAsMeant} of ${pairs} pairs the clean run does not score higher than the corrupted one`;
  if (moved === 0) return "no edit moved the run that it changed by as much as counts";
  return undefined;
}
