/** @file Findings in the forms that steps mostly have: shares of cases or of judgements, means, and numbers alone, with intervals that fit them. */
import { bootstrapInterval, type Interval } from "../base/bootstrap.js";
import { bootstrapOverGroups } from "../base/group-bootstrap.js";
import { mean } from "../base/statistics.js";
import { wilson } from "../base/wilson.js";
import type { Finding, FindingInterval } from "../store/finding.js";

type Rest = Partial<Pick<Finding, "controls" | "published" | "note" | "tolerance">>;

/** Counts that a second run on the same machine must meet; another machine's arithmetic may turn a case or two. */
const COUNTED = { absolute: 0.01, relative: 0 } as const;
/** Means of float32 values. */
const MEASURED = { absolute: 1e-4, relative: 1e-3 } as const;
const NO_CASE = "there was no case";

/** `hits` of `n`, with Wilson's interval of 95 %. */
export function shareFinding(
  id: string,
  title: string,
  { hits, n, ...rest }: { readonly hits: number; readonly n: number } & Rest,
): Finding {
  if (n === 0) return { id, title, value: null, unit: "share", n, tolerance: COUNTED, ...rest, note: NO_CASE };
  return { id, title, value: hits / n, unit: "share", n, interval: wilsonInterval(hits, n), tolerance: COUNTED, ...rest };
}

/** Judgements, some of one search: for each, whether it is counted, and its search. */
interface GroupedCases {
  readonly hits: readonly boolean[];
  readonly groups: readonly number[];
  /** Of the interval. */
  readonly seed: number;
}

/**
 * The share of judgements that are counted, with an interval of 95 % over searches, since judgements of one search are not independent: `n` is the number of searches. A
 * bootstrap draws searches whole; where all judgements go one way it would say that nothing is uncertain, so there the interval is Wilson's, of
 * as many cases as there are searches.
 */
export function groupedShareFinding(id: string, title: string, { hits, groups, seed, ...rest }: GroupedCases & Rest): Finding {
  if (hits.length === 0) return { id, title, value: null, unit: "share", n: 0, tolerance: COUNTED, ...rest, note: NO_CASE };
  const searches = new Set(groups).size;
  const interval = groupedInterval(hits, groups, seed);
  const whole = `${judgementsOf(hits.length, searches)}, which the interval takes whole`;
  return {
    id,
    title,
    value: hits.filter(Boolean).length / hits.length,
    unit: "share",
    n: searches,
    ...(interval && { interval }),
    tolerance: COUNTED,
    ...rest,
    note: rest.note === undefined ? whole : `${whole}; ${rest.note}`,
  };
}

/** `7 judgements of 3 searches`. */
export function judgementsOf(judgements: number, searches: number): string {
  return `${judgements} ${judgements === 1 ? "judgement" : "judgements"} of ${searches} ${searches === 1 ? "search" : "searches"}`;
}

function groupedInterval(hits: readonly boolean[], groups: readonly number[], seed: number): FindingInterval | undefined {
  const searches = new Set(groups).size;
  if (new Set(hits).size === 1) return wilsonInterval(hits[0] ? searches : 0, searches);
  const share = (weights: Float64Array): number => {
    let [counted, all] = [0, 0];
    for (const [i, weight] of weights.entries()) {
      all += weight;
      if (hits[i]) counted += weight;
    }
    return counted / all;
  };
  return bootstrapped(bootstrapOverGroups(groups, share, { seed })).interval;
}

/** A bootstrap interval of 95 % as a finding has it; none where all resamples gave the same, which does not mean that nothing is uncertain. */
export function bootstrapped(found: Interval | undefined): { readonly interval?: FindingInterval } {
  return found && found.low < found.high ? { interval: { ...found, level: 0.95, method: "bootstrap" } } : {};
}

/** Wilson's interval of 95 %. */
export function wilsonInterval(hits: number, n: number): FindingInterval {
  const { low, high } = wilson(hits, n);
  return { low, high, level: 0.95, method: "wilson" };
}

/** The mean of one value a case, with a bootstrap interval of 95 %. */
export function meanFinding(
  id: string,
  title: string,
  { values, unit, seed, ...rest }: { readonly values: readonly number[]; readonly unit: string; readonly seed: number } & Rest,
): Finding {
  const n = values.length;
  if (n === 0) return { id, title, value: null, unit, n, tolerance: MEASURED, ...rest, note: NO_CASE };
  return { id, title, value: mean(values), unit, n, ...bootstrapped(bootstrapInterval(values, { seed })), tolerance: MEASURED, ...rest };
}

/** A number alone. */
export function numberFinding(
  id: string,
  title: string,
  {
    value,
    unit,
    ...rest
  }: { readonly value: number | null; readonly unit: string; readonly n?: number; readonly interval?: FindingInterval } & Rest,
): Finding {
  return { id, title, value, unit, tolerance: MEASURED, ...rest };
}
