/**
 * @file Attention in explicit form, so that every tensor in it has a name. Measured on two cores at GPT-2 size it is as fast as
 * ONNX Runtime's fused attention operators, and one form serves reading, editing and decoding alike.
 * Query heads that share a key head are folded into one matrix product: `[kv_head, group·query, d_head]`.
 */
import { internal } from "../../base/errors.js";
import type { GraphBuilder } from "../../graph/builder.js";
import type { Axes, Value } from "../../graph/graph.js";
import * as op from "../../graph/ops.js";
import type { AttentionSpec, LinearSpec, NormSpec, RotarySpec } from "../spec.js";
import { adapterMatrix, linear, norm, rowsByOutput, vector, type Stream } from "./weights.js";

/** What every block receives besides the residual stream. */
export interface BlockInputs {
  /** Sizes of batch and pos, int64. */
  readonly sizes: Value;
  readonly rotaries: readonly RotarySpec[];
}

const QUERY = ["batch", "pos", "head", "d_head"] as const;
const KEY = ["batch", "pos", "kv_head", "d_head"] as const;
const CACHED = ["batch", "kv_head", "key", "d_head"] as const;
const EDGES = ["batch", "head", "query", "key"] as const;

/** Names of the key/value cache's values in a block graph. */
export const CACHE = { pastK: "past_k", pastV: "past_v", presentK: "present_k", presentV: "present_v" } as const;

/** The attention sublayer: normalised stream → its output before any norm or multiplier that follows, named on the way. */
export function attention(
  g: GraphBuilder,
  x: Stream,
  spec: AttentionSpec,
  context: BlockInputs & { readonly heads: "fused" | "apart"; readonly past: "fed" | "none" },
): Stream {
  const { q, k, v } = project(g, x, spec, context.sizes);
  const rotQ = g.name("rot_q", turned(g, q, { spec, side: "q", heads: spec.heads, context }));
  const rotK = g.name("rot_k", turned(g, k, { spec, side: "k", heads: spec.kvHeads, context }));
  const isFed = context.past === "fed";
  const keys = g.name(CACHE.presentK, remembered(g, rotK, isFed && CACHE.pastK));
  const values = g.name(CACHE.presentV, remembered(g, v, isFed && CACHE.pastV));
  const scores = g.name("attn_scores", scoresOf(g, rotQ, keys, spec));
  const pattern = g.name("pattern", patternOf(g, scores, spec));
  const z = g.name("z", mixed(g, pattern, values, spec));
  return context.heads === "fused" ? joined(g, z, spec) : joinedByHead(g, z, spec);
}

function project(g: GraphBuilder, x: Stream, spec: AttentionSpec, sizes: Value): Record<"q" | "k" | "v", Value> {
  const { heads, kvHeads, dHead, qkv } = spec;
  const shaped = (flat: Value, count: number, axes: Axes): Value => op.reshape(g, flat, headShape(g, sizes, count, dHead), axes);
  if (qkv.kind === "separate") {
    return {
      q: g.name("q", shaped(linear(g, x, qkv.q, "head·d_head"), heads, QUERY)),
      k: g.name("k", shaped(linear(g, x, qkv.k, "kv_head·d_head"), kvHeads, KEY)),
      v: g.name("v", shaped(linear(g, x, qkv.v, "kv_head·d_head"), kvHeads, KEY)),
    };
  }
  const packed = linear(g, x, qkv.linear, "qkv");
  const [q, k, v] = qkv.order === "blocks" ? splitBlocks(g, packed, spec) : splitHeads(g, packed, spec, sizes);
  if (!q || !k || !v) throw internal("a packed projection has three parts");
  return {
    q: g.name("q", shaped(q, heads, QUERY)),
    k: g.name("k", shaped(k, kvHeads, KEY)),
    v: g.name("v", shaped(v, kvHeads, KEY)),
  };
}

function splitBlocks(g: GraphBuilder, packed: Value, { heads, kvHeads, dHead }: AttentionSpec): Value[] {
  const widths = [heads * dHead, kvHeads * dHead, kvHeads * dHead];
  return op.split(g, packed, widths, { axis: 1, axes: widths.map(() => ["token", "head·d_head"]) });
}

