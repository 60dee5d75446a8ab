/**
 * @file One function an ONNX op, over named axes. An axis can be contracted only with itself: `matmul(x: [token, d_model],
 * w: [d_mlp, d_model])` does not compile. Semantics: the ONNX operator documentation, and ONNX Runtime's for
 * `com.microsoft` operators.
 */
import { must } from "../base/errors.js";
import type { GraphBuilder } from "./builder.js";
import type { Axes, OpName, UnaryOp, Value } from "./graph.js";

export type { UnaryOp } from "./graph.js";

type G = GraphBuilder;

function elementwise(op: OpName): <A extends Axes>(g: G, a: Value<A>, b: Value) => Value<A> {
  return (g, a, b) => g.node({ op, inputs: [a, b], axes: a.axes, dtype: a.dtype });
}

/** `a + b`; `b` is broadcast over the axes of `a`. */
export const add = elementwise("Add");
/** `a - b`; `b` is broadcast. */
export const subtract = elementwise("Sub");
/** `a · b`; `b` is broadcast. */
export const multiply = elementwise("Mul");
/** `a / b`; `b` is broadcast. */
export const divide = elementwise("Div");

/** The smaller of `a` and `b`; `b` is broadcast. */
export const minimum = elementwise("Min");

/** `by · x`, or `x` itself when `by` is 1. */
export function scaleBy<A extends Axes>(g: G, x: Value<A>, by: number): Value<A> {
  return by === 1 ? x : multiply(g, x, g.constant([by], []));
}

/** A one-input op that keeps its axes. */
export function unary<A extends Axes>(
  g: G,
  op: UnaryOp,
  x: Value<A>,
  attributes: Record<string, number | string | { float: number }> = {},
): Value<A> {
  const domain = CONTRIB.has(op) ? "com.microsoft" : "";
  return g.node({ op, domain, inputs: [x], attributes, axes: x.axes, dtype: x.dtype });
}

const CONTRIB: ReadonlySet<string> = new Set(["QuickGelu"]);

/** `cap · tanh(x / cap)`. */
export function softcap<A extends Axes>(g: G, x: Value<A>, cap: number): Value<A> {
  return scaleBy(g, unary(g, "Tanh", scaleBy(g, x, 1 / cap)), cap);
}

/** `min(max(x, low), high)`; either bound may be absent. */
export function clip<A extends Axes>(g: G, x: Value<A>, low: number | undefined, high: number | undefined): Value<A> {
  const bound = (limit: number | undefined): Value | undefined => (limit === undefined ? undefined : g.constant([limit], []));
  return g.node({ op: "Clip", inputs: [x, bound(low), bound(high)], axes: x.axes });
}

/** `[token, in] × [in, out] (+ [out])`, or with `transposed` `[token, in] × [out, in]ᵀ`. */
export function gemm<const T extends string, const I extends string, const O extends string>(
  g: G,
  x: Value<readonly [T, I]>,
  w: Value<readonly [I, O]> | { readonly transposed: Value<readonly [O, I]> },
  bias?: Value<readonly [O]>,
): Value<readonly [T, O]> {
  const transposed = "transposed" in w;
  const weight: Value = transposed ? w.transposed : w;
  const out = (transposed ? w.transposed.axes[0] : w.axes[1]) as O;
  return g.node({ op: "Gemm", inputs: [x, weight, bias], attributes: { transB: transposed ? 1 : 0 }, axes: [x.axes[0], out] as const });
}

/** `[…a, m, k] × [… , k, n]`, batched over the leading axes. */
export function matmul<const A extends Axes>(g: G, a: Value, b: Value, axes: A): Value<A> {
  return g.node({ op: "MatMul", inputs: [a, b], axes });
}

/** `scale · […, m, k] × [… , n, k]ᵀ`, batched over the leading axes. */
export function matmulTransposed<const A extends Axes>(g: G, a: Value, b: Value, options: { scale: number; axes: A }): Value<A> {
  const attributes = { transB: 1, alpha: { float: options.scale } };
  return g.node({ op: "FusedMatMul", domain: "com.microsoft", inputs: [a, b], attributes, axes: options.axes });
}

