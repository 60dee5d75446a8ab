/**
 * @file Rotary settings from either style of configuration: `rope_theta` + `rope_scaling`, or `rope_parameters`. Where
 * both are given, `rope_scaling` wins, as in `transformers` 5.
 */
import { refuse } from "../base/errors.js";
import type { Config } from "./config.js";
import type { RopeSpec, RotarySpec } from "./spec.js";

export interface RopeDefaults {
  readonly theta: number;
  readonly dHead: number;
  readonly maxPositions: number;
  /** Part of the head that turns, where the family honours such a setting. */
  readonly partial?: number;
  /** The rope types that the family accepts; default all. */
  readonly types?: readonly RopeSpec["type"][];
  /** Other names of types in this family's files. */
  readonly renamed?: Readonly<Record<string, RopeSpec["type"]>>;
  /** A nested set of parameters instead of the configuration's own (Gemma 3). */
  readonly parameters?: Config;
  /** Key of the base frequency at the top level, where it is not `rope_theta`. */
  readonly thetaKey?: string;
  readonly partialKey?: string;
  /** Whether an odd rotary size is rounded up, as this family's code does. */
  readonly oddSizes?: boolean;
  /** The original context that the family's configuration always has (Phi 3). */
  readonly original?: number;
}

/** The rotary embedding that a configuration describes. */
export function rotaryOf(config: Config, defaults: RopeDefaults): RotarySpec {
  const { parameters, theta, partial } = settingsOf(config, defaults);
  const type = typeOf(parameters, defaults);
  const dims = rotaryDims(config, { type, partial, defaults });
  const rope = parameters ? scaled(config, parameters, { type, theta, dims, defaults }) : ({ type: "default", theta } as const);
  checkUnread(parameters);
  return { rope, ...turning(config, dims, { ...defaults, type }), pairs: "halves" };
}

/** The rope parameters, if any, and the settings that stand in them or at the top level. */
function settingsOf(config: Config, defaults: RopeDefaults): { parameters: Config | undefined; theta: number; partial: number } {
  const scaling = config.object("rope_scaling");
  const current = config.object("rope_parameters");
  const parameters = defaults.parameters ?? scaling ?? current;
  const { thetaKey = "rope_theta", partialKey = "partial_rotary_factor" } = defaults;
  config.ignore(thetaKey, partialKey);
  return {
    parameters,
    theta: parameters?.optionalNumber("rope_theta") ?? config.optionalNumber(thetaKey) ?? defaults.theta,
    partial: parameters?.optionalNumber("partial_rotary_factor") ?? config.optionalNumber(partialKey) ?? defaults.partial ?? 1,
  };
}

const ALL_TYPES: readonly RopeSpec["type"][] = ["default", "linear", "proportional", "dynamic", "llama3", "yarn", "longrope"];

function typeOf(parameters: Config | undefined, { types = ALL_TYPES, renamed }: RopeDefaults): RopeSpec["type"] {
  const stated = parameters ? parameters.text("rope_type", parameters.text("type", "default")) : "default";
  parameters?.ignore("type", "rope_type");
  const type = renamed?.[stated] ?? stated;
  if (!(types as readonly string[]).includes(type)) {
    throw refuse({ what: `cannot honour the rope type ${JSON.stringify(stated)}`, why: `this family's types are ${types.join(", ")}` });
  }
  return type as RopeSpec["type"];
}

/** The size that rotary is made for. Families without partial rotary ignore the factor, and `transformers` fails on it when scaled. */
function rotaryDims(config: Config, given: { type: string; partial: number; defaults: RopeDefaults }): number {
  const { type, partial, defaults } = given;
  if (partial <= 0 || partial > 1) throw config.wrong("partial_rotary_factor", "a number above 0, at most 1", partial);
  if (defaults.partial !== undefined) return type === "proportional" ? defaults.dHead : Math.trunc(defaults.dHead * partial);
  if (partial < 1 && type !== "default" && type !== "proportional") {
    throw refuse({ what: `cannot honour partial_rotary_factor ${partial} of ${config.where}`, why: "this family turns the whole head" });
  }
  return defaults.dHead;
}

/** How many coordinates turn. An odd size turns one more, with the frequencies of the odd one, where the family's code does so. */
function turning(
  config: Config,
  size: number,
  { dHead, oddSizes = false, type }: RopeDefaults & { type: RopeSpec["type"] },
): Pick<RotarySpec, "dims" | "period"> {
  const dims = 2 * Math.ceil(size / 2);
  const mayBeOdd = oddSizes && type !== "yarn";
  if (size >= 1 && (dims === size || mayBeOdd) && dims <= dHead) return { dims, period: size };
  const why = "coordinates turn in pairs, so it must be even";
  throw refuse({ what: `cannot honour the rotary size ${size} of a head of ${dHead} in ${config.where}`, why });
}

