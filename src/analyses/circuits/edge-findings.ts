/** @file The edges with the largest scores as plain findings: names, means, intervals over pairs. */
import { SextantError } from "../../base/errors.js";
import { bootstrapIntervals, type Interval } from "../../base/bootstrap.js";
import type { EdgeScores } from "./edge-scores.js";
import { edgeNames } from "./graph.js";

/** One edge's estimated effect, in the unit of the metric. */
export interface EdgeFinding {
  readonly edge: number;
  readonly name: string;
  readonly score: number;
  /** 0.95, percentile bootstrap over pairs; absent for a single pair. It does not know that the edge was chosen for its size. */
  readonly interval?: Interval;
  readonly n: number;
}

/** The edges with the largest |score|, the largest first. Intervals need the scores of each pair (`keepPairs`). */
export function largestEdges(found: EdgeScores, { count, seed }: { readonly count: number; readonly seed?: number }): EdgeFinding[] {
  const { graph, scores, perPair, n } = found;
  if (!Number.isInteger(count) || count < 1)
    throw new SextantError("request", `count must be a whole number above 0, got ${String(count)}`);
  if (seed !== undefined && !perPair)
    throw new SextantError("request", "largestEdges: intervals need the scores of each pair; ask edgeScores for them with keepPairs");
  const names = edgeNames(graph);
  const order = Array.from(scores.keys()).toSorted((a, b) => Math.abs(scores[b]!) - Math.abs(scores[a]!) || a - b);
  const chosen = order.slice(0, count);
  const series = perPair && chosen.map((edge) => Float64Array.from({ length: n }, (_, pair) => perPair[pair * graph.edges + edge]!));
  const intervals = seed === undefined || !series ? undefined : bootstrapIntervals(series, { seed });
  return chosen.map((edge, i) => {
    const interval = intervals?.[i];
    return { edge, name: names[edge]!, score: scores[edge]!, ...(interval && { interval }), n };
  });
}
