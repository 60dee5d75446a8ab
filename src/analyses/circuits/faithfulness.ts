/**
 * @file How much of a model's behaviour circuits of growing size keep: f = (m(C) − m(∅)) / (m(M) − m(∅)), of the means over pairs, with the whole
 * model M and everything corrupted ∅. CPR is the area under f over the share of edges (larger is better; above 1 where circuits outdo the
 * model), CMD the area of |1 − f| (smaller is better; 0 is the model). Trapezoids over a linear axis of the nominal shares, from the
 * smallest share (MIB: 0.001) to the largest, as MIB's code does (arXiv 2504.13151; `log` spaces the axis by ln share instead).
 * On the linear axis the half from 0.5 to 1 weighs as much as all small circuits together.
 *
 * When it misleads: f is a ratio: where clean and corrupted runs hardly differ, it is noise, and is left out. Intervals draw pairs whole, with
 * the circuits as they are: pairs that the scores were taken from make them too good.
 */
import { SextantError } from "../../base/errors.js";
import { bootstrapIntervals, bootstrapRatioIntervals, type Interval } from "../../base/bootstrap.js";
import { mean } from "../../base/statistics.js";

/** Runs of circuits of growing size, of the same pairs. */
export interface CurveRequest {
  /** Shares of all edges, growing. */
  readonly shares: readonly number[];
  /** One value a pair for each share. */
  readonly circuits: readonly ArrayLike<number>[];
  /** One value a pair: the whole model, and everything corrupted. */
  readonly clean: ArrayLike<number>;
  readonly corrupted: ArrayLike<number>;
  /** Default: linear. */
  readonly axis?: "linear" | "log";
  /** Seed of the intervals; without it there are none. */
  readonly seed?: number;
}

export interface FaithfulnessCurve {
  readonly points: readonly {
    readonly share: number;
    readonly metric: number;
    readonly faithfulness: number;
    readonly interval?: Interval;
  }[];
  readonly cpr: number;
  readonly cmd: number;
  /** 0.95, over pairs. */
  readonly intervals?: { readonly cpr?: Interval; readonly cmd?: Interval };
  readonly axis: "linear" | "log";
  /** Pairs. */
  readonly n: number;
}

/** The curve, and the areas under it and between it and the model. */
export function faithfulnessCurve(request: CurveRequest): FaithfulnessCurve {
  const { shares, circuits, clean, corrupted, axis = "linear", seed } = request;
  const n = clean.length;
  check(request);
  const gaps = Float64Array.from(clean, (value, pair) => value - corrupted[pair]!);
  const gains = circuits.map((values) => Float64Array.from(values, (value, pair) => value - corrupted[pair]!));
  const gap = mean(gaps);
  const largest = gaps.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (Math.abs(gap) < 1e-9 * Math.max(largest, 1e-300))
    throw new SextantError("request", "clean and corrupted runs score the same, so there is nothing that a circuit could keep");
  const kept = gains.map((gain) => mean(gain) / gap);
  const ranges = seed === undefined ? undefined : bootstrapRatioIntervals(gains, gaps, { seed });
  const points = shares.map((share, i) => {
    const interval = ranges?.[i];
    return { share, metric: mean(Float64Array.from(circuits[i]!)), faithfulness: kept[i]!, ...(interval && { interval }) };
  });
  const areas = { cpr: area(shares, kept, axis), cmd: area(shares, kept.map(missing), axis) };
  return { points, ...areas, ...(seed !== undefined && { intervals: areaIntervals({ shares, gains, gaps, axis, seed }) }), axis, n };
}

function check({ shares, circuits, clean, corrupted, axis = "linear" }: CurveRequest): void {
  if (axis !== "linear" && axis !== "log") throw new SextantError("request", `axis must be "linear" or "log", got ${JSON.stringify(axis)}`);
  if (shares.length < 2 || shares.length !== circuits.length)
    throw new SextantError(
      "request",
      `shares: two or more are needed, one a circuit, got ${shares.length} for ${circuits.length} circuits`,
    );
  shares.forEach((share, i) => {
    const isGrowing = i === 0 || share > shares[i - 1]!;
    if (!(share >= 0 && share <= 1) || !isGrowing || (axis === "log" && share === 0))
      throw new SextantError("request", `shares must grow within 0 to 1${axis === "log" ? ", above 0" : ""}, got ${shares.join(", ")}`);
  });
  if (clean.length === 0 || [corrupted, ...circuits].some((values) => values.length !== clean.length))
    throw new SextantError("request", "circuits, clean and corrupted need one value a pair each, and at least one pair");
}

/** The distance of a circuit from the model. */
function missing(faithfulness: number): number {
  return Math.abs(1 - faithfulness);
}

/** The area under a curve, by trapezoids. */
function area(shares: readonly number[], heights: readonly number[], axis: "linear" | "log"): number {
  const at = axis === "log" ? shares.map(Math.log) : shares;
  return at.slice(1).reduce((total, x, i) => total + ((x - at[i]!) * (heights[i]! + heights[i + 1]!)) / 2, 0);
}

interface Drawn {
  readonly shares: readonly number[];
  readonly gains: readonly Float64Array[];
  readonly gaps: Float64Array;
  readonly axis: "linear" | "log";
  readonly seed: number;
}

/** Intervals of both areas: pairs are drawn by their index, so that all circuits of a draw are of the same pairs. */
function areaIntervals({ shares, gains, gaps, axis, seed }: Drawn): { cpr?: Interval; cmd?: Interval } {
  const indices = Float64Array.from(gaps.keys());
  const meanAt = (values: Float64Array, drawn: Float64Array): number => drawn.reduce((sum, pair) => sum + values[pair]!, 0) / drawn.length;
  const sign = Math.sign(mean(gaps));
  const areaOf =
    (height: (faithfulness: number) => number) =>
    (drawn: Float64Array): number | undefined => {
      const gap = meanAt(gaps, drawn);
      if (Math.sign(gap) !== sign) return undefined;
      return area(
        shares,
        gains.map((gain) => height(meanAt(gain, drawn) / gap)),
        axis,
      );
    };
  const [cpr] = bootstrapIntervals([indices], { seed, statistic: areaOf((one) => one) });
  const [cmd] = bootstrapIntervals([indices], { seed, statistic: areaOf(missing) });
  return { ...(cpr && { cpr }), ...(cmd && { cmd }) };
}
