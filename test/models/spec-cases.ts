/**
 * @file Every setting of every family, changed alone: which part of the spec it changes, that it changes nothing, or with which
 * words it is refused. The rules are those of `transformers` 5.23; `test/parity` holds the numbers against it.
 */
import { expect } from "vitest";
import type { Json } from "../../src/models/config.js";
import { ACTIVATION_NAMES } from "../../src/models/parts/activations.js";
import { CONFIGS } from "./tiny-specs.js";

/** Values of the spec by path, `SAME`, or `kind: message` of the refusal. */
export type Effect = Readonly<Record<string, unknown>> | string;
export const SAME = "same";

/** A change of a family's configuration (undefined takes a field away), and what it does. */
export type Case = readonly [change: Json, effect: Effect];

const ATTENTION = "layers.1.attention";
const window = (first: number | undefined, second: number | undefined) => ({
  "layers.0.attention.window": first,
  "layers.1.attention.window": second,
});

/** What a field of Llama's shape does in each of its families. */
const LLAMA: readonly Case[] = [
  [{ num_key_value_heads: null }, { [`${ATTENTION}.kvHeads`]: 4 }],
  [{ num_key_value_heads: 1 }, { [`${ATTENTION}.kvHeads`]: 1 }],
  [{ head_dim: 8 }, { [`${ATTENTION}.dHead`]: 8 }],
  [{ intermediate_size: 20 }, { "layers.0.mlp": expect.objectContaining({}) }],
  [{ rms_norm_eps: 0.5 }, { "layers.0.attention": expect.objectContaining({}), "head.norm.eps": 0.5 }],
  [{ max_position_embeddings: 64 }, { context: { length: 64, hard: false } }],
  [{ vocab_size: 23 }, { vocab: 23, vocabOut: 23 }],
  [{ rope_parameters: undefined, rope_theta: 500 }, { "rotaries.0.rope.theta": 500 }],
  [{ tie_word_embeddings: true }, { "head.unembed.weight.name": "model.embed_tokens.weight" }],
  [{ tie_word_embeddings: false }, { "head.unembed.weight.name": "lm_head.weight" }],
];

