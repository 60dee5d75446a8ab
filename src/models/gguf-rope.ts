/** @file Rotary settings in the keys of a GGUF file → those of a `config.json`. */
import { refuse, SextantError } from "../base/errors.js";
import type { Config, Json } from "./config.js";

/** Llama 3.1 to 3.3, whose scaling llama.cpp's converter stores as one factor a frequency. */
const LLAMA3 = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 } as const;

/** The settings below `p`; `factors` are the values of `rope_freqs.weight`, by which frequencies are divided. */
export function ggufRope(keys: Config, p: string, { dHead, factors }: { dHead: number; factors?: readonly number[] }): Json {
  const theta = keys.positive(`${p}rope.freq_base`, 10_000);
  const scaling = scalingOf(keys, p);
  if (!factors) return { rope_theta: theta, ...(scaling && { rope_scaling: scaling }) };
  if (scaling)
    throw refuse({
      what: `cannot honour the rope scaling of ${keys.where}`,
      why: "it has rope_freqs.weight, too, and it is not clear which of them holds",
    });
  return { rope_theta: theta, ...frequencyFactors(keys, factors, { dHead, theta, context: keys.count(`${p}context_length`) }) };
}

function scalingOf(keys: Config, p: string): Json | undefined {
  const factor = keys.optionalPositive([`${p}rope.scaling.factor`, `${p}rope.scale_linear`]) ?? 1;
  const type = keys.text(`${p}rope.scaling.type`, factor === 1 ? "none" : "linear");
  keys.refuseIf(`${p}rope.scaling.attn_factor`, (value) => value !== 1, "no family of GGUF files is known to use it");
  if (type === "none") return undefined;
  if (type === "linear") return factor === 1 ? undefined : { rope_type: "linear", factor };
  if (type === "yarn") return yarn(keys, p, factor);
  throw keys.refused(`${p}rope.scaling.type`, type, "known are none, linear and yarn");
}

function yarn(keys: Config, p: string, factor: number): Json {
  const fast = keys.optionalPositive(`${p}rope.scaling.yarn_beta_fast`);
  const slow = keys.optionalPositive(`${p}rope.scaling.yarn_beta_slow`);
  return {
    rope_type: "yarn",
    factor,
    original_max_position_embeddings: keys.count(`${p}rope.scaling.original_context_length`),
    ...(fast !== undefined && { beta_fast: fast }),
    ...(slow !== undefined && { beta_slow: slow }),
  };
}

/** One factor a frequency: Llama 3's settings where they give these, else the factors themselves as LongRoPE has them for rows of any length. */
function frequencyFactors(keys: Config, factors: readonly number[], size: { dHead: number; theta: number; context: number }): Json {
  const { dHead, theta, context } = size;
  const where = `${keys.where}: rope_freqs.weight`;
  if (factors.length !== dHead / 2)
    throw new SextantError("weights", `${where} has ${factors.length} factors, a head of ${dHead} has ${dHead / 2}`);
  if (!factors.every((factor) => Number.isFinite(factor) && factor > 0))
    throw new SextantError("weights", `${where} must hold numbers above 0`);
  if (factors.every((factor) => factor === 1)) return {};
  const factor = Math.max(...factors);
  // The converter computed in float32: some 1e-6 beside float64.
  const isLlama3 = llama3Factors(dHead, theta, factor).every((wanted, i) => Math.abs(wanted / factors[i]! - 1) < 1e-5);
  if (isLlama3) return { rope_scaling: { rope_type: "llama3", factor, ...LLAMA3 } };
  const longrope = { rope_type: "longrope", short_factor: factors, long_factor: factors, factor: 1, attention_factor: 1 };
  return { rope_scaling: { ...longrope, original_max_position_embeddings: context } };
}

/** What Llama 3.1 divides each frequency by: nothing short wavelengths, `factor` long ones, in between what lies in between. */
function llama3Factors(dHead: number, theta: number, factor: number): number[] {
  const { low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = LLAMA3;
  return Array.from({ length: dHead / 2 }, (_, i) => {
    const turns = original / (2 * Math.PI * theta ** ((2 * i) / dHead));
    if (turns > high) return 1;
    if (turns < low) return factor;
    const smooth = (turns - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}
