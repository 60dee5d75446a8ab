/**
 * @file Gradients of matrix products. With y = α A B (either side transposed or not) they are products again: of the gradient
 * with the other factor, in the order and transposition that leave the factor's own shape.
 */
import { widenedBlocks } from "./blocks.js";
import type { GraphBuilder } from "./builder.js";
import type { Axes, Node, OpName, Value } from "./graph.js";
import { fitted } from "./vjp-shapes.js";
import type { Rule } from "./vjp-rules.js";

interface Product {
  readonly transA?: boolean;
  readonly transB?: boolean;
  readonly alpha?: number;
}

type Multiply = (g: GraphBuilder, a: Value, b: Value, how: Product & { axes: Axes }) => Value;

const fused: Multiply = (g, a, b, { transA = false, transB = false, alpha = 1, axes }) =>
  g.node({
    op: "FusedMatMul",
    domain: "com.microsoft",
    inputs: [a, b],
    attributes: { transA: Number(transA), transB: Number(transB), alpha: { float: alpha } },
    axes,
  });

const gemm: Multiply = (g, a, b, { transA = false, transB = false, axes }) =>
  g.node({ op: "Gemm", inputs: [a, b], attributes: { transA: Number(transA), transB: Number(transB) }, axes });

function productRule(multiply: Multiply): Rule {
  return ({ g, node, inputs: [a, b, bias], grads: [dy] }) => {
    const { transA, transB, alpha } = productOf(node);
    const grad = dy!;
    const lead = grad.axes.slice(0, -2);
    const axesOf = (x: Value): Axes => [...lead, ...x.axes.slice(-2)];
    const scaled = { alpha };
    return [
      () => {
        const made = transA
          ? multiply(g, b!, grad, { transA: transB, transB: true, ...scaled, axes: axesOf(a!) })
          : multiply(g, grad, b!, { transB: !transB, ...scaled, axes: axesOf(a!) });
        return fitted(g, made, a!);
      },
      () => {
        const made = transB
          ? multiply(g, grad, a!, { transA: true, transB: transA, ...scaled, axes: axesOf(b!) })
          : multiply(g, a!, grad, { transA: !transA, ...scaled, axes: axesOf(b!) });
        return fitted(g, made, b!);
      },
      bias && (() => fitted(g, grad, bias)),
    ];
  };
}

function productOf({ attributes }: Node): { transA: boolean; transB: boolean; alpha: number } {
  const { alpha } = attributes;
  return {
    transA: attributes["transA"] === 1,
    transB: attributes["transB"] === 1,
    alpha: typeof alpha === "object" && "float" in alpha ? alpha.float : 1,
  };
}

/** The blocks are constants: only what they are multiplied with, and the bias, has a gradient. The rounding of the values counts as none. */
const blockRule: Rule = ({ g, node, inputs: [x, packed, scales, , , bias], grads: [dy] }) => {
  const { K, N, bits, block_size: size } = node.attributes as Record<string, number>;
  const blocks = { packed: packed!, scales: scales!, bits: bits === 4 ? 4 : 8, size: size!, in: K!, out: N! } as const;
  const floats = (): Value => widenedBlocks(g, blocks, ["out", "in"]);
  return [
    () => gemm(g, dy!, floats(), { axes: x!.axes }),
    undefined,
    undefined,
    undefined,
    undefined,
    bias && (() => fitted(g, dy!, bias)),
  ];
};

export const PRODUCTS: { readonly [K in OpName & ("FusedMatMul" | "Gemm" | "MatMul" | "MatMulNBits")]: Rule } = {
  FusedMatMul: productRule(fused),
  MatMul: productRule(fused),
  Gemm: productRule(gemm),
  MatMulNBits: blockRule,
};
