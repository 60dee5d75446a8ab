/** @file The tensors of a GGUF file by the names, in the shapes and orders of the checkpoint that it was converted from. */
import { internal } from "../base/errors.js";
import type { GgufTensor } from "../formats/gguf/header.js";
import type { GgufChange } from "../formats/gguf/weights.js";
import type { Json } from "./config.js";

/** Where a weight of the checkpoint comes from. */
export interface GgufWeight {
  /** As `transformers` calls it. */
  readonly name: string;
  /** As the file calls it. */
  readonly from: string;
  readonly shape: readonly number[];
  readonly change: GgufChange;
}

interface Naming {
  /** In front of the names of whole-model tensors, and of `layers.N.` */
  readonly outside: Readonly<Record<string, string>>;
  readonly layer: string;
  readonly inside: Readonly<Record<string, string>>;
}

const LLAMA: Naming = {
  outside: { token_embd: "model.embed_tokens", output_norm: "model.norm", output: "lm_head" },
  layer: "model.layers",
  inside: {
    attn_norm: "input_layernorm",
    attn_q: "self_attn.q_proj",
    attn_k: "self_attn.k_proj",
    attn_v: "self_attn.v_proj",
    attn_output: "self_attn.o_proj",
    attn_q_norm: "self_attn.q_norm",
    attn_k_norm: "self_attn.k_norm",
    ffn_norm: "post_attention_layernorm",
    ffn_gate: "mlp.gate_proj",
    ffn_up: "mlp.up_proj",
    ffn_down: "mlp.down_proj",
  },
};

/** Gemma 2 and 3: a norm before and one after each sublayer. */
const SANDWICH: Naming = {
  ...LLAMA,
  inside: {
    ...LLAMA.inside,
    post_attention_norm: "post_attention_layernorm",
    ffn_norm: "pre_feedforward_layernorm",
    post_ffw_norm: "post_feedforward_layernorm",
  },
};

const GPT2: Naming = {
  outside: { token_embd: "transformer.wte", position_embd: "transformer.wpe", output_norm: "transformer.ln_f", output: "lm_head" },
  layer: "transformer.h",
  inside: {
    attn_norm: "ln_1",
    attn_qkv: "attn.c_attn",
    attn_output: "attn.c_proj",
    ffn_norm: "ln_2",
    ffn_up: "mlp.c_fc",
    ffn_down: "mlp.c_proj",
  },
};

type Change = (tensor: { readonly part: string; readonly end: string }, config: Json) => GgufChange;

const NONE: GgufChange = { kind: "none" };

const unchanged: Change = () => NONE;

/** 1 is added to every norm's weight by the converter. */
const normsMinusOne: Change = ({ part, end }) => (part.endsWith("norm") && end === "weight" ? { kind: "minus_one" } : NONE);

/** Rows of q and k, and their biases, were reordered for another pairing of rotated coordinates. */
const pairedHeads: Change = ({ part }, config) => {
  if (part === "attn_q") return { kind: "heads", heads: Number(config["num_attention_heads"]) };
  return part === "attn_k" ? { kind: "heads", heads: Number(config["num_key_value_heads"]) } : NONE;
};

const TURNED = new Set(["attn_qkv", "attn_output", "ffn_up", "ffn_down"]);

const turnedMaps: Change = ({ part, end }) => (TURNED.has(part) && end === "weight" ? { kind: "turned" } : NONE);

/** By `model_type`. */
const FAMILIES: Readonly<Record<string, { readonly naming: Naming; readonly change: Change }>> = {
  llama: { naming: LLAMA, change: pairedHeads },
  qwen2: { naming: LLAMA, change: unchanged },
  qwen3: { naming: LLAMA, change: unchanged },
  gemma: { naming: LLAMA, change: normsMinusOne },
  gemma2: { naming: SANDWICH, change: normsMinusOne },
  gemma3_text: { naming: SANDWICH, change: normsMinusOne },
  gpt2: { naming: GPT2, change: turnedMaps },
};

/** Rotary factors, which the configuration has taken up. */
export const ROPE_FACTORS = "rope_freqs.weight";

/** The checkpoint's weights. A tensor that the family does not know keeps its name, so that it is refused as left over. */
export function ggufWeights(tensors: ReadonlyMap<string, Pick<GgufTensor, "shape">>, config: Json): GgufWeight[] {
  const family = FAMILIES[String(config["model_type"])];
  if (!family) throw internal(`no names of GGUF tensors for ${String(config["model_type"])}`);
  const { naming, change } = family;
  return [...tensors]
    .filter(([name]) => name !== ROPE_FACTORS)
    .map(([from, { shape }]): GgufWeight => {
      const [, layer, part = "", end = ""] = /^(?:blk\.(\d+)\.)?([a-z_]+)\.(weight|bias)$/.exec(from) ?? [];
      const table = layer === undefined ? naming.outside : naming.inside;
      const known = Object.hasOwn(table, part) ? table[part] : undefined;
      if (known === undefined) return { name: from, from, shape, change: NONE };
      const undo = change({ part, end }, config);
      const name = `${layer === undefined ? "" : `${naming.layer}.${layer}.`}${known}.${end}`;
      return { name, from, shape: undo.kind === "turned" ? shape.toReversed() : shape, change: undo };
    });
}
