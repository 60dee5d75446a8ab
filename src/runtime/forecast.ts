/**
 * @file What a run will cost, from the spec alone: arithmetic of the matrix products, bytes of weights, results and cache; and
 * time, from the speed that earlier runs of the model had.
 */
import { expandAddresses, stageOf, type Place } from "../models/address.js";
import { computedWeights, weightsOf } from "../models/check-weights.js";
import { pointRow } from "../models/points.js";
import { axisLength } from "../models/sizes.js";
import type { AttentionSpec, LayerSpec, LinearSpec, MlpSpec, ModelSpec, WeightRef } from "../models/spec.js";
import { sizeOf } from "../base/tensor.js";
import type { Forecast, ForwardRequest, GenerateRequest } from "./model.js";
import { computedBytes } from "./weight-bytes.js";

const FLOAT_BYTES = 4;

/** Multiply-adds × 2 a token passes in one block, attention over `keys` keys included. */
export function blockFlops(layer: LayerSpec, keys: number): number {
  const { attention } = layer;
  return projectionFlops(attention) + outputFlops(layer) + 4 * attention.heads * attention.dHead * keys;
}

/** Multiply-adds × 2 a token passes in the projections of query, key and value. */
export function projectionFlops({ qkv }: AttentionSpec): number {
  const maps = qkv.kind === "packed" ? [qkv.linear] : [qkv.q, qkv.k, qkv.v];
  return 2 * maps.reduce((total, map) => total + weightsIn(map), 0);
}

/** Weights that one token meets in a linear map, those of its adapter included. */
function weightsIn({ in: input, out, adapter }: LinearSpec): number {
  return input * out + (adapter ? sizeOf(adapter.a.shape) + sizeOf(adapter.b.shape) : 0);
}

/** Multiply-adds × 2 a token passes in a block behind its heads: attention's output projection and the MLP. */
export function outputFlops({ attention: { out }, mlp }: LayerSpec): number {
  return 2 * (weightsIn(out) + mlpWeights(mlp));
}

/** Weights that one token meets in an MLP: those of its chosen experts only. */
function mlpWeights(mlp: MlpSpec | undefined): number {
  if (!mlp) return 0;
  if (mlp.kind === "plain") return weightsIn(mlp.in) + weightsIn(mlp.out);
  if (mlp.kind === "gated") return weightsIn(mlp.gate) + weightsIn(mlp.up) + weightsIn(mlp.down);
  const [expert] = mlp.experts;
  return mlp.router.in * mlp.router.out + mlp.topK * 3 * (expert?.down.out ?? 0) * (expert?.dMlp ?? 0);
}

/** Bytes of a model's weights as they are computed with (float32, or quantised); each stored tensor once. */
export function weightBytes(spec: ModelSpec): number {
  return total(computedWeights(spec), computedBytes);
}

/** How many numbers a model's checkpoint holds; each stored tensor once. */
export function parameterCount(spec: ModelSpec): number {
  return total(weightsOf(spec), (ref) => computedBytes(ref) / FLOAT_BYTES);
}

