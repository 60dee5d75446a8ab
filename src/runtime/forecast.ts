/**
 * @file What a run will cost, from the spec alone: arithmetic of the matrix products, bytes of weights, results and cache; and
 * time, from the speed that earlier runs of the model had.
 */
import { expandAddresses } from "../models/address.js";
import { weightsOf } from "../models/check-weights.js";
import { pointRow } from "../models/points.js";
import { axisLength } from "../models/sizes.js";
import type { AttentionSpec, LayerSpec, MlpSpec, ModelSpec } from "../models/spec.js";
import { sizeOf } from "../base/tensor.js";
import type { Forecast, ForwardRequest, GenerateRequest } from "./model.js";

const FLOAT_BYTES = 4;

/** Multiply-adds × 2 a token passes in one block, attention over `keys` keys included. */
export function blockFlops(layer: LayerSpec, keys: number): number {
  return 2 * (attentionWeights(layer.attention) + mlpWeights(layer.mlp)) + 4 * layer.attention.heads * layer.attention.dHead * keys;
}

function attentionWeights({ qkv, out }: AttentionSpec): number {
  const maps = qkv.kind === "packed" ? [qkv.linear] : [qkv.q, qkv.k, qkv.v];
  return [...maps, out].reduce((total, map) => total + map.in * map.out, 0);
}

/** Weights that one token meets in an MLP: those of its chosen experts only. */
function mlpWeights(mlp: MlpSpec | undefined): number {
  if (!mlp) return 0;
  if (mlp.kind === "plain") return mlp.in.in * mlp.in.out + mlp.out.in * mlp.out.out;
  if (mlp.kind === "gated") return 3 * mlp.gate.in * mlp.dMlp;
  const [expert] = mlp.experts;
  return mlp.router.in * mlp.router.out + mlp.topK * 3 * (expert?.down.out ?? 0) * (expert?.dMlp ?? 0);
}

/** Bytes of a model's weights as they are computed with (float32); each stored tensor once. */
export function weightBytes(spec: ModelSpec): number {
  const sizes = new Map(weightsOf(spec).map((ref) => [`${ref.name}+${ref.offset ?? 0}`, sizeOf(ref.shape)]));
  return [...sizes.values()].reduce((total, size) => total + size, 0) * FLOAT_BYTES;
}

/** The cost of a forward pass. `flopsPerMs`: the speed seen so far. */
export function forecastForward(spec: ModelSpec, request: ForwardRequest, flopsPerMs?: number): Forecast {
  const lengths = request.tokens.map((row) => row.length);
  const width = Math.max(0, ...lengths);
  const logits = request.logits === false ? undefined : (request.logits ?? {});
  const places = expandAddresses(spec, request.read ?? []);
  const reachesEnd =
    logits !== undefined ||
    places.some(
      ({ layer, point }) => layer === undefined && pointRow(point).scope === "model" && point !== "embed" && point !== "pos_embed",
    );
  const last = reachesEnd ? spec.layers.length : Math.max(0, ...places.map(({ layer }) => (layer ?? -1) + 1));
  const layers = spec.layers.slice(request.resume?.layer ?? 0, last);
  const padded = lengths.length * width;
  const rows = logits ? logitRows(logits.positions ?? "last", lengths) : 0;
  const flops =
    layers.reduce((total, layer) => total + padded * blockFlops(layer, width), 0) +
    2 * rows * spec.dModel * (logits?.tokens?.length ?? spec.vocabOut);
  const shapes = places.map(({ point, layer }) =>
    sizeOf(
      pointRow(point).axes.map((axis) =>
        axis === "batch" ? lengths.length : ["pos", "query", "key"].includes(axis) ? width : axisLength(spec, axis, layer),
      ),
    ),
  );
  const resultBytes = FLOAT_BYTES * (shapes.reduce((total, size) => total + size, 0) + rows * (logits?.tokens?.length ?? spec.vocabOut));
  return withTime({ flops, resultBytes, weightBytes: weightBytes(spec), cacheBytes: 0 }, flopsPerMs);
}

/** The cost of a generation that runs to its limit. */
export function forecastGenerate(spec: ModelSpec, request: GenerateRequest, flopsPerMs?: number): Forecast {
  const { tokens, maxNew, read = [], logits = false } = request;
  const prompt = forecastForward(spec, { tokens, read, logits: {} });
  const rows = tokens.length;
  const longest = Math.max(0, ...tokens.map((row) => row.length));
  const decoded = Math.max(0, maxNew - 1);
  const perToken = spec.layers.reduce((total, layer) => total + blockFlops(layer, longest + decoded / 2), 2 * spec.dModel * spec.vocabOut);
  const cached = spec.layers.reduce((total, { attention }) => total + 2 * attention.kvHeads * attention.dHead, 0);
  const resultBytes = prompt.resultBytes + (logits ? FLOAT_BYTES * rows * maxNew * spec.vocabOut : 0);
  const cacheBytes = FLOAT_BYTES * rows * cached * (longest + decoded);
  return withTime(
    { flops: prompt.flops + rows * decoded * perToken, resultBytes, weightBytes: prompt.weightBytes, cacheBytes },
    flopsPerMs,
  );
}

function logitRows(positions: "all" | "last" | readonly number[], lengths: readonly number[]): number {
  if (positions === "all") return lengths.reduce((total, length) => total + length, 0);
  return lengths.length * (positions === "last" ? 1 : positions.length);
}

function withTime(forecast: Forecast, flopsPerMs: number | undefined): Forecast {
  return flopsPerMs ? { ...forecast, ms: forecast.flops / flopsPerMs } : forecast;
}
