/** @file Weights, linear maps and norms as graph pieces: the spec's vocabulary in the builder's. */
import { widenedBlocks } from "../../graph/blocks.js";
import type { GraphBuilder } from "../../graph/builder.js";
import type { Value } from "../../graph/graph.js";
import * as op from "../../graph/ops.js";
import type { AdapterRef, LinearSpec, NormSpec, PackedLinearSpec, QuantisedRef, WeightRef } from "../spec.js";
import { mxfp4 } from "./mxfp4.js";

/** A flattened stream of activations: batch and position are one axis, `token`. */
export type Stream = Value<readonly ["token", "d_model"]>;

/** How a norm is computed: by one fused op, or by steps, so that its divisor can be edited. */
export type NormForm = "fused" | "steps";

/** A stored vector. */
export function vector<const A extends string>(g: GraphBuilder, ref: WeightRef, axis: A): Value<readonly [A]> {
  return g.weight({ ...ref }, [axis] as const);
}

/** `x W (+ b)` with the adapter's term, where there is one: token, in → token, out. */
export function linear<const T extends string, const I extends string, const O extends string>(
  g: GraphBuilder,
  x: Value<readonly [T, I]>,
  spec: LinearSpec | PackedLinearSpec,
  out: O,
): Value<readonly [T, O]> {
  const base = stored(g, x, spec, out);
  return spec.layout === "mxfp4" || !spec.adapter ? base : op.add(g, base, lowRank(g, x, spec.adapter, out));
}

function stored<const T extends string, const I extends string, const O extends string>(
  g: GraphBuilder,
  x: Value<readonly [T, I]>,
  spec: LinearSpec | PackedLinearSpec,
  out: O,
): Value<readonly [T, O]> {
  const input = x.axes[1] as I;
  const bias = spec.bias && vector(g, { ...spec.bias, shape: [spec.out] }, out);
  if (spec.layout === "mxfp4") return op.gemm(g, x, { transposed: mxfp4(g, spec, [out, input] as const) }, bias);
  if (spec.quantised) return op.blockGemm(g, x, { ...blocksOf(g, spec, spec.quantised), axis: out }, bias);
  if (spec.layout === "out_in") return op.gemm(g, x, { transposed: rowsByOutput(g, spec, [out, input] as const) }, bias);
  if (spec.layout === "in_out") return op.gemm(g, x, g.weight({ ...spec.weight }, [input, out] as const), bias);
  const byHead = g.weight({ ...spec.weight }, ["head", input, "d_head"]);
  const moved = op.transpose(g, byHead, [1, 0, 2], [input, "head", "d_head"]);
  return op.gemm(g, x, op.reshape(g, moved, [spec.in, spec.out], [input, out] as const), bias);
}

function blocksOf(g: GraphBuilder, { in: input, out }: LinearSpec, { bits, block, packed, scales }: QuantisedRef): op.Blocks {
  return {
    packed: g.weight({ ...packed }, ["out", "block", "byte"]),
    scales: g.weight({ ...scales }, ["out", "block"]),
    bits,
    size: block,
    in: input,
    out,
  };
}

/** The matrix of a map that is stored as out, in, or is quantised, as floats. */
export function rowsByOutput<const O extends string, const I extends string>(
  g: GraphBuilder,
  spec: LinearSpec,
  axes: readonly [O, I],
): Value<readonly [O, I]> {
  return spec.quantised ? widenedBlocks(g, blocksOf(g, spec, spec.quantised), axes) : g.weight({ ...spec.weight }, axes);
}

/** `scale · (x Aᵀ) Bᵀ`: token, in → token, out. */
function lowRank<const T extends string, const I extends string, const O extends string>(
  g: GraphBuilder,
  x: Value<readonly [T, I]>,
  { a, b, scale }: AdapterRef,
  out: O,
): Value<readonly [T, O]> {
  const narrow = op.gemm(g, x, { transposed: g.weight({ ...a }, ["rank", x.axes[1] as I] as const) });
  return op.gemm(g, op.scaleBy(g, narrow, scale), { transposed: g.weight({ ...b }, [out, "rank"] as const) });
}

/** `scale · Aᵀ Bᵀ`, what an adapter adds to its matrix: in, out. */
export function adapterMatrix<const I extends string, const O extends string>(
  g: GraphBuilder,
  { a, b, scale }: AdapterRef,
  axes: readonly [I, O],
): Value<readonly [I, O]> {
  const turned = op.transpose(g, g.weight({ ...a }, ["rank", axes[0]]), [1, 0], [axes[0], "rank"]);
  return op.matmulTransposed(g, turned, g.weight({ ...b }, [axes[1], "rank"]), { scale, axes });
}

/**
 * A norm over the last axis and its divisor (`sqrt(variance + eps)`, or of the mean square), last axis of length 1. With
 * `steps` the divisor is part of the computation; with `fused` it is beside it.
 */
export function norm<A extends readonly string[]>(
  g: GraphBuilder,
  x: Value<A>,
  spec: NormSpec & { readonly size: number },
  names: { readonly scale?: string; readonly form: NormForm } = { form: "fused" },
): Value<A> {
  const axis = x.axes.at(-1) ?? "d_model";
  const weight = normWeight(g, spec, axis);
  const bias = spec.bias && vector(g, spec.bias, axis);
  if (names.form === "fused") {
    const { normalised, inverse } = op.normalise(g, x, { kind: spec.kind, eps: spec.eps, weight, bias });
    if (names.scale) g.name(names.scale, op.unary(g, "Reciprocal", inverse));
    return normalised;
  }
  const centred = spec.kind === "layer" ? op.subtract(g, x, op.mean(g, x)) : x;
  const power = op.mean(g, op.multiply(g, centred, centred));
  const scale = op.unary(g, "Sqrt", op.add(g, power, g.constant([spec.eps], [])));
  if (names.scale) g.name(names.scale, scale);
  const weighted = op.multiply(g, op.divide(g, centred, scale), weight);
  return bias ? op.add(g, weighted, bias) : weighted;
}

function normWeight(g: GraphBuilder, spec: NormSpec & { readonly size: number }, axis: string): Value {
  if (!spec.weight)
    return g.constant(
      Array.from({ length: spec.size }, () => 1),
      [axis],
    );
  const stored = vector(g, spec.weight, axis);
  return spec.plusOne ? op.add(g, stored, g.constant([1], [])) : stored;
}