function total(refs: readonly WeightRef[], sizeOfRef: (ref: WeightRef) => number): number {
  const sizes = new Map(refs.map((ref) => [`${ref.name}+${ref.offset ?? 0}`, sizeOfRef(ref)]));
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

/** The cost of a forward pass. `flopsPerMs`: the speed seen so far. */
export function forecastForward(spec: ModelSpec, request: ForwardRequest, flopsPerMs?: number): Forecast {
  const size = sizeOfRows(request.tokens);
  const places = expandAddresses(spec, request.read ?? []);
  const until = request.logits === false ? blocksUpTo(spec, places) : undefined;
  const layers = spec.layers.slice(request.resume?.layer ?? 0, until);
  const read = places.reduce((total, place) => total + sizeAt(spec, place, size), 0);
  const logits = logitCost(spec, request, places);
  return withTime(
    {
      flops: passFlops({ ...spec, layers }, places, size) - (request.resume ? embeddingFlops(spec, size) : 0) + logits.flops,
      resultBytes: FLOAT_BYTES * (read + logits.elements),
      weightBytes: weightBytes({ ...spec, layers }),
      cacheBytes: 0,
    },
    flopsPerMs,
  );
}

/** A batch as it is computed: every row as wide as the longest, each token with all keys of its row (default: `width`). */
interface Size {
  readonly rows: number;
  readonly width: number;
  readonly keys?: number;
}

/** One pass without the logits. */
function passFlops(spec: ModelSpec, places: readonly Place[], size: Size): number {
  const { rows, width, keys = width } = size;
  const inBlocks = spec.layers.reduce((total, layer) => total + rows * width * blockFlops(layer, keys), 0);
  return embeddingFlops(spec, size) + inBlocks + headTermFlops(spec, places, size);
}

function sizeOfRows(tokens: readonly (readonly number[])[]): Size {
  return { rows: tokens.length, width: Math.max(0, ...tokens.map((row) => row.length)) };
}

function embeddingFlops({ embedding: { project } }: ModelSpec, { rows, width }: Size): number {
  return project ? 2 * rows * width * project.in * project.out : 0;
}

/** `head_out` is computed for the reader alone. */
function headTermFlops({ dModel, layers: [block] }: ModelSpec, places: readonly Place[], { rows, width }: Size): number {
  const read = places.filter(({ point }) => point === "head_out");
  return 2 * rows * width * read.length * dModel * (block ? block.attention.heads * block.attention.dHead : 0);
}

interface LogitCost {
  readonly flops: number;
  readonly elements: number;
}

/** Logits asked for, and those read as a point, which are computed apart unless both are the same. */
function logitCost(spec: ModelSpec, request: ForwardRequest, places: readonly Place[]): LogitCost {
  const everywhere = request.tokens.reduce((sum, row) => sum + row.length, 0) * unembedFlops(spec);
  const asked = askedLogits(spec, request);
  if (!places.some(({ point }) => point === "logits")) return asked;
  const { positions, tokens } = request.logits || {};
  const isSame = positions === "all" && !tokens;
  return { flops: isSame ? everywhere : everywhere + asked.flops, elements: asked.elements };
}

function askedLogits(spec: ModelSpec, { tokens, logits = {} }: ForwardRequest): LogitCost {
  if (logits === false) return { flops: 0, elements: 0 };
  const { rows, width } = sizeOfRows(tokens);
  const { positions = "last" } = logits;
  const columns = logits.tokens?.length ?? spec.vocabOut;
  if (positions === "all") {
    const total = tokens.reduce((sum, row) => sum + row.length, 0);
    return { flops: total * unembedFlops(spec, columns), elements: rows * width * columns };
  }
  const count = rows * (positions === "last" ? 1 : positions.length);
  return { flops: count * unembedFlops(spec, columns), elements: count * columns };
}

/** Multiply-adds × 2 of the logits of one position. */
export function unembedFlops({ head, dModel, vocabOut }: ModelSpec, columns = vocabOut): number {
  return 2 * ((head.project ? head.project.in * head.project.out : 0) + (head.project?.out ?? dModel) * columns);
}

/**
 * Bytes that one block works in over the longest rows: the mask twice, and four values for each edge of each head (scores before
 * and after the mask, the pattern, and what ONNX Runtime's arena keeps; measured at 5 000 positions).
 */
export function workingBytes(spec: ModelSpec, { tokens, ...request }: ForwardRequest | GenerateRequest): number {
  const { rows, width } = sizeOfRows(tokens);
  const queries = width + ("maxNew" in request && request.recompute ? request.maxNew : 0);
  const heads = Math.max(...spec.layers.map(({ attention }) => attention.heads));
  return FLOAT_BYTES * rows * (4 * heads + 2) * queries ** 2;
}

/** How many blocks run for the places that are read. */
export function blocksUpTo(spec: ModelSpec, places: readonly Place[]): number {
  const last = Math.max(-1, ...places.map(stageOf));
  return Math.min(last + 1, spec.layers.length);
}

/** Elements of a point over the rows of a run. */
function sizeAt(spec: ModelSpec, { point, layer }: Place, { rows, width }: Size): number {
  const lengthOf = (axis: string): number => {
    if (axis === "batch") return rows;
    return axis === "pos" || axis === "query" || axis === "key" ? width : axisLength(spec, axis, layer);
  };
  return sizeOf(pointRow(point).axes.map(lengthOf));
}

/** The cost of a generation that runs to its limit. */
export function forecastGenerate(spec: ModelSpec, request: GenerateRequest, flopsPerMs?: number): Forecast {
  const { tokens, maxNew, read = [], logits = false, recompute = false } = request;
  const { rows, width } = sizeOfRows(tokens);
  const whole = { rows, width: width + Math.max(0, maxNew - 1) };
  const places = expandAddresses(spec, read).filter(({ point }) => point !== "logits");
  const elements = places.reduce((total, place) => total + sizeAt(spec, place, whole), logits ? rows * maxNew * spec.vocabOut : 0);
  const cached = spec.layers.reduce((total, { attention }) => total + 2 * attention.kvHeads * attention.dHead, 0);
  const passes = (recompute ? recomputedFlops : cachedFlops)(spec, places, { rows, width, steps: maxNew });
  return withTime(
    {
      flops: passes + rows * maxNew * unembedFlops(spec),
      resultBytes: FLOAT_BYTES * elements,
      weightBytes: weightBytes(spec),
      cacheBytes: recompute ? 0 : FLOAT_BYTES * rows * cached * whole.width,
    },
    flopsPerMs,
  );
}

interface Steps extends Size {
  readonly steps: number;
}

/** The prompts, then one token a row and step; step s sees `width + s` keys. */
function cachedFlops(spec: ModelSpec, places: readonly Place[], { rows, width, steps }: Steps): number {
  const later = Math.max(0, steps - 1);
  return passFlops(spec, places, { rows, width }) + later * passFlops(spec, places, { rows, width: 1, keys: width + (later + 1) / 2 });
}

/** Whole rows at each step. Their widths x are `steps` numbers in a row, so the mean of x² is m² + (steps² − 1) / 12. */
function recomputedFlops(spec: ModelSpec, places: readonly Place[], { rows, width, steps }: Steps): number {
  const mean = width + (steps - 1) / 2;
  return steps * passFlops(spec, places, { rows, width: mean, keys: mean + (steps ** 2 - 1) / (12 * mean) });
}

function withTime(forecast: Forecast, flopsPerMs: number | undefined): Forecast {
  return flopsPerMs ? { ...forecast, ms: forecast.flops / flopsPerMs } : forecast;
}
