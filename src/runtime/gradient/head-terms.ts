/**
 * @file The gradient at `head_out` without computing it: heads' terms are added up to the attention output, so each has the gradient of the sum. It is as
 * wide as all heads' streams together; the terms themselves are then not computed at all, nor is anything taken back through them one by one.
 */
import type { Place } from "../../models/address.js";
import type { PointName } from "../../models/points.js";
import { absenceInLayer } from "../../models/presence.js";
import type { LayerSpec } from "../../models/spec.js";

/** The point that the heads' terms of a layer add up to, but for a bias. */
export function sumOfHeads(layer: LayerSpec): PointName {
  return absenceInLayer(layer, "attn_out_raw") ? "attn_out" : "attn_out_raw";
}

/** What a layer is asked for, with the sum in place of `head_out` where nothing `touches` either: no edit, no term of the metric. */
export function withoutHeadTerms(points: readonly PointName[], layer: LayerSpec, touches: readonly Place[]): PointName[] {
  const sum = sumOfHeads(layer);
  if (!points.includes("head_out") || touches.some(({ point }) => point === "head_out" || point === sum)) return [...points];
  return [...new Set(points.map((point) => (point === "head_out" ? sum : point)))];
}

/** The gradient by the sum (batch, pos, d_model) as that by each of the terms (batch, pos, head, d_model). */
export function forEachHead(gradient: Float32Array, { heads, dModel }: { heads: number; dModel: number }): Float32Array {
  const spread = new Float32Array(gradient.length * heads);
  for (let from = 0; from < gradient.length; from += dModel) {
    const row = gradient.subarray(from, from + dModel);
    for (let head = 0; head < heads; head++) spread.set(row, from * heads + head * dModel);
  }
  return spread;
}
