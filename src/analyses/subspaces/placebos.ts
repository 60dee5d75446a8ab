/** @file What should find nothing, run on the same test pairs: random subspaces and components, the start, shuffled labels, steps of equal length. */
import { seededRandom } from "../../base/random.js";
import { normalNumbers, shuffled } from "../../base/draws.js";
import { dot } from "../../base/vectors.js";
import type { CachedPair, Goal } from "./cached-pairs.js";
import type { Components } from "./components.js";
import type { Settled } from "./learner.js";
import { chosenComponents } from "./mask-learner.js";
import type { Placebo, PlaceboKind } from "./request.js";
import { randomRows, spanOf } from "./rotation-learner.js";
import { runPairs, scoreOf, type Bench, type Change } from "./run-pairs.js";

/** A subspace that was learned, and what its placebos are made from. */
export interface PlaceboJob {
  readonly test: readonly CachedPair[];
  readonly found: Settled;
  readonly components: Components | undefined;
  /** The start, and what shuffled labels led to. */
  readonly untrained: Settled;
  readonly shuffledLabels: Settled;
  readonly seed: number;
  readonly seeds: number;
}

interface Trial {
  readonly kind: PlaceboKind;
  readonly seed: number;
  readonly rank?: number;
  readonly change: Change | undefined;
}

/** Every placebo's score; those that are drawn, once for each of the seeds that follow `seed`. */
export async function runPlacebos(bench: Bench, job: PlaceboJob, onDone: (done: number, total: number) => void): Promise<Placebo[]> {
  const trials = trialsOf(job, bench.site.width);
  const found: Placebo[] = [];
  for (const { kind, seed, rank, change } of trials) {
    const score = scoreOf(await runPairs(bench, job.test, change), job.seed);
    found.push({ kind, seed, ...(rank !== undefined && { rank }), ...score });
    onDone(found.length, trials.length);
  }
  return found;
}

function trialsOf({ found, components, untrained, shuffledLabels, seed, seeds }: PlaceboJob, width: number): Trial[] {
  const drawn = Array.from({ length: seeds }, (_, i) => seed + 1 + i);
  const { rank } = found;
  const trialOf = (kind: PlaceboKind, settled: Settled, own = seed): Trial => ({
    kind,
    seed: own,
    rank: settled.rank,
    change: settled.change,
  });
  return [
    ...drawn.map((own) => trialOf("random_subspace", spanOf(randomRows(rank, width, own)), own)),
    ...(components ? drawn.map((own) => trialOf("random_components", randomChoice(components, rank / components.size, own), own)) : []),
    trialOf("untrained", untrained),
    trialOf("shuffled_labels", shuffledLabels),
    ...drawn.map((own) => ({ kind: "equal_norm" as const, seed: own, change: equalNorm(found, own) })),
  ];
}

function randomChoice(components: Components, count: number, seed: number): Settled {
  const order = shuffled(
    components.names.map((_, i) => i),
    seededRandom(seed),
  );
  const chosen = new Set(order.slice(0, count));
  return chosenComponents(components, (i) => chosen.has(i));
}

/** A step as long as the subspace's, in a direction drawn anew for each vector. */
function equalNorm(found: Settled, seed: number): Change {
  return (difference, pair, slot) => {
    const step = found.change(difference);
    const direction = normalNumbers(step.length, seededRandom(seed, pair * 4096 + slot));
    const factor = Math.sqrt(dot(step, step) / dot(direction, direction));
    return direction.map((value) => factor * value);
  };
}

/**
 * The pairs with another pair's answer and metric each, in a circle drawn at random; among pairs of equal length where a metric counts
 * positions from the start. Where answers are few, some come out right again.
 */
export function withShuffledLabels(pairs: readonly CachedPair[], seed: number): CachedPair[] {
  const isFree = pairs.every(({ goal }) =>
    goal.terms.every(({ index }) => index[0]! < 0 && pairs.every(({ tokens }) => index[0]! >= -tokens.length)),
  );
  const order = shuffled(
    pairs.map((_, i) => i),
    seededRandom(seed, 2),
  );
  const circles = new Map<number, number[]>();
  for (const i of order) {
    const length = isFree ? 0 : pairs[i]!.tokens.length;
    circles.set(length, [...(circles.get(length) ?? []), i]);
  }
  const goals = new Map<number, Goal>();
  for (const circle of circles.values()) circle.forEach((i, at) => goals.set(i, pairs[circle[(at + 1) % circle.length]!]!.goal));
  return pairs.map((pair, i) => ({ ...pair, goal: goals.get(i)! }));
}
