/** @file Gradients in the shape of what they belong to: broadcast axes summed, cut-off parts filled with zeros. */
import { internal } from "../base/errors.js";
import type { GraphBuilder } from "./builder.js";
import type { Value } from "./graph.js";
import * as op from "./ops.js";
import { sizeOf, type Size } from "./sizes.js";
import type { Rule } from "./vjp-rules.js";

/** `grad` summed over the axes along which `to` was broadcast: those it lacks in front, and those of length 1 (named `one`). */
export function fitted(g: GraphBuilder, grad: Value, to: Value): Value {
  const extra = grad.axes.length - to.axes.length;
  if (extra < 0) throw internal(`a gradient with axes ${grad.axes.join(", ")} cannot belong to a value with axes ${to.axes.join(", ")}`);
  const lead = extra > 0 ? op.sumLeading(g, grad, extra) : grad;
  const kept = to.axes.flatMap((axis, i) => (axis === "one" && lead.axes[i] !== "one" ? [i] : []));
  return kept.length > 0 ? op.sumKeeping(g, lead, kept) : lead;
}

/** Zeros in the shape of `x`. */
export function zerosLike(g: GraphBuilder, x: Value): Value {
  return op.expand(g, g.constant([0], []), shapeOf(g, x), x.axes);
}

/** All sizes of `x`, int64. */
export function shapeOf(g: GraphBuilder, x: Value): Value {
  const sizes = x.axes.map((_, axis) => sizeOf(g, x, axis));
  if (sizes.length === 0 || sizes.includes(undefined)) return op.shapeOf(g, x, 0, x.axes.length);
  const parts = sizes.map((size) => written(g, size!));
  return parts.length === 1 ? parts[0]! : op.concat(g, parts, 0, ["axis"]);
}

/** The size of one axis, int64, one element. */
export function sizeAlong(g: GraphBuilder, x: Value, axis: number): Value {
  return written(g, sizeOf(g, x, axis) ?? { of: x, axis });
}

function written(g: GraphBuilder, size: NonNullable<Size>): Value {
  if (typeof size === "number") return g.constant([size], ["axis"], { dtype: "int64" });
  return op.shapeOf(g, size.of, size.axis, size.axis + 1);
}

/** `grad` seen with the shape of `x`. */
export function shapedLike(g: GraphBuilder, grad: Value, x: Value): Value {
  const sizes = x.axes.map((_, axis) => sizeOf(g, x, axis));
  const isFixed = sizes.length > 0 && sizes.filter((size) => typeof size !== "number").length <= 1 && !sizes.includes(0);
  return op.reshape(g, grad, isFixed ? sizes.map((size) => (typeof size === "number" ? size : -1)) : shapeOf(g, x), x.axes);
}

/** Slice with bounds and one axis that are constants: the gradient with zeros where the rest was. */
export const sliceOf: Rule = ({ g, node, inputs: [x], outputs: [y], grads: [dy] }) => [
  () => {
    const [start = 0] = g.constantAt(node.inputs[1]!).values;
    const [axis = 0] = g.constantAt(node.inputs[3]!).values;
    if (start < 0) throw internal("the gradient of a slice that starts from the end is not known");
    const rank = x!.axes.length;
    const zeros = (count: number): Value =>
      g.constant(
        Array.from({ length: count }, () => 0),
        ["axis"],
        { dtype: "int64" },
      );
    const front = g.constant([start], ["axis"], { dtype: "int64" });
    const cut = op.subtract(g, sizeAlong(g, x!, axis), sizeAlong(g, y!, axis));
    const behind = start === 0 ? cut : op.subtract(g, cut, front);
    const pieces = [zeros(axis), front, zeros(rank - 1), behind, zeros(rank - 1 - axis)].filter(
      (piece) => !piece.id.startsWith("const:int64[0]"),
    );
    return op.pad(g, dy!, op.concat(g, pieces, 0, ["axis"]));
  },
];
