/**
 * @file The graphs of a model: the embedding, one graph a block, the last norm, and the unembedding. Every point of
 * `points.ts` that a family has is a named value in one of them; `resid_pre` is a block's input.
 */
import { must } from "../base/errors.js";
import { GraphBuilder } from "../graph/builder.js";
import type { Graph, Value } from "../graph/graph.js";
import * as op from "../graph/ops.js";
import { attention, headTerms } from "./parts/attention.js";
import { mlp } from "./parts/mlp.js";
import { linear, norm, type NormForm, type Stream } from "./parts/weights.js";
import type { LayerSpec, ModelSpec } from "./spec.js";

/**
 * How a graph computes what can be had in two ways: `steps` and `apart` where the inside of a norm or of W_O is edited. `past`: whether keys and values of
 * earlier tokens are fed, which even where there are none copies the new ones.
 */
export interface Form {
  readonly norms: NormForm;
  readonly heads: "fused" | "apart";
  readonly past: "fed" | "none";
}

/** The form for everything but edits inside a norm or of single heads' outputs. */
export const FUSED: Form = { norms: "fused", heads: "fused", past: "fed" };

/** Names of the values that carry the residual stream between graphs. */
export const STREAM = { in: "resid", embedded: "stream" } as const;

/** Token ids and positions → the stream before the first block. */
export function buildEmbedding(spec: ModelSpec): Graph {
  const g = new GraphBuilder();
  const { multiplier, positions, norm: embedNorm } = spec.embedding;
  const embed = g.name("embed", shaped(g, op.scaleBy(g, lookedUp(g, spec), multiplier ?? 1), spec.dModel));
  const placed = positions ? op.add(g, embed, positionsOf(g, positions)) : embed;
  const normed = embedNorm ? norm(g, placed, { ...embedNorm, size: spec.dModel }) : placed;
  g.name(STREAM.embedded, normed === embed ? op.unary(g, "Identity", embed) : normed);
  return g.finish();
}

/** The embedding's rows of the tokens, projected to the model's width where they are narrower. */
function lookedUp(g: GraphBuilder, { embedding: { tokens, project } }: ModelSpec): Stream {
  const table = g.weight({ ...tokens }, ["vocab", "d_model"]);
  const rows = op.gather(g, table, g.input("tokens", ["token"], "int64"), { axis: 0, axes: ["token", "d_model"] as const });
  return project ? linear(g, rows, project, "d_model") : rows;
}

function positionsOf(g: GraphBuilder, { weight, offset }: NonNullable<ModelSpec["embedding"]["positions"]>): Stream {
  const table = g.weight({ ...weight }, ["position", "d_model"]);
  const places = g.input("positions", ["token"], "int64");
  const shifted = offset ? op.add(g, places, g.constant([offset], [], { dtype: "int64" })) : places;
  return g.name("pos_embed", op.gather(g, table, shifted, { axis: 0, axes: ["token", "d_model"] as const }));
}

/** A flattened stream of the model's width, whatever it came from. */
function shaped(g: GraphBuilder, x: Value, dModel: number): Stream {
  return op.reshape(g, x, [-1, dModel], ["token", "d_model"] as const);
}

/** One block: the residual stream before it → after it, with the key/value cache. */
export function buildBlock(spec: ModelSpec, layer: number, form: Form = FUSED): Graph {
  const g = new GraphBuilder();
  const block = must(spec.layers[layer], `layer ${layer}`);
  const input = g.input(STREAM.in, ["batch", "pos", "d_model"]);
  const context = { sizes: op.shapeOf(g, input, 0, 2), rotaries: spec.rotaries, heads: form.heads, past: form.past };
  const x = shaped(g, input, spec.dModel);
  const n1 = normBefore(g, x, { block, which: "ln1", form });
  const attnOut = added(g, attention(g, n1, block.attention, context), block, "attn");
  const mid = op.add(g, block.residualFromNorm ? n1 : x, attnOut);
  const after = block.wiring === "parallel" ? parallelMlp(g, { block, form, x, n1, mid }) : sequentialMlp(g, { block, form, mid });
  g.name("resid_post", after);
  return g.finish();
}

