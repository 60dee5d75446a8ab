/** @file OPT (Zhang et al. 2022): learned positions from 2 on, norms before or after, embeddings narrower than the model. */
import type { Family } from "../family.js";
import type { LayerSpec } from "../spec.js";
import type { Source } from "../source.js";

const EPS = 1e-5;
const POSITION_OFFSET = 2;

export const opt: Family = {
  modelTypes: ["opt"],
  spec(source) {
    const { config } = source;
    const dModel = config.count("hidden_size", 768);
    const layers = config.count("num_hidden_layers", 12);
    const positions = config.count("max_position_embeddings", 2048);
    const width = config.optionalCount("word_embed_proj_dim") ?? dModel;
    const normBefore = config.flag("do_layer_norm_before", true);
    const affine = config.flag("layer_norm_elementwise_affine", true);
    const hasFinalNorm = normBefore && !config.flag("_remove_final_layer_norm", false);
    const p = source.prefix("layers", "model.decoder.", "decoder.", "");
    const tokens = source.embedding(
      `${p}embed_tokens.weight`,
      { vocab: config.count("vocab_size", 50272), width },
      { head: "lm_head.weight", default: true },
    );
    const rows = positions + POSITION_OFFSET;
    return source.assemble({
      family: "opt",
      dModel,
      context: { length: positions, hard: true },
      embedding: {
        tokens,
        ...(width !== dModel && { project: source.linear(`${p}project_in`, width, dModel) }),
        positions: { weight: source.weight(`${p}embed_positions.weight`, rows, dModel), offset: POSITION_OFFSET },
      },
      layers: Array.from({ length: layers }, (_, layer) => block(source, `${p}layers.${layer}.`, { dModel, affine, normBefore })),
      head: {
        ...(hasFinalNorm && { norm: source.layerNorm(`${p}final_layer_norm`, dModel, EPS, { affine }) }),
        ...(width !== dModel && { project: source.linear(`${p}project_out`, dModel, width) }),
        unembed: source.unembed(["lm_head"], tokens, { tied: true }),
      },
    });
  },
};

function block(source: Source, p: string, how: { dModel: number; affine: boolean; normBefore: boolean }): LayerSpec {
  const { dModel, affine, normBefore } = how;
  const { config } = source;
  const { heads, dHead } = source.evenHeads(dModel, ["num_attention_heads"], 12);
  const dMlp = config.count("ffn_dim", 3072);
  const bias = config.flag("enable_bias", true);
  const project = (name: string) => source.linear(`${p}self_attn.${name}_proj`, dModel, dModel, { bias });
  const first = source.layerNorm(`${p}self_attn_layer_norm`, dModel, EPS, { affine });
  const second = source.layerNorm(`${p}final_layer_norm`, dModel, EPS, { affine });
  return {
    wiring: "sequential",
    ...(normBefore ? { ln1: first, ln2: second } : { streamNorms: { afterAttention: first, afterMlp: second } }),
    attention: {
      heads,
      kvHeads: heads,
      dHead,
      qkv: { kind: "separate", q: project("q"), k: project("k"), v: project("v") },
      out: project("out"),
      scale: 1,
      queryMultiplier: dHead ** -0.5,
    },
    mlp: {
      kind: "plain",
      in: source.linear(`${p}fc1`, dModel, dMlp, { bias }),
      out: source.linear(`${p}fc2`, dMlp, dModel, { bias }),
      activation: source.activation("activation_function", "relu"),
      dMlp,
    },
  };
}
