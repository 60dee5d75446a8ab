/**
 * @file LoRA adapters (Hu et al. 2021) of a model: a spec with fresh ones, and a spec with those of a `peft` folder. An adapter is two
 * tensors a module beside the checkpoint's, named by their keys in the adapter's file; no weight of the model is changed.
 */
import { refuse, SextantError } from "../base/errors.js";
import { nearestNames } from "../base/nearest.js";
import { seededRandom } from "../base/random.js";
import { sizeOf, tensor, type Tensor } from "../base/tensor.js";
import { quote } from "../formats/json.js";
import { adapterKey, adapterScale, parseAdapterKey, type PeftConfig } from "../formats/peft.js";
import { adapterModules, attachAdapters, type AdapterModule } from "./adapter-modules.js";
import { weightsOf } from "./check-weights.js";
import type { ModelSpec } from "./spec.js";

/** Above this a "low-rank" matrix is a mistake, not a choice. */
const MOST_RANK = 65_536;

export interface AdapterOptions {
  readonly rank: number;
  /** The term's factor is `alpha / rank`. */
  readonly alpha: number;
  /** Names of modules as `peft` has them (`target_modules`): the end of a path, in whole parts; or `all-linear` for every projection of the blocks. */
  readonly targets: readonly string[] | "all-linear";
}

/** A tensor of an adapter, and how it begins: evenly spread over ±`bound`, or zero. */
export interface AdapterTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly bound: number;
}

/** A model with fresh adapters. */
export interface AdaptedModel {
  readonly spec: ModelSpec;
  /** A `[rank, in]` and B `[out, rank]` of each module in turn. */
  readonly tensors: readonly AdapterTensor[];
  /** What `writePeft` writes beside the tensors. */
  readonly config: PeftConfig;
}

/**
 * The spec with an adapter on every module that `targets` names. As in `peft`, A begins evenly spread over ±1/√in (Kaiming with a = √5) and
 * B with zeros, so that the model computes what it did.
 */
export function withAdapters(spec: ModelSpec, { rank, alpha, targets }: AdapterOptions): AdaptedModel {
  checkSizes(rank, alpha);
  refuseSecond(spec);
  const modules = targeted(spec, targets);
  const config: PeftConfig = {
    rank,
    alpha,
    targets: targets === "all-linear" ? [...new Set(modules.map(({ path }) => lastPart(path)))].sort() : [...new Set(targets)],
    rankStabilised: false,
    fanInFanOut: modules.some(({ layout }) => layout === "in_out"),
    isPartial: false,
    baseModel: undefined,
  };
  const chosen = new Set(modules.map(({ path }) => path));
  const scale = adapterScale(config);
  const adapted = attachAdapters(spec, ({ path }) => (chosen.has(path) ? { ...keysOf(path), rank, scale } : undefined));
  return { spec: adapted, tensors: modules.flatMap((module) => tensorsOf(module, rank)), config };
}

/** The values with which the tensors of fresh adapters begin; the same seed gives the same ones. */
export function initialAdapter(tensors: readonly AdapterTensor[], seed: number): Record<string, Tensor<Float32Array>> {
  const made = tensors.map(({ name, shape, bound }, stream) => {
    const random = seededRandom(seed, stream);
    const values = new Float32Array(sizeOf(shape));
    if (bound > 0) for (let i = 0; i < values.length; i++) values[i] = (2 * random() - 1) * bound;
    return [name, tensor(values, shape)] as const;
  });
  return Object.fromEntries(made);
}

/** The spec with the adapter of a `peft` folder: its configuration, and the shapes of its tensors by key. Errors call it `where`. */
export function withStoredAdapter(
  spec: ModelSpec,
  { config, shapes, where }: { config: PeftConfig; shapes: ReadonlyMap<string, readonly number[]>; where: string },
): ModelSpec {
  refuseSecond(spec);
  const { rank } = config;
  const scale = adapterScale(config);
  const modules = adapterModules(spec);
  const paths = new Map(
    modules.flatMap((module) => [module.weight.replace(/\.weight$/, ""), module.path].map((path) => [path, module] as const)),
  );
  const found = new Map<AdapterModule, string>();
  for (const key of shapes.keys()) {
    const path = parseAdapterKey(key)?.path;
    const module = path === undefined ? undefined : paths.get(path);
    if (!module || path === undefined || (found.get(module) ?? path) !== path) throw strayTensor(key, modules, where);
    checkPair(path, module, { rank, shapes, where });
    found.set(module, path);
  }
  refuseMissing(modules, found, config, where);
  const keys = new Map([...found].map(([{ path }, stored]) => [path, keysOf(stored)] as const));
  return attachAdapters(spec, ({ path }) => {
    const pair = keys.get(path);
    return pair && { ...pair, rank, scale };
  });
}

