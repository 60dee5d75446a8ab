/**
 * @file How each op carries gradients from its outputs to its inputs. Elementwise rules stand in `vjp-unary.ts`, those of matrix
 * products in `vjp-products.ts`, those of norms and softmax in `vjp-norms.ts`, those that only move elements in `vjp-moves.ts`.
 */
import type { GraphBuilder } from "./builder.js";
import type { Node, OpName, UnaryOp, Value } from "./graph.js";
import * as op from "./ops.js";
import { MOVES } from "./vjp-moves.js";
import { NORMS } from "./vjp-norms.js";
import { PRODUCTS } from "./vjp-products.js";
import { sliceOf, fitted } from "./vjp-shapes.js";
import { UNARY } from "./vjp-unary.js";

/** A node whose outputs' gradients are known where something depends on them. */
export interface Given {
  readonly g: GraphBuilder;
  readonly node: Node;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly (Value | undefined)[];
  readonly grads: readonly (Value | undefined)[];
}

/** For each input, what makes its gradient; absent where it has none. */
export type Rule = (given: Given) => readonly ((() => Value) | undefined)[];

/** No input has a gradient: whole numbers, truth values, and steps. */
const none: Rule = () => [];

const unaryRules = Object.fromEntries(
  Object.entries(UNARY).map(([name, slope]): [string, Rule] => [
    name,
    ({ g, node, inputs, outputs, grads }) => [
      () => slope({ g, x: inputs[0]!, y: outputs[0]!, grad: grads[0]!, attributes: node.attributes }),
    ],
  ]),
) as Record<keyof typeof UNARY & UnaryOp, Rule>;

/** One rule an op; the compiler asks for the missing one. */
export const RULES: { readonly [K in OpName]: Rule } = {
  ...unaryRules,
  ...PRODUCTS,
  ...NORMS,
  ...MOVES,
  Add: ({ g, inputs: [a, b], grads: [dy] }) => [() => fitted(g, dy!, a!), () => fitted(g, dy!, b!)],
  Sub: ({ g, inputs: [a, b], grads: [dy] }) => [() => fitted(g, dy!, a!), () => op.unary(g, "Neg", fitted(g, dy!, b!))],
  Mul: ({ g, inputs: [a, b], grads: [dy] }) => [() => fitted(g, op.multiply(g, dy!, b!), a!), () => fitted(g, op.multiply(g, dy!, a!), b!)],
  Div: ({ g, inputs: [a, b], outputs: [y], grads: [dy] }) => [
    () => fitted(g, op.divide(g, dy!, b!), a!),
    // What is summed is what b was broadcast over, where it is one number: it divides the sum.
    () => op.unary(g, "Neg", op.divide(g, fitted(g, op.multiply(g, dy!, y!), b!), b!)),
  ],
  Min: ({ g, inputs: [a, b], outputs: [y], grads: [dy] }) => {
    const isFirst = op.cast(g, op.equal(g, y!, a!), "float32");
    const rest = op.subtract(g, dy!, op.multiply(g, dy!, isFirst));
    return [() => fitted(g, op.multiply(g, dy!, isFirst), a!), () => fitted(g, rest, b!)];
  },
  Clip: ({ g, inputs: [x], outputs: [y], grads: [dy] }) => [() => op.multiply(g, dy!, op.cast(g, op.equal(g, y!, x!), "float32"))],
  Cast: ({ inputs: [x], grads: [dy] }) => [x?.dtype === "float32" ? () => dy! : undefined],
  RotaryEmbedding: ({ g, node, inputs: [, cos, sin], grads: [dy] }) => [
    () => {
      const { num_heads: heads, rotary_embedding_dim: dims, interleaved } = node.attributes as Record<string, number>;
      const back = { cos: cos!, sin: op.unary(g, "Neg", sin!) };
      return op.rotate(g, dy!, back, { heads: heads!, dims: dims!, neighbours: interleaved === 1 });
    },
  ],
  Slice: sliceOf,
  Equal: none,
  NonZero: none,
  Shape: none,
};
