/** @file `sextant model`: what a model is made of, which points it has, and why it lacks the others. Nothing is computed. */
import { isSextantError, type Refusal } from "../../base/errors.js";
import { absenceInLayer, absenceInModel } from "../../models/presence.js";
import { POINT_NAMES, pointRow, type PointName } from "../../models/points.js";
import { linearsOf } from "../../models/quantised.js";
import type { LayerSpec, MlpSpec, ModelSpec } from "../../models/spec.js";
import type { ModelOnDisk } from "../../runtime/join-adapter.js";
import { checkWeightForm, type WeightForm } from "../../runtime/weight-forms.js";
import type { MemoryForecast } from "../../runtime/residence.js";
import { defineCommand } from "../command.js";
import { MODEL_ARGUMENT, RUN_OPTIONS } from "../inputs.js";
import { modelFolder } from "../model-folder.js";
import { describeModel } from "../model-text.js";
import { parseSize } from "../size.js";

/** What `sextant model` reports; the JSON document is this. */
export interface ModelFacts {
  readonly family: string;
  readonly parameters: number;
  /** How many tensors of each type; for those of a GGUF file, the types in that file. */
  readonly dtypes: Readonly<Record<string, number>>;
  /** Of the weights in the checkpoint; of a GGUF file, of what is made from it. */
  readonly bytes: number;
  /** What the weights take, resident and streamed, with `--memory` or with the least that will do. */
  readonly memory: MemoryForecast & { readonly limit?: number };
  readonly weights: WeightFacts;
  readonly context?: { readonly length: number; readonly hard: boolean };
  readonly dModel: number;
  readonly vocab: number;
  readonly layers: readonly LayerFacts[];
  readonly points: readonly PointFacts[];
  readonly tokenizer: TokenizerFacts | { readonly error: string };
  /** Settings of config.json that nothing reads. */
  readonly notUnderstood: readonly string[];
}

/** How linear maps would be stored and multiplied, with `--weights`. */
export interface WeightFacts {
  readonly form: WeightForm;
  /** Those in blocks, by how many bits a number has and how many numbers a block. */
  readonly quantised: readonly { readonly bits: number; readonly block: number; readonly maps: number }[];
  /** Linear maps that stay floats. */
  readonly floats: number;
}

export interface LayerFacts {
  readonly layer: number;
  readonly wiring: LayerSpec["wiring"];
  readonly heads: number;
  readonly kvHeads: number;
  readonly dHead: number;
  readonly window?: number;
  readonly rotary?: { readonly type: string; readonly theta: number; readonly dims: number };
  readonly alibi: boolean;
  readonly softcap?: number;
  readonly mlp?: {
    readonly kind: MlpSpec["kind"];
    readonly dMlp?: number;
    readonly activation?: string;
    readonly experts?: number;
    readonly topK?: number;
  };
}

/** A point: where the model has it, or why it does not. */
export interface PointFacts extends Partial<Omit<Refusal, "what">> {
  readonly point: PointName;
  readonly axes: readonly string[];
  /** `true` outside the layers; absent where there is none. */
  readonly layers?: readonly number[] | true;
}

interface TokenizerFacts {
  readonly vocab: number;
  readonly bos?: number;
  readonly eos: readonly number[];
  readonly pad?: number;
  readonly chatTemplates: readonly string[];
}

export const modelCommand = defineCommand({
  name: "model",
  summary: "Shows what a model is made of and which points it has.",
  arguments: [MODEL_ARGUMENT],
  options: {
    memory: { type: "text", placeholder: "SIZE", meaning: "say what of the model would stay in so much memory, such as 2GiB" },
    weights: { ...RUN_OPTIONS.weights, meaning: "say what the model would be with linear maps of that form" },
  },
  examples: ["model models/induction", "model MODEL --memory 2GiB --weights int4", "model MODEL --json"],
  async run(call) {
    const named = call.arguments[0]!;
    const [{ readSpec }, folder] = await Promise.all([import("../../runtime/load.js"), modelFolder(call, named)]);
    const read = readSpec(folder);
    read.checkpoint.close();
    const weights = checkWeightForm(call.options.weights);
    const { memory } = call.options;
    const limit = memory === undefined ? undefined : parseSize("memory", memory);
    const facts = { model: named, ...(await factsOf(read, weights, limit)), tokenizer: await tokenizerFacts(folder) };
    return { json: facts, text: describeModel(facts, call.columns) };
  },
});