interface MlpWiring {
  readonly block: LayerSpec;
  readonly form: Form;
  /** The stream with attention's output added. */
  readonly mid: Stream;
}

/** The MLP reads the stream that attention has added to. */
function sequentialMlp(g: GraphBuilder, { block, form, mid }: MlpWiring): Stream {
  const normed = block.streamNorms ? norm(g, mid, { ...block.streamNorms.afterAttention, size: widthOf(block) }) : mid;
  if (!block.mlp) return normed;
  g.name("resid_mid", normed);
  const n2 = normBefore(g, normed, { block, which: "ln2", form });
  const after = op.add(g, block.residualFromNorm ? n2 : normed, added(g, mlp(g, n2, block.mlp), block, "mlp"));
  return block.streamNorms ? norm(g, after, { ...block.streamNorms.afterMlp, size: widthOf(block) }) : after;
}

/** The MLP reads the stream in front of the block, beside attention. */
function parallelMlp(g: GraphBuilder, { block, form, x, n1, mid }: MlpWiring & { x: Stream; n1: Stream }): Stream {
  if (!block.mlp) return mid;
  const read = block.ln2 ? normBefore(g, x, { block, which: "ln2", form }) : n1;
  return op.add(g, mid, added(g, mlp(g, read, block.mlp), block, "mlp"));
}

/** The norm in front of a sublayer, named; the stream itself where there is none. */
function normBefore(g: GraphBuilder, x: Stream, { block, which, form }: { block: LayerSpec; which: "ln1" | "ln2"; form: Form }): Stream {
  const part = block[which];
  if (!part) return x;
  const size = widthOf(block);
  return g.name(`${which}_normalized`, norm(g, x, { ...part, size }, { scale: `${which}_scale`, form: form.norms }));
}

function widthOf({ attention: { out } }: LayerSpec): number {
  return out.out;
}

/** What a sublayer adds to the stream: its output after the norm and multiplier that follow it, if any. */
function added(g: GraphBuilder, raw: Stream, block: LayerSpec, which: "attn" | "mlp"): Stream {
  const after = which === "attn" ? block.attnPostNorm : block.mlpPostNorm;
  if (!after && block.residualMultiplier === undefined) return g.name(`${which}_out`, raw);
  g.name(`${which}_out_raw`, raw);
  const normed = after ? norm(g, raw, { ...after, size: widthOf(block) }) : raw;
  const scaled = op.scaleBy(g, normed, block.residualMultiplier ?? 1);
  return g.name(`${which}_out`, scaled === raw ? op.unary(g, "Identity", raw) : scaled);
}

/** Each head's own term of the attention output, from `z`. */
export function buildHeadOut(spec: ModelSpec, layer: number): Graph {
  const g = new GraphBuilder();
  const z = g.input("z", ["batch", "pos", "head", "d_head"]);
  g.name("head_out", headTerms(g, z, spec.layers[layer]!.attention));
  return g.finish();
}

/** The stream after the last block → the input of the unembedding: token, d_model. */
export function buildFinalNorm(spec: ModelSpec, form: Form = FUSED): Graph | undefined {
  if (!spec.head.norm) return undefined;
  const g = new GraphBuilder();
  const x: Stream = g.input(STREAM.in, ["token", "d_model"]);
  const part = { ...spec.head.norm, size: spec.dModel };
  g.name("final_normalized", norm(g, x, part, { scale: "final_scale", form: form.norms }));
  return g.finish();
}

/** Normalised rows of the stream → logits. */
export function buildUnembedding(spec: ModelSpec): Graph {
  const g = new GraphBuilder();
  const { project, unembed, multiplier, softcap } = spec.head;
  const x: Stream = g.input(STREAM.in, ["token", "d_model"]);
  const narrowed = project ? linear(g, x, project, "d_model") : x;
  let logits = op.scaleBy(g, linear(g, narrowed, unembed, "vocab"), multiplier ?? 1);
  if (softcap !== undefined) logits = op.softcap(g, logits, softcap);
  g.name("logits", logits);
  return g.finish();
}
