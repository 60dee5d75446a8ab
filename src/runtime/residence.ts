/**
 * @file Which weights stay in memory where not all fit: those of the first blocks and of some slices of the unembedding. The others are
 * loaded and released in turn. A pass uses each once and in order, so whichever stay save the same, while keeping those used last would
 * close each just before it is needed again.
 */
import { sizeOf } from "../base/tensor.js";
import type { StoredTensor } from "../formats/safetensors-header.js";
import type { Graph, Weight } from "../graph/graph.js";
import { buildBlock, buildEmbedding, buildFinalNorm, buildUnembedding } from "../models/block.js";
import type { ModelSpec } from "../models/spec.js";
import { vocabSlices } from "../models/vocab-slices.js";
import { weightBytes } from "./forecast.js";
import { computedBytes, packedWeights, sessionBytes, type SessionBytes } from "./weight-bytes.js";

/** The share of the memory that sessions' weights may take, so that some is left for what they compute. */
export const WEIGHT_SHARE = 0.7;

/** More slices than that would save nothing that counts. */
const MOST_SLICES = 64;

/** What stays of a model that is larger than the memory. */
export interface Residence {
  /** Most bytes that weights in sessions take, those of one being made included. */
  readonly room: number;
  /** How many blocks stay, from the first on. */
  readonly blocks: number;
  /** Into how many slices of the vocabulary the unembedding is cut, and how many of them stay. */
  readonly slices: number;
  readonly keptSlices: number;
}

/** What weights take in memory, and what must be read where they do not stay. */
export interface MemoryForecast {
  /** Bytes of all weights as they are computed with. */
  readonly resident: number;
  /** The least `memoryLimit` with which the model runs. */
  readonly least: number;
  /** Bytes of the checkpoint that a pass through the whole model reads. */
  readonly readPerPass: number;
  /** What stays; absent where everything does. */
  readonly residence?: Residence;
}

/** The parts of a model as sessions hold them. */
interface Parts {
  readonly blocks: readonly SessionBytes[];
  /** The first slice of the unembedding, which is the largest, and how many there are. */
  readonly slice: SessionBytes;
  readonly slices: number;
  /** What is never closed: embedding and last norm. */
  readonly ends: number;
  /** What the largest part takes that comes and goes. */
  readonly largest: number;
}

/** The least `memoryLimit` with which the model runs: for the ends and the largest of the parts that come and go, or for all weights. */
export function leastMemory(spec: ModelSpec): number {
  return Math.min(leastOf(partsOf(spec)), weightBytes(spec));
}

/** What stays within a limit; undefined where everything does, or where not even the largest part fits. */
export function residenceWithin(spec: ModelSpec, limit: number): Residence | undefined {
  if (weightBytes(spec) <= limit) return undefined;
  const parts = partsOf(spec);
  if (leastOf(parts) > limit) return undefined;
  const room = limit * WEIGHT_SHARE;
  let free = Math.max(0, room - parts.ends - parts.largest);
  let blocks = 0;
  for (; blocks < parts.blocks.length && parts.blocks[blocks]!.held <= free; blocks++) free -= parts.blocks[blocks]!.held;
  const keptSlices = blocks < parts.blocks.length ? 0 : Math.max(0, Math.floor(free / parts.slice.held));
  return { room, blocks, slices: parts.slices, keptSlices: Math.min(keptSlices, parts.slices) };
}

/** What the weights take, resident and with that limit; `tensors` are those of the checkpoint. Without a limit: with the least. */
export function forecastMemory(spec: ModelSpec, tensors: ReadonlyMap<string, StoredTensor>, limit?: number): MemoryForecast {
  const least = leastMemory(spec);
  const resident = weightBytes(spec);
  const residence = residenceWithin(spec, limit ?? least);
  const readPerPass = residence ? readBytes(spec, tensors, residence) : 0;
  return { resident, least, readPerPass, ...(residence && { residence }) };
}

function partsOf(spec: ModelSpec): Parts {
  const blocks = spec.layers.map((_, layer) => sessionBytes(buildBlock(spec, layer)));
  const block = Math.max(0, ...blocks.map(({ making }) => making));
  const whole = sessionBytes(buildUnembedding(spec)).making;
  const slices = vocabSlices(spec, block > 0 ? Math.min(MOST_SLICES, Math.ceil(whole / block)) : 1);
  const slice = sessionBytes(buildUnembedding(slices[0]!.spec));
  const norm = buildFinalNorm(spec);
  const ends = [buildEmbedding(spec), ...(norm ? [norm] : [])].reduce((total, graph) => total + sessionBytes(graph).making, 0);
  return { blocks, slice, slices: slices.length, ends, largest: Math.max(block, slice.making) };
}

function leastOf({ ends, largest }: Parts): number {
  return Math.ceil((ends + largest) / WEIGHT_SHARE);
}

/** Bytes of the checkpoint behind the sessions that a pass makes. */
function readBytes(spec: ModelSpec, tensors: ReadonlyMap<string, StoredTensor>, residence: Residence): number {
  const stored = (graph: Graph): number => packedWeights(graph).reduce((total, weight) => total + storedBytes(weight, tensors), 0);
  const blocks = spec.layers.reduce((total, _, layer) => (layer < residence.blocks ? total : total + stored(buildBlock(spec, layer))), 0);
  return blocks + Math.round(stored(buildUnembedding(spec)) * (1 - residence.keptSlices / residence.slices));
}

/** Quantised weights, which the checkpoint does not have, lie in their file as they are held. */
function storedBytes(weight: Weight, tensors: ReadonlyMap<string, StoredTensor>): number {
  const tensor = tensors.get(weight.name);
  return tensor ? (sizeOf(weight.shape) / sizeOf(tensor.shape)) * tensor.bytes : computedBytes(weight);
}
