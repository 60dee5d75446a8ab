/**
 * @file The tables of cosines and sines by which rotary embedding turns queries and keys (Su et al. 2021), for every rope type.
 * Computed in float32 steps, as `transformers` does, so that angles at large positions round to the same values.
 */
import type { RopeSpec, RotarySpec } from "./spec.js";

const f = Math.fround;

/** Cosines and sines, row-major over `batch, pos, dims/2`. */
export interface RotaryTables {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/**
 * The tables for the given positions, `positions[row][i]`. `lengths[row]` is how long the row's sequence is by now: dynamic and
 * long ropes depend on it, row by row, so that a row alone and beside a longer one gives the same.
 */
export function rotaryTables(spec: RotarySpec, positions: readonly Int32Array[], lengths: readonly number[]): RotaryTables {
  const half = spec.dims / 2;
  const width = positions[0]?.length ?? 0;
  const cos = new Float32Array(positions.length * width * half);
  const sin = new Float32Array(cos.length);
  const scale = f(attentionFactorOf(spec.rope));
  positions.forEach((row, batch) => {
    const frequencies = frequenciesOf(spec, lengths[batch] ?? 0);
    row.forEach((position, i) => {
      const at = (batch * width + i) * half;
      for (let pair = 0; pair < half; pair++) {
        const angle = f(position * frequencies[pair]!);
        cos[at + pair] = f(Math.cos(angle)) * scale;
        sin[at + pair] = f(Math.sin(angle)) * scale;
      }
    });
  });
  return { cos, sin };
}

/** The factor that YaRN and LongRoPE put on cosines and sines; 1 elsewhere. */
export function attentionFactorOf(rope: RopeSpec): number {
  return rope.type === "yarn" || rope.type === "longrope" ? rope.attentionFactor : 1;
}

/** Whether a table depends on how long the sequence has become, not on positions alone. */
export function dependsOnLength(rope: RopeSpec): boolean {
  return rope.type === "dynamic" || rope.type === "longrope";
}

/** Radians a position, one a pair. */
export function frequenciesOf({ rope, period }: Pick<RotarySpec, "rope" | "period">, length: number): Float32Array {
  switch (rope.type) {
    case "default":
      return plain(rope.theta, period);
    case "linear":
      return plain(rope.theta, period).map((value) => value / f(rope.factor));
    case "proportional":
      return plain(rope.theta, period).map((value, pair) => (pair < rope.turned ? value / f(rope.factor) : 0));
    case "dynamic":
      return plain(dynamicTheta(rope, period, length), period);
    case "llama3":
      return llama3(rope, period);
    case "yarn":
      return yarn(rope, period);
    case "longrope":
      return longrope(rope, period, length);
  }
}

/** θ^(2j/n) in float32, for each pair j. */
function powers(theta: number, period: number): Float32Array {
  return Float32Array.from({ length: Math.ceil(period / 2) }, (_, pair) => Math.pow(theta, f((2 * pair) / period)));
}

function plain(theta: number, period: number): Float32Array {
  return powers(theta, period).map((value) => 1 / value);
}

/** NTK-aware base that grows with the length: `θ (factor·s/M − (factor−1))^(n/(n−2))`. */
function dynamicTheta(rope: Extract<RopeSpec, { type: "dynamic" }>, dims: number, length: number): number {
  if (length <= rope.original) return rope.theta;
  const stretch = f(f(f(rope.factor * length) / rope.original) - (rope.factor - 1));
  return f(rope.theta * f(Math.pow(stretch, dims / (dims - 2))));
}

/** Low frequencies divided by the factor, high ones kept, a linear blend between. */
function llama3(rope: Extract<RopeSpec, { type: "llama3" }>, dims: number): Float32Array {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, original } = rope;
  return plain(rope.theta, dims).map((frequency) => {
    const wavelength = f((2 * Math.PI) / frequency);
    if (wavelength > original / low) return frequency / factor;
    if (wavelength < original / high) return frequency;
    const smooth = f(f(f(original / wavelength) - low) / (high - low));
    return f(f(f(1 - smooth) * frequency) / factor) + f(smooth * frequency);
  });
}

function yarn(rope: Extract<RopeSpec, { type: "yarn" }>, dims: number): Float32Array {
  const { theta, factor, original, betaFast, betaSlow, truncate } = rope;
  const dimensionOf = (turns: number): number => (dims * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const low = Math.max(truncate ? Math.floor(dimensionOf(betaFast)) : dimensionOf(betaFast), 0);
  let high = Math.min(truncate ? Math.ceil(dimensionOf(betaSlow)) : dimensionOf(betaSlow), dims - 1);
  if (low === high) high += 0.001;
  return powers(theta, dims).map((power, pair) => {
    const ramp = Math.min(Math.max(f(f(pair - low) / f(high - low)), 0), 1);
    const kept = f(1 - ramp);
    return f(f(1 / f(factor * power)) * f(1 - kept)) + f(f(1 / power) * kept);
  });
}

function longrope(rope: Extract<RopeSpec, { type: "longrope" }>, dims: number, length: number): Float32Array {
  const factors = length > rope.original ? rope.longFactor : rope.shortFactor;
  return powers(rope.theta, dims).map((power, pair) => 1 / f(f(factors[pair]!) * power));
}
