/**
 * @file The shape that Llama's descendants share: names of sizes and tensors, projections, gated MLP. Each family says in its
 * own file what differs.
 */
import type { Source } from "./source.js";
import type { AttentionSpec, GatedMlpSpec, HeadSpec, LayerSpec, ModelSpec, NormSpec, RotarySpec } from "./spec.js";

/** Sizes read from a configuration of this shape. */
export interface Sizes {
  readonly dModel: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly dHead: number;
  readonly dMlp: number;
  readonly vocab: number;
  readonly eps: number;
  readonly maxPositions: number;
}

/** Defaults of a family's configuration class, used where `config.json` says nothing. */
export interface SizeDefaults {
  readonly dModel?: number;
  readonly layers?: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly dHead?: number;
  readonly dMlp?: number;
  readonly vocab?: number;
  readonly eps?: number;
  readonly maxPositions?: number;
}

export function readSizes(source: Source, defaults: SizeDefaults = {}): Sizes {
  const { config } = source;
  const dModel = config.count("hidden_size", defaults.dModel ?? 4096);
  const { heads, kvHeads } = source.heads({ heads: defaults.heads ?? 32, kvHeads: defaults.kvHeads });
  return {
    dModel,
    heads,
    kvHeads,
    dHead: source.headSize(dModel, heads, defaults.dHead),
    layers: config.count("num_hidden_layers", defaults.layers ?? 32),
    dMlp: config.count("intermediate_size", defaults.dMlp ?? 11008),
    vocab: config.count("vocab_size", defaults.vocab ?? 32000),
    eps: config.positive("rms_norm_eps", defaults.eps ?? 1e-6),
    maxPositions: config.count("max_position_embeddings", defaults.maxPositions ?? 2048),
  };
}

export interface AttentionOptions {
  readonly bias?: { readonly qkv: boolean; readonly out: boolean };
  readonly scale?: number;
  readonly softcap?: number | undefined;
  readonly window?: number | undefined;
  readonly rotary?: number | undefined;
  readonly sinks?: boolean;
  /** Norms `q_norm` and `k_norm`, over each head or over the whole projection. */
  readonly qkNorm?: { readonly over: "head" | "projection"; readonly plusOne?: boolean };
}

/** `self_attn.{q,k,v,o}_proj` with what a family adds to them. */
export function attentionOf(source: Source, p: string, sizes: Sizes, options: AttentionOptions = {}): AttentionSpec {
  const { dModel, heads, kvHeads, dHead } = sizes;
  const { bias = { qkv: false, out: false }, qkNorm, softcap, window, rotary } = options;
  const project = (name: string, out: number) => source.linear(`${p}self_attn.${name}_proj`, dModel, out * dHead, { bias: bias.qkv });
  return {
    heads,
    kvHeads,
    dHead,
    qkv: { kind: "separate", q: project("q", heads), k: project("k", kvHeads), v: project("v", kvHeads) },
    out: source.linear(`${p}self_attn.o_proj`, heads * dHead, dModel, { bias: bias.out }),
    scale: options.scale ?? dHead ** -0.5,
    ...(softcap !== undefined && { softcap }),
    ...(window !== undefined && { window }),
    ...(rotary !== undefined && { rotary }),
    ...(options.sinks && { sinks: source.weight(`${p}self_attn.sinks`, heads) }),
    ...(qkNorm && { qkNorm: { over: qkNorm.over, ...qkNorms(source, p, sizes, qkNorm) } }),
  };
}

function qkNorms(source: Source, p: string, sizes: Sizes, how: { over: string; plusOne?: boolean }): { q: NormSpec; k: NormSpec } {
  const { heads, kvHeads, dHead, eps } = sizes;
  const make = (name: string, count: number): NormSpec =>
    source.rmsNorm(`${p}self_attn.${name}_norm`, how.over === "head" ? dHead : count * dHead, eps, how.plusOne ? { plusOne: true } : {});
  return { q: make("q", heads), k: make("k", kvHeads) };
}

/** `mlp.{gate,up,down}_proj`, or other names under `p`. */
export function gatedMlpOf(
  source: Source,
  p: string,
  size: { dModel: number; dMlp: number },
  how: { activation: string; bias?: boolean; names?: readonly [gate: string, up: string, down: string] },
): GatedMlpSpec {
  const { dModel, dMlp } = size;
  const { bias = false, names = ["gate_proj", "up_proj", "down_proj"] } = how;
  return {
    kind: "gated",
    gate: source.linear(p + names[0], dModel, dMlp, { bias }),
    up: source.linear(p + names[1], dModel, dMlp, { bias }),
    down: source.linear(p + names[2], dMlp, dModel, { bias }),
    activation: how.activation,
    dMlp,
  };
}

export interface ShapeOptions {
  readonly rotaries: readonly RotarySpec[];
  readonly tied: boolean;
  readonly layer: (p: string, index: number) => LayerSpec;
  readonly plusOne?: boolean;
  readonly embeddingMultiplier?: number;
  readonly head?: Pick<HeadSpec, "multiplier" | "softcap">;
  /** Where the text model's tensors may be, in order of preference. */
  readonly prefixes?: readonly [string, ...string[]];
}

/** A whole model of this shape. */
export function assembleLlama(source: Source, family: string, sizes: Sizes, options: ShapeOptions): ModelSpec {
  const { dModel, vocab, eps, layers, maxPositions } = sizes;
  const p = source.prefix("layers", ...(options.prefixes ?? (["model.", ""] as const)));
  const head = source.either("lm_head.weight", "language_model.lm_head.weight", "model.lm_head.weight");
  const tokens = source.embedding(`${p}embed_tokens.weight`, { vocab, width: dModel }, { head, default: options.tied });
  const multiplier = options.embeddingMultiplier;
  return source.assemble({
    family,
    dModel,
    context: { length: maxPositions, hard: false },
    embedding: { tokens, ...(multiplier !== undefined && { multiplier }) },
    rotaries: options.rotaries,
    layers: Array.from({ length: layers }, (_, index) => options.layer(`${p}layers.${index}.`, index)),
    head: {
      norm: source.rmsNorm(`${p}norm`, dModel, eps, options.plusOne ? { plusOne: true } : {}),
      unembed: source.unembed([head.replace(/\.weight$/, "")], tokens, { tied: options.tied }),
      ...options.head,
    },
  });
}

/** The two norms in front of the sublayers, as Llama names them. */
export function preNorms(source: Source, p: string, { dModel, eps }: Sizes): Pick<LayerSpec, "ln1" | "ln2"> {
  return {
    ln1: source.rmsNorm(`${p}input_layernorm`, dModel, eps),
    ln2: source.rmsNorm(`${p}post_attention_layernorm`, dModel, eps),
  };
}
