/** @file GPT-Neo (Black et al. 2021): GPT-2's shape, unscaled scores, global and windowed layers in turn. */
import type { Config } from "../config.js";
import type { Family } from "../family.js";
import type { LayerSpec } from "../spec.js";
import type { Source } from "../source.js";

export const gptNeo: Family = {
  modelTypes: ["gpt_neo"],
  spec(source) {
    const { config } = source;
    const dModel = config.count("hidden_size", 2048);
    const layers = config.count(["num_hidden_layers", "num_layers"], 24);
    const positions = config.count("max_position_embeddings", 2048);
    const eps = config.positive("layer_norm_epsilon", 1e-5);
    const kinds = layerKinds(source, layers);
    const p = source.prefix("h", "transformer.", "");
    const tokens = source.embedding(
      `${p}wte.weight`,
      { vocab: config.count("vocab_size", 50257), width: dModel },
      { head: "lm_head.weight", default: true },
    );
    return source.assemble({
      family: "gpt_neo",
      dModel,
      context: { length: positions, hard: true },
      embedding: { tokens, positions: { weight: source.weight(`${p}wpe.weight`, positions, dModel), offset: 0 } },
      layers: kinds.map((kind, layer) => block(source, `${p}h.${layer}.`, { dModel, eps, local: kind === "local" })),
      head: { norm: source.layerNorm(`${p}ln_f`, dModel, eps), unembed: source.unembed(["lm_head"], tokens, { tied: true }) },
    });
  },
};

function block(source: Source, p: string, { dModel, eps, local }: { dModel: number; eps: number; local: boolean }): LayerSpec {
  const { config } = source;
  const { heads, dHead } = source.evenHeads(dModel, ["num_attention_heads", "num_heads"], 16);
  const dMlp = config.optionalCount("intermediate_size") ?? 4 * dModel;
  const project = (name: string) => source.linear(`${p}attn.attention.${name}_proj`, dModel, dModel);
  const window = config.count("window_size", 256);
  return {
    wiring: "sequential",
    ln1: source.layerNorm(`${p}ln_1`, dModel, eps),
    attention: {
      heads,
      kvHeads: heads,
      dHead,
      qkv: { kind: "separate", q: project("q"), k: project("k"), v: project("v") },
      out: source.linear(`${p}attn.attention.out_proj`, dModel, dModel, { bias: true }),
      scale: 1,
      ...(local && { window }),
    },
    ln2: source.layerNorm(`${p}ln_2`, dModel, eps),
    mlp: {
      kind: "plain",
      in: source.linear(`${p}mlp.c_fc`, dModel, dMlp, { bias: true }),
      out: source.linear(`${p}mlp.c_proj`, dMlp, dModel, { bias: true }),
      activation: source.activation("activation_function", "gelu_new"),
      dMlp,
    },
  };
}

/** `attention_layers`, or `attention_types` (`[[["global", "local"], 12]]`) written out. */
function layerKinds({ config }: Source, layers: number): readonly unknown[] {
  const stated = config.list("attention_layers");
  const types = config.list("attention_types") ?? [[["global", "local"], 12]];
  const kinds = stated ?? writtenOut(config, types, layers);
  if (kinds.length !== layers)
    throw config.wrong(stated ? "attention_layers" : "attention_types", `a pattern of ${layers} layers`, stated ?? types);
  const strange = kinds.find((kind) => kind !== "global" && kind !== "local");
  if (strange !== undefined)
    throw config.refused(stated ? "attention_layers" : "attention_types", strange, "only global and local are known");
  return kinds;
}

/** Pairs of a pattern and how often it comes, written out; `most` bounds the result. */
function writtenOut(config: Config, types: readonly unknown[], most: number): unknown[] {
  const kinds: unknown[] = [];
  for (const entry of types) {
    const [pattern, times] = Array.isArray(entry) ? (entry as unknown[]) : [];
    const isPair = Array.isArray(pattern) && pattern.length > 0 && Number.isInteger(times) && (times as number) >= 0;
    const length = isPair ? kinds.length + (times as number) * pattern.length : Infinity;
    if (length > most) throw config.wrong("attention_types", `pairs of a pattern and a count, ${most} layers in all`, types);
    while (kinds.length < length) kinds.push(...(pattern as unknown[]));
  }
  return kinds;
}
