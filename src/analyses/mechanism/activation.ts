/** @file The activations of gated MLPs as functions of one number, by their names in `transformers` (`ACT2FN`), in float64. */
import { refuse } from "../../base/errors.js";

type Activation = (x: number) => number;

const sigmoid: Activation = (x) => 1 / (1 + Math.exp(-x));
const silu: Activation = (x) => x * sigmoid(x);
const gelu: Activation = (x) => 0.5 * x * (1 + erf(x / Math.SQRT2));
const geluTanh: Activation = (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
const relu: Activation = (x) => Math.max(x, 0);

// oxfmt-ignore
const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  silu, swish: silu, gelu, gelu_python: gelu,
  gelu_new: geluTanh, gelu_pytorch_tanh: geluTanh, gelu_python_tanh: geluTanh, gelu_accurate: geluTanh, gelu_fast: geluTanh,
  quick_gelu: (x) => x * sigmoid(1.702 * x),
  relu, relu2: (x) => relu(x) ** 2, relu6: (x) => Math.min(relu(x), 6), leaky_relu: (x) => (x < 0 ? 0.01 * x : x),
  sigmoid, tanh: Math.tanh, linear: (x) => x,
};

/** The activation of that name; one that is not in the table is refused. */
export function activationOf(name: string): Activation {
  const found = Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined;
  if (found) return found;
  throw refuse({ what: `cannot compute the activation ${name} of single units`, why: `known are ${Object.keys(ACTIVATIONS).join(", ")}` });
}

/** 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (1·3·5 … 2n+1), whose terms have one sign; ±1 where float64 ends. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let [term, sum] = [x, x];
  for (let n = 1; Math.abs(term) > Math.abs(sum) * 1e-17; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}
