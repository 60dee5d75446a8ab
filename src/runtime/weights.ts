/**
 * @file Weights by role, whatever the checkpoint calls and however it stores them: what scores of heads and units by weights alone are made of.
 * Axes are TransformerLens': W_V[head] is `d_model, d_head`, W_O[head] `d_head, d_model`, so that a row vector is multiplied from the left.
 */
import { refuse, SextantError } from "../base/errors.js";
import { tensor, type Tensor } from "../base/tensor.js";
import { openPeft } from "../formats/peft.js";
import { Checkpoint, DiskRanges } from "../formats/safetensors.js";
import { adaptersOf } from "../models/adapter-modules.js";
import { checkWeight, weightsOf } from "../models/check-weights.js";
import type { AttentionSpec, GatedMlpSpec, LayerSpec, LinearSpec, ModelSpec, PlainMlpSpec } from "../models/spec.js";
import { openModelCheckpoint } from "./gguf-model.js";
import { readPart, readRef, type Span } from "./weights-part.js";

/** The weights of a model by role, read when asked for; float32 copies, in the scale in which the checkpoint holds them, no norm folded in. */
export interface ModelWeights {
  /** Axes `d_model, d_head`; a key/value head stands for each query head of its group. */
  value(layer: number, head: number): Tensor<Float32Array>;
  /** Axes `d_head, d_model`. */
  output(layer: number, head: number): Tensor<Float32Array>;
  /** Axes `unit, d_model`: what a unit's gate listens to. Refused where the MLP is not gated. */
  gate(layer: number): Tensor<Float32Array>;
  /** Axes `unit, d_model`: what a unit listens to besides (in a plain MLP, at all). */
  up(layer: number): Tensor<Float32Array>;
  /** Axes `unit, d_model`: what a unit writes, its value vector. */
  down(layer: number): Tensor<Float32Array>;
  /** Axis `d_model`: the factors of the norm that the MLP reads through (1 + weight where the family has it so); none without such a norm or weight. */
  mlpNorm(layer: number): Tensor<Float32Array> | undefined;
  /** Axes `vocab, d_model`: what a token's logit listens to, behind the last norm; a projection in front of it (OPT) multiplied in. */
  unembedding(): Tensor<Float32Array>;
  /** Axes `vocab, d_model`; a projection behind it (OPT) multiplied in, no multiplier. */
  embedding(): Tensor<Float32Array>;
  /** Closes the files. */
  close(): void;
}

export interface WeightOptions {
  /** The folder of the LoRA adapter with which the model was loaded; its term is added to the matrices. */
  readonly adapter?: string;
}

/**
 * The weights of the model in `path`, whose spec is `spec`. Each call reads its part of the files anew and nothing is kept: who needs a weight again keeps it. What a mixture of
 * experts has in place of an MLP is refused, its attention is not.
 */
