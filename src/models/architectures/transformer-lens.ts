/**
 * @file Checkpoints of TransformerLens' `HookedTransformer`: weights by head, no norms or attention only where the
 * configuration says so. `W_Q [head, d_model, d_head]`, `W_O [head, d_head, d_model]`, `W_U [d_model, vocab]`.
 */
import type { Config } from "../config.js";
import type { Family } from "../family.js";
import type { Source } from "../source.js";
import type { AttentionSpec, LayerSpec, LinearSpec, MlpSpec, NormSpec } from "../spec.js";

const ACTIVATIONS = ["relu", "gelu", "silu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh"];

/** What this format writes for numbers that were not set. */
const UNSET = -1;
/** Where a model came from, which hooks are on, and settings of what `refuseOthers` refuses when it is switched on. */
// oxfmt-ignore
const WITHOUT_EFFECT = [
  "source", "data_config", "model_config", "optim_config", "init_mode", "init_weights", "seed", "device", "n_devices", "model_name",
  "original_architecture", "architecture", "tokenizer_name", "tokenizer_prepends_bos", "tokenizer_appends_eos", "default_prepend_bos",
  "default_padding_side", "from_checkpoint", "checkpoint_index", "checkpoint_label_type", "checkpoint_value", "n_params", "trust_remote_code",
  "use_attn_result", "use_split_qkv_input", "use_hook_mlp_in", "use_attn_in", "use_hook_tokens", "window_size", "attn_types", "rotary_dim",
  "rotary_base", "rotary_adjacent_pairs", "rotary_interleaved_cos_sin", "qk_norm_after_rope", "use_NTK_by_parts_rope", "NTK_by_parts_low_freq_factor",
  "NTK_by_parts_high_freq_factor", "NTK_by_parts_factor", "NTK_original_ctx_len", "relative_attention_max_distance",
  "relative_attention_num_buckets", "experts_per_token", "ungroup_grouped_query_attention", "layer_norm_folding", "uses_rms_norm",
  "split_attention_weights", "vision_hidden_size", "vision_num_layers", "vision_num_heads", "n_heads", "d_mlp", "act_fn",
];

const NORMS: Readonly<Record<string, { kind: "layer" | "rms"; weighted: boolean }>> = {
  LN: { kind: "layer", weighted: true },
  LNPre: { kind: "layer", weighted: false },
  RMS: { kind: "rms", weighted: true },
  RMSPre: { kind: "rms", weighted: false },
};

interface Shape {
  readonly dModel: number;
  readonly heads: number;
  readonly dHead: number;
  readonly eps: number;
}

export const transformerLens: Family = {
  modelTypes: ["hooked_transformer"],
  spec(source) {
    const { config } = source;
    refuseOthers(config);
    const dModel = config.count("d_model");
    const dHead = config.count("d_head");
    const heads = countOr(config, "n_heads", Math.floor(dModel / dHead));
    const shape: Shape = { dModel, heads, dHead, eps: config.positive("eps", 1e-5) };
    const positions = config.count("n_ctx");
    const vocab = config.count("d_vocab");
    const vocabOut = countOr(config, "d_vocab_out", vocab);
    const unembedBias = source.has("unembed.b_U") ? { bias: source.weight("unembed.b_U", vocabOut) } : {};
    const finalNorm = normOf(source, "ln_final", shape);
    return source.assemble({
      family: "hooked_transformer",
      dModel,
      context: { length: positions, hard: true },
      embedding: {
        tokens: source.weight("embed.W_E", vocab, dModel),
        positions: { weight: source.weight("pos_embed.W_pos", positions, dModel), offset: 0 },
      },
      layers: Array.from({ length: config.count("n_layers") }, (_, layer) => block(source, `blocks.${layer}.`, shape)),
      head: {
        ...(finalNorm && { norm: finalNorm }),
        unembed: { weight: source.weight("unembed.W_U", dModel, vocabOut), layout: "in_out", in: dModel, out: vocabOut, ...unembedBias },
      },
    });
  },
};

function refuseOthers(config: Config): void {
  const other = (key: string, only: unknown): void =>
    config.refuseIf(key, (value) => value !== only, `only ${JSON.stringify(only ?? null)} is read in this format`);
  other("attention_dir", "causal");
  other("positional_embedding_type", "standard");
  other("parallel_attn_mlp", false);
  other("gated_mlp", false);
  other("final_rms", false);
  other("use_local_attn", false);
  other("num_experts", undefined);
  other("post_embedding_ln", false);
  other("scale_attn_by_inverse_layer_idx", false);
  other("use_qk_norm", false);
  other("use_normalization_before_and_after", false);
  other("rmsnorm_uses_offset", false);
  other("scale_embedding", false);
  other("load_in_4bit", false);
  other("is_audio_model", false);
  other("is_visual_model", false);
  other("is_stateful", false);
  other("is_multimodal", false);
  other("attn_scores_soft_cap", UNSET);
  other("output_logits_soft_cap", UNSET);
  other("n_key_value_heads", config.has("n_heads") ? config.number("n_heads") : undefined);
  other("per_layer_head_dim", undefined);
  other("per_layer_num_key_value_heads", undefined);
  config.ignore(...WITHOUT_EFFECT);
}

