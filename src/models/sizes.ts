/** @file Lengths of the axes of a point in a model; batch and positions are the run's own. */
import type { Place } from "./address.js";
import { pointRow } from "./points.js";
import type { LayerSpec, ModelSpec } from "./spec.js";

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

/** The length of an axis that the model fixes; 1 for the axis `one`, 0 where the layer has no such axis. */
export function axisLength(spec: ModelSpec, axis: string, layer = 0): number {
  const block = spec.layers[layer];
  return (LENGTHS[axis] ?? (() => 1))(spec, block);
}

const LENGTHS: Readonly<Record<string, (spec: ModelSpec, block: LayerSpec | undefined) => number>> = {
  d_model: (spec) => spec.dModel,
  vocab: (spec) => spec.vocabOut,
  head: (_, block) => block?.attention.heads ?? 0,
  kv_head: (_, block) => block?.attention.kvHeads ?? 0,
  d_head: (_, block) => block?.attention.dHead ?? 0,
  d_mlp: (_, block) => (block?.mlp && block.mlp.kind !== "experts" ? block.mlp.dMlp : 0),
  expert: (_, block) => (block?.mlp?.kind === "experts" ? block.mlp.experts.length : 0),
  chosen: (_, block) => (block?.mlp?.kind === "experts" ? block.mlp.topK : 0),
};