function keysOf(path: string): { a: string; b: string } {
  return { a: adapterKey(path, "A"), b: adapterKey(path, "B") };
}

function tensorsOf({ path, in: input, out }: AdapterModule, rank: number): AdapterTensor[] {
  const { a, b } = keysOf(path);
  return [
    { name: a, shape: [rank, input], bound: 1 / Math.sqrt(input) },
    { name: b, shape: [out, rank], bound: 0 },
  ];
}

function checkSizes(rank: number, alpha: number): void {
  if (!Number.isInteger(rank) || rank < 1 || rank > MOST_RANK)
    throw new SextantError("usage", `an adapter's rank must be a whole number from 1 to ${MOST_RANK}, got ${rank}`);
  if (!Number.isFinite(alpha)) throw new SextantError("usage", `an adapter's alpha must be a number, got ${alpha}`);
}

function refuseSecond(spec: ModelSpec): void {
  if (!weightsOf(spec).some(({ name }) => parseAdapterKey(name))) return;
  throw refuse({
    what: "cannot add an adapter",
    why: "the model has one, and only one is computed",
    instead: "merge the first into the weights (mergeAdapter), then add the second",
  });
}

/** The modules that the targets name; a target that names none is refused. */
function targeted(spec: ModelSpec, targets: AdapterOptions["targets"]): AdapterModule[] {
  const modules = adapterModules(spec);
  const names = [...new Set(modules.map(({ path }) => lastPart(path)))].sort();
  if (names.length === 0) {
    throw refuse({
      what: "cannot add adapters to this model",
      why: "its checkpoint does not hold projections as modules of transformers do",
      instead: "use a checkpoint in Hugging Face layout",
    });
  }
  if (targets === "all-linear") return modules;
  if (targets.length === 0) throw new SextantError("usage", `an adapter needs targets; this model has ${names.join(", ")}`);
  const stray = targets.find((target) => !modules.some(({ path }) => isTargeted(path, target)));
  if (stray !== undefined) throw unknownTarget(stray, names);
  return modules.filter(({ path }) => targets.some((target) => isTargeted(path, target)));
}

function unknownTarget(target: string, names: readonly string[]): SextantError {
  const near = nearestNames(target, names);
  return refuse(
    {
      what: `cannot add adapters to ${quote(target)}`,
      why: `no projection of this model's blocks is called so${near.length > 0 ? ` (perhaps ${near.join(" or ")} is meant)` : ""}`,
      instead: `name some of ${names.join(", ")}, or all-linear`,
    },
    "request",
  );
}

/** As `peft` compares: the whole path, or its end in whole parts. */
function isTargeted(path: string, target: string): boolean {
  return path === target || path.endsWith(`.${target}`);
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

function checkPair(
  path: string,
  module: AdapterModule,
  { rank, shapes, where }: { rank: number; shapes: ReadonlyMap<string, readonly number[]>; where: string },
): void {
  for (const { name, shape } of tensorsOf({ ...module, path }, rank)) {
    const actual = shapes.get(name);
    if (!actual) throw new SextantError("weights", `${where} has one matrix of ${quote(path)}, but no ${quote(name)}`);
    if (actual.length === shape.length && actual.every((length, axis) => length === shape[axis])) continue;
    const demanded = `the model and rank ${rank} ask for [${shape.join(", ")}]`;
    throw new SextantError("weights", `${where}: tensor ${quote(name)} has shape [${actual.join(", ")}], ${demanded}`);
  }
}

function strayTensor(key: string, modules: readonly AdapterModule[], where: string): SextantError {
  const names = [...new Set(modules.map(({ path }) => lastPart(path)))].sort();
  return refuse({
    what: `cannot use ${quote(key)} of ${where}`,
    why: parseAdapterKey(key)
      ? "the model has no such module, or none that adapters are computed of"
      : "it is neither lora_A nor lora_B of a module",
    instead:
      names.length > 0 ? `adapters are computed of ${names.join(", ")} in ${modules.length} modules of the blocks` : "use another model",
  });
}

/** A module that the configuration names and the file lacks would be left as it was without a word. */
function refuseMissing(
  modules: readonly AdapterModule[],
  found: ReadonlyMap<AdapterModule, string>,
  config: PeftConfig,
  where: string,
): void {
  if (found.size === 0) throw new SextantError("weights", `${where} holds no adapter: it has no tensors`);
  const { targets, isPartial } = config;
  if (typeof targets === "string" || isPartial) return;
  const lacking = modules.find((module) => !found.has(module) && targets.some((target) => isTargeted(module.path, target)));
  if (lacking)
    throw new SextantError("weights", `${where}: target_modules names ${quote(lacking.path)}, of which the adapter has no tensors`);
}
