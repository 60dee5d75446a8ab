/**
 * @file Softmax probes of all layers trained together in minibatches with AdamW (Loshchilov & Hutter 2017, arXiv 1711.05101), stopped early
 * by the validation examples, as in the self-verification paper: no bias, start N(0, 1/d), the same batches in every layer, a loss
 * averaged over layers, and the weights of the best mean validation loss kept. The paper's program never clears its gradients; this one does.
 *
 * When it misleads: where it stops depends on seed, rate and patience, and the weights keep much of their random start along directions in
 * which examples hardly vary. `softmax` has one answer.
 */
import { makeAdam } from "../../base/adam.js";
import { SextantError } from "../../base/errors.js";
import { logSumExp } from "../../base/log-sum-exp.js";
import { seededRandom, type Random } from "../../base/random.js";
import { normalNumbers, shuffled } from "../../base/draws.js";
import { activationsOf, type Examples } from "./examples.js";
import { scaledRow, type LinearMap, type Scaling } from "./features.js";
import type { TrainingOptions } from "./request.js";
import type { ProbeSplit } from "./split.js";
import { addTo, dot } from "../../base/vectors.js";

const DEFAULTS = {
  learningRate: 1e-4,
  betas: [0.9, 0.99],
  weightDecay: 0.01,
  batchSize: 128,
  evaluateEvery: 50,
  patience: 10,
  maxSteps: 20_000,
} as const satisfies Required<TrainingOptions>;

/** What is trained on. */
export interface TrainingSet {
  readonly examples: Examples;
  readonly split: ProbeSplit;
  /** Of each layer. */
  readonly scalings: readonly Scaling[];
}

/** What came out: a map a layer, the step they are of, and the mean validation loss over layers at each look. */
export interface Trained {
  readonly maps: readonly LinearMap[];
  readonly step: number;
  readonly losses: readonly number[];
}

/** Changes parameters in place by one step of AdamW. */
export type AdamStep = (parameters: Float64Array, gradient: Float64Array) => void;

/** Steps of AdamW for one array of parameters, with moments of its own. */
export function adamw(size: number, options: Pick<Required<TrainingOptions>, "learningRate" | "betas" | "weightDecay">): AdamStep {
  const { learningRate, weightDecay, betas } = options;
  const adam = makeAdam(size, betas);
  return (parameters, gradient) => {
    const move = adam(gradient);
    for (let i = 0; i < size; i++) parameters[i] = parameters[i]! * (1 - learningRate * weightDecay) - learningRate * move[i]!;
  };
}

/** Trains until the validation loss has not improved for `patience` looks, or `maxSteps` are made. */
export function trainJointly(set: TrainingSet, given: TrainingOptions, seed: number): Trained {
  const options = optionsOf(given);
  const { examples, split } = set;
  if (split.validation.length === 0)
    throw new SextantError("request", "softmax_adamw stops by validation examples, and the split has none");
  const random = seededRandom(seed, 1);
  const size = examples.classes * examples.width;
  const layers = Array.from({ length: examples.layers }, (_, layer) => ({
    layer,
    weights: normalNumbers(size, random).map((value) => value / Math.sqrt(examples.width)),
    step: adamw(size, options),
  }));
  const batches = batchesOf(split.train, options.batchSize, random);
  const losses: number[] = [];
  let best = { loss: Infinity, look: -1, step: 0, weights: layers.map(({ weights }) => weights.slice()) };
  for (let step = 1; step <= options.maxSteps; step++) {
    const batch = batches();
    for (const { layer, weights, step: move } of layers) move(weights, gradientOf(set, { layer, weights, batch }));
    if (step % options.evaluateEvery !== 0 && step !== options.maxSteps) continue;
    const loss = layers.reduce((sum, place) => sum + lossOf(set, { ...place, batch: split.validation }), 0) / layers.length;
    const look = losses.push(loss) - 1;
    if (loss < best.loss) best = { loss, look, step, weights: layers.map(({ weights }) => weights.slice()) };
    if (look - best.look >= options.patience) break;
  }
  return { maps: best.weights.map((weights) => mapOf(weights, examples)), step: best.step, losses };
}

/** A layer's weights, and the examples that they are held against. */
interface Place {
  readonly layer: number;
  readonly weights: Float64Array;
  readonly batch: readonly number[];
}

/** Calls `take` with each example's scaled row, its probabilities and its loss. */
function pass(set: TrainingSet, place: Place, take: (row: Float64Array, rest: Float64Array, loss: number) => void): void {
  const { examples, scalings } = set;
  const rows = mapOf(place.weights, examples).weights;
  for (const example of place.batch) {
    const row = scaledRow(activationsOf(examples, example, place.layer), scalings[place.layer]!);
    const scores = Float64Array.from(rows, (weights) => dot(weights, row));
    const total = logSumExp(scores);
    const label = examples.labels[example]!;
    const rest = scores.map((score, c) => Math.exp(score - total) - (c === label ? 1 : 0));
    take(row, rest, total - scores[label]!);
  }
}

function gradientOf(set: TrainingSet, place: Place): Float64Array {
  const { width, layers } = set.examples;
  const gradient = new Float64Array(place.weights.length);
  pass(set, place, (row, rest) => {
    for (const [c, share] of rest.entries()) addTo(gradient.subarray(c * width, (c + 1) * width), share / place.batch.length / layers, row);
  });
  return gradient;
}

function lossOf(set: TrainingSet, place: Place): number {
  let sum = 0;
  pass(set, place, (_row, _rest, loss) => void (sum += loss));
  return sum / place.batch.length;
}

/** Gives the next batch: all examples in random order, then again in another. */
function batchesOf(train: readonly number[], size: number, random: Random): () => readonly number[] {
  let order: readonly number[] = [];
  let from = 0;
  return () => {
    if (from >= order.length) [order, from] = [shuffled(train, random), 0];
    from += size;
    return order.slice(from - size, from);
  };
}

function mapOf(weights: Float64Array, { classes, width }: Examples): LinearMap {
  const rows = Array.from({ length: classes }, (_, c) => weights.subarray(c * width, (c + 1) * width));
  return { weights: rows, bias: new Float64Array(classes) };
}

function optionsOf(given: TrainingOptions): Required<TrainingOptions> {
  const options = { ...DEFAULTS, ...given };
  for (const name of ["batchSize", "evaluateEvery", "patience", "maxSteps"] as const) {
    const value = options[name];
    if (!(Number.isInteger(value) && value >= 1))
      throw new SextantError("request", `${name} must be a whole number of 1 or more, got ${value}`);
  }
  const { learningRate, weightDecay, betas } = options;
  if (!(learningRate > 0)) throw new SextantError("request", `learningRate must be above 0, got ${learningRate}`);
  if (!(weightDecay >= 0)) throw new SextantError("request", `weightDecay must be 0 or more, got ${weightDecay}`);
  if (!betas.every((beta) => beta >= 0 && beta < 1))
    throw new SextantError("request", `betas must be in 0 … 1, 1 excluded, got ${betas.join(", ")}`);
  return options;
}
