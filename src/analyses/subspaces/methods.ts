/** @file The methods' defaults, their settings checked, and the learner that each makes. */
import { SextantError } from "../../base/errors.js";
import type { CachedPair } from "./cached-pairs.js";
import { componentsOf, type Components } from "./components.js";
import type { Learner } from "./learner.js";
import { clampedMask, sigmoidMask } from "./mask-learner.js";
import type { SubspaceMethod, SubspaceTraining } from "./request.js";
import { rotation } from "./rotation-learner.js";
import type { Site } from "./site.js";

/**
 * What is used where a request says nothing. DCM's are those of the authors' program and result files (their paper says a learning rate of
 * 0.01). DBM goes through all its epochs, since its mask only settles when the temperature has fallen. `l1` is in units of the metric.
 */
export const METHOD_DEFAULTS = {
  das: { learningRate: 0.1, batchSize: 16, epochs: 20, patience: 5 },
  dcm: { learningRate: 0.1, batchSize: 4, epochs: 1, patience: 5, l1: 0.1, squared: true },
  dbm: { learningRate: 0.1, batchSize: 16, epochs: 20, patience: Infinity, l1: 0.05, temperature: { from: 1, to: 0.01 } },
} as const;

/** Settings of training, complete. */
export type Training = Required<SubspaceTraining>;

/** The settings of a method, its defaults filled in. */
export function trainingOf(method: SubspaceMethod): Training {
  if (!Object.hasOwn(METHOD_DEFAULTS, method.kind))
    throw new SextantError("request", `method: there are ${Object.keys(METHOD_DEFAULTS).join(", ")}, got ${JSON.stringify(method.kind)}`);
  const { learningRate, batchSize, epochs, patience } = { ...METHOD_DEFAULTS[method.kind], ...given(method) };
  if (!(learningRate > 0 && Number.isFinite(learningRate)))
    throw new SextantError("request", `learningRate must be a number above 0, got ${learningRate}`);
  for (const [name, value] of Object.entries({ batchSize, epochs })) checkCount(name, value);
  if (patience !== Infinity) checkCount("patience", patience);
  return { learningRate, batchSize, epochs, patience };
}

function given<T extends object>(settings: T): T {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as T;
}

function checkCount(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) throw new SextantError("request", `${name} must be a whole number above 0, got ${value}`);
}

/** Makes learners with the start of a seed, all of them for the same components. */
export interface LearnerSource {
  readonly make: (seed: number) => Learner;
  readonly components?: Components;
}

/** The learners of a method at a site; components are those of the training pairs. */
export function learnersOf(method: SubspaceMethod, site: Site, train: readonly CachedPair[]): LearnerSource {
  if (method.kind === "das") return rotations(method, site);
  return method.kind === "dcm" ? clampedMasks(method, site, train) : sigmoidMasks(method, site, train);
}

type Of<K extends SubspaceMethod["kind"]> = Extract<SubspaceMethod, { kind: K }>;

function rotations(method: Of<"das">, { width, address }: Site): LearnerSource {
  const { dimension } = method;
  if (!Number.isInteger(dimension) || dimension < 1 || dimension > width)
    throw new SextantError("request", `dimension must be a whole number, 1 … ${width} at ${address}, got ${dimension}`);
  const { learningRate } = trainingOf(method);
  return { make: (seed) => rotation(width, { dimension, learningRate, seed }) };
}

function clampedMasks(method: Of<"dcm">, site: Site, train: readonly CachedPair[]): LearnerSource {
  const { components: choice = { kind: "singular_vectors" }, squared = METHOD_DEFAULTS.dcm.squared } = method;
  const settings = { learningRate: trainingOf(method).learningRate, l1: priceOf(method), squared };
  const components = componentsOf(choice, site, train);
  return { components, make: () => clampedMask(components, settings) };
}

function sigmoidMasks(method: Of<"dbm">, site: Site, train: readonly CachedPair[]): LearnerSource {
  const { components: choice = "units", temperature = METHOD_DEFAULTS.dbm.temperature } = method;
  if (!(temperature.to > 0 && temperature.from >= temperature.to && Number.isFinite(temperature.from)))
    throw new SextantError("request", `temperature must fall from a number to one above 0, got ${temperature.from} to ${temperature.to}`);
  const settings = { learningRate: trainingOf(method).learningRate, l1: priceOf(method), temperature };
  const components = componentsOf(choice, site, train);
  return { components, make: (seed) => sigmoidMask(components, { ...settings, seed }) };
}

function priceOf(method: Of<"dcm" | "dbm">): number {
  const { l1 = METHOD_DEFAULTS[method.kind].l1 } = method;
  if (!(l1 >= 0 && Number.isFinite(l1))) throw new SextantError("request", `l1 must be 0 or more, got ${l1}`);
  return l1;
}
