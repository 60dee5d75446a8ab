/**
 * @file What gradient graphs are held against: a graph with values for all its inputs and weights, a number made of some of its values (the
 * sum of each times a seed), and how that number changes when a value does, by central differences in float64.
 */
import { must } from "../../src/base/errors.js";
import { seededRandom, type Random } from "../../src/base/random.js";
import { sizeOf } from "../../src/base/tensor.js";
import type { Graph } from "../../src/graph/graph.js";
import { differentiate, seedName } from "../../src/graph/vjp.js";
import { evaluate, reevaluate } from "./interpreter.js";
import { mapped, ndArray, type NdArray } from "./nd-array.js";

type Arrays = ReadonlyMap<string, NdArray>;

export interface Trial {
  readonly graph: Graph;
  /** Values of the inputs, and of weights, by id. */
  readonly feeds: Arrays;
  readonly weights: Arrays;
  /** By id: what each value is multiplied with in the sum. */
  readonly seeds: Arrays;
}

/** Numbers evenly spread over −reach … reach. */
export function spread(random: Random, shape: readonly number[], reach = 1): NdArray {
  return ndArray(
    shape,
    Float64Array.from({ length: sizeOf(shape) }, () => (2 * random() - 1) * reach),
  );
}

/** A seed for each of the values with those ids, in the shape that it has in the trial. */
export function randomSeeds({ graph, feeds, weights }: Omit<Trial, "seeds">, ids: readonly string[], seed = 1): Map<string, NdArray> {
  const values = evaluate(graph, feeds, weights);
  const random = seededRandom(seed, 77);
  return new Map(ids.map((id) => [id, finiteOnly(spread(random, must(values.get(id), id).shape), must(values.get(id), id))] as const));
}

/** The seed with 0 where the value is infinite: a masked score has no part in any sum. */
function finiteOnly(seed: NdArray, value: NdArray): NdArray {
  return { shape: seed.shape, data: seed.data.map((x, i) => (Number.isFinite(value.data[i]) ? x : 0)) };
}

/** The gradients that the gradient graph gives, by id of the target; zeros where it says that there is none. */
export function gradientsOf(trial: Trial, targets: readonly string[], leaves: readonly string[] = []): Map<string, NdArray> {
  const { graph, gradients } = differentiate(trial.graph, { seeds: [...trial.seeds.keys()], targets, leaves });
  const fed = [...trial.seeds].map(([id, seed]) => [seedName(id), seed] as const);
  const values = evaluate(graph, new Map([...trial.feeds, ...fed]), trial.weights);
  const forward = evaluate(trial.graph, trial.feeds, trial.weights);
  return new Map(
    targets.map((id) => {
      const made = gradients.get(id);
      return [id, made === undefined ? ndArray(must(forward.get(id), id).shape) : must(values.get(made), made)] as const;
    }),
  );
}

/** Σ seed · value over all seeds. */
function total({ seeds }: Trial, values: Arrays): number {
  let sum = 0;
  for (const [id, { data: seed }] of seeds) {
    const { data } = must(values.get(id), id);
    for (let i = 0; i < seed.length; i++) if (seed[i] !== 0) sum += seed[i]! * data[i]!;
  }
  return sum;
}

/** Steps that are small against third derivatives and large against the 16 digits of float64; a bend that one meets the other misses. */
export const STEPS = [1e-5, 1e-6] as const;

/** How fast the sum of a trial changes when something is added to values. */
export class Slopes {
  readonly #trial: Trial;
  readonly #base: Arrays;

  constructor(trial: Trial) {
    this.#trial = trial;
    this.#base = evaluate(trial.graph, trial.feeds, trial.weights);
  }

  /** Directions by id, of values inside too; `frozen` values stay what they are. */
  along(directions: Arrays, { frozen = [], step = STEPS[0] }: { frozen?: readonly string[]; step?: number } = {}): number {
    const at = (by: number): number => {
      const added = new Map([...directions].map(([id, direction]) => [id, mapped(direction, (x) => by * x)] as const));
      return total(this.#trial, reevaluate(this.#trial.graph, this.#base, { added, frozen }));
    };
    return (at(step) - at(-step)) / (2 * step);
  }

  /** The slope along each coordinate of one value. */
  of(id: string): NdArray {
    const { shape } = must(this.#base.get(id), id);
    const slopes = Float64Array.from({ length: sizeOf(shape) }, (_, at) => {
      const direction = ndArray(shape);
      direction.data[at] = 1;
      return this.along(new Map([[id, direction]]));
    });
    return ndArray(shape, slopes);
  }
}

/** Σ a · b. */
export function dot(a: NdArray, b: NdArray): number {
  return a.data.reduce((sum, value, i) => sum + value * b.data[i]!, 0);
}

/** The root of Σ (a · b)², what a sum of such products is usually as large as. */
export function usual(a: NdArray, b: NdArray): number {
  return Math.sqrt(a.data.reduce((sum, value, i) => sum + (value * b.data[i]!) ** 2, 0));
}
