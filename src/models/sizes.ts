/** @file Lengths of the axes of a point in a model; batch and positions are the run's own. */
import type { Place } from "./address.js";
import { pointRow } from "./points.js";
import type { ModelSpec } from "./spec.js";

/** Length of the last axis (0 where that is a position), and how many heads stand before it, if any. */
export interface AxisSizes {
  readonly heads: number | undefined;
  readonly last: number;
}

/** The sizes of a point's axes. */
export function axisSizes(spec: ModelSpec, { point, layer }: Place): AxisSizes {
  const { axes } = pointRow(point);
  const sizeOf = (axis: string): number => axisLength(spec, axis, layer);
  const headAxis = axes.find((axis) => axis === "head" || axis === "kv_head");
  const last = axes.at(-1) ?? "";
  return { heads: headAxis && sizeOf(headAxis), last: last === "key" ? 0 : sizeOf(last) };
}

/** The length of an axis that the model fixes. */
export function axisLength(spec: ModelSpec, axis: string, layer = 0): number {
  const block = spec.layers[layer];
  const mlp = block?.mlp;
  switch (axis) {
    case "d_model":
      return spec.dModel;
    case "vocab":
      return spec.vocabOut;
    case "head":
      return block?.attention.heads ?? 0;
    case "kv_head":
      return block?.attention.kvHeads ?? 0;
    case "d_head":
      return block?.attention.dHead ?? 0;
    case "d_mlp":
      return mlp && mlp.kind !== "experts" ? mlp.dMlp : 0;
    case "expert":
      return mlp?.kind === "experts" ? mlp.experts.length : 0;
    case "chosen":
      return mlp?.kind === "experts" ? mlp.topK : 0;
    default:
      return 1;
  }
}
