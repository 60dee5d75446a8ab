/**
 * @file Checkpoints of TransformerLens' `HookedTransformer`: weights by head, no norms or attention only where the
 * configuration says so. `W_Q [head, d_model, d_head]`, `W_O [head, d_head, d_model]`, `W_U [d_model, vocab]`.
 */
import { refuse } from "../../base/errors.js";
import type { Config } from "../config.js";
import type { Family } from "../family.js";
import type { Source } from "../source.js";
import type { AttentionSpec, LayerSpec, LinearSpec, MlpSpec, NormSpec } from "../spec.js";

const ACTIVATIONS: Readonly<Record<string, string>> = { relu: "relu", gelu: "gelu", silu: "silu", gelu_new: "gelu_new", gelu_fast: "gelu_fast", gelu_pytorch_tanh: "gelu_pytorch_tanh" };
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
    const heads = config.count("n_heads", Math.floor(dModel / dHead));
    const shape: Shape = { dModel, heads, dHead, eps: config.positive("eps", 1e-5) };
    const positions = config.count("n_ctx");
    const vocab = config.count("d_vocab");
    const vocabOut = config.count("d_vocab_out", vocab);
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
    config.refuseIf(key, (value) => value !== only, `only ${JSON.stringify(only)} is read in this format`);
  other("attention_dir", "causal");
  other("positional_embedding_type", "standard");
  other("parallel_attn_mlp", false);
  other("gated_mlp", false);
  other("final_rms", false);
  other("use_local_attn", false);
  other("num_experts", undefined);
  other("post_embedding_ln", false);
  other("scale_attn_by_inverse_layer_idx", false);
  config.ignore("source", "data_config", "model_config", "optim_config", "init_mode", "seed", "d_vocab_out", "device", "model_name");
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
    source.has(`${p}${name}`) ? { bias: { name: `${p}${name}`, shape: [width], stored: [heads, dHead] } } : {};
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
      weight: { name: `${p}W_O`, shape: [width, dModel], stored: [heads, dHead, dModel] },
      layout: "in_out",
      in: width,
      out: dModel,
      ...(source.has(`${p}b_O`) && { bias: source.weight(`${p}b_O`, dModel) }),
    },
    scale: config.flag("use_attn_scale", true) ? 1 / config.positive("attn_scale", Math.sqrt(dHead)) : 1,
  };
}

function mlp(source: Source, p: string, { dModel }: Shape): MlpSpec {
  const { config } = source;
  const dMlp = config.count("d_mlp", 4 * dModel);
  const name = config.text("act_fn");
  const activation = ACTIVATIONS[name];
  if (!activation) throw refuse({ what: `cannot honour act_fn ${name}`, why: `known are ${Object.keys(ACTIVATIONS).join(", ")}` });
  const map = (matrix: string, bias: string, input: number, out: number): LinearSpec => ({
    weight: source.weight(p + matrix, input, out),
    layout: "in_out",
    in: input,
    out,
    ...(source.has(p + bias) && { bias: source.weight(p + bias, out) }),
  });
  return { kind: "plain", in: map("W_in", "b_in", dModel, dMlp), out: map("W_out", "b_out", dMlp, dModel), activation, dMlp };
}

function normOf(source: Source, name: string, { dModel, eps }: Shape): NormSpec | undefined {
  if (!source.config.has("normalization_type")) return undefined;
  const type = source.config.text("normalization_type");
  const known = NORMS[type];
  if (!known) throw refuse({ what: `cannot honour normalization_type ${type}`, why: `known are ${Object.keys(NORMS).join(", ")} and null` });
  if (!known.weighted) return { kind: known.kind, eps };
  const bias = known.kind === "layer" ? { bias: source.weight(`${name}.b`, dModel) } : {};
  return { kind: known.kind, eps, weight: source.weight(`${name}.w`, dModel), ...bias };
}
