/** @file Derivatives of the one-input elementwise ops: the gradient by x from that by y = f(x). */
import type { GraphBuilder } from "./builder.js";
import type { Node, UnaryOp, Value } from "./graph.js";
import * as op from "./ops.js";

interface Slope {
  readonly g: GraphBuilder;
  readonly x: Value;
  readonly y: Value;
  readonly grad: Value;
  readonly attributes: Node["attributes"];
}

type Derivative = (slope: Slope) => Value;

function number(attributes: Node["attributes"], name: string, otherwise: number): number {
  const value = attributes[name];
  return typeof value === "object" && "float" in value ? value.float : otherwise;
}

const constant = (g: GraphBuilder, value: number): Value => g.constant([value], []);
const square = (g: GraphBuilder, x: Value): Value => op.multiply(g, x, x);
/** `1 − x`. */
const rest = (g: GraphBuilder, x: Value): Value => g.node({ op: "Sub", inputs: [constant(g, 1), x], axes: x.axes });

/** Normal distribution: `½ (1 + erf(x / √2)) + x e^(−x²/2) / √(2π)`. */
function geluSlope(g: GraphBuilder, x: Value): Value {
  const below = op.scaleBy(g, op.add(g, op.unary(g, "Erf", op.scaleBy(g, x, Math.SQRT1_2)), constant(g, 1)), 0.5);
  const density = op.scaleBy(g, op.unary(g, "Exp", op.scaleBy(g, square(g, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  return op.add(g, below, op.multiply(g, x, density));
}

/**
 * With v = 2 √(2/π) (x + 0.044715 x³) and s its sigmoid, y = x s and x v′ = 3v − 4 √(2/π) x: the slope is `s + x v′ (s − s²)`. Fewer ops than by tanh; each
 * passes over the widest values of a block.
 */
function geluTanhSlope(g: GraphBuilder, x: Value): Value {
  const factor = 2 * Math.sqrt(2 / Math.PI);
  const v = op.multiply(g, x, op.add(g, op.scaleBy(g, square(g, x), factor * 0.044715), constant(g, factor)));
  const sigmoid = op.unary(g, "Sigmoid", v);
  const steepness = op.subtract(g, op.scaleBy(g, v, 3), op.scaleBy(g, x, 2 * factor));
  return op.add(g, sigmoid, op.multiply(g, steepness, op.subtract(g, sigmoid, square(g, sigmoid))));
}

/** y = x σ(αx): `σ + α y (1 − σ)`. */
function swishSlope(g: GraphBuilder, x: Value, y: Value, alpha: number): Value {
  const sigmoid = op.unary(g, "Sigmoid", op.scaleBy(g, x, alpha));
  return op.add(g, sigmoid, op.scaleBy(g, op.multiply(g, y, rest(g, sigmoid)), alpha));
}

/** `x tanh(softplus x)`: with t the tanh, `t + x (1 − t²) σ(x)`. */
function mishSlope(g: GraphBuilder, x: Value): Value {
  const tanh = op.unary(g, "Tanh", op.unary(g, "Softplus", x));
  const bend = op.multiply(g, op.multiply(g, x, op.unary(g, "Sigmoid", x)), rest(g, square(g, tanh)));
  return op.add(g, tanh, bend);
}

/** `x · clip(x/6 + ½, 0, 1)`. */
function hardSwishSlope(g: GraphBuilder, x: Value): Value {
  const gate = op.clip(g, op.add(g, op.scaleBy(g, x, 1 / 6), constant(g, 0.5)), 0, 1);
  const isBent = op.cast(g, op.equal(g, op.clip(g, x, -3, 3), x), "float32");
  return op.add(g, gate, op.multiply(g, op.scaleBy(g, x, 1 / 6), isBent));
}

/** 1 above zero, else 0. */
const step = (g: GraphBuilder, x: Value): Value => op.unary(g, "Sign", op.unary(g, "Relu", x));

const times =
  (slope: (parts: Slope) => Value): Derivative =>
  (parts) =>
    op.multiply(parts.g, parts.grad, slope(parts));

/** One derivative an op; softmax and its logarithm, which mix elements, are not here. */
export const UNARY: { readonly [K in Exclude<UnaryOp, "LogSoftmax" | "Softmax">]: Derivative } = {
  Identity: ({ grad }) => grad,
  Neg: ({ g, grad }) => op.unary(g, "Neg", grad),
  Sign: ({ g, grad }) => op.multiply(g, grad, constant(g, 0)),
  Abs: times(({ g, x }) => op.unary(g, "Sign", x)),
  Reciprocal: ({ g, y, grad }) => op.unary(g, "Neg", op.multiply(g, grad, square(g, y))),
  Sqrt: ({ g, y, grad }) => op.divide(g, op.scaleBy(g, grad, 0.5), y),
  Exp: times(({ y }) => y),
  Erf: times(({ g, x }) => op.scaleBy(g, op.unary(g, "Exp", op.unary(g, "Neg", square(g, x))), 2 / Math.sqrt(Math.PI))),
  Tanh: times(({ g, y }) => rest(g, square(g, y))),
  Sigmoid: times(({ g, y }) => op.multiply(g, y, rest(g, y))),
  Softplus: times(({ g, x }) => op.unary(g, "Sigmoid", x)),
  Relu: times(({ g, y }) => op.unary(g, "Sign", y)),
  LeakyRelu: times(({ g, x, attributes }) => {
    const alpha = number(attributes, "alpha", 0.01);
    return op.add(g, op.scaleBy(g, step(g, x), 1 - alpha), constant(g, alpha));
  }),
  Gelu: times(({ g, x, attributes }) => (attributes["approximate"] === "tanh" ? geluTanhSlope(g, x) : geluSlope(g, x))),
  QuickGelu: times(({ g, x, y, attributes }) => swishSlope(g, x, y, number(attributes, "alpha", 1.702))),
  Mish: times(({ g, x }) => mishSlope(g, x)),
  HardSwish: times(({ g, x }) => hardSwishSlope(g, x)),
};
