/** @file Gemma 3's text model (Gemma Team 2025): five windowed layers to a global one, a rotary base for each kind, q/k norms. */
import type { Config } from "../config.js";
import type { Family } from "../family.js";
import { assembleLlama, readSizes } from "../llama-shape.js";
import { rotaryOf } from "../rope-config.js";
import type { Source } from "../source.js";
import type { ModelSpec, RotarySpec } from "../spec.js";
import { sandwich } from "./gemma2.js";

const GLOBAL = 0;
const LOCAL = 1;
const PREFIXES = ["model.", "language_model.model.", "model.language_model.", ""] as const;

export const gemma3: Family = { modelTypes: ["gemma3_text"], spec: (source) => textModel(source, { caps: true }) };

/** The multimodal wrapper: its text tower, for text alone. */
export const gemma3Wrapper: Family = {
  modelTypes: ["gemma3"],
  inside: "text_config",
  spec: (source) => textModel(source, { caps: false }),
};

function textModel(source: Source, { caps }: { caps: boolean }): ModelSpec {
  const { config } = source;
  const sizes = readSizes(source, {
    dModel: 2304,
    layers: 26,
    heads: 8,
    kvHeads: 4,
    dHead: 256,
    dMlp: 9216,
    vocab: 262208,
    maxPositions: 131072,
  });
  const pattern = config.count("sliding_window_pattern", 6);
  const kinds = source.layerKinds(sizes.layers, (layer) => (layer + 1) % pattern !== 0);
  const window = source.window(kinds, 4096);
  const bias = config.flag("attention_bias", false);
  const scale = config.positive("query_pre_attn_scalar", 256) ** -0.5;
  const softcap = config.optionalPositive("final_logit_softcapping");
  const activation = source.activation("hidden_activation", "gelu_pytorch_tanh");
  config.ignore("hidden_act", "attn_logit_softcapping", "_sliding_window_pattern", "cache_implementation");
  const shared = { bias: { qkv: bias, out: bias }, scale, qkNorm: { over: "head", plusOne: true } } as const;
  return assembleLlama(source, "gemma3", sizes, {
    rotaries: rotaries(config, sizes),
    tied: true,
    plusOne: true,
    prefixes: PREFIXES,
    embeddingMultiplier: Math.sqrt(sizes.dModel),
    head: caps && softcap !== undefined ? { softcap } : {},
    layer: (p, index) => {
      const local = kinds[index] === "sliding";
      const attention = { ...shared, rotary: local ? LOCAL : GLOBAL, window: local ? window : undefined };
      return sandwich(source, p, sizes, { activation, attention });
    },
  });
}

/** The global and the local rotary embedding; only the global one is scaled by older files' `rope_scaling`. */
function rotaries(config: Config, sizes: { dHead: number; maxPositions: number }): RotarySpec[] {
  const nested = config.object("rope_parameters");
  const global = nested?.object("full_attention");
  const local = nested?.object("sliding_attention");
  const [stray] = nested?.unread() ?? [];
  if (stray !== undefined) throw config.refused("rope_parameters", stray, "it holds full_attention and sliding_attention here");
  refuseAmbiguous(config, nested);
  const localTheta = config.positive("rope_local_base_freq", 10_000);
  const one = (theta: number, thetaKey: string, parameters: Config | undefined): RotarySpec =>
    rotaryOf(config, { theta, ...sizes, thetaKey, ...(parameters && { parameters }) });
  const plain: RotarySpec = { rope: { type: "default", theta: localTheta }, dims: sizes.dHead, period: sizes.dHead, pairs: "halves" };
  return [one(1_000_000, "rope_theta", global), local ? one(localTheta, "rope_local_base_freq", local) : plain];
}

/** Two readings are possible where `transformers` itself takes the one that was hardly meant. */
function refuseAmbiguous(config: Config, nested: Config | undefined): void {
  const scaling = config.object("rope_scaling");
  if (!scaling) return;
  if (nested) throw config.refused("rope_scaling", "with rope_parameters", "it is not clear which of them holds; keep one");
  if (!scaling.has("rope_type") && scaling.has("type")) {
    throw config.refused("rope_scaling", "type", "transformers reads only rope_type for this family, and would scale nothing");
  }
}
