/**
 * @file The logit lens (nostalgebraist, "interpreting GPT: the logit lens", 2020): what the model would say if it stopped at
 * layer l. The residual stream after block l goes straight through the last norm N and the unembedding U,
 *
 *     lens_l(x) = softmax(U · N(resid_post_l)),
 *
 * so a layer at which the final answer becomes the top token is one by which it has been written into the stream in the
 * directions that U reads. At the last layer the lens is the model's own output, exactly.
 *
 * When it misleads: a layer that holds an answer in other directions than U reads (early layers of most models, nearly all
 * layers of some, such as OPT and BLOOM) looks ignorant and is not; the last norm was trained on the last layer's scale only;
 * and a token that appears early was not thereby computed early or used later. Belrose et al. 2023 (arXiv 2303.08112) measure
 * this bias and train an affine map a layer against it. The lens shows what can be read, an intervention what is used.
 */
import { must, SextantError } from "../base/errors.js";
import { tensor, type Tensor } from "../base/tensor.js";
import { parseAddress, stageOf } from "../models/address.js";
import type { Edit } from "../runtime/edit.js";
import type { Model, RunOptions } from "../runtime/model.js";
import { standingOf, topTokens, type TokenStanding } from "./probabilities.js";

/** What to look at. Layers and positions may be negative, counted from the end (positions: from each row's own end). */
export interface LensRequest {
  readonly tokens: readonly (readonly number[])[];
  /** Default: all. */
  readonly layers?: readonly number[];
  /** Default: all. */
  readonly positions?: readonly number[];
  /** How many tokens of each distribution to report. Default 1. */
  readonly top?: number;
  /** Applied to the run that is looked into; those behind the last block also to each layer's readout. */
  readonly edits?: readonly Edit[];
  /** A token whose rank and probability to report everywhere. */
  readonly target?: number;
  readonly beyondContext?: boolean;
}

/** The lens at one layer and position. */
interface LensCell {
  readonly position: number;
  readonly top: readonly TokenStanding[];
  readonly target?: TokenStanding;
}

/** One row of the prompt: for each layer, one cell a position, in the order asked for. */
export interface LensRow {
  readonly tokens: readonly number[];
  readonly positions: readonly number[];
  readonly layers: readonly { readonly layer: number; readonly cells: readonly LensCell[] }[];
}

/** The most probable tokens (and the target's standing) at each layer and position of each row. */
export async function logitLens(model: Model, request: LensRequest, options: RunOptions = {}): Promise<LensRow[]> {
  const depth = model.spec.layers.length;
  const layers = resolve(request.layers, depth, "layer");
  checkTarget(request.target, model.spec.vocabOut);
  const edits = request.edits ?? [];
  const { activations } = await model.forward(
    {
      ...common(request),
      read: layers.map((layer) => `resid_post.${layer}`),
      edits: edits.filter((edit) => !isBehindBlocks(model, edit)),
      logits: false,
    },
    options,
  );
  const readout = { model, request, edits: edits.filter((edit) => isBehindBlocks(model, edit)), options };
  const rows: LensRow[] = [];
  for (const [row, tokens] of request.tokens.entries()) {
    const positions = resolve(request.positions, tokens.length, `row ${row}: position`);
    const found: LensRow["layers"][number][] = [];
    for (const layer of layers) {
      const stream = must(activations[`resid_post.${layer}`], `resid_post.${layer}`) as Tensor<Float32Array>;
      found.push({ layer, cells: await readCells(readout, rowOf(stream, row, tokens.length), tokens, positions) });
    }
    rows.push({ tokens, positions, layers: found });
  }
  return rows;
}

interface Readout {
  readonly model: Model;
  readonly request: LensRequest;
  readonly edits: readonly Edit[];
  readonly options: RunOptions;
}

/** Logits held at once: 64 MiB. */
const CHUNK = 1 << 24;

/** One cell a position of one row, whose stream is `resid` (axes `batch` of 1, `pos`, `d_model`). */
async function readCells(
  readout: Readout,
  resid: Tensor<Float32Array>,
  tokens: readonly number[],
  positions: readonly number[],
): Promise<LensCell[]> {
  const { model, request, edits, options } = readout;
  const { vocabOut, layers } = model.spec;
  const step = Math.max(1, Math.floor(CHUNK / vocabOut));
  const cells: LensCell[] = [];
  for (let at = 0; at < positions.length; at += step) {
    const chunk = positions.slice(at, at + step);
    const resume = { layer: layers.length, resid };
    const result = await model.forward({ ...common(request), tokens: [tokens], resume, edits, logits: { positions: chunk } }, options);
    const logits = must(result.logits, "logits").data;
    cells.push(...chunk.map((position, i) => cellOf(logits.subarray(i * vocabOut, (i + 1) * vocabOut), position, request)));
  }
  return cells;
}

function cellOf(logits: Float32Array, position: number, { top = 1, target }: LensRequest): LensCell {
  const cell = { position, top: topTokens(logits, top) };
  return target === undefined ? cell : { ...cell, target: standingOf(logits, target) };
}

function common({ tokens, beyondContext }: LensRequest): Pick<LensRequest, "tokens" | "beyondContext"> {
  return beyondContext === undefined ? { tokens } : { tokens, beyondContext };
}

/** Whether the edit is at a point that the lens itself computes: the last norm. */
function isBehindBlocks(model: Model, { at }: Edit): boolean {
  return stageOf(parseAddress(model.spec, at)) === Infinity;
}

/** The first `length` positions of one row, as a batch of one. */
function rowOf({ data, shape, axes }: Tensor<Float32Array>, row: number, length: number): Tensor<Float32Array> {
  const [, positions = 0, width = 0] = shape;
  const start = row * positions * width;
  return tensor(data.slice(start, start + length * width), [1, length, width], axes);
}

/** Indices below `length`, negative ones counted from the end; all of them when none are named. */
function resolve(indices: readonly number[] | undefined, length: number, what: string): number[] {
  if (!indices) return Array.from({ length }, (_, i) => i);
  return indices.map((index) => {
    const resolved = index < 0 ? index + length : index;
    if (Number.isInteger(index) && resolved >= 0 && resolved < length) return resolved;
    throw new SextantError("request", `logitLens: ${what} must be one of ${length} (${-length} to ${length - 1}), got ${index}`);
  });
}

function checkTarget(target: number | undefined, vocab: number): void {
  if (target === undefined || (Number.isInteger(target) && target >= 0 && target < vocab)) return;
  throw new SextantError("request", `logitLens: target must be a token of the vocabulary (0 to ${vocab - 1}), got ${target}`);
}