/** A count that is -1 where it was not set. */
function countOr(config: Config, key: string, fallback: number): number {
  const count = config.optionalNumber(key) === UNSET ? fallback : config.count(key, fallback);
  if (count < 1) throw config.wrong(key, "a whole number above 0", count);
  return count;
}

function block(source: Source, p: string, shape: Shape): LayerSpec {
  const { config } = source;
  const attentionOnly = config.flag("attn_only", false);
  const [ln1, ln2] = [normOf(source, `${p}ln1`, shape), attentionOnly ? undefined : normOf(source, `${p}ln2`, shape)];
  return {
    wiring: "sequential",
    ...(ln1 && { ln1 }),
    attention: attention(source, `${p}attn.`, shape),
    ...(ln2 && { ln2 }),
    ...(!attentionOnly && { mlp: mlp(source, `${p}mlp.`, shape) }),
  };
}

function attention(source: Source, p: string, { dModel, heads, dHead }: Shape): AttentionSpec {
  const { config } = source;
  const width = heads * dHead;
  const bias = (name: string): Partial<LinearSpec> =>
    hasEverywhere(source, `attn.${name}`) ? { bias: source.part({ name: p + name, shape: [width], stored: [heads, dHead] }) } : {};
  const project = (side: "Q" | "K" | "V"): LinearSpec => ({
    weight: source.weight(`${p}W_${side}`, heads, dModel, dHead),
    layout: "heads_in_out",
    in: dModel,
    out: width,
    ...bias(`b_${side}`),
  });
  return {
    heads,
    kvHeads: heads,
    dHead,
    qkv: { kind: "separate", q: project("Q"), k: project("K"), v: project("V") },
    out: {
      weight: source.part({ name: `${p}W_O`, shape: [width, dModel], stored: [heads, dHead, dModel] }),
      layout: "in_out",
      in: width,
      out: dModel,
      ...(hasEverywhere(source, "attn.b_O") && { bias: source.weight(`${p}b_O`, dModel) }),
    },
    scale: config.flag("use_attn_scale", true) ? 1 / divisorOf(config, dHead) : 1,
  };
}

/** By what scores are divided: stated, or the root of the head's size. */
function divisorOf(config: Config, dHead: number): number {
  return config.optionalNumber("attn_scale") === UNSET ? Math.sqrt(dHead) : config.positive("attn_scale", Math.sqrt(dHead));
}

/** Whether the blocks have such a bias: they do when the first has. */
function hasEverywhere(source: Source, name: string): boolean {
  return source.has(`blocks.0.${name}`);
}

function mlp(source: Source, p: string, { dModel }: Shape): MlpSpec {
  const { config } = source;
  const dMlp = config.optionalCount("d_mlp") ?? 4 * dModel;
  const activation = config.text("act_fn", "relu");
  if (!ACTIVATIONS.includes(activation)) throw config.refused("act_fn", activation, `known are ${ACTIVATIONS.join(", ")}`);
  const map = (matrix: string, bias: string, input: number, out: number): LinearSpec => ({
    weight: source.weight(p + matrix, input, out),
    layout: "in_out",
    in: input,
    out,
    ...(hasEverywhere(source, `mlp.${bias}`) && { bias: source.weight(p + bias, out) }),
  });
  return { kind: "plain", in: map("W_in", "b_in", dModel, dMlp), out: map("W_out", "b_out", dMlp, dModel), activation, dMlp };
}

function normOf(source: Source, name: string, { dModel, eps }: Shape): NormSpec | undefined {
  const { config } = source;
  if (config.states("normalization_type") && !config.has("normalization_type")) return undefined;
  const type = config.text("normalization_type", "LN");
  const known = Object.hasOwn(NORMS, type) ? NORMS[type] : undefined;
  if (!known) throw config.refused("normalization_type", type, `known are ${Object.keys(NORMS).join(", ")} and null`);
  if (!known.weighted) return { kind: known.kind, eps };
  const bias = known.kind === "layer" ? { bias: source.weight(`${name}.b`, dModel) } : {};
  return { kind: known.kind, eps, weight: source.weight(`${name}.w`, dModel), ...bias };
}