/** Whole numbers of a few bits, in blocks along the input axis that share a scale: `packed` `[out, block, byte]`, `scales` `[out, block]`. */
export interface Blocks {
  readonly packed: Value;
  readonly scales: Value;
  readonly bits: 4 | 8;
  /** Numbers in a block; the last one of a row is filled up. */
  readonly size: number;
  readonly in: number;
  readonly out: number;
}

/**
 * `[token, in] × [out, in]ᵀ (+ [out])`, the matrix in blocks. The token's values are rounded to 8 bits a block, too (`accuracy_level` 4), and multiplied as whole
 * numbers: with float values, ONNX Runtime takes three times as long at 4 bits, and at 8 bits widens the whole matrix at each run.
 */
export function blockGemm<const T extends string, const I extends string, const O extends string>(
  g: G,
  x: Value<readonly [T, I]>,
  w: Blocks & { readonly axis: O },
  bias?: Value<readonly [O]>,
): Value<readonly [T, O]> {
  return g.node({
    op: "MatMulNBits",
    domain: "com.microsoft",
    inputs: [x, w.packed, w.scales, undefined, undefined, bias],
    attributes: { K: w.in, N: w.out, bits: w.bits, block_size: w.size, accuracy_level: 4 },
    axes: [x.axes[0], w.axis] as const,
  });
}

/** Softmax over the last axis. */
export function softmax<A extends Axes>(g: G, x: Value<A>): Value<A> {
  return g.node({ op: "Softmax", inputs: [x], attributes: { axis: -1 }, axes: x.axes });
}

/** The logarithm of softmax over the last axis. */
export function logSoftmax<A extends Axes>(g: G, x: Value<A>): Value<A> {
  return g.node({ op: "LogSoftmax", inputs: [x], attributes: { axis: -1 }, axes: x.axes });
}

/** A norm over the last axis and the reciprocal of its divisor: `1 / sqrt(variance + eps)`, or of the mean square. */
export function normalise<A extends Axes>(
  g: G,
  x: Value<A>,
  norm: { kind: "layer" | "rms"; eps: number; weight: Value; bias?: Value | undefined },
): { normalised: Value<A>; inverse: Value } {
  const attributes = { axis: -1, epsilon: { float: norm.eps } };
  const kept = { axes: x.axes, dtype: "float32" } as const;
  const one = { axes: [...x.axes.slice(0, -1), "one"], dtype: "float32" } as const;
  const layer = norm.kind === "layer";
  const made = g.nodes({
    op: layer ? "LayerNormalization" : "SimplifiedLayerNormalization",
    inputs: layer ? [x, norm.weight, norm.bias] : [x, norm.weight],
    attributes,
    results: layer ? [kept, undefined, one] : [kept, one],
  });
  return { normalised: made[0] as Value<A>, inverse: must(layer ? made[2] : made[1], "the norm's divisor") };
}

/** The mean over the last axis, which stays with length 1. */
export function mean(g: G, x: Value): Value {
  const axes = [...x.axes.slice(0, -1), "one"];
  return g.node({ op: "ReduceMean", inputs: [x, g.constant([-1], ["axis"], { dtype: "int64" })], attributes: { keepdims: 1 }, axes });
}

/** The sum over one axis, which goes. */
export function sum<const A extends Axes>(g: G, x: Value, axis: number, axes: A): Value<A> {
  return g.node({ op: "ReduceSum", inputs: [x, g.constant([axis], ["axis"], { dtype: "int64" })], attributes: { keepdims: 0 }, axes });
}

/** The sum over several axes, which stay with length 1. */
export function sumKeeping(g: G, x: Value, axes: readonly number[]): Value {
  const kept = x.axes.map((axis, i) => (axes.includes(i) ? "one" : axis));
  return g.node({
    op: "ReduceSum",
    inputs: [x, g.constant(axes, ["axis"], { dtype: "int64" })],
    attributes: { keepdims: 1 },
    axes: kept,
    dtype: x.dtype,
  });
}

