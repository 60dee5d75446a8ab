/** @file Training of one subspace: mini-batches of pairs, an epoch at a time, and the epoch that did best on the validation pairs kept. */
import { seededRandom } from "../../base/random.js";
import { mean } from "../../base/statistics.js";
import { throwIfAborted } from "../../runtime/engine.js";
import { shuffled } from "../../base/draws.js";
import { rowsTogether, type CachedPair } from "./cached-pairs.js";
import type { Learner, Settled } from "./learner.js";
import type { Training } from "./methods.js";
import type { SubspaceEpoch } from "./request.js";
import { differencesOf, runPairs, slopesOf, type Bench } from "./run-pairs.js";

/** What to train on, and how. */
export interface TrainingJob {
  readonly train: readonly CachedPair[];
  readonly validation: readonly CachedPair[];
  readonly training: Training;
  readonly seed: number;
  /** Called after each step with how many there were. */
  readonly onStep: (done: number, total: number) => void;
}

/** What training ended in. */
export interface Trained {
  readonly kept: Settled;
  readonly epoch: number;
  readonly history: readonly SubspaceEpoch[];
}

/** Trains a learner, and gives the subspace that is kept. */
export async function trainSubspace(bench: Bench, learner: Learner, job: TrainingJob): Promise<Trained> {
  const { train, validation, training, seed, onStep } = job;
  const random = seededRandom(seed, 1);
  const stepsEach = Math.ceil(train.length / training.batchSize);
  const total = stepsEach * training.epochs;
  let kept = learner.settle();
  const start = await lookAt(bench, kept, validation);
  const history: SubspaceEpoch[] = [{ epoch: 0, step: 0, ...temperatureOf(learner), rank: kept.rank, ...start }];
  let [best, bestEpoch] = [start.validation?.objective ?? Infinity, 0];
  for (let epoch = 1; epoch <= training.epochs && epoch - bestEpoch <= training.patience; epoch++) {
    const order = shuffled(train, random);
    const metrics: number[] = [];
    for (let i = 0; i < stepsEach; i++) {
      throwIfAborted(bench.signal);
      const done = (epoch - 1) * stepsEach + i;
      const batch = order.slice(i * training.batchSize, (i + 1) * training.batchSize);
      metrics.push(...(await addSlopes(bench, learner, batch)));
      learner.step(done / total);
      onStep(done + 1, total);
    }
    const now = learner.settle();
    const look = await lookAt(bench, now, validation);
    const seen = { metric: mean(metrics), penalty: learner.penalty(), ...temperatureOf(learner), rank: now.rank };
    history.push({ epoch, step: epoch * stepsEach, ...seen, ...look });
    const objective = look.validation?.objective ?? -epoch;
    if (objective < best) [kept, best, bestEpoch] = [now, objective, epoch];
  }
  return { kept, epoch: bestEpoch, history };
}

function temperatureOf(learner: Learner): { temperature?: number } {
  return learner.temperature ? { temperature: learner.temperature() } : {};
}

/** The batch's part of the gradient of −mean metric, in as many runs as the memory asks for; gives the metrics. */
async function addSlopes(bench: Bench, learner: Learner, batch: readonly CachedPair[]): Promise<number[]> {
  const metrics: number[] = [];
  const together = rowsTogether(
    bench.model.spec,
    batch.map(({ tokens }) => tokens),
  );
  for (let from = 0; from < batch.length; from += together) {
    const part = batch.slice(from, from + together);
    const differences = part.map(differencesOf);
    const changes = differences.map((pair) => pair.map((difference) => learner.change(difference)));
    const run = await slopesOf(bench, part, changes);
    run.slopes.forEach((slopes, i) => {
      slopes.forEach((slope, slot) => {
        learner.add(
          slope.map((value) => -value / batch.length),
          differences[i]![slot]!,
        );
      });
    });
    metrics.push(...run.metrics);
  }
  return metrics;
}

async function lookAt(bench: Bench, settled: Settled, pairs: readonly CachedPair[]): Promise<Pick<SubspaceEpoch, "validation">> {
  if (pairs.length === 0) return {};
  const { metrics, isRight } = await runPairs(bench, pairs, settled.change);
  const metric = mean(metrics);
  return { validation: { metric, iia: isRight.filter(Boolean).length / pairs.length, objective: settled.penalty - metric } };
}
