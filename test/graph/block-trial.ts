/** @file Blocks with random weights and what a pass feeds them: two rows of different lengths, with keys and values cached in front. */
import { must } from "../../src/base/errors.js";
import { seededRandom, type Random } from "../../src/base/random.js";
import { sizeOf } from "../../src/base/tensor.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import type { Graph } from "../../src/graph/graph.js";
import { buildBlock, FUSED, STREAM, type Form } from "../../src/models/block.js";
import type { ModelSpec } from "../../src/models/spec.js";
import { cachedFeeds, makePass, PassInputs, type Cache } from "../../src/runtime/pass.js";
import type { Feed, Resident } from "../../src/runtime/session.js";
import { spread, type Trial } from "./gradient-trial.js";
import { ndArray, type NdArray } from "./nd-array.js";

const LENGTHS = [4, 3] as const;
/** Cached keys of each row; of the second, one place is padding. */
const CACHED = [Int32Array.of(0, 1), Int32Array.of(0, -1)] as const;

/** A value that is fed to ONNX Runtime, as the interpreter takes it. */
export function asNdArray(feed: Feed | Resident): NdArray {
  if ("resident" in feed) throw new Error("a value on a device has no elements here");
  return ndArray([...feed.dims], Float64Array.from(feed.data, Number));
}

/** Random values for all weights of a graph, by id: floats, or bytes; of two-digit exponents where bytes are powers of two. */
export function randomWeights(graph: Graph, random: Random): Map<string, NdArray> {
  const made = [...graph.weights].map(([id, { name, shape, holds }]) => {
    if (holds !== "bytes") return [id, spread(random, shape, 0.6)] as const;
    const byte = name.endsWith("scales") ? () => 124 + Math.floor(random() * 4) : () => Math.floor(random() * 256);
    return [id, ndArray(shape, Float64Array.from({ length: sizeOf(shape) }, byte))] as const;
  });
  return new Map(made);
}

/** The weights of a graph, cut out of the tensors that a folder stores. */
export function storedWeights(graph: Graph, folder: string): Map<string, NdArray> {
  const tensors = readSafetensors(folder);
  const cut = [...graph.weights].map(([id, { name, shape, offset = 0 }]) => {
    const { data } = must(tensors.get(name), name);
    return [id, ndArray(shape, Float64Array.from(data.subarray(offset, offset + sizeOf(shape))))] as const;
  });
  return new Map(cut);
}

/** A block with a random stream, cache and weights. */
export function blockTrial(spec: ModelSpec, layer: number, form: Form = FUSED): Omit<Trial, "seeds"> {
  const graph = buildBlock(spec, layer, form);
  const random = seededRandom(11, layer);
  const cache: Cache = { positions: CACHED, layers: spec.layers.map((block) => cachedOf(block.attention, random)) };
  const rows = LENGTHS.map((length) => Array.from({ length }, () => 1));
  const pass = makePass(rows, cache);
  const feeds = { ...new PassInputs(spec, pass).of(layer), ...cachedFeeds(pass, layer) };
  const fed = Object.entries(feeds).map(([id, feed]) => [id, asNdArray(feed)] as const);
  const stream = spread(random, [LENGTHS.length, Math.max(...LENGTHS), spec.dModel]);
  const taken = new Set(graph.inputs.map(({ id }) => id));
  return {
    graph,
    feeds: new Map([...fed.filter(([id]) => taken.has(id)), [STREAM.in, stream] as const]),
    weights: randomWeights(graph, random),
  };
}

function cachedOf({ kvHeads, dHead }: ModelSpec["layers"][number]["attention"], random: Random): Cache["layers"][number] {
  const dims = [LENGTHS.length, kvHeads, CACHED[0].length, dHead];
  const held = () => ({ data: Float32Array.from(spread(random, dims).data), dims, release: () => undefined });
  return { k: held(), v: held() };
}

/** Ids of what can be a target of a graph: float inputs but masks and tables, named floats, and float weights. */
export function targetsOf({ graph }: Pick<Trial, "graph">): string[] {
  const inputs = graph.inputs.filter(({ id, dtype }) => dtype === "float32" && !/^(?:mask|key_positions|cos_\d+|sin_\d+)$/.test(id));
  const weights = [...graph.weights].filter(([, { holds }]) => holds !== "bytes").map(([id]) => id);
  return [...new Set([...inputs.map(({ id }) => id), ...namedFloats(graph), ...weights])];
}

/** Ids of the named values that are floats. */
export function namedFloats(graph: Graph): string[] {
  return [...graph.named.values()].filter((id) => must(graph.values.get(id), id).dtype === "float32");
}
