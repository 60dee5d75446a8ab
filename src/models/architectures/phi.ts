/** @file Phi 1 and 2 (Li et al. 2023): attention and MLP in parallel behind one norm, partial rotary, biases everywhere. */
import type { Family } from "../family.js";
import { rotaryOf } from "../rope-config.js";
import type { LayerSpec } from "../spec.js";
import type { Source } from "../source.js";

/** A part of the head turns, so a type that leaves some of it unturned would do so twice. */
const WITH_PARTS = ["default", "linear", "dynamic", "llama3", "yarn", "longrope"] as const;

export const phi: Family = {
  modelTypes: ["phi"],
  spec(source) {
    const { config } = source;
    const dModel = config.count("hidden_size", 2048);
    const layers = config.count("num_hidden_layers", 24);
    const maxPositions = config.count("max_position_embeddings", 2048);
    const eps = config.positive("layer_norm_eps", 1e-5);
    const { heads, kvHeads } = source.heads({ heads: 32 });
    const dHead = source.headSize(dModel, heads);
    const p = source.prefix("layers", "model.", "");
    const tokens = source.embedding(
      `${p}embed_tokens.weight`,
      { vocab: config.count("vocab_size", 51200), width: dModel },
      { head: "lm_head.weight", default: false },
    );
    const size = { dModel, heads, kvHeads, dHead, eps };
    return source.assemble({
      family: "phi",
      dModel,
      context: { length: maxPositions, hard: false },
      embedding: { tokens },
      rotaries: [rotaryOf(config, { theta: 10000, dHead, maxPositions, partial: 0.5, types: WITH_PARTS })],
      layers: Array.from({ length: layers }, (_, layer) => block(source, `${p}layers.${layer}.`, size)),
      head: {
        norm: source.layerNorm(`${p}final_layernorm`, dModel, eps),
        unembed: source.unembed(["lm_head"], tokens, { tied: false, bias: true }),
      },
    });
  },
};

function block(source: Source, p: string, size: { dModel: number; heads: number; kvHeads: number; dHead: number; eps: number }): LayerSpec {
  const { dModel, heads, kvHeads, dHead, eps } = size;
  const { config } = source;
  const dMlp = config.count("intermediate_size", 8192);
  const project = (name: string, out: number) => source.linear(`${p}self_attn.${name}`, dModel, out, { bias: true });
  const headNorm = (name: string) => source.layerNorm(`${p}self_attn.${name}_layernorm`, dHead, eps);
  return {
    wiring: "parallel",
    ln1: source.layerNorm(`${p}input_layernorm`, dModel, eps),
    attention: {
      heads,
      kvHeads,
      dHead,
      qkv: {
        kind: "separate",
        q: project("q_proj", heads * dHead),
        k: project("k_proj", kvHeads * dHead),
        v: project("v_proj", kvHeads * dHead),
      },
      out: source.linear(`${p}self_attn.dense`, heads * dHead, dModel, { bias: true }),
      scale: dHead ** -0.5,
      rotary: 0,
      ...(config.flag("qk_layernorm", false) && { qkNorm: { over: "head" as const, q: headNorm("q"), k: headNorm("k") } }),
    },
    mlp: {
      kind: "plain",
      in: source.linear(`${p}mlp.fc1`, dModel, dMlp, { bias: true }),
      out: source.linear(`${p}mlp.fc2`, dMlp, dModel, { bias: true }),
      activation: source.activation("hidden_act", "gelu_new"),
      dMlp,
    },
  };
}
