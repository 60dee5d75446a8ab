/** @file LayerNorm and RMSNorm over the last axis, in two steps: the divisor, which is a point of its own, and the rest. */
import { floats, sizeOf, type Floats } from "./arrays.js";
import type { Scope } from "./run.js";

/** A norm: whether the mean is taken off, what is added under the root, and the gain and bias. */
export interface Norm {
  readonly centre: boolean;
  readonly eps: number;
  readonly gain?: Floats;
  readonly bias?: Floats;
}

/** (x − mean) / √(variance + eps) · weight + bias, of the tensors `name.weight` and `name.bias`. */
export function layerNorm(scope: Scope, name: string, eps: number): Norm {
  return { centre: true, eps, gain: scope.weight(`${name}.weight`), bias: scope.weight(`${name}.bias`) };
}

/** x / √(mean square + eps) · weight. */
export function rmsNorm(scope: Scope, name: string, eps: number): Norm {
  return { centre: false, eps, gain: scope.weight(`${name}.weight`) };
}

/** Gemma's: x / √(mean square + eps) · (1 + weight). */
export function rmsNormPlusOne(scope: Scope, name: string, eps: number): Norm {
  const { shape, data } = scope.weight(`${name}.weight`);
  const gain = data.map((w) => 1 + w);
  return { centre: false, eps, gain: floats(shape, gain) };
}

/** The norm at a point: `NAME_scale` and `NAME_normalized` are seen on the way. */
export function seeNorm(scope: Scope, name: "ln1" | "ln2" | "final", x: Floats, norm: Norm): Floats {
  const divisor = scope.see(`${name}_scale`, divisors(x, norm));
  return scope.see(`${name}_normalized`, divide(x, divisor, norm));
}

/** The norm of each vector along the last axis, seen by nobody. */
export function normalize(x: Floats, norm: Norm): Floats {
  return divide(x, divisors(x, norm), norm);
}

/** √(variance or mean square + eps) of each vector: `[…, C]` → `[…, 1]`. */
function divisors(x: Floats, { centre, eps }: Norm): Floats {
  const C = x.shape.at(-1)!;
  const out = floats([...x.shape.slice(0, -1), 1]);
  for (let t = 0; t < out.data.length; t++) {
    const row = x.data.subarray(t * C, (t + 1) * C);
    const mean = centre ? meanOf(row) : 0;
    out.data[t] = Math.sqrt(row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / C + eps);
  }
  return out;
}

function divide(x: Floats, divisor: Floats, { centre, gain, bias }: Norm): Floats {
  const C = x.shape.at(-1)!;
  const out = floats(x.shape);
  for (let t = 0; t < sizeOf(x.shape) / C; t++) {
    const row = x.data.subarray(t * C, (t + 1) * C);
    const mean = centre ? meanOf(row) : 0;
    for (let i = 0; i < C; i++) {
      const unit = (row[i]! - mean) / divisor.data[t]!;
      out.data[t * C + i] = unit * (gain ? gain.data[i]! : 1) + (bias ? bias.data[i]! : 0);
    }
  }
  return out;
}

function meanOf(row: Float64Array): number {
  return row.reduce((sum, value) => sum + value, 0) / row.length;
}