export function openWeights(path: string, spec: ModelSpec, options: WeightOptions = {}): ModelWeights {
  const checkpoint = openBoth(path, spec, options.adapter);
  try {
    const shapes = new Map([...checkpoint.tensors].map(([name, { shape }]) => [name, shape]));
    for (const weight of weightsOf(spec)) checkWeight(weight, shapes, "the spec");
    return new StoredWeights(spec, checkpoint);
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}

/** The checkpoint, with the adapter's tensors where the spec has one. */
function openBoth(path: string, spec: ModelSpec, adapter: string | undefined): Checkpoint {
  const isAdapted = adaptersOf(spec).length > 0;
  if (!isAdapted && adapter !== undefined)
    throw new SextantError("request", `openWeights: adapter ${adapter} is not in the spec; give the spec of the model loaded with it`);
  if (isAdapted && adapter === undefined) {
    throw refuse({
      what: `cannot read the weights of ${path}`,
      why: "the spec has a LoRA adapter, whose tensors lie in another folder",
      instead: "give that folder as adapter, or merge it into the weights (mergeAdapter)",
    });
  }
  const base = openModelCheckpoint(path);
  if (adapter === undefined) return base;
  base.close();
  const { checkpoint } = openPeft(adapter);
  checkpoint.close();
  return new Checkpoint(base.folder, [base, { tensors: checkpoint.tensors, metadata: new Map() }], new DiskRanges());
}

class StoredWeights implements ModelWeights {
  readonly #spec: ModelSpec;
  readonly #checkpoint: Checkpoint;

  constructor(spec: ModelSpec, checkpoint: Checkpoint) {
    this.#spec = spec;
    this.#checkpoint = checkpoint;
  }

  value(layer: number, head: number): Tensor<Float32Array> {
    const { attention } = this.#layer(layer);
    checkHead(attention, layer, head);
    const { linear, outputs } = valueRows(attention, head);
    return tensor(readPart(this.#checkpoint, linear, { outputs, first: "in" }), [linear.in, outputs.count], ["d_model", "d_head"]);
  }

  output(layer: number, head: number): Tensor<Float32Array> {
    const { attention } = this.#layer(layer);
    checkHead(attention, layer, head);
    const { out, dHead } = attention;
    const inputs = { from: head * dHead, count: dHead };
    return tensor(readPart(this.#checkpoint, out, { inputs, first: "in" }), [dHead, out.out], ["d_head", "d_model"]);
  }

  gate(layer: number): Tensor<Float32Array> {
    const mlp = this.#mlp(layer);
    if (mlp.kind === "gated") return this.#unitRows(mlp.gate, "out");
    const what = `cannot give the gates of layer ${layer}`;
    throw refuse({ what, why: "its MLP is plain: its units have no gate", instead: "up, what its units listen to" }, "request");
  }

  up(layer: number): Tensor<Float32Array> {
    const mlp = this.#mlp(layer);
    return this.#unitRows(mlp.kind === "gated" ? mlp.up : mlp.in, "out");
  }

  down(layer: number): Tensor<Float32Array> {
    const mlp = this.#mlp(layer);
    return this.#unitRows(mlp.kind === "gated" ? mlp.down : mlp.out, "in");
  }

  mlpNorm(layer: number): Tensor<Float32Array> | undefined {
    const { wiring, ln1, ln2 } = this.#layer(layer);
    const norm = ln2 ?? (wiring === "parallel" ? ln1 : undefined);
    if (!norm?.weight) return undefined;
    const values = readRef(this.#checkpoint, norm.weight);
    return tensor(norm.plusOne ? values.map((value) => value + 1) : values, [values.length], ["d_model"]);
  }

  unembedding(): Tensor<Float32Array> {
    const { unembed, project } = this.#spec.head;
    const rows = readPart(this.#checkpoint, unembed, { first: "out" });
    return this.#byToken(rows, unembed.in, project && readPart(this.#checkpoint, project, { first: "out" }));
  }

  embedding(): Tensor<Float32Array> {
    const { tokens, project } = this.#spec.embedding;
    const rows = readRef(this.#checkpoint, tokens);
    return this.#byToken(rows, tokens.shape[1] ?? 0, project && readPart(this.#checkpoint, project, { first: "in" }));
  }

  close(): void {
    this.#checkpoint.close();
  }

  /** A table of vocab rows `width` wide, times `projection` (`width, d_model`) where there is one. */
  #byToken(rows: Float32Array, width: number, projection: Float32Array | undefined): Tensor<Float32Array> {
    const { dModel } = this.#spec;
    const vocab = rows.length / width;
    return tensor(projection ? product(rows, projection, width) : rows, [vocab, dModel], ["vocab", "d_model"]);
  }

  #layer(layer: number): LayerSpec {
    const { layers } = this.#spec;
    const found = layers[layer];
    if (found) return found;
    throw new SextantError("request", `layer ${layer} is not one of the model's ${layers.length} (0 to ${layers.length - 1})`);
  }

  #mlp(layer: number): GatedMlpSpec | PlainMlpSpec {
    const { mlp } = this.#layer(layer);
    const what = `cannot give the MLP's weights of layer ${layer}`;
    if (!mlp) throw refuse({ what, why: "it has attention only" }, "request");
    if (mlp.kind !== "experts") return mlp;
    const isPacked = mlp.experts.some((expert) => expert.down.layout === "mxfp4");
    const packed = isPacked ? ", packed in four bits (mxfp4)" : "";
    const why = `it is a mixture of ${mlp.experts.length} experts${packed}, each with units of its own`;
    throw refuse({ what, why, instead: "use a dense model, or the layer's attention only" });
  }

  #unitRows(linear: LinearSpec, first: "in" | "out"): Tensor<Float32Array> {
    const units = first === "in" ? linear.in : linear.out;
    const width = first === "in" ? linear.out : linear.in;
    return tensor(readPart(this.#checkpoint, linear, { first }), [units, width], ["unit", "d_model"]);
  }
}

function checkHead({ heads }: AttentionSpec, layer: number, head: number): void {
  if (Number.isInteger(head) && head >= 0 && head < heads) return;
  throw new SextantError("request", `head ${head} is not one of the ${heads} of layer ${layer} (0 to ${heads - 1})`);
}

/** The map that holds a query head's values, and which of its outputs they are. */
function valueRows({ qkv, heads, kvHeads, dHead }: AttentionSpec, head: number): { readonly linear: LinearSpec; readonly outputs: Span } {
  const kvHead = Math.floor((head * kvHeads) / heads);
  if (qkv.kind === "separate") return { linear: qkv.v, outputs: { from: kvHead * dHead, count: dHead } };
  const from = qkv.order === "blocks" ? (heads + kvHeads + kvHead) * dHead : (3 * head + 2) * dHead;
  return { linear: qkv.linear, outputs: { from, count: dHead } };
}

/** Rows `width` wide times a matrix of `width` rows, summed in float64. */
function product(rows: Float32Array, matrix: Float32Array, width: number): Float32Array {
  const [count, columns] = [rows.length / width, matrix.length / width];
  const out = new Float32Array(count * columns);
  const sums = new Float64Array(columns);
  for (let row = 0; row < count; row++) {
    sums.fill(0);
    for (let k = 0; k < width; k++) {
      const factor = rows[row * width + k]!;
      for (let column = 0; column < columns; column++) sums[column]! += factor * matrix[k * columns + column]!;
    }
    out.set(sums, row * columns);
  }
  return out;
}
