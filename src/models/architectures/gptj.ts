/** @file GPT-J (Wang & Komatsuzaki 2021): attention and MLP in parallel behind one norm, neighbouring coordinates rotated. */
import type { Family } from "../family.js";
import type { LayerSpec } from "../spec.js";
import type { Source } from "../source.js";

export const gptj: Family = {
  modelTypes: ["gptj"],
  spec(source) {
    const { config } = source;
    const dModel = config.count(["hidden_size", "n_embd"], 4096);
    const layers = config.count(["num_hidden_layers", "n_layer"], 28);
    const positions = config.count(["max_position_embeddings", "n_positions"], 2048);
    const { heads, dHead } = source.evenHeads(dModel, ["num_attention_heads", "n_head"], 16);
    const dims = config.count("rotary_dim", 64);
    if (dims > dHead || dims % 2 !== 0) throw config.wrong("rotary_dim", `an even number up to ${dHead}`, dims);
    const eps = config.positive("layer_norm_epsilon", 1e-5);
    const p = source.prefix("h", "transformer.", "");
    const tokens = source.embedding(
      `${p}wte.weight`,
      { vocab: config.count("vocab_size", 50400), width: dModel },
      { head: "lm_head.weight", default: false },
    );
    return source.assemble({
      family: "gptj",
      dModel,
      context: { length: positions, hard: true },
      embedding: { tokens },
      rotaries: [{ rope: { type: "default", theta: 10000 }, dims, period: dims, pairs: "neighbours" }],
      layers: Array.from({ length: layers }, (_, layer) => block(source, `${p}h.${layer}.`, { dModel, heads, dHead, eps })),
      head: {
        norm: source.layerNorm(`${p}ln_f`, dModel, eps),
        unembed: source.unembed(["lm_head"], tokens, { tied: false, bias: true }),
      },
    });
  },
};

function block(source: Source, p: string, size: { dModel: number; heads: number; dHead: number; eps: number }): LayerSpec {
  const { dModel, heads, dHead, eps } = size;
  const { config } = source;
  const dMlp = config.optionalCount("n_inner") ?? 4 * dModel;
  const project = (name: string) => source.linear(`${p}attn.${name}_proj`, dModel, dModel);
  return {
    wiring: "parallel",
    ln1: source.layerNorm(`${p}ln_1`, dModel, eps),
    attention: {
      heads,
      kvHeads: heads,
      dHead,
      qkv: { kind: "separate", q: project("q"), k: project("k"), v: project("v") },
      out: project("out"),
      scale: dHead ** -0.5,
      rotary: 0,
    },
    mlp: {
      kind: "plain",
      in: source.linear(`${p}mlp.fc_in`, dModel, dMlp, { bias: true }),
      out: source.linear(`${p}mlp.fc_out`, dMlp, dModel, { bias: true }),
      activation: source.activation("activation_function", "gelu_new"),
      dMlp,
    },
  };
}
