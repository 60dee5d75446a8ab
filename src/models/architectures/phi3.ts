/** @file Phi 3 (Abdin et al. 2024): Llama with packed q/k/v and gate/up matrices, and LongRoPE for the long-context models. */
import type { Family } from "../family.js";
import { assembleLlama, preNorms, readSizes, type Sizes } from "../llama-shape.js";
import { rotaryOf } from "../rope-config.js";
import type { Source } from "../source.js";
import type { AttentionSpec, GatedMlpSpec } from "../spec.js";

export const phi3: Family = {
  modelTypes: ["phi3"],
  spec(source) {
    const { config } = source;
    const sizes = readSizes(source, { dModel: 3072, eps: 1e-5, dMlp: 8192, vocab: 32064, maxPositions: 4096 });
    const window = config.optionalCount("sliding_window");
    const activation = source.activation("hidden_act", "silu");
    const original = config.count("original_max_position_embeddings", 4096);
    config.ignore("attention_bias", "layer_types");
    const renamed = { su: "longrope", yarn: "longrope" } as const;
    const rotary = rotaryOf(config, {
      theta: 10000,
      ...sizes,
      partial: 1,
      oddSizes: true,
      types: ["default", "longrope"],
      renamed,
      original,
    });
    const spec = assembleLlama(source, "phi3", sizes, {
      rotaries: [rotary],
      tied: false,
      layer: (p) => ({
        wiring: "sequential",
        ...preNorms(source, p, sizes),
        attention: attention(source, p, sizes, window),
        mlp: mlp(source, `${p}mlp.`, sizes, activation),
      }),
    });
    return rotary.rope.type === "longrope" ? { ...spec, recomputeAt: original + 1 } : spec;
  },
};

function attention(source: Source, p: string, sizes: Sizes, window: number | undefined): AttentionSpec {
  const { dModel, heads, kvHeads, dHead } = sizes;
  const [q, kv] = [heads * dHead, kvHeads * dHead];
  const rows = (start: number, out: number) => source.linearRows(`${p}self_attn.qkv_proj`, dModel, { start, out, of: q + 2 * kv });
  return {
    heads,
    kvHeads,
    dHead,
    qkv: { kind: "separate", q: rows(0, q), k: rows(q, kv), v: rows(q + kv, kv) },
    out: source.linear(`${p}self_attn.o_proj`, q, dModel),
    scale: dHead ** -0.5,
    rotary: 0,
    ...(window !== undefined && { window }),
  };
}

function mlp(source: Source, p: string, { dModel, dMlp }: Sizes, activation: string): GatedMlpSpec {
  const rows = (start: number) => source.linearRows(`${p}gate_up_proj`, dModel, { start, out: dMlp, of: 2 * dMlp });
  return { kind: "gated", gate: rows(0), up: rows(dMlp), down: source.linear(`${p}down_proj`, dMlp, dModel), activation, dMlp };
}
