/** @file Findings in the forms that steps mostly have: shares with Wilson intervals, means with bootstrap intervals, and numbers alone. */
import { bootstrapInterval } from "../base/bootstrap.js";
import { mean } from "../base/statistics.js";
import { wilson } from "../base/wilson.js";
import type { Finding, FindingInterval } from "../store/finding.js";

type Rest = Partial<Pick<Finding, "controls" | "published" | "note" | "tolerance">>;

/** Counts that a second run on the same machine must meet; another machine's arithmetic may turn a case or two. */
const COUNTED = { absolute: 0.01, relative: 0 } as const;
/** Means of float32 values. */
const MEASURED = { absolute: 1e-4, relative: 1e-3 } as const;

/** `hits` of `n`, with Wilson's interval of 95 %. */
export function shareFinding(
  id: string,
  title: string,
  { hits, n, ...rest }: { readonly hits: number; readonly n: number } & Rest,
): Finding {
  if (n === 0) return { id, title, value: null, unit: "share", n, tolerance: COUNTED, note: "there was no case", ...rest };
  const { share, low, high } = wilson(hits, n);
  const interval: FindingInterval = { low, high, level: 0.95, method: "wilson" };
  return { id, title, value: share, unit: "share", n, interval, tolerance: COUNTED, ...rest };
}

/** The mean of one value a case, with a bootstrap interval of 95 %. */
export function meanFinding(
  id: string,
  title: string,
  { values, unit, seed, ...rest }: { readonly values: readonly number[]; readonly unit: string; readonly seed: number } & Rest,
): Finding {
  const n = values.length;
  if (n === 0) return { id, title, value: null, unit, n, tolerance: MEASURED, note: "there was no case", ...rest };
  const found = bootstrapInterval(values, { seed });
  const interval: FindingInterval | undefined = found && { ...found, level: 0.95, method: "bootstrap" };
  return { id, title, value: mean(values), unit, n, ...(interval && { interval }), tolerance: MEASURED, ...rest };
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
