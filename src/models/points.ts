/**
 * @file Every tensor that can be read or edited, one row a point, in forward order. Addresses (`resid_post.5`, `embed`), help,
 * documentation and validation are derived from this table. Which points a family has follows from its spec (`presence.ts`).
 */
import type { Refusal } from "../base/errors.js";

/** One row: where the point lives, its axes (batch first), and why it may not be written where it may not. */
export interface PointRow {
  readonly scope: "model" | "layer";
  readonly axes: readonly string[];
  readonly dtype?: "int32";
  /** Absent: the point may be edited. */
  readonly readOnly?: Omit<Refusal, "what">;
  readonly meaning: string;
}

const STREAM = ["batch", "pos", "d_model"] as const;
const QUERY_HEADS = ["batch", "pos", "head", "d_head"] as const;
const KEY_HEADS = ["batch", "pos", "kv_head", "d_head"] as const;
const EDGES = ["batch", "head", "query", "key"] as const;
const UNITS = ["batch", "pos", "d_mlp"] as const;
const SCALE = ["batch", "pos", "one"] as const;

// oxfmt-ignore
export const POINTS = {
  embed:            { scope: "model", axes: STREAM, meaning: "token embedding, after its projection and multiplier" },
  pos_embed:        { scope: "model", axes: STREAM, meaning: "learned position embedding" },
  resid_pre:        { scope: "layer", axes: STREAM, meaning: "residual stream before the block" },
  ln1_scale:        { scope: "layer", axes: SCALE, meaning: "divisor of the norm in front of attention: sqrt(variance or mean square + eps)" },
  ln1_normalized:   { scope: "layer", axes: STREAM, meaning: "output of the norm in front of attention, weight and bias included" },
  q:                { scope: "layer", axes: QUERY_HEADS, meaning: "query projection, before q/k norms and rotary" },
  k:                { scope: "layer", axes: KEY_HEADS, meaning: "key projection, before q/k norms and rotary" },
  v:                { scope: "layer", axes: KEY_HEADS, meaning: "value projection" },
  rot_q:            { scope: "layer", axes: QUERY_HEADS, meaning: "query as it enters the scores: after norms and rotary" },
  rot_k:            { scope: "layer", axes: KEY_HEADS, meaning: "key as it enters the scores: after norms and rotary" },
  attn_scores:      { scope: "layer", axes: EDGES, meaning: "scaled, soft-capped scores, -inf where masked" },
  pattern:          { scope: "layer", axes: EDGES, meaning: "attention pattern: the scores after softmax" },
  z:                { scope: "layer", axes: QUERY_HEADS, meaning: "pattern · v" },
  head_out:         { scope: "layer", axes: ["batch", "pos", "head", "d_model"], meaning: "each head's own term of the attention output: z · W_O" },
  attn_out_raw:     { scope: "layer", axes: STREAM, meaning: "attention output before the norm or multiplier that follows it" },
  attn_out:         { scope: "layer", axes: STREAM, meaning: "what attention adds to the residual stream" },
  resid_mid:        { scope: "layer", axes: STREAM, meaning: "residual stream between attention and MLP" },
  ln2_scale:        { scope: "layer", axes: SCALE, meaning: "divisor of the norm in front of the MLP" },
  ln2_normalized:   { scope: "layer", axes: STREAM, meaning: "output of the norm in front of the MLP, weight and bias included" },
  mlp_pre:          { scope: "layer", axes: UNITS, meaning: "plain MLP: before the activation" },
  mlp_gate:         { scope: "layer", axes: UNITS, meaning: "gated MLP: the gate branch before its activation" },
  mlp_up:           { scope: "layer", axes: UNITS, meaning: "gated MLP: the other branch" },
  router_logits:    { scope: "layer", axes: ["batch", "pos", "expert"], meaning: "mixture of experts: the router's logits" },
  experts:          { scope: "layer", axes: ["batch", "pos", "chosen"], dtype: "int32", meaning: "mixture of experts: which experts were chosen, best first" },
  expert_weights:   { scope: "layer", axes: ["batch", "pos", "chosen"], meaning: "mixture of experts: the weight of each chosen expert" },
  mlp_post:         { scope: "layer", axes: UNITS, meaning: "what enters the down projection" },
  mlp_out_raw:      { scope: "layer", axes: STREAM, meaning: "MLP output before the norm or multiplier that follows it" },
  mlp_out:          { scope: "layer", axes: STREAM, meaning: "what the MLP adds to the residual stream" },
  resid_post:       { scope: "layer", axes: STREAM, meaning: "residual stream after the block" },
  final_scale:      { scope: "model", axes: SCALE, meaning: "divisor of the last norm" },
  final_normalized: { scope: "model", axes: STREAM, meaning: "output of the last norm, weight and bias included" },
  logits:           { scope: "model", axes: ["batch", "pos", "vocab"], readOnly: { why: "nothing runs after it", instead: "edit final_normalized" }, meaning: "logits, after every multiplier and soft cap" },
} as const satisfies Record<string, PointRow>;

/** The name of a point: the first part of an address. */
export type PointName = keyof typeof POINTS;

type LayerPoint = { [P in PointName]: (typeof POINTS)[P]["scope"] extends "layer" ? P : never }[PointName];

/** `resid_post.5`, or `embed`: which tensor, in its one string form. */
export type Address = `${LayerPoint}.${number}` | Exclude<PointName, LayerPoint>;

/** All point names in forward order. */
export const POINT_NAMES = Object.keys(POINTS) as readonly PointName[];

/** The row of a point, as the table's common type. */
export function pointRow(name: PointName): PointRow {
  return POINTS[name];
}

/** Whether a text is the name of a point. */
export function isPointName(text: string): text is PointName {
  return Object.hasOwn(POINTS, text);
}
