/**
 * @file How long the axes of a value are, told from constants, weights and inputs alone. So the way back needs no value for its shape's sake, and what only
 * shapes would need is not computed.
 */
import type { GraphBuilder } from "./builder.js";
import type { Node, OpName, Value } from "./graph.js";

/** A length: a number, that of an axis of an input of the graph, or unknown. */
export type Size = number | { readonly of: Value; readonly axis: number } | undefined;

/** The length of one axis of `x`, from 0. */
export function sizeOf(g: GraphBuilder, x: Value, axis: number): Size {
  const stored = g.storedShape(x.id);
  if (stored) return stored[axis];
  const node = g.producer(x.id);
  if (node) return READERS[node.op]?.({ g, node, x, axis });
  return x.axes[axis] === "one" ? 1 : { of: x, axis };
}

interface Asked {
  readonly g: GraphBuilder;
  readonly node: Node;
  /** A result of the node, and which of its axes. */
  readonly x: Value;
  readonly axis: number;
}

type Reader = (asked: Asked) => Size;

/** The length of an axis of an input of a node. */
function ofInput({ g, node }: Asked, place: number, axis: number): Size {
  return sizeOf(g, g.value(node.inputs[place]!), axis);
}

/** The first input has the shape of the result. */
const same: Reader = (asked) => ofInput(asked, 0, asked.axis);

/** Inputs are broadcast against each other: the first counts that has the axis and is not 1 long. No more are asked, as each may lead far back. */
const broadcast: Reader = (asked) => {
  const { g, node, x, axis } = asked;
  for (const [input, id] of node.inputs.entries()) {
    const at = axis - x.axes.length + g.value(id).axes.length;
    const size = at < 0 ? 1 : ofInput(asked, input, at);
    if (size !== 1) return size;
  }
  return 1;
};

/** Leading axes are broadcast against each other. */
const product: Reader = (asked) => {
  const { g, node, x, axis } = asked;
  const [a, b] = node.inputs.map((id) => g.value(id).axes.length);
  const { transA, transB } = node.attributes;
  const behind = x.axes.length - axis;
  if (behind === 1) return ofInput(asked, 1, b! - (transB === 1 ? 2 : 1));
  if (behind === 2) return ofInput(asked, 0, a! - (transA === 1 ? 1 : 2));
  const own = a! >= behind ? ofInput(asked, 0, a! - behind) : 1;
  return own === 1 && b! >= behind ? ofInput(asked, 1, b! - behind) : own;
};

/** Axes that are summed over stay with length 1, or go. */
const reduced: Reader = (asked) => {
  const { g, node, x, axis } = asked;
  const { values } = g.constantAt(node.inputs[1]!);
  const keeps = node.attributes["keepdims"] === 1;
  const rank = x.axes.length + (keeps ? 0 : values.length);
  const summed = values.map((one) => (one < 0 ? one + rank : one));
  if (keeps) return summed.includes(axis) ? 1 : ofInput(asked, 0, axis);
  const left = Array.from({ length: rank }, (_, at) => at).filter((at) => !summed.includes(at));
  return ofInput(asked, 0, left[axis]!);
};

/** The normalised values have the shape of the input, the divisor's reciprocal has one element a row. */
const normed: Reader = (asked) => {
  const { node, x, axis } = asked;
  return node.outputs[0] !== x.id && axis === x.axes.length - 1 ? 1 : same(asked);
};

const READERS: Partial<Record<OpName, Reader>> = {
  Add: broadcast,
  Cast: same,
  Div: broadcast,
  Gelu: same,
  Identity: same,
  Mul: broadcast,
  QuickGelu: same,
  RotaryEmbedding: same,
  Sigmoid: same,
  Softmax: same,
  Sub: broadcast,
  Tanh: same,
  LayerNormalization: normed,
  SimplifiedLayerNormalization: normed,
  Gemm: product,
  MatMul: product,
  FusedMatMul: product,
  MatMulNBits: (asked) => (asked.axis === 1 ? (asked.node.attributes["N"] as number) : ofInput(asked, 0, 0)),
  ReduceMean: reduced,
  ReduceSum: reduced,
  Transpose: (asked) => ofInput(asked, 0, (asked.node.attributes["perm"] as readonly number[])[asked.axis]!),
  Concat: (asked) => (asked.axis === asked.node.attributes["axis"] ? undefined : ofInput(asked, 0, asked.axis)),
  Slice: (asked) => (asked.g.constantAt(asked.node.inputs[3]!).values[0] === asked.axis ? undefined : ofInput(asked, 0, asked.axis)),
  Split: (asked) => {
    const { g, node, x, axis } = asked;
    if (axis !== node.attributes["axis"]) return ofInput(asked, 0, axis);
    return elementsOf(g, node.inputs[1]!)[node.outputs.indexOf(x.id)];
  },
  Reshape: (asked) => {
    const size = elementsOf(asked.g, asked.node.inputs[1]!)[asked.axis];
    if (size === 0) return ofInput(asked, 0, asked.axis);
    return size === -1 ? undefined : size;
  },
};

/** The elements of a vector of whole numbers; of one that is not known, none. */
function elementsOf(g: GraphBuilder, id: string): readonly Size[] {
  if (g.isConstant(id)) return g.constantAt(id).values;
  const node = g.producer(id);
  if (node?.op === "Concat") {
    const parts = node.inputs.map((part) => elementsOf(g, part));
    return parts.some((part) => part.length === 0) ? [] : parts.flat();
  }
  if (node?.op !== "Shape") return [];
  const { start, end } = node.attributes as Record<"start" | "end", number>;
  const x = g.value(node.inputs[0]!);
  return Array.from({ length: end - start }, (_, i) => sizeOf(g, x, start + i));
}