/** Rows of `[head, 3, d_head]`: each head's q, k and v together. */
function splitHeads(g: GraphBuilder, packed: Value, { heads, dHead }: AttentionSpec, sizes: Value): Value[] {
  const shape = op.concat(g, [sizes, g.constant([heads, 3, dHead], ["axis"], { dtype: "int64" })], 0, ["axis"]);
  const apart = op.reshape(g, packed, shape, ["batch", "pos", "head", "part", "d_head"]);
  return op.split(g, apart, [1, 1, 1], { axis: 3, axes: [0, 1, 2].map(() => ["batch", "pos", "head", "one", "d_head"]) });
}

/** The shape batch, pos, count, dHead. */
function headShape(g: GraphBuilder, sizes: Value, count: number, dHead: number): Value {
  return op.concat(g, [sizes, g.constant([count, dHead], ["axis"], { dtype: "int64" })], 0, ["axis"]);
}

/** A query or key as it enters the scores: norm, rotary, multiplier. */
function turned(g: GraphBuilder, x: Value, options: { spec: AttentionSpec; side: "q" | "k"; heads: number; context: BlockInputs }): Value {
  const { spec, side, heads, context } = options;
  const flatAxes = ["batch", "pos", "head·d_head"];
  const qkNorm = spec.qkNorm && { ...spec.qkNorm[side], over: spec.qkNorm.over };
  const perHead = qkNorm?.over === "head" ? norm(g, x, { ...qkNorm, size: spec.dHead }) : x;
  let flat: Value = op.reshape(g, perHead, [0, 0, heads * spec.dHead], flatAxes);
  if (qkNorm?.over === "projection") flat = norm(g, flat, { ...(qkNorm satisfies NormSpec), size: heads * spec.dHead });
  if (spec.rotary !== undefined) {
    const { dims, pairs } = context.rotaries[spec.rotary]!;
    const table = ["batch", "pos", "half"] as const;
    const tables = { cos: g.input(`cos_${spec.rotary}`, table), sin: g.input(`sin_${spec.rotary}`, table) };
    flat = op.rotate(g, flat, tables, { heads, dims, neighbours: pairs === "neighbours" });
  }
  if (side === "q" && spec.queryMultiplier !== undefined) flat = op.scaleBy(g, flat, spec.queryMultiplier);
  return op.reshape(g, flat, [0, 0, heads, spec.dHead], side === "q" ? QUERY : KEY);
}

/** The keys or values of `past`, the name of an input, with the new ones behind them; without it the new ones alone. */
function remembered(g: GraphBuilder, x: Value, past: string | false): Value {
  const fresh = op.transpose(g, x, [0, 2, 1, 3], CACHED);
  return past === false ? fresh : op.concat(g, [g.input(past, ["batch", "kv_head", "past", "d_head"]), fresh], 2, CACHED);
}

/** `scale · q kᵀ`, soft-capped, with position bias and mask: batch, head, query, key. */
function scoresOf(g: GraphBuilder, rotQ: Value, keys: Value, spec: AttentionSpec): Value {
  const { heads, kvHeads, dHead, scale } = spec;
  const group = heads / kvHeads;
  let folded: Value;
  if (group === 1) folded = op.transpose(g, rotQ, [0, 2, 1, 3], ["batch", "kv_head", "query", "d_head"]);
  else {
    const grouped = op.reshape(g, rotQ, [0, 0, kvHeads, group, dHead], ["batch", "query", "kv_head", "group", "d_head"]);
    const ordered = op.transpose(g, grouped, [0, 2, 3, 1, 4], ["batch", "kv_head", "group", "query", "d_head"]);
    folded = op.reshape(g, ordered, [0, kvHeads, -1, dHead], ["batch", "kv_head", "group·query", "d_head"]);
  }
  let scores: Value = op.matmulTransposed(g, folded, keys, {
    scale,
    axes: group === 1 ? EDGES : ["batch", "kv_head", "group·query", "key"],
  });
  if (group !== 1) scores = op.reshape(g, scores, [0, heads, -1, 0], EDGES);
  if (spec.softcap !== undefined) scores = op.softcap(g, scores, spec.softcap);
  if (spec.alibi) {
    const slopes = g.constant(spec.alibi, ["head", "one", "one"], { shape: [heads, 1, 1] });
    scores = op.add(g, scores, op.multiply(g, g.input("key_positions", ["batch", "one", "one", "key"]), slopes));
  }
  return op.add(g, scores, g.input("mask", ["batch", "one", "query", "key"]));
}