async function factsOf(read: ModelOnDisk, form: WeightForm, limit?: number): Promise<Omit<ModelFacts, "tokenizer">> {
  const [{ parameterCount }, { forecastMemory }, { quantisedSpec }] = await Promise.all([
    import("../../runtime/forecast.js"),
    import("../../runtime/residence.js"),
    import("../../runtime/quantised-model.js"),
  ]);
  const spec = quantisedSpec(read, form);
  const { tensors } = read.checkpoint;
  const stored = [...tensors.values()];
  const dtypes: Record<string, number> = {};
  for (const { dtype, storedAs = dtype } of stored) dtypes[storedAs] = (dtypes[storedAs] ?? 0) + 1;
  return {
    family: spec.family,
    parameters: parameterCount(spec),
    dtypes,
    bytes: stored.reduce((sum, { bytes }) => sum + bytes, 0),
    memory: { ...forecastMemory(spec, tensors, limit), ...(limit !== undefined && { limit }) },
    weights: weightFacts(spec, form),
    ...(spec.context && { context: spec.context }),
    dModel: spec.dModel,
    vocab: spec.vocab,
    layers: spec.layers.map((layer, index) => layerFacts(layer, index, spec)),
    points: POINT_NAMES.map((point) => pointFacts(point, spec)),
    notUnderstood: spec.notUnderstood,
  };
}

function weightFacts(spec: ModelSpec, form: WeightForm): WeightFacts {
  const found = new Map<string, { bits: number; block: number; maps: number }>();
  const maps = linearsOf(spec);
  for (const { quantised } of maps) {
    if (!quantised) continue;
    const { bits, block } = quantised;
    const key = `${bits}/${block}`;
    found.set(key, { bits, block, maps: (found.get(key)?.maps ?? 0) + 1 });
  }
  return { form, quantised: [...found.values()], floats: maps.filter(({ quantised }) => !quantised).length };
}

function layerFacts({ wiring, attention, mlp }: LayerSpec, layer: number, { rotaries }: ModelSpec): LayerFacts {
  const { heads, kvHeads, dHead, window, softcap, alibi } = attention;
  const rotary = attention.rotary === undefined ? undefined : rotaries[attention.rotary];
  return {
    layer,
    wiring,
    heads,
    kvHeads,
    dHead,
    ...(window !== undefined && { window }),
    ...(rotary && { rotary: { type: rotary.rope.type, theta: rotary.rope.theta, dims: rotary.dims } }),
    alibi: alibi !== undefined,
    ...(softcap !== undefined && { softcap }),
    ...(mlp && { mlp: mlpFacts(mlp) }),
  };
}

function mlpFacts(mlp: MlpSpec): NonNullable<LayerFacts["mlp"]> {
  if (mlp.kind === "experts") return { kind: mlp.kind, experts: mlp.experts.length, topK: mlp.topK, ...dMlpOf(mlp.experts[0]?.dMlp) };
  return { kind: mlp.kind, dMlp: mlp.dMlp, activation: mlp.activation };
}

function dMlpOf(dMlp: number | undefined): { dMlp?: number } {
  return dMlp === undefined ? {} : { dMlp };
}

function pointFacts(point: PointName, spec: ModelSpec): PointFacts {
  const { scope, axes } = pointRow(point);
  if (scope === "model") return { point, axes, ...(absenceInModel(spec, point) ?? { layers: true as const }) };
  const absences = spec.layers.map((layer) => absenceInLayer(layer, point));
  const layers = absences.flatMap((absence, layer) => (absence ? [] : [layer]));
  return { point, axes, ...(layers.length > 0 ? { layers } : absences[0]) };
}

async function tokenizerFacts(folder: string): Promise<ModelFacts["tokenizer"]> {
  const { loadTokenizer } = await import("../../formats/tokenizer.js");
  try {
    const { vocabSize, bosId, eosIds, padId, chatTemplates } = loadTokenizer(folder);
    const ids = { ...(bosId !== undefined && { bos: bosId }), eos: eosIds, ...(padId !== undefined && { pad: padId }) };
    return { vocab: vocabSize, ...ids, chatTemplates: [...chatTemplates.keys()] };
  } catch (error) {
    if (isSextantError(error)) return { error: error.message };
    throw error;
  }
}
