/**
 * @file What a run of gradients keeps of each block on its way forward, so that the way back need not compute it: what a dear matrix product made and a rule
 * reads. Chosen by time at GPT-2 small's shape, 128 tokens. Attention patterns are not among them: kept they save a softmax, and cost as much in memory that
 * is written and read again; so do norms, activations and `z`.
 */
import { sizeOf } from "../../base/tensor.js";
import { pointRow, type PointName } from "../../models/points.js";
import { absenceInLayer } from "../../models/presence.js";
import { axisLength } from "../../models/sizes.js";
import type { LayerSpec, ModelSpec } from "../../models/spec.js";

/**
 * Most bytes that are kept of all blocks together, 512 MiB; what goes beyond is computed anew. A fixed number: what is computed, to the last bit, depends on the
 * request and not on the memory that happens to be left.
 */
const MOST_BYTES = 2 ** 29;
const FLOAT_BYTES = 4;

/** Points that are kept where a layer has them, the dearest for their size first. */
const KEPT: readonly PointName[] = ["resid_mid", "q", "k", "v", "mlp_pre", "mlp_gate", "mlp_up", "router_logits", "experts"];

/** The points of a layer that are kept of `tokens` tokens, padding included, where `blocks` blocks share the memory. */
export function keptPoints(spec: ModelSpec, layer: number, { tokens, blocks }: { tokens: number; blocks: number }): PointName[] {
  const block = spec.layers[layer];
  if (!block) return [];
  let left = MOST_BYTES / blocks;
  return [...readByNorms(block), ...KEPT].filter((point) => {
    if (absenceInLayer(block, point)) return false;
    const bytes = FLOAT_BYTES * tokens * widthOf(spec, layer, point);
    const fits = bytes <= left;
    if (fits) left -= bytes;
    return fits;
  });
}

/** What the norms behind sublayers read, or what it is added up from: otherwise the sublayers' last projections would be computed anew. */
function readByNorms({ streamNorms, attnPostNorm, mlpPostNorm }: LayerSpec): PointName[] {
  if (streamNorms) return ["attn_out", "mlp_out"];
  return [...(attnPostNorm ? (["attn_out_raw"] as const) : []), ...(mlpPostNorm ? (["mlp_out_raw"] as const) : [])];
}

/** Elements of a point a token. */
function widthOf(spec: ModelSpec, layer: number, point: PointName): number {
  const inner = pointRow(point).axes.slice(2);
  return sizeOf(inner.map((axis) => axisLength(spec, axis, layer)));
}
