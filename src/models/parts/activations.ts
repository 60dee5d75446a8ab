/**
 * @file The activations that configurations can name, by their name in `transformers` (`ACT2FN`), as graph pieces. Those
 * with weights of their own (`prelu`, `xielu`) are refused.
 */
import { refuse } from "../../base/errors.js";
import type { GraphBuilder } from "../../graph/builder.js";
import type { Axes, Value } from "../../graph/graph.js";
import * as op from "../../graph/ops.js";

type Activation = <A extends Axes>(g: GraphBuilder, x: Value<A>) => Value<A>;

const gelu: Activation = (g, x) => op.unary(g, "Gelu", x);
const geluTanh: Activation = (g, x) => op.unary(g, "Gelu", x, { approximate: "tanh" });
const silu: Activation = (g, x) => op.unary(g, "QuickGelu", x, { alpha: { float: 1 } });
const plain =
  (name: op.UnaryOp): Activation =>
  (g, x) =>
    op.unary(g, name, x);

/** `½ (1 + erf((x − μ) / (σ √2)))` with μ = √½ and σ = √(1/(4π)), as rounded in the MEGA paper's code. */
const laplace: Activation = (g, x) => {
  const inner = op.scaleBy(g, op.subtract(g, x, g.constant([0.707107], [])), 1 / (0.282095 * Math.SQRT2));
  return op.scaleBy(g, op.add(g, op.unary(g, "Erf", inner), g.constant([1], [])), 0.5);
};

const relu2: Activation = (g, x) => {
  const positive = op.unary(g, "Relu", x);
  return op.multiply(g, positive, positive);
};

// oxfmt-ignore
const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  gelu, gelu_python: gelu, gelu_10: (g, x) => op.clip(g, gelu(g, x), -10, 10),
  gelu_new: geluTanh, gelu_pytorch_tanh: geluTanh, gelu_python_tanh: geluTanh, gelu_accurate: geluTanh, gelu_fast: geluTanh,
  quick_gelu: (g, x) => op.unary(g, "QuickGelu", x, { alpha: { float: 1.702 } }),
  silu, swish: silu,
  relu: plain("Relu"), relu2, relu6: (g, x) => op.clip(g, x, 0, 6), leaky_relu: (g, x) => op.unary(g, "LeakyRelu", x, { alpha: { float: 0.01 } }),
  hardswish: plain("HardSwish"),
  sigmoid: plain("Sigmoid"), tanh: plain("Tanh"), linear: plain("Identity"),
  mish: plain("Mish"), sqrtsoftplus: (g, x) => op.unary(g, "Sqrt", op.unary(g, "Softplus", x)), laplace,
};

/** Names of all activations that can be computed. */
export const ACTIVATION_NAMES = Object.keys(ACTIVATIONS);

/** Whether the activation can be computed. */
export function isActivation(name: string): boolean {
  return Object.hasOwn(ACTIVATIONS, name);
}

/** The activation of `x`, elementwise. */
export function activate<A extends Axes>(g: GraphBuilder, name: string, x: Value<A>): Value<A> {
  const activation = isActivation(name) ? ACTIVATIONS[name] : undefined;
  if (!activation) throw refuse({ what: `cannot compute the activation ${name}`, why: `known are ${ACTIVATION_NAMES.join(", ")}` });
  return activation(g, x);
}