function scaled(
  config: Config,
  parameters: Config,
  given: { type: RopeSpec["type"]; theta: number; dims: number; defaults: RopeDefaults },
): RopeSpec {
  const { type, theta, dims, defaults } = given;
  const { maxPositions } = defaults;
  const original = (): number => {
    const inner = parameters.optionalNumber("original_max_position_embeddings");
    const outer = defaults.parameters ? undefined : config.optionalNumber("original_max_position_embeddings");
    return defaults.original ?? outer ?? inner ?? maxPositions;
  };
  switch (type) {
    case "default":
      return { type, theta };
    case "linear":
      return { type, theta, factor: parameters.positive("factor") };
    case "proportional": {
      const partial = parameters.positive("partial_rotary_factor", 1);
      return { type, theta, factor: parameters.positive("factor", 1), turned: Math.floor((partial * defaults.dHead) / 2) };
    }
    case "dynamic":
      parameters.ignore("original_max_position_embeddings");
      return { type, theta, factor: parameters.positive("factor"), original: maxPositions };
    case "llama3":
      return {
        type,
        theta,
        factor: parameters.positive("factor"),
        lowFrequencyFactor: parameters.positive("low_freq_factor"),
        highFrequencyFactor: parameters.positive("high_freq_factor"),
        original: original(),
      };
    case "yarn":
      if (defaults.parameters && !parameters.flag("truncate", true)) {
        throw parameters.refused("truncate", false, "transformers does not read it inside nested parameters");
      }
      return yarn(parameters, { theta, original: original(), maxPositions });
    case "longrope":
      return longrope(parameters, { theta, original: original(), maxPositions, dims });
  }
}

/** YaRN (Peng et al. 2023): NTK-by-parts interpolation, and a factor on cos and sin. */
function yarn(parameters: Config, { theta, original, maxPositions }: { theta: number; original: number; maxPositions: number }): RopeSpec {
  const factor = parameters.optionalNumber("factor") ?? maxPositions / original;
  const mscale = (by: number, weight = 1): number => (by <= 1 ? 1 : 0.1 * weight * Math.log(by) + 1);
  const one = parameters.optionalNumber("mscale");
  const all = parameters.optionalNumber("mscale_all_dim");
  const implied = one && all ? mscale(factor, one) / mscale(factor, all) : mscale(factor);
  return {
    type: "yarn",
    theta,
    factor,
    original,
    attentionFactor: parameters.optionalNumber("attention_factor") ?? implied,
    betaFast: parameters.optionalNumber("beta_fast") || 32,
    betaSlow: parameters.optionalNumber("beta_slow") || 1,
    truncate: parameters.flag("truncate", true),
  };
}

/** LongRoPE (Ding et al. 2024): one factor a frequency, a short and a long set. */
function longrope(
  parameters: Config,
  { theta, original, maxPositions, dims }: { theta: number; original: number; maxPositions: number; dims: number },
): RopeSpec {
  const factor = parameters.optionalNumber("factor") ?? maxPositions / original;
  const implied = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  parameters.ignore("short_mscale", "long_mscale");
  const factors = (key: string): readonly number[] => {
    const count = Math.ceil(dims / 2);
    const list = parameters.numbers(key, count);
    if (!list) throw parameters.wrong(key, `a list of ${count} numbers`, undefined);
    return list;
  };
  return {
    type: "longrope",
    theta,
    original,
    attentionFactor: parameters.optionalNumber("attention_factor") ?? implied,
    shortFactor: factors("short_factor"),
    longFactor: factors("long_factor"),
  };
}

/** Parameters that the rope type does not have are refused, those of other types at their neutral value apart. */
function checkUnread(parameters: Config | undefined): void {
  if (!parameters) return;
  parameters.ignore("factor", "original_max_position_embeddings", "finetuned", "partial_rotary_factor", "rope_theta");
  parameters.ignore("low_freq_factor", "high_freq_factor", "beta_fast", "beta_slow", "truncate", "mscale", "mscale_all_dim");
  parameters.ignore("short_factor", "long_factor", "attention_factor", "full_attention", "sliding_attention");
  const [first] = parameters.unread();
  if (first !== undefined)
    throw refuse({ what: `cannot honour ${first} of ${parameters.where}`, why: "no rope type has such a parameter" });
}
