/**
 * @file Bootstrap intervals of statistics of items that come in groups, such as the judgements of one search: groups are drawn whole, since items of one
 * group depend on each other. What misleads is what misleads in `bootstrap.ts`, with groups for items: with few of them intervals are too narrow.
 */
import { bootstrapInterval, type Interval, type IntervalOptions, type Statistic } from "./bootstrap.js";

/** The interval of a statistic of weighted items, where an item weighs as often as its group was drawn; undefined for one group. */
export function bootstrapOverGroups(
  groups: ArrayLike<number>,
  statistic: (weights: Float64Array) => number | undefined,
  options: IntervalOptions,
): Interval | undefined {
  const ids = [...new Set(Array.from(groups))];
  const numbers = new Map(ids.map((id, number) => [id, number]));
  const ofItem = Int32Array.from(groups, (id) => numbers.get(id)!);
  const times = new Float64Array(ids.length);
  const weights = new Float64Array(groups.length);
  const ofDrawn: Statistic = (drawn) => {
    times.fill(0);
    for (const group of drawn) times[group]!++;
    for (const [i, group] of ofItem.entries()) weights[i] = times[group]!;
    return statistic(weights);
  };
  return bootstrapInterval([...ids.keys()], { ...options, statistic: ofDrawn });
}
