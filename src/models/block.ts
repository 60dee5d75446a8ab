/**
 * @file The graphs of a model: the embedding, one graph a block, the last norm, and the unembedding. Every point of
 * `points.ts` that a family has is a named value in one of them; `resid_pre` is a block's input.
 */
import { GraphBuilder } from "../graph/builder.js";
import type { Graph } from "../graph/graph.js";
import * as op from "../graph/ops.js";
import { attention, headTerms } from "./parts/attention.js";
import { mlp } from "./parts/mlp.js";
import { linear, norm, type NormForm, type Stream } from "./parts/weights.js";
import type { LayerSpec, ModelSpec, NormSpec } from "./spec.js";

/** How a graph computes what can be had in two ways: `steps` and `apart` where the inside of a norm or of W_O is edited. */
export interface Form {
  readonly norms: NormForm;
  readonly heads: "fused" | "apart";
}

/** The form for everything but edits inside a norm or of single heads' outputs. */
export const FUSED: Form = { norms: "fused", heads: "fused" };

/** Names of the values that carry the residual stream between graphs. */
export const STREAM = { in: "resid", embedded: "stream" } as const;

/** Token ids and positions → the stream before the first block. */
export function buildEmbedding(spec: ModelSpec): Graph {
  const g = new GraphBuilder();
  const { tokens, project, multiplier, positions, norm: embedNorm } = spec.embedding;
  const table = g.weight({ ...tokens }, ["vocab", "d_embed"]);
  let embed = op.gather(g, table, g.input("tokens", ["token"], "int64"), { axis: 0, axes: ["token", "d_embed"] as const });
  if (project) embed = linear(g, embed, project, "d_model") as unknown as typeof embed;
  let x = op.reshape(g, op.scaleBy(g, embed, multiplier ?? 1), [-1, spec.dModel], ["token", "d_model"] as const);
  g.name("embed", x);
  if (positions) {
    const learned = g.weight({ ...positions.weight }, ["position", "d_model"]);
    const places = g.input("positions", ["token"], "int64");
    const shifted = positions.offset ? op.add(g, places, g.constant([positions.offset], [], { dtype: "int64" })) : places;
    x = op.add(g, x, g.name("pos_embed", op.gather(g, learned, shifted, { axis: 0, axes: ["token", "d_model"] })));
  }
  if (embedNorm) x = norm(g, x, { ...embedNorm, size: spec.dModel });
  g.name(STREAM.embedded, positions || embedNorm ? x : op.unary(g, "Identity", x));
  return g.finish();
}

/** One block: the residual stream before it → after it, with the key/value cache. */
export function buildBlock(spec: ModelSpec, layer: number, form: Form = FUSED): Graph {
  const g = new GraphBuilder();
  const block = spec.layers[layer]!;
  const input = g.input(STREAM.in, ["batch", "pos", "d_model"]);
  const sizes = op.shapeOf(g, input, 0, 2);
  const x: Stream = op.reshape(g, input, [-1, spec.dModel], ["token", "d_model"] as const);
  const sized = (part: NormSpec): NormSpec & { size: number } => ({ ...part, size: spec.dModel });
  const before = (name: "ln1" | "ln2", from: Stream): Stream => {
    const part = block[name];
    if (!part) return from;
    return g.name(`${name}_normalized`, norm(g, from, sized(part), { scale: `${name}_scale`, form: form.norms }));
  };
  const n1 = before("ln1", x);
  const context = { sizes, rotaries: spec.rotaries, heads: form.heads };
  const attnOut = added(g, attention(g, n1, block.attention, context), block, "attn");
  const base = block.residualFromNorm ? n1 : x;
  if (block.wiring === "parallel") {
    const mlpIn = block.ln2 ? before("ln2", x) : n1;
    const sum = op.add(g, base, attnOut);
    g.name("resid_post", block.mlp ? op.add(g, sum, added(g, mlp(g, mlpIn, block.mlp), block, "mlp")) : sum);
    return g.finish();
  }
  let mid = op.add(g, base, attnOut);
  if (block.streamNorms) mid = norm(g, mid, sized(block.streamNorms.afterAttention));
  if (!block.mlp) {
    g.name("resid_post", mid);
    return g.finish();
  }
  g.name("resid_mid", mid);
  const n2 = before("ln2", mid);
  let post = op.add(g, block.residualFromNorm ? n2 : mid, added(g, mlp(g, n2, block.mlp), block, "mlp"));
  if (block.streamNorms) post = norm(g, post, sized(block.streamNorms.afterMlp));
  g.name("resid_post", post);
  return g.finish();
}

/** What a sublayer adds to the stream: its output after the norm and multiplier that follow it, if any. */
function added(g: GraphBuilder, raw: Stream, block: LayerSpec, which: "attn" | "mlp"): Stream {
  const after = which === "attn" ? block.attnPostNorm : block.mlpPostNorm;
  if (!after && block.residualMultiplier === undefined) return g.name(`${which}_out`, raw);
  g.name(`${which}_out_raw`, raw);
  const normed = after ? norm(g, raw, { ...after, size: block.attention.out.out }) : raw;
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

/** Normalised rows of the stream → logits. With `columns`, only those of the vocabulary, whose weights are then inputs. */
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
