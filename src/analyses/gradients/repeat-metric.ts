/** @file A metric of rows for several copies of these rows, one behind another. */
import { SextantError } from "../../base/errors.js";
import type { Metric } from "../../runtime/gradient/request.js";

/** Metrics that each row has for itself. */
export type RowMetric = Exclude<Metric, { readonly loss: string } | { readonly seeds: unknown }>;

/** The metric for `times` copies of the rows. */
export function repeatMetric(metric: RowMetric, times: number): RowMetric {
  if (typeof metric === "string") return metric;
  const repeated = <T>(list: readonly T[]): T[] => Array.from({ length: times }, () => list).flat();
  if (isList(metric)) return repeated(metric);
  if (!("terms" in metric))
    throw new SextantError("request", "of: must be an expression, or one for each row; a loss is one number of all rows");
  return { terms: repeated(metric.terms) };
}

function isList(metric: RowMetric): metric is readonly string[] {
  return Array.isArray(metric);
}
