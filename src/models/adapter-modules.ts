/**
 * @file The modules of a model that an adapter can sit on: the projections of its blocks, under the paths that `transformers` gives them. A
 * module is one stored matrix, also where the spec reads its rows as several linear maps (Phi 3's `qkv_proj`). Experts and routers are
 * parameters of a layer there, not modules, and the unembedding is read row by row from the checkpoint: adapters of these are not computed.
 */
import type { AdapterRef, LayerSpec, LinearSpec, MlpSpec, ModelSpec, QkvSpec, WeightRef } from "./spec.js";

/** A module that an adapter can sit on. */
export interface AdapterModule {
  /** Its path in the model that `AutoModelForCausalLM` makes. */
  readonly path: string;
  /** The name of its matrix in the checkpoint. */
  readonly weight: string;
  readonly layout: "out_in" | "in_out";
  readonly in: number;
  /** Of the whole module, which several linear maps may share. */
  readonly out: number;
}

/** A module with the adapter that a spec has on it. */
export interface ModuleWithAdapter {
  readonly module: AdapterModule;
  /** Names of the whole matrices A and B. */
  readonly a: string;
  readonly b: string;
  readonly scale: number;
}

/** What an adapter's two matrices are called, and their factor. */
export interface AdapterOfModule {
  readonly a: string;
  readonly b: string;
  readonly rank: number;
  readonly scale: number;
}

/** What checkpoints leave out at the front of a module's path, or spell otherwise there. */
const FRONTS: readonly (readonly [pattern: RegExp, front: string])[] = [
  [/^h\.\d+\./, "transformer.$&"],
  [/^layers\.\d+\.(attention\.(query_key_value|dense)|mlp\.dense_)/, "gpt_neox.$&"],
  [/^(layers\.\d+|decoder\.layers)\./, "model.$&"],
  [/^language_model\.model\./, "model.language_model."],
];

/** The modules of a spec, in forward order, each once. */
export function adapterModules(spec: ModelSpec): AdapterModule[] {
  const found = projectionsOf(spec).flatMap((linear) => moduleOf(linear) ?? []);
  return [...new Map(found.map((module) => [module.path, module])).values()];
}

/** The adapters of a spec, each module's once. */
export function adaptersOf(spec: ModelSpec): ModuleWithAdapter[] {
  const found = projectionsOf(spec).flatMap((linear): ModuleWithAdapter[] => {
    const module = moduleOf(linear);
    if (!module || !linear.adapter) return [];
    const { a, b, scale } = linear.adapter;
    return [{ module, a: a.name, b: b.name, scale }];
  });
  return [...new Map(found.map((adapted) => [adapted.module.path, adapted])).values()];
}

/** The spec with adapters on the modules for which `adapterOf` gives one; a map that is part of a module gets its rows of B. */
export function attachAdapters(spec: ModelSpec, adapterOf: (module: AdapterModule) => AdapterOfModule | undefined): ModelSpec {
  return mapProjections(spec, (linear) => {
    const module = moduleOf(linear);
    const adapter = module && adapterOf(module);
    return adapter ? { ...linear, adapter: refsOf(linear, module, adapter) } : linear;
  });
}

function refsOf({ weight, in: input, out }: LinearSpec, module: AdapterModule, { a, b, rank, scale }: AdapterOfModule): AdapterRef {
  const rows: WeightRef = { name: b, shape: [out, rank] };
  const piece = { stored: [module.out, rank], offset: ((weight.offset ?? 0) / input) * rank };
  return { a: { name: a, shape: [rank, input] }, b: out === module.out ? rows : { ...rows, ...piece }, scale };
}

/** The module that a map is, or is rows of; none where its tensor is no module's. */
function moduleOf({ weight, layout, in: input, out }: LinearSpec): AdapterModule | undefined {
  const stored = weight.stored ?? weight.shape;
  if (layout === "heads_in_out" || !weight.name.endsWith(".weight") || stored.length !== 2) return undefined;
  const path = weight.name.slice(0, -".weight".length);
  const front = FRONTS.find(([pattern]) => pattern.test(path));
  const total = layout === "out_in" ? (stored[0] ?? out) : out;
  return { path: front ? path.replace(...front) : path, weight: weight.name, layout, in: input, out: total };
}

function projectionsOf(spec: ModelSpec): LinearSpec[] {
  const found: LinearSpec[] = [];
  mapProjections(spec, (linear) => {
    found.push(linear);
    return linear;
  });
  return found;
}

/**
 * The spec with its projections changed. Beside mixtures of experts the MLPs of dense layers stay as they are: `peft` takes targets such as
 * `gate_proj` for the experts' there.
 */
function mapProjections(spec: ModelSpec, change: (linear: LinearSpec) => LinearSpec): ModelSpec {
  const isDense = spec.layers.every(({ mlp }) => mlp?.kind !== "experts");
  const layers = spec.layers.map(({ attention, mlp, ...rest }): LayerSpec => {
    const changed = { ...attention, qkv: mapQkv(attention.qkv, change), out: change(attention.out) };
    return { ...rest, attention: changed, ...(mlp && { mlp: isDense ? mapMlp(mlp, change) : mlp }) };
  });
  return { ...spec, layers };
}

function mapQkv(qkv: QkvSpec, change: (linear: LinearSpec) => LinearSpec): QkvSpec {
  if (qkv.kind === "packed") return { ...qkv, linear: change(qkv.linear) };
  return { ...qkv, q: change(qkv.q), k: change(qkv.k), v: change(qkv.v) };
}

function mapMlp(mlp: MlpSpec, change: (linear: LinearSpec) => LinearSpec): MlpSpec {
  if (mlp.kind === "plain") return { ...mlp, in: change(mlp.in), out: change(mlp.out) };
  if (mlp.kind === "gated") return { ...mlp, gate: change(mlp.gate), up: change(mlp.up), down: change(mlp.down) };
  return mlp;
}