/** Softmax over keys; with sinks, over the keys and one more logit a head, which is dropped afterwards. */
function patternOf(g: GraphBuilder, scores: Value, spec: AttentionSpec): Value {
  if (!spec.sinks) return op.softmax(g, scores);
  const sinks = op.reshape(g, vector(g, spec.sinks, "head"), [1, spec.heads, 1, 1], ["one", "head", "one", "one"]);
  const oneColumn = op.concat(g, [op.shapeOf(g, scores, 0, 3), g.constant([1], ["axis"], { dtype: "int64" })], 0, ["axis"]);
  const extended = op.softmax(g, op.concat(g, [scores, op.expand(g, sinks, oneColumn, EDGES)], 3, EDGES));
  return op.slice(g, extended, { axis: 3, start: 0, end: -1 });
}

/** `pattern · v`: batch, pos, head, d_head. */
function mixed(g: GraphBuilder, pattern: Value, values: Value, spec: AttentionSpec): Value {
  const { heads, kvHeads, dHead } = spec;
  const group = heads / kvHeads;
  if (group === 1) {
    const byHead = op.matmul(g, pattern, values, ["batch", "head", "pos", "d_head"]);
    return op.transpose(g, byHead, [0, 2, 1, 3], QUERY);
  }
  const folded = op.reshape(g, pattern, [0, kvHeads, -1, 0], ["batch", "kv_head", "group·query", "key"]);
  const mixedValues = op.matmul(g, folded, values, ["batch", "kv_head", "group·query", "d_head"]);
  const grouped = op.reshape(g, mixedValues, [0, kvHeads, group, -1, dHead], ["batch", "kv_head", "group", "pos", "d_head"]);
  const ordered = op.transpose(g, grouped, [0, 3, 1, 2, 4], ["batch", "pos", "kv_head", "group", "d_head"]);
  return op.reshape(g, ordered, [0, 0, heads, dHead], QUERY);
}

function joined(g: GraphBuilder, z: Value, spec: AttentionSpec): Stream {
  const flat = op.reshape(g, z, [-1, spec.heads * spec.dHead], ["token", "head·d_head"] as const);
  return linear(g, flat, spec.out, "d_model");
}

/** The same sum with each head's term in sight, so that `head_out` can be edited. */
function joinedByHead(g: GraphBuilder, z: Value, spec: AttentionSpec): Stream {
  const terms = g.name("head_out", headTerms(g, z, spec));
  const total = op.sum(g, terms, 2, ["batch", "pos", "d_model"]);
  const flat = op.reshape(g, total, [-1, spec.out.out], ["token", "d_model"] as const);
  return spec.out.bias ? op.add(g, flat, vector(g, spec.out.bias, "d_model")) : flat;
}

/** Each head's own term of the attention output, bias not included: batch, pos, head, d_model. */
export function headTerms(g: GraphBuilder, z: Value, spec: AttentionSpec): Value {
  const byHead = op.transpose(g, z, [0, 2, 1, 3], ["batch", "head", "pos", "d_head"]);
  const terms = op.matmul(g, byHead, outputByHead(g, spec.out, spec), ["batch", "head", "pos", "d_model"]);
  return op.transpose(g, terms, [0, 2, 1, 3], ["batch", "pos", "head", "d_model"]);
}

/** W_O as head, d_head, d_model; an adapter's part of it included. */
function outputByHead(g: GraphBuilder, out: LinearSpec, spec: AttentionSpec): Value {
  const base = storedByHead(g, out, spec);
  if (!out.adapter) return base;
  const flat = adapterMatrix(g, out.adapter, ["head·d_head", "d_model"]);
  return op.add(g, base, op.reshape(g, flat, [spec.heads, spec.dHead, out.out], ["head", "d_head", "d_model"]));
}

function storedByHead(g: GraphBuilder, out: LinearSpec, { heads, dHead }: AttentionSpec): Value {
  const axes = ["head", "d_head", "d_model"] as const;
  const isByInput = out.layout === "in_out" && !out.quantised;
  if (isByInput) return op.reshape(g, g.weight({ ...out.weight }, ["head·d_head", "d_model"]), [heads, dHead, out.out], axes);
  const apart = op.reshape(g, rowsByOutput(g, out, ["d_model", "head·d_head"]), [out.out, heads, dHead], ["d_model", "head", "d_head"]);
  return op.transpose(g, apart, [1, 2, 0], axes);
}