/** The sum over the first `count` axes, which go. */
export function sumLeading(g: G, x: Value, count: number): Value {
  const axes = Array.from({ length: count }, (_, axis) => axis);
  return g.node({
    op: "ReduceSum",
    inputs: [x, g.constant(axes, ["axis"], { dtype: "int64" })],
    attributes: { keepdims: 0 },
    axes: x.axes.slice(count),
    dtype: x.dtype,
  });
}

/** `x` with a new axis of length 1 in front of axis `at`. */
export function unsqueeze(g: G, x: Value, at: number): Value {
  const axes = [...x.axes.slice(0, at), "one", ...x.axes.slice(at)];
  return g.node({ op: "Unsqueeze", inputs: [x, g.constant([at], ["axis"], { dtype: "int64" })], axes, dtype: x.dtype });
}

/** `x` with zeros around it; `pads` (int64): how many in front along each axis, then how many behind. */
export function pad<A extends Axes>(g: G, x: Value<A>, pads: Value): Value<A> {
  return g.node({ op: "Pad", inputs: [x, pads], axes: x.axes, dtype: x.dtype });
}

/** `x` seen with another shape: sizes, 0 to copy an axis, -1 to infer one. */
export function reshape<const A extends Axes>(g: G, x: Value, shape: readonly number[] | Value, axes: A): Value<A> {
  const target = "id" in shape ? shape : g.constant(shape, ["axis"], { dtype: "int64" });
  return g.node({ op: "Reshape", inputs: [x, target], axes, dtype: x.dtype });
}

/** The axes in another order. */
export function transpose<const A extends Axes>(g: G, x: Value, order: readonly number[], axes: A): Value<A> {
  return g.node({ op: "Transpose", inputs: [x], attributes: { perm: order }, axes, dtype: x.dtype });
}

/** The sizes of axes `start … end` of `x`, as int64. */
export function shapeOf(g: G, x: Value, start: number, end: number): Value {
  return g.node({ op: "Shape", inputs: [x], attributes: { start, end }, axes: ["axis"], dtype: "int64" });
}

/** The values one after another along an axis. */
export function concat<const A extends Axes>(g: G, parts: readonly Value[], axis: number, axes: A): Value<A> {
  const dtype = must(parts[0], "a part to concatenate").dtype;
  return g.node({ op: "Concat", inputs: parts, attributes: { axis }, axes, dtype });
}

/** `x` cut along an axis into pieces of the given sizes. */
export function split(g: G, x: Value, sizes: readonly number[], options: { axis: number; axes: readonly Axes[] }): Value[] {
  return splitBy(g, x, g.constant(sizes, ["piece"], { dtype: "int64" }), options);
}

/** `x` cut along an axis into pieces whose sizes are a value, int64. */
export function splitBy(g: G, x: Value, lengths: Value, options: { axis: number; axes: readonly Axes[] }): Value[] {
  const results = options.axes.map((axes) => ({ axes, dtype: x.dtype }));
  return g.nodes({ op: "Split", inputs: [x, lengths], attributes: { axis: options.axis }, results }) as Value[];
}

/** Elements `start … end` of one axis (negative from its end). */
export function slice<A extends Axes>(g: G, x: Value<A>, range: { axis: number; start: number; end: number }): Value<A> {
  const at = (index: number): Value => g.constant([index], ["axis"], { dtype: "int64" });
  return g.node({ op: "Slice", inputs: [x, at(range.start), at(range.end), at(range.axis)], axes: x.axes, dtype: x.dtype });
}

/** Elements `start … end` of one axis, where the bounds are values: int64, one element. */
export function sliceBetween<A extends Axes>(g: G, x: Value<A>, range: { axis: number; start: Value; end: Value }): Value<A> {
  const axis = g.constant([range.axis], ["axis"], { dtype: "int64" });
  return g.node({ op: "Slice", inputs: [x, range.start, range.end, axis], axes: x.axes, dtype: x.dtype });
}

