/** @file The activations, by their names in `transformers` (`ACT2FN`). Those with learned parameters are not here. */

const ROOT = Math.sqrt(2 / Math.PI);

/** The activation of that name. */
export function activation(name: string): (x: number) => number {
  const found = ACTIVATIONS[name];
  if (!found) throw new Error(`no activation ${name}`);
  return found;
}

const ACTIVATIONS: Record<string, (x: number) => number> = {
  gelu,
  gelu_python: gelu,
  gelu_10: (x) => clip(gelu(x), -10, 10),
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  gelu_python_tanh: geluTanh,
  gelu_accurate: geluTanh,
  gelu_fast: (x) => 0.5 * x * (1 + Math.tanh(x * 0.7978845608 * (1 + 0.044715 * x * x))),
  bloom_gelu: (x) => 0.5 * x * (1 + Math.tanh(0.79788456 * x * (1 + 0.044715 * x * x))),
  quick_gelu: (x) => x * sigmoid(1.702 * x),
  silu: (x) => x * sigmoid(x),
  swish: (x) => x * sigmoid(x),
  relu,
  relu2: (x) => relu(x) ** 2,
  relu6: (x) => clip(x, 0, 6),
  leaky_relu: (x) => (x < 0 ? 0.01 * x : x),
  sigmoid,
  tanh: Math.tanh,
  linear: (x) => x,
  hardswish: (x) => (x * clip(x + 3, 0, 6)) / 6,
  mish: (x) => x * Math.tanh(softplus(x)),
  sqrtsoftplus: (x) => Math.sqrt(softplus(x)),
  laplace: (x) => 0.5 * (1 + erf((x - 0.707107) / (0.282095 * Math.SQRT2))),
};

/** 1 / (1 + e^−x). */
export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** `x` held between `low` and `high`. */
export function clip(x: number, low: number, high: number): number {
  return Math.min(Math.max(x, low), high);
}

function relu(x: number): number {
  return Math.max(x, 0);
}

function gelu(x: number): number {
  return 0.5 * x * (1 + erf(x / Math.SQRT2));
}

function geluTanh(x: number): number {
  return 0.5 * x * (1 + Math.tanh(ROOT * (x + 0.044715 * x ** 3)));
}

/** log(1 + e^x); x itself above 20, as torch does. */
function softplus(x: number): number {
  return x > 20 ? x : Math.log1p(Math.exp(x));
}

/** The error function: its power series near 0, a continued fraction of erfc further out, 1 where float64 ends. */
function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  return Math.sign(x) * (a < 2.5 ? erfSeries(a) : 1 - erfcFraction(a));
}

/** 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (1·3·5 … 2n+1). */
function erfSeries(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; term > sum * 1e-17; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** e^(−x²)/√π · 1/(x + ½/(x + 1/(x + 1½/(x + …)))). */
function erfcFraction(x: number): number {
  let tail = x;
  for (let n = 60; n >= 1; n--) tail = x + n / 2 / tail;
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * tail);
}