/** The cases of each family. */
export const CASES: Readonly<Record<string, readonly Case[]>> = {
  gpt2: [
    [{ n_inner: 40 }, { "layers.0.mlp.dMlp": 40 }],
    [{ n_inner: null }, { "layers.0.mlp.dMlp": 64 }],
    [{ activation_function: "relu" }, { "layers.0.mlp.activation": "relu" }],
    [
      { activation_function: "prelu" },
      `unsupported: cannot honour activation_function "prelu" of config.json: known are ${ACTIVATION_NAMES.join(", ")}`,
    ],
    [{ layer_norm_epsilon: 0.5 }, { "layers.0.ln1.eps": 0.5, "layers.1.ln2.eps": 0.5, "head.norm.eps": 0.5 }],
    [{ scale_attn_weights: false }, { [`${ATTENTION}.scale`]: 1 }],
    [{ scale_attn_by_inverse_layer_idx: true }, { "layers.0.attention.scale": 0.5, [`${ATTENTION}.scale`]: 0.25 }],
    [{ scale_attn_by_inverse_layer_idx: true, scale_attn_weights: false }, { [`${ATTENTION}.scale`]: 0.5 }],
    [{ n_head: 2 }, { [`${ATTENTION}.heads`]: 2, [`${ATTENTION}.dHead`]: 8 }],
    [{ n_head: undefined, num_attention_heads: 2 }, { [`${ATTENTION}.heads`]: 2 }],
    [{ n_head: 3 }, "format: config.json: n_head must be a divisor of 16, got 3"],
    [{ n_embd: undefined, hidden_size: 16 }, SAME],
    [{ n_positions: 8 }, { context: { length: 8, hard: true } }],
    [{ tie_word_embeddings: false }, { "head.unembed.weight.name": "lm_head.weight" }],
    [{ reorder_and_upcast_attn: true, summary_type: "x", summary_use_proj: false, n_ctx: 7 }, SAME],
    [
      { head_dim: 9, rope_theta: 3, sliding_window: 2 },
      { notUnderstood: ["head_dim", "rope_theta", "sliding_window"], [`${ATTENTION}.dHead`]: 4 },
    ],
    [
      { add_cross_attention: true },
      "unsupported: cannot honour add_cross_attention true of config.json: there is no encoder for it to attend to",
    ],
  ],
  gpt_neo: [
    [{ attention_layers: undefined, attention_types: [[["local"], 2]] }, window(4, 4)],
    [{ attention_types: [[["local"], 2]] }, window(undefined, 4)],
    [{ attention_layers: ["local", "global"] }, window(4, undefined)],
    [{ attention_layers: undefined, attention_types: [[["local"], 1], [["global"], 1]] }, window(4, undefined)], // prettier-ignore
    [{ attention_layers: ["local"] }, 'format: config.json: attention_layers must be a pattern of 2 layers, got ["local"]'],
    [
      { attention_layers: ["local", "sparse"] },
      'unsupported: cannot honour attention_layers "sparse" of config.json: only global and local are known',
    ],
    [
      { attention_layers: undefined, attention_types: [[[], 1_000_000_000]] },
      "format: config.json: attention_types must be pairs of a pattern and a count, 2 layers in all, got […]",
    ],
    [
      { attention_layers: undefined, attention_types: [[["local"], 1_000_000_000]] },
      "format: config.json: attention_types must be pairs of a pattern and a count, 2 layers in all, got […]",
    ],
    [{ window_size: 7 }, window(undefined, 7)],
    [{ intermediate_size: null }, { "layers.0.mlp.dMlp": 64 }],
    [{ intermediate_size: undefined }, { "layers.0.mlp.dMlp": 64 }],
    [{ activation_function: "mish" }, { "layers.0.mlp.activation": "mish" }],
    [{ num_heads: 2 }, { [`${ATTENTION}.heads`]: 2, [`${ATTENTION}.scale`]: 1 }],
    [{ layer_norm_epsilon: 0.5 }, { "layers.0.ln1.eps": 0.5, "head.norm.eps": 0.5 }],
    [{ max_position_embeddings: 8 }, { context: { length: 8, hard: true } }],
    [{ tie_word_embeddings: false }, { "head.unembed.weight.name": "lm_head.weight" }],
  ],
  gptj: [
    [{ rotary_dim: 4 }, { "rotaries.0": { rope: { type: "default", theta: 10000 }, dims: 4, period: 4, pairs: "neighbours" } }],
    [{ rotary_dim: 3 }, "format: config.json: rotary_dim must be an even number up to 4, got 3"],
    [{ rotary_dim: 6 }, "format: config.json: rotary_dim must be an even number up to 4, got 6"],
    [{ rotary_dim: null }, "format: config.json: rotary_dim must be a whole number above 0, got null"],
    [{ n_inner: 40 }, { "layers.0.mlp.dMlp": 40 }],
    [{ activation_function: "relu" }, { "layers.0.mlp.activation": "relu" }],
    [{ layer_norm_epsilon: 0.5 }, { "layers.0.ln1.eps": 0.5, "head.norm.eps": 0.5 }],
    [{ rope_theta: 3 }, { notUnderstood: ["rope_theta"], "rotaries.0.rope": { type: "default", theta: 10000 } }],
    [{ n_positions: 8 }, { context: { length: 8, hard: true } }],
    [{ tie_word_embeddings: true }, { "head.unembed.weight.name": "transformer.wte.weight", "head.unembed.bias.name": "lm_head.bias" }],
  ],
  gpt_neox: [
    [{ use_parallel_residual: false }, { "layers.0.wiring": "sequential" }],
    [{ attention_bias: false }, { [`${ATTENTION}.qkv.linear.bias`]: undefined, [`${ATTENTION}.out.bias`]: undefined }],
    [{ intermediate_size: 40 }, { "layers.0.mlp.dMlp": 40 }],
    [{ hidden_act: "gelu_fast" }, { "layers.0.mlp.activation": "gelu_fast" }],
    [{ layer_norm_eps: 0.5 }, { "layers.0.ln2.eps": 0.5, "head.norm.eps": 0.5 }],
    [
      { rope_parameters: undefined, rotary_pct: 1, rotary_emb_base: 300 },
      { "rotaries.0.dims": 4, "rotaries.0.rope.theta": 300 },
    ],
    [
      { rope_parameters: undefined, rope_theta: 300 },
      { "rotaries.0.dims": 2, "rotaries.0.rope.theta": 10000 },
    ],
    [{ head_dim: 4 }, SAME],
    [
      { head_dim: 6 },
      "unsupported: cannot honour head_dim 6 of config.json: heads have 4 coordinates, and transformers turns by a head of head_dim",
    ],
    [{ max_position_embeddings: 8 }, { context: { length: 8, hard: false } }],
    [{ tie_word_embeddings: true }, { "head.unembed.weight.name": "gpt_neox.embed_in.weight" }],
  ],
  opt: [
    [{ do_layer_norm_before: false }, { "layers.0.ln1": undefined, "layers.0.streamNorms.afterMlp.eps": 1e-5, "head.norm": undefined }],
    [{ _remove_final_layer_norm: true }, { "head.norm": undefined }],
    [
      { enable_bias: false },
      { [`${ATTENTION}.qkv.q.bias`]: undefined, [`${ATTENTION}.out.bias`]: undefined, "layers.0.mlp.in.bias": undefined },
    ],
    [{ layer_norm_elementwise_affine: false }, { "layers.0.ln1": { kind: "layer", eps: 1e-5 }, "head.norm": { kind: "layer", eps: 1e-5 } }],
    [{ word_embed_proj_dim: 8 }, { "embedding.project.in": 8, "head.project.out": 8, "head.unembed.in": 8 }],
    [{ word_embed_proj_dim: null }, SAME],
    [{ ffn_dim: 40 }, { "layers.0.mlp.dMlp": 40 }],
    [{ activation_function: "gelu" }, { "layers.0.mlp.activation": "gelu" }],
    [{ num_attention_heads: 2 }, { [`${ATTENTION}.dHead`]: 8, [`${ATTENTION}.queryMultiplier`]: 8 ** -0.5, [`${ATTENTION}.scale`]: 1 }],
    [{ max_position_embeddings: 8 }, { context: { length: 8, hard: true }, "embedding.positions.weight.shape": [10, 16] }],
    [{ layer_norm_eps: 0.5 }, { notUnderstood: ["layer_norm_eps"], "head.norm.eps": 1e-5 }],
    [{ tie_word_embeddings: false }, { "head.unembed.weight.name": "lm_head.weight" }],
  ],
  bloom: [
    [{ apply_residual_connection_post_layernorm: true }, { "layers.0.residualFromNorm": true }],
    [{ layer_norm_epsilon: 0.5 }, { "layers.0.ln1.eps": 0.5, "embedding.norm.eps": 0.5, "head.norm.eps": 0.5 }],
    [{ n_head: 2 }, { [`${ATTENTION}.alibi`]: [2 ** -4, 2 ** -8] }],
    [{ hidden_size: 3, n_embed: 16 }, SAME],
    [{ pretraining_tp: 2 }, SAME],
    [{ slow_but_exact: true }, SAME],
    [
      { slow_but_exact: true, pretraining_tp: 2 },
      "unsupported: cannot honour slow_but_exact with pretraining_tp above 1: transformers drops the output biases then. Instead: set slow_but_exact to false",
    ],
    [{ seq_length: 7, masked_softmax_fusion: false, skip_bias_add: true, attention_softmax_in_fp32: false, offset_alibi: 3 }, SAME],
    [{ tie_word_embeddings: false }, { "head.unembed.weight.name": "lm_head.weight" }],
  ],
  phi: [
    [{ qk_layernorm: true }, { [`${ATTENTION}.qkNorm.over`]: "head", [`${ATTENTION}.qkNorm.k.bias.shape`]: [4] }],
    [{ num_key_value_heads: 1 }, { [`${ATTENTION}.kvHeads`]: 1 }],
    [{ head_dim: 8 }, { [`${ATTENTION}.dHead`]: 8, "rotaries.0.dims": 4 }],
    [{ hidden_act: "gelu" }, { "layers.0.mlp.activation": "gelu" }],
    [{ layer_norm_eps: 0.5 }, { "layers.0.ln1.eps": 0.5, "head.norm.eps": 0.5 }],
    [{ intermediate_size: 20 }, { "layers.0.mlp.dMlp": 20 }],
    [{ rope_parameters: undefined }, SAME],
    [
      { rope_parameters: undefined, partial_rotary_factor: 1, rope_theta: 500 },
      { "rotaries.0.dims": 4, "rotaries.0.rope.theta": 500 },
    ],
    [{ tie_word_embeddings: true }, { "head.unembed.weight.name": "model.embed_tokens.weight", "head.unembed.bias.name": "lm_head.bias" }],
  ],
  llama: [
    ...LLAMA,
    [{ attention_bias: true }, { [`${ATTENTION}.qkv.q.bias.shape`]: [24], [`${ATTENTION}.out.bias.shape`]: [16] }],
    [{ mlp_bias: true }, { "layers.0.mlp.gate.bias.shape": [24], "layers.0.mlp.down.bias.shape": [16] }],
    [{ hidden_act: "gelu" }, { "layers.0.mlp.activation": "gelu" }],
    [{ head_dim: null }, { [`${ATTENTION}.dHead`]: 4 }],
    [{ pretraining_tp: 4 }, SAME],
    [
      { layer_types: ["sliding_attention"], sliding_window: 3 },
      { notUnderstood: ["layer_types", "sliding_window"], ...window(undefined, undefined) },
    ],
    [{ attn_logit_softcapping: 3 }, { notUnderstood: ["attn_logit_softcapping"] }],
  ],
  mistral: [
    ...LLAMA,
    [{ sliding_window: null }, window(undefined, undefined)],
    [{ sliding_window: undefined }, window(4096, 4096)],
    [{ sliding_window: 7 }, window(7, 7)],
    [{ sliding_window: 0 }, "format: config.json: sliding_window must be a whole number above 0, got 0"],
    [{ layer_types: ["full_attention", "sliding_attention"] }, window(undefined, 4)],
    [{ layer_types: ["full_attention"] }, 'format: config.json: layer_types must be a list of 2, got ["full_attention"]'],
    [{ attention_bias: true }, SAME],
    [{ num_key_value_heads: undefined, num_attention_heads: 16, head_dim: 2 }, { [`${ATTENTION}.kvHeads`]: 8 }],
  ],
  qwen2: [
    ...LLAMA,
    [{ layer_types: undefined, use_sliding_window: true, sliding_window: 4, max_window_layers: 1 }, window(undefined, 4)],
    [{ layer_types: undefined, use_sliding_window: true, sliding_window: 4, max_window_layers: 0 }, window(4, 4)],
    [{ layer_types: undefined, sliding_window: 4, max_window_layers: 0 }, SAME],
    [{ layer_types: undefined, use_sliding_window: true, sliding_window: null, max_window_layers: 0 }, SAME],
    [{ layer_types: ["sliding_attention", "full_attention"], use_sliding_window: true, sliding_window: 4 }, window(4, undefined)],
    [
      { layer_types: ["sliding_attention", "full_attention"] },
      "unsupported: cannot honour sliding layers in layer_types: use_sliding_window is false or sliding_window null, so they have no width",
    ],
    [{ layer_types: ["full_attention"] }, 'format: config.json: layer_types must be a list of 2, got ["full_attention"]'],
    [
      { layer_types: ["full_attention", "linear_attention"] },
      'unsupported: cannot honour layer_types "linear_attention" of config.json: only full and sliding attention are known',
    ],
    [{ num_key_value_heads: undefined }, "format: config.json: num_key_value_heads must be a divisor of 4 query heads, it is missing"],
  ],
  qwen3: [
    ...LLAMA,
    [{ head_dim: undefined }, { [`${ATTENTION}.dHead`]: 128 }],
    [{ attention_bias: true }, { [`${ATTENTION}.qkv.k.bias.shape`]: [12], [`${ATTENTION}.out.bias.shape`]: [16] }],
    [{ rms_norm_eps: 0.5 }, { [`${ATTENTION}.qkNorm.q.eps`]: 0.5, [`${ATTENTION}.qkNorm.over`]: "head" }],
    [{ layer_types: undefined, use_sliding_window: true, sliding_window: 4, max_window_layers: 1 }, window(undefined, 4)],
  ],
  gemma: [
    ...LLAMA,
    [{ hidden_act: "gelu" }, SAME],
    [{ hidden_act: "relu" }, { "layers.0.mlp.activation": "relu" }],
    [{ hidden_activation: "relu" }, SAME],
    [{ hidden_activation: null }, SAME],
    [{ attention_bias: true }, { [`${ATTENTION}.qkv.v.bias.shape`]: [12] }],
    [{ head_dim: undefined }, { [`${ATTENTION}.dHead`]: 256 }],
  ],
  gemma2: [
    ...LLAMA,
    [{ query_pre_attn_scalar: 9 }, { [`${ATTENTION}.scale`]: 9 ** -0.5 }],
    [{ attn_logit_softcapping: null }, { [`${ATTENTION}.softcap`]: undefined }],
    [{ attn_logit_softcapping: undefined }, { [`${ATTENTION}.softcap`]: 50 }],
    [{ attn_logit_softcapping: 0 }, "format: config.json: attn_logit_softcapping must be a number above 0, got 0"],
    [{ final_logit_softcapping: null }, { "head.softcap": undefined }],
    [{ final_logit_softcapping: undefined }, { "head.softcap": 30 }],
    [{ layer_types: undefined }, window(4, undefined)],
    [{ layer_types: undefined, sliding_window: undefined }, window(4096, undefined)],
    [{ sliding_window: null }, "format: config.json: sliding_window must be a whole number above 0, got null"],
    [{ layer_types: ["full_attention", "full_attention"], sliding_window: null }, window(undefined, undefined)],
    [{ hidden_activation: "gelu" }, { "layers.0.mlp.activation": "gelu" }],
    [{ hidden_act: "relu", cache_implementation: "hybrid" }, SAME],
  ],
  gemma3_text: [
    ...LLAMA.filter(([change]) => !("rope_parameters" in change)),
    [{ layer_types: undefined, sliding_window_pattern: 2 }, window(4, undefined)],
    [{ layer_types: undefined, _sliding_window_pattern: 2 }, window(4, 4)],
    [{ attn_logit_softcapping: 3 }, SAME],
    [{ final_logit_softcapping: 3 }, { "head.softcap": 3 }],
    [{ query_pre_attn_scalar: 9 }, { [`${ATTENTION}.scale`]: 9 ** -0.5 }],
    [{ rope_parameters: undefined }, { "rotaries.0.rope.theta": 1e6, "rotaries.1.rope.theta": 1e4 }],
    [
      { rope_parameters: undefined, rope_theta: 5, rope_local_base_freq: 7, rope_scaling: { rope_type: "linear", factor: 8 } },
      { "rotaries.0.rope": { type: "linear", theta: 5, factor: 8 }, "rotaries.1.rope": { type: "default", theta: 7 } },
    ],
    [
      { rope_parameters: { rope_type: "linear", factor: 8 } },
      'unsupported: cannot honour rope_parameters "rope_type" of config.json: it holds full_attention and sliding_attention here',
    ],
    [
      { rope_parameters: { full_attention: { rope_type: "linear", factor: 8, rope_theta: 5 }, sliding_attention: { rope_theta: 7 } } },
      { "rotaries.0.rope": { type: "linear", theta: 5, factor: 8 }, "rotaries.1.rope": { type: "default", theta: 7 } },
    ],
    [{ hidden_activation: "gelu" }, { "layers.0.mlp.activation": "gelu" }],
  ],
  gemma3: [
    [{ tie_word_embeddings: false }, { "head.unembed.weight.name": "lm_head.weight" }],
    [{ vision_config: { hidden_size: 1 }, mm_tokens_per_image: 3, image_token_index: 4, boi_token_id: 1 }, SAME],
    [{ text_config: undefined }, "format: config.json: text_config must be an object, it is missing"],
    [{ text_config: { ...textOf("gemma3"), tie_word_embeddings: false } }, SAME],
    [{ eos_token_id: [1, 7] }, { "special.eos": [1, 7] }],
    [{ text_config: { ...textOf("gemma3"), final_logit_softcapping: 3 } }, SAME],
    [{ text_config: { ...textOf("gemma3"), surprise: 3 } }, { notUnderstood: ["text_config.surprise"] }],
    [
      { text_config: { ...textOf("gemma3"), is_causal: false } },
      "unsupported: cannot honour is_causal false of config.json: text_config: only causal attention is computed",
    ],
    [
      { text_config: { ...textOf("gemma3"), num_hidden_layers: 1_000_000_000 } },
      "format: config.json: text_config: num_hidden_layers is 1000000000; at most 4096 are read",
    ],
    [
      { text_config: { hidden_size: 32, intermediate_size: 8, num_hidden_layers: 2, vocab_size: 19, head_dim: 4 } },
      { [`${ATTENTION}.heads`]: 8, [`${ATTENTION}.kvHeads`]: 4, [`${ATTENTION}.window`]: 4096, context: { length: 131072, hard: false } },
    ],
  ],
  phi3: [
    ...LLAMA.filter(([change]) => !("head_dim" in change)),
    [{ sliding_window: 7 }, window(7, 7)],
    [{ sliding_window: undefined }, SAME],
    [{ rope_parameters: undefined, partial_rotary_factor: 0.5 }, { "rotaries.0.dims": 2 }],
    [
      { rope_parameters: undefined, rope_scaling: { type: "yarn", short_factor: [1, 1], long_factor: [2, 2] } },
      { "rotaries.0.rope.type": "longrope", recomputeAt: 4097 },
    ],
    [
      { rope_parameters: undefined, rope_scaling: { type: "linear", factor: 2 } },
      'unsupported: cannot honour the rope type "linear": this family\'s types are default, longrope',
    ],
    [
      { rope_parameters: undefined, rope_scaling: { type: "longrope", short_factor: [1], long_factor: [2, 2] } },
      "format: config.json: rope_scaling: short_factor must be a list of 2 numbers, got [1]",
    ],
    [{ attention_bias: true, layer_types: ["full_attention"] }, SAME],
  ],
  olmo2: [
    ...LLAMA,
    [{ attention_bias: true }, { [`${ATTENTION}.qkv.q.bias.shape`]: [16], [`${ATTENTION}.out.bias.shape`]: [16] }],
    [
      { rms_norm_eps: 0.5 },
      { "layers.0.attnPostNorm.eps": 0.5, [`${ATTENTION}.qkNorm.over`]: "projection", [`${ATTENTION}.qkNorm.k.weight.shape`]: [8] },
    ],
    [{ clip_qkv: 3 }, { notUnderstood: ["clip_qkv"] }],
  ],
  smollm3: [
    ...LLAMA,
    [{ no_rope_layers: [0, 1] }, { "layers.0.attention.rotary": undefined, [`${ATTENTION}.rotary`]: 0 }],
    [{ no_rope_layers: null }, { "layers.0.attention.rotary": 0, [`${ATTENTION}.rotary`]: undefined }],
    [{ no_rope_layers: undefined, no_rope_layer_interval: 4 }, { [`${ATTENTION}.rotary`]: 0 }],
    [{ no_rope_layers: [] }, "format: config.json: no_rope_layers must be a list of 2 numbers, got []"],
    [{ layer_types: undefined, use_sliding_window: true, sliding_window: 4 }, window(undefined, 4)],
    [{ layer_types: undefined, sliding_window: 4 }, SAME],
    [{ layer_types: ["sliding_attention", "full_attention"], sliding_window: 4 }, window(4, undefined)],
    [
      { layer_types: ["sliding_attention", "full_attention"] },
      "format: config.json: sliding_window must be a whole number above 0, got null",
    ],
    [
      { mlp_bias: true, attention_bias: true },
      { "layers.0.mlp.up.bias.shape": [24], [`${ATTENTION}.out.bias.shape`]: [16] },
    ],
    [{ max_window_layers: 1, pretraining_tp: 2 }, SAME],
    [{ rope_parameters: undefined }, { "rotaries.0.rope.theta": 2_000_000 }],
  ],
  granite: [
    ...LLAMA,
    [{ embedding_multiplier: 12 }, { "embedding.multiplier": 12 }],
    [{ attention_multiplier: 0.25 }, { [`${ATTENTION}.scale`]: 0.25 }],
    [{ attention_multiplier: undefined }, { [`${ATTENTION}.scale`]: 1 }],
    [{ residual_multiplier: 0.25 }, { "layers.0.residualMultiplier": 0.25 }],
    [{ logits_scaling: 8 }, { "head.multiplier": 0.125 }],
    [{ logits_scaling: 0 }, "format: config.json: logits_scaling must be a number other than 0, got 0"],
    [
      { mlp_bias: true, attention_bias: true },
      { "layers.0.mlp.up.bias.shape": [24], [`${ATTENTION}.qkv.q.bias.shape`]: [16] },
    ],
  ],
  mixtral: [
    ...LLAMA,
    [{ num_local_experts: undefined, num_experts: 4 }, SAME],
    [{ num_local_experts: 3 }, { "layers.0.mlp.experts.length": 3 }],
    [{ num_experts_per_tok: 3 }, { "layers.0.mlp.topK": 3, "layers.0.mlp.normalise": true, "layers.0.mlp.softmax": "all" }],
    [{ num_experts_per_tok: 5 }, "format: config.json: num_experts_per_tok must be at most 4, got 5"],
    [
      { num_local_experts: 1_000_000_000 },
      'weights: the checkpoint has no tensor "model.layers.0.block_sparse_moe.gate.weight"; config.json asks for it with shape [1000000000, 16]',
    ],
    [{ sliding_window: 7 }, window(7, 7)],
    [{ hidden_act: "relu" }, { "layers.0.mlp.experts.1.activation": "relu" }],
    [{ rope_parameters: undefined }, { "rotaries.0.rope.theta": 1_000_000 }],
  ],
  qwen3_moe: [
    ...LLAMA,
    [{ num_local_experts: undefined, num_experts: 4 }, SAME],
    [{ mlp_only_layers: [] }, { "layers.0.mlp.kind": "experts" }],
    [{ mlp_only_layers: null }, { "layers.0.mlp.kind": "experts" }],
    [
      { mlp_only_layers: [], decoder_sparse_step: 2 },
      { "layers.0.mlp.kind": "gated", "layers.1.mlp.kind": "experts" },
    ],
    [{ norm_topk_prob: true }, { "layers.1.mlp.normalise": true }],
    [{ norm_topk_prob: undefined }, { "layers.1.mlp.normalise": false }],
    [{ moe_intermediate_size: 6 }, { "layers.1.mlp.experts.0.dMlp": 6, "layers.0.mlp.dMlp": 24 }],
    [{ use_sliding_window: true, sliding_window: 4, max_window_layers: 1 }, window(4, 4)],
    [{ sliding_window: 4 }, SAME],
    [{ head_dim: undefined }, SAME],
    [{ attention_bias: true }, { [`${ATTENTION}.qkv.k.bias.shape`]: [8], [`${ATTENTION}.out.bias.shape`]: [16] }],
    [{ num_local_experts: 0 }, "format: config.json: num_local_experts must be a whole number above 0, got 0"],
  ],
  gpt_oss: [
    ...LLAMA,
    [{ attention_bias: false }, { [`${ATTENTION}.qkv.q.bias`]: undefined, [`${ATTENTION}.out.bias`]: undefined }],
    [{ layer_types: undefined, sliding_window: undefined }, window(128, undefined)],
    [
      { swiglu_limit: 3, swiglu_alpha: 2 },
      { "layers.0.mlp.experts.3.limit": 3, "layers.0.mlp.experts.3.alpha": 2 },
    ],
    [{ num_experts_per_tok: 1 }, { "layers.0.mlp.topK": 1, "layers.0.mlp.softmax": "chosen" }],
    [{ hidden_act: "relu", initial_context_length: 3, experts_per_token: 9 }, SAME],
    [
      { rope_parameters: undefined },
      {
        "rotaries.0.rope": {
          type: "yarn",
          theta: 150_000,
          factor: 32,
          original: 4096,
          attentionFactor: 0.1 * Math.log(32) + 1,
          betaFast: 32,
          betaSlow: 1,
          truncate: false,
        },
      },
    ],
    [
      { num_local_experts: 1_000_000_000 },
      'weights: the checkpoint has no tensor "model.layers.0.mlp.router.weight"; config.json asks for it with shape [1000000000, 16]',
    ],
    [
      { head_dim: undefined, num_attention_heads: undefined, num_key_value_heads: undefined },
      { [`${ATTENTION}.heads`]: 64, [`${ATTENTION}.dHead`]: 64 },
    ],
  ],
  hooked_transformer: [
    [
      { attn_only: true, d_mlp: null },
      { "layers.0.mlp": undefined, "layers.0.ln2": undefined },
    ],
    [{ normalization_type: null }, { "layers.0.ln1": undefined, "head.norm": undefined }],
    [{ normalization_type: "RMSPre" }, { "layers.0.ln1": { kind: "rms", eps: 1e-5 } }],
    [{ normalization_type: undefined }, SAME],
    [
      { normalization_type: "toString" },
      'unsupported: cannot honour normalization_type "toString" of config.json: known are LN, LNPre, RMS, RMSPre and null',
    ],
    [{ act_fn: "gelu_new" }, { "layers.0.mlp.activation": "gelu_new" }],
    [
      { act_fn: "constructor" },
      'unsupported: cannot honour act_fn "constructor" of config.json: known are relu, gelu, silu, gelu_new, gelu_fast, gelu_pytorch_tanh',
    ],
    [
      { act_fn: "solu_ln" },
      'unsupported: cannot honour act_fn "solu_ln" of config.json: known are relu, gelu, silu, gelu_new, gelu_fast, gelu_pytorch_tanh',
    ],
    [{ attn_scale: 3 }, { [`${ATTENTION}.scale`]: 1 / 3 }],
    [{ use_attn_scale: false }, { [`${ATTENTION}.scale`]: 1 }],
    [{ n_heads: -1 }, SAME],
    [{ d_vocab_out: 7 }, { vocab: 19, vocabOut: 7 }],
    [{ d_vocab_out: -1 }, SAME],
    [{ eps: 0.5 }, { "layers.0.ln1.eps": 0.5 }],
    [{ n_ctx: 8 }, { context: { length: 8, hard: true } }],
    [
      { attention_dir: "bidirectional" },
      'unsupported: cannot honour attention_dir "bidirectional" of config.json: only "causal" is read in this format',
    ],
    [
      { positional_embedding_type: "rotary" },
      'unsupported: cannot honour positional_embedding_type "rotary" of config.json: only "standard" is read in this format',
    ],
    [{ parallel_attn_mlp: true }, "unsupported: cannot honour parallel_attn_mlp true of config.json: only false is read in this format"],
    [{ gated_mlp: true }, "unsupported: cannot honour gated_mlp true of config.json: only false is read in this format"],
    [{ final_rms: true }, "unsupported: cannot honour final_rms true of config.json: only false is read in this format"],
    [
      { use_local_attn: true, window_size: 3 },
      "unsupported: cannot honour use_local_attn true of config.json: only false is read in this format",
    ],
    [{ window_size: 3, attn_types: ["global"], rotary_base: 3, use_attn_result: true }, SAME],
    [{ num_experts: 3 }, "unsupported: cannot honour num_experts 3 of config.json: only null is read in this format"],
    [{ post_embedding_ln: true }, "unsupported: cannot honour post_embedding_ln true of config.json: only false is read in this format"],
    [
      { scale_attn_by_inverse_layer_idx: true },
      "unsupported: cannot honour scale_attn_by_inverse_layer_idx true of config.json: only false is read in this format",
    ],
    [{ use_qk_norm: true }, "unsupported: cannot honour use_qk_norm true of config.json: only false is read in this format"],
    [
      { use_normalization_before_and_after: true },
      "unsupported: cannot honour use_normalization_before_and_after true of config.json: only false is read in this format",
    ],
    [{ attn_scores_soft_cap: 50 }, "unsupported: cannot honour attn_scores_soft_cap 50 of config.json: only -1 is read in this format"],
    [{ output_logits_soft_cap: 30 }, "unsupported: cannot honour output_logits_soft_cap 30 of config.json: only -1 is read in this format"],
    [{ n_key_value_heads: 2 }, "unsupported: cannot honour n_key_value_heads 2 of config.json: only 4 is read in this format"],
    [{ n_key_value_heads: 4 }, SAME],
  ],
};

function textOf(family: string): Json {
  return CONFIGS[family]!["text_config"] as Json;
}