/** `x` repeated along its axes of length 1 to a shape. */
export function expand<const A extends Axes>(g: G, x: Value, shape: Value, axes: A): Value<A> {
  return g.node({ op: "Expand", inputs: [x, shape], axes, dtype: x.dtype });
}

/** The elements of one axis at `indices`. */
export function gather<const A extends Axes>(g: G, x: Value, indices: Value, options: { axis: number; axes: A }): Value<A> {
  return g.node({ op: "Gather", inputs: [x, indices], attributes: { axis: options.axis }, axes: options.axes, dtype: x.dtype });
}

/** `x` in another element type. */
export function cast<A extends Axes>(g: G, x: Value<A>, to: "float32" | "int32" | "int64"): Value<A> {
  const code = { float32: 1, int32: 6, int64: 7 }[to];
  return g.node({ op: "Cast", inputs: [x], attributes: { to: code }, axes: x.axes, dtype: to });
}

/** Rotary embedding of the first `dims` coordinates of each head. `x`: batch, pos, head·d_head; tables: batch, pos, dims/2. */
export function rotate<A extends Axes>(
  g: G,
  x: Value<A>,
  tables: { cos: Value; sin: Value },
  options: { heads: number; dims: number; neighbours: boolean },
): Value<A> {
  return g.node({
    op: "RotaryEmbedding",
    inputs: [x, tables.cos, tables.sin],
    attributes: { num_heads: options.heads, rotary_embedding_dim: options.dims, interleaved: options.neighbours ? 1 : 0 },
    axes: x.axes,
  });
}

/** Where the `k` largest values of the last axis stand, the largest first: int64. */
export function largest(g: G, x: Value, k: number, axis: string): Value {
  const axes = [...x.axes.slice(0, -1), axis];
  const [, indices] = g.nodes({
    op: "TopK",
    inputs: [x, g.constant([k], ["one"], { dtype: "int64" })],
    attributes: { axis: -1, largest: 1, sorted: 1 },
    results: [
      { axes, dtype: "float32" },
      { axes, dtype: "int64" },
    ],
  });
  return must(indices, "the places of the largest");
}

/** Where `a` equals `b`. */
export function equal<A extends Axes>(g: G, a: Value<A>, b: Value): Value<A> {
  return g.node({ op: "Equal", inputs: [a, b], axes: a.axes, dtype: "bool" });
}

/** The coordinates of the true elements: `[rank, found]`, int64. */
export function nonZero(g: G, x: Value): Value<readonly ["coordinate", "found"]> {
  return g.node({ op: "NonZero", inputs: [x], axes: ["coordinate", "found"], dtype: "int64" });
}

/** The elements of the last axis at `indices`, which have the leading axes of `x`. */
export function gatherElements<A extends Axes>(g: G, x: Value, indices: Value<A>): Value<A> {
  return g.node({ op: "GatherElements", inputs: [x, indices], attributes: { axis: -1 }, axes: indices.axes });
}

/** The elements, or rows, of `x` at rows of coordinates (`[found, coordinate]`). */
export function gatherNd<const A extends Axes>(g: G, x: Value, coordinates: Value, axes: A): Value<A> {
  return g.node({ op: "GatherND", inputs: [x, coordinates], axes });
}

/** `x` with `updates` added at rows of coordinates. */
export function scatterAdd<A extends Axes>(g: G, x: Value<A>, coordinates: Value, updates: Value): Value<A> {
  return g.node({ op: "ScatterND", inputs: [x, coordinates, updates], attributes: { reduction: "add" }, axes: x.axes });
}

/** `x` with `updates` added at `indices` of the last axis; both have the leading axes of `x`. */
export function scatterElementsAdd<A extends Axes>(g: G, x: Value<A>, indices: Value, updates: Value): Value<A> {
  return g.node({ op: "ScatterElements", inputs: [x, indices, updates], attributes: { axis: -1, reduction: "add" }, axes: x.axes });
}
