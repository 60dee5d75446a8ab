/** @file Gradients of ops that only move, repeat or pick elements: each goes back to where it came from, repeated ones summed. */
import { internal, must } from "../base/errors.js";
import type { GraphBuilder } from "./builder.js";
import type { OpName, Value } from "./graph.js";
import * as op from "./ops.js";
import type { Rule } from "./vjp-rules.js";
import { fitted, shapedLike, sizeAlong, zerosLike } from "./vjp-shapes.js";

type Moves =
  | "Concat"
  | "Expand"
  | "Gather"
  | "GatherElements"
  | "GatherND"
  | "Pad"
  | "Reshape"
  | "ScatterElements"
  | "ScatterND"
  | "Split"
  | "TopK"
  | "Transpose"
  | "Unsqueeze";

export const MOVES: { readonly [K in OpName & Moves]: Rule } = {
  Reshape: ({ g, inputs: [x], grads: [dy] }) => [() => shapedLike(g, dy!, x!)],
  Unsqueeze: ({ g, inputs: [x], grads: [dy] }) => [() => shapedLike(g, dy!, x!)],
  Transpose: ({ g, node, inputs: [x], grads: [dy] }) => [
    () => {
      const order = node.attributes["perm"] as readonly number[];
      const back = order.map((_, axis) => order.indexOf(axis));
      return op.transpose(g, dy!, back, x!.axes);
    },
  ],
  Expand: ({ g, inputs: [x], grads: [dy] }) => [() => fitted(g, dy!, x!)],
  Concat: ({ g, node, inputs, grads: [dy] }) => {
    const axis = node.attributes["axis"] as number;
    return inputs.map((part, place) => () => {
      const sizes = inputs.slice(0, place + 1).map((one) => sizeAlong(g, one!, axis));
      const zero = g.constant([0], ["axis"], { dtype: "int64" });
      const start = sizes.slice(0, -1).reduce((total: Value, size) => op.add(g, total, size), zero);
      return { ...op.sliceBetween(g, dy!, { axis, start, end: op.add(g, start, must(sizes.at(-1), "a size")) }), axes: part!.axes };
    });
  },
  Split: ({ g, node, inputs: [x], outputs, grads }) => [
    () => {
      const parts = outputs.map((output, place) => grads[place] ?? zerosLike(g, must(output, "a piece")));
      return op.concat(g, parts, node.attributes["axis"] as number, x!.axes);
    },
  ],
  Pad: ({ g, inputs: [x, pads], grads: [dy] }) => [
    () => {
      let inner: Value = dy!;
      x!.axes.forEach((_, axis) => {
        const start = op.sliceBetween(g, pads!, { axis: 0, start: index(g, axis), end: index(g, axis + 1) });
        inner = op.sliceBetween(g, inner, { axis, start, end: op.add(g, start, sizeAlong(g, x!, axis)) });
      });
      return inner;
    },
  ],
  // Of the rows of a table, each may be looked up many times. Their gradients are summed by a product with the one-hot rows:
  // `ScatterND` adds from several threads at once, and loses some where rows repeat.
  Gather: ({ g, node, inputs: [table, indices], grads: [dy] }) => [
    () => {
      if (node.attributes["axis"] !== 0 || indices!.axes.length !== 1 || table!.axes.length !== 2)
        throw internal("only the gradient of rows that are looked up is known");
      const hits = op.cast(g, op.equal(g, op.reshape(g, indices!, [-1, 1], ["token", "one"]), rowNumbers(g, table!)), "float32");
      return g.node({ op: "Gemm", inputs: [hits, dy], attributes: { transA: 1, transB: 0 }, axes: table!.axes });
    },
  ],
  GatherElements: ({ g, inputs: [x, indices], grads: [dy] }) => [() => op.scatterElementsAdd(g, zerosLike(g, x!), indices!, dy!)],
  ScatterElements: ({ g, inputs: [, indices], grads: [dy] }) => [() => dy!, undefined, () => op.gatherElements(g, dy!, indices!)],
  // The coordinates that graphs use name each row once.
  GatherND: ({ g, inputs: [x, coordinates], grads: [dy] }) => [() => op.scatterAdd(g, zerosLike(g, x!), coordinates!, dy!)],
  ScatterND: ({ g, inputs: [, coordinates, updates], grads: [dy] }) => [
    () => dy!,
    undefined,
    () => op.gatherNd(g, dy!, coordinates!, updates!.axes),
  ],
  TopK: ({ g, inputs: [x], outputs: [, indices], grads: [dy] }) => [
    dy && (() => op.scatterElementsAdd(g, zerosLike(g, x!), must(indices, "places"), dy)),
  ],
};

function index(g: GraphBuilder, at: number): Value {
  return g.constant([at], ["axis"], { dtype: "int64" });
}

/** The numbers 0, 1, … of a table's rows. */
function rowNumbers(g: GraphBuilder, table: Value): Value {
  const ones = op.expand(g, index(g, 1), sizeAlong(g, table, 0), ["row"]);
  const places = op.nonZero(g, ones);
  return op.reshape(g, places, [1, -1], ["one", "row"]);
}
