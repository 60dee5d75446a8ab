/** @file Elementwise ops in float64. Activations: `../reference/activations.ts` has them by other names; here they are by ONNX's formulas. */
import type { OpName, UnaryOp } from "../../src/graph/graph.js";
import { activation } from "../reference/activations.js";
import { float, input, knowsOnly, whole, type Attributes, type Kernel } from "./kernel.js";
import { combine, mapped } from "./nd-array.js";

type Elementwise = Exclude<UnaryOp, "LogSoftmax" | "Softmax"> | "Add" | "Cast" | "Clip" | "Div" | "Equal" | "Min" | "Mul" | "Sub";

const [gelu, geluTanh] = [activation("gelu"), activation("gelu_new")];
const [sigmoid, softplus] = [activation("sigmoid"), (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))];
/** From `gelu(x) = x/2 (1 + erf(x/√2))`; near 0, where that cannot be divided, by the slope. */
const erf = (x: number): number => (Math.abs(x) < 1e-8 ? (2 * x) / Math.sqrt(Math.PI) : (2 * gelu(x * Math.SQRT2)) / (x * Math.SQRT2) - 1);

const unary =
  (f: (x: number) => number): Kernel =>
  (inputs, attributes) => {
    knowsOnly(attributes);
    return [mapped(input(inputs, 0), f)];
  };

const withAlpha =
  (otherwise: number, f: (x: number, alpha: number) => number): Kernel =>
  (inputs, attributes) => {
    knowsOnly(attributes, "alpha");
    const alpha = float(attributes, "alpha", otherwise);
    return [mapped(input(inputs, 0), (x) => f(x, alpha))];
  };

const binary =
  (f: (a: number, b: number) => number): Kernel =>
  (inputs, attributes) => {
    knowsOnly(attributes);
    return [combine(input(inputs, 0), input(inputs, 1), f)];
  };

/** ONNX's codes of element types that graphs cast to. */
const FLOAT32 = 1;

function castTo(attributes: Attributes): (x: number) => number {
  return whole(attributes, "to") === FLOAT32 ? (x) => x : Math.trunc;
}

export const ELEMENTWISE: { readonly [K in OpName & Elementwise]: Kernel } = {
  Abs: unary(Math.abs),
  Erf: unary(erf),
  Exp: unary(Math.exp),
  Gelu: (inputs, attributes) => {
    knowsOnly(attributes, "approximate");
    return [mapped(input(inputs, 0), attributes["approximate"] === "tanh" ? geluTanh : gelu)];
  },
  HardSwish: unary((x) => x * Math.max(0, Math.min(1, x / 6 + 0.5))),
  Identity: unary((x) => x),
  LeakyRelu: withAlpha(0.01, (x, alpha) => (x < 0 ? alpha * x : x)),
  Mish: unary((x) => x * Math.tanh(softplus(x))),
  Neg: unary((x) => -x),
  QuickGelu: withAlpha(1.702, (x, alpha) => x * sigmoid(alpha * x)),
  Reciprocal: unary((x) => 1 / x),
  Relu: unary((x) => Math.max(x, 0)),
  Sigmoid: unary(sigmoid),
  Sign: unary(Math.sign),
  Softplus: unary(softplus),
  Sqrt: unary(Math.sqrt),
  Tanh: unary(Math.tanh),
  Add: binary((a, b) => a + b),
  Sub: binary((a, b) => a - b),
  Mul: binary((a, b) => a * b),
  Div: binary((a, b) => a / b),
  Min: binary(Math.min),
  Equal: binary((a, b) => Number(a === b)),
  Cast: (inputs, attributes) => [mapped(input(inputs, 0), castTo(attributes))],
  Clip: (inputs, attributes) => {
    knowsOnly(attributes);
    const [low, high] = [inputs[1]?.data[0] ?? -Infinity, inputs[2]?.data[0] ?? Infinity];
    return [mapped(input(inputs, 0), (x) => Math.min(Math.max(x, low), high))];
  },
};
