/** @file Settings of `config.json` that are of the wrong type, absurd, unknown, or not honoured. `test/models/spec.test.ts` has each setting of each family. */
import { renameSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { using, workshop, type Variant } from "./damaged.js";

const { complaint, copy, loading, path, write } = workshop();
const llama = (config: Readonly<Record<string, unknown>>): Promise<string> => loading("llama-longrope-crossing", { config });
const plain = (config: Readonly<Record<string, unknown>>): Promise<string> => llama({ rope_scaling: undefined, ...config });
const rope = (rope_scaling: unknown): Promise<string> => llama({ rope_scaling });

describe("the family", () => {
  test("is unknown, missing, or no text", async () => {
    expect(await llama({ model_type: "deepseek_v3" })).toMatchInlineSnapshot(
      `"unsupported: cannot load a model of the family "deepseek_v3": the families are gpt2, gpt_neo, gptj, gpt_neox, opt, bloom, phi, llama, mistral, qwen2, qwen3, gemma, gemma2, gemma3_text, gemma3, phi3, olmo2, smollm3, granite, mixtral, qwen3_moe, gpt_oss, hooked_transformer. Instead: convert it to one of these, or add a file to src/models/architectures"`,
    );
    expect(await llama({ model_type: undefined })).toMatchInlineSnapshot(
      `"unsupported: cannot tell the family of MODEL/config.json: it has no model_type: the families are gpt2, gpt_neo, gptj, gpt_neox, opt, bloom, phi, llama, mistral, qwen2, qwen3, gemma, gemma2, gemma3_text, gemma3, phi3, olmo2, smollm3, granite, mixtral, qwen3_moe, gpt_oss, hooked_transformer. Instead: convert it to one of these, or add a file to src/models/architectures"`,
    );
    expect(await llama({ model_type: 7 })).toMatchInlineSnapshot(`"format: MODEL/config.json: model_type must be a text, got 7"`);
    expect(await llama({ model_type: "__proto__" })).toMatch(/cannot load a model of the family "__proto__"/);
  });

  test("is another than that of the weights", async () => {
    expect(await llama({ model_type: "gpt2", n_head: 4 })).toMatchInlineSnapshot(
      `"weights: the checkpoint has no tensor "transformer.wpe.weight"; MODEL/config.json asks for it with shape [64, 32]"`,
    );
    expect(await llama({ model_type: "olmo2", rope_scaling: undefined })).toMatchInlineSnapshot(
      `"weights: the checkpoint has no tensor "model.layers.0.post_feedforward_layernorm.weight"; MODEL/config.json asks for it with shape [32]"`,
    );
  });
});

describe("sizes", () => {
  test("of the wrong type", async () => {
    for (const value of ["32", true, [32], { size: 32 }, 32.5, -32, 0, null]) {
      expect(await plain({ hidden_size: value })).toMatch(/^format: MODEL\/config.json: hidden_size must be a whole number above 0, got /);
    }
    expect(await plain({ hidden_size: "32" })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: hidden_size must be a whole number above 0, got "32""`,
    );
    expect(await plain({ hidden_size: null })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: hidden_size must be a whole number above 0, got null"`,
    );
    const deep = copy("llama-longrope-crossing");
    write("deep/config.json", `{"model_type": "llama", "hidden_size": ${"[".repeat(20_000)}${"]".repeat(20_000)}}`);
    renameSync(path("deep/config.json"), join(deep, "config.json"));
    expect((await complaint(() => using(deep, () => undefined))).replace(/m\d+/, "MODEL")).toMatchInlineSnapshot(
      `"format: TMP/MODEL/config.json: hidden_size must be a whole number above 0, got […]"`,
    );
    expect(await plain({ rms_norm_eps: -1 })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: rms_norm_eps must be a number above 0, got -1"`,
    );
    expect(await plain({ rms_norm_eps: 1e300 })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: rms_norm_eps must be a number above 0, got 1e+300"`,
    );
    expect(await plain({ hidden_act: 3 })).toMatchInlineSnapshot(`"format: MODEL/config.json: hidden_act must be a text, got 3"`);
    expect(await plain({ attention_bias: "false" })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: attention_bias must be true or false, got "false""`,
    );
    expect(await plain({ tie_word_embeddings: null })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: tie_word_embeddings must be true or false, got null"`,
    );
    expect(await plain({ eos_token_id: "</s>" })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: eos_token_id must be a number, got "</s>""`,
    );
  });

  test("that are absurd", async () => {
    expect(await plain({ num_hidden_layers: 1e9 })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: num_hidden_layers is 1000000000; at most 4096 are read"`,
    );
    expect(await plain({ num_hidden_layers: 4000 })).toMatchInlineSnapshot(
      `"weights: the checkpoint has no tensor "model.layers.2.input_layernorm.weight"; MODEL/config.json asks for it with shape [32]"`,
    );
    expect(await plain({ vocab_size: 2 ** 31 })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: vocab_size must be at most 2147483647, got 2147483648"`,
    );
    expect(await plain({ vocab_size: 2 ** 31 - 1 })).toMatchInlineSnapshot(
      `"weights: tensor "model.embed_tokens.weight" has shape [61, 32], MODEL/config.json asks for [2147483647, 32]"`,
    );
    expect(await plain({ intermediate_size: 1e9 })).toMatchInlineSnapshot(
      `"weights: tensor "model.layers.0.mlp.gate_proj.weight" has shape [40, 32], MODEL/config.json asks for [1000000000, 32]"`,
    );
    expect(await loading("qwen3-moe-dense-first", { config: { num_experts: 1e9 } })).toMatchInlineSnapshot(
      `"weights: tensor "model.layers.1.mlp.gate.weight" has shape [4, 32], MODEL/config.json asks for [1000000000, 32]"`,
    );
  });

  test("that do not divide", async () => {
    expect(await plain({ num_attention_heads: 5 })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: num_attention_heads must be a divisor of 32, got 5"`,
    );
    expect(await plain({ num_key_value_heads: 3 })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: num_key_value_heads must be a divisor of 4 query heads, got 3"`,
    );
    expect(await plain({ num_key_value_heads: 8 })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: num_key_value_heads must be a divisor of 4 query heads, got 8"`,
    );
    expect(await loading("gpt2-hub-names", { config: { n_head: 5 } })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: n_head must be a divisor of 32, got 5"`,
    );
    expect(await plain({ head_dim: 7 })).toMatchInlineSnapshot(
      `"unsupported: cannot honour the rotary size 7 of a head of 7 in MODEL/config.json: coordinates turn in pairs, so it must be even"`,
    );
  });

  test("that the weights do not have", async () => {
    expect(await plain({ hidden_size: 64 })).toMatchInlineSnapshot(
      `"weights: tensor "model.embed_tokens.weight" has shape [61, 32], MODEL/config.json asks for [61, 64]"`,
    );
    expect(await plain({ num_key_value_heads: 2 })).toMatchInlineSnapshot(
      `"weights: tensor "model.layers.0.self_attn.k_proj.weight" has shape [32, 32], MODEL/config.json asks for [16, 32]"`,
    );
    expect(await plain({ num_hidden_layers: 3 })).toMatchInlineSnapshot(
      `"weights: the checkpoint has no tensor "model.layers.2.input_layernorm.weight"; MODEL/config.json asks for it with shape [32]"`,
    );
  });
});

describe("settings that are refused by name", () => {
  test("whatever the family", async () => {
    expect(await plain({ quantization_config: { quant_method: "bitsandbytes" } })).toMatchInlineSnapshot(
      `"unsupported: cannot honour quantization_config {…} of MODEL/config.json: quantised checkpoints are not read; use the float one"`,
    );
    expect(await plain({ is_causal: false })).toMatchInlineSnapshot(
      `"unsupported: cannot honour is_causal false of MODEL/config.json: only causal attention is computed"`,
    );
    expect(await plain({ hidden_act: "quack" })).toMatchInlineSnapshot(
      `"unsupported: cannot honour hidden_act "quack" of MODEL/config.json: known are gelu, gelu_python, gelu_10, gelu_new, gelu_pytorch_tanh, gelu_python_tanh, gelu_accurate, gelu_fast, quick_gelu, silu, swish, relu, relu2, relu6, leaky_relu, hardswish, sigmoid, tanh, linear, mish, sqrtsoftplus, laplace"`,
    );
    expect(await plain({ hidden_act: "__proto__" })).toMatchInlineSnapshot(
      `"unsupported: cannot honour hidden_act "__proto__" of MODEL/config.json: known are gelu, gelu_python, gelu_10, gelu_new, gelu_pytorch_tanh, gelu_python_tanh, gelu_accurate, gelu_fast, quick_gelu, silu, swish, relu, relu2, relu6, leaky_relu, hardswish, sigmoid, tanh, linear, mish, sqrtsoftplus, laplace"`,
    );
    expect(await plain({ hidden_act: "prelu" })).toMatchInlineSnapshot(
      `"unsupported: cannot honour hidden_act "prelu" of MODEL/config.json: known are gelu, gelu_python, gelu_10, gelu_new, gelu_pytorch_tanh, gelu_python_tanh, gelu_accurate, gelu_fast, quick_gelu, silu, swish, relu, relu2, relu6, leaky_relu, hardswish, sigmoid, tanh, linear, mish, sqrtsoftplus, laplace"`,
    );
  });

  test("layer types of the wrong length, or unknown", async () => {
    const gemma = (layer_types: unknown): Promise<string> => loading("gemma3-old-style", { config: { layer_types } });
    expect(await gemma(["full_attention"])).toMatchInlineSnapshot(
      `"format: MODEL/config.json: layer_types must be a list of 3, got ["full_attention"]"`,
    );
    expect(await gemma(["full_attention", "chunked_attention", "full_attention"])).toMatchInlineSnapshot(
      `"unsupported: cannot honour layer_types "chunked_attention" of MODEL/config.json: only full and sliding attention are known"`,
    );
    expect(await gemma([null, { kind: 1 }, []])).toMatchInlineSnapshot(
      `"unsupported: cannot honour layer_types null of MODEL/config.json: only full and sliding attention are known"`,
    );
    expect(await gemma("full_attention")).toMatchInlineSnapshot(
      `"format: MODEL/config.json: layer_types must be a list, got "full_attention""`,
    );
    expect(
      await loading("gpt-neo-mixed-untied", { config: { attention_layers: undefined, attention_types: [[[], 1e9]] } }),
    ).toMatchInlineSnapshot(
      `"format: MODEL/config.json: attention_types must be pairs of a pattern and a count, 3 layers in all, got […]"`,
    );
  });
});

describe("rotary settings", () => {
  test("of an unknown type, or no object", async () => {
    expect(await rope({ rope_type: "mrope", factor: 2 })).toMatchInlineSnapshot(
      `"unsupported: cannot honour the rope type "mrope": this family's types are default, linear, proportional, dynamic, llama3, yarn, longrope"`,
    );
    expect(await rope({ rope_type: null, factor: 2 })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: rope_scaling: rope_type must be a text, got null"`,
    );
    expect(await rope("linear")).toMatchInlineSnapshot(`"format: MODEL/config.json: rope_scaling must be an object, got "linear""`);
    expect(await rope({ rope_type: "linear", factor: 2, wobble: 3 })).toMatchInlineSnapshot(
      `"unsupported: cannot honour wobble of MODEL/config.json: rope_scaling: no rope type has such a parameter"`,
    );
  });

  test("with parameters missing or of the wrong length", async () => {
    expect(await rope({ rope_type: "linear" })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: rope_scaling: factor must be a number above 0, it is missing"`,
    );
    expect(await rope({ rope_type: "llama3", factor: 8, low_freq_factor: 1 })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: rope_scaling: high_freq_factor must be a number above 0, it is missing"`,
    );
    expect(await rope({ rope_type: "longrope", short_factor: [1, 1, 1, 1] })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: rope_scaling: long_factor must be a list of 4 numbers, it is missing"`,
    );
    expect(await rope({ rope_type: "longrope", short_factor: [1, 1], long_factor: [1, 1, 1, 1] })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: rope_scaling: short_factor must be a list of 4 numbers, got [1, 1]"`,
    );
    expect(await rope({ rope_type: "longrope", short_factor: [1, "1", 1, 1], long_factor: [1, 1, 1, 1] })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: rope_scaling: short_factor must be a list of numbers, got [1, "1", 1, 1]"`,
    );
  });

  test("that give no angles", async () => {
    expect(await plain({ rope_theta: -10000 })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: rope_theta, rope_scaling or rope_parameters of type default give angles that are not finite numbers"`,
    );
    expect(await plain({ rope_theta: 0 })).toMatch(/^format: MODEL\/config.json: .*rope_theta/);
    expect(await rope({ rope_type: "linear", factor: 0 })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: rope_scaling: factor must be a number above 0, got 0"`,
    );
    expect(await rope({ rope_type: "longrope", short_factor: [1, 0, 1, 1], long_factor: [1, 1, 1, 1] })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: rope_theta, rope_scaling or rope_parameters of type longrope give angles that are not finite numbers"`,
    );
    expect(await rope({ rope_type: "longrope", short_factor: [1, 1, 1, 1], long_factor: [1, 0, 1, 1] })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: rope_theta, rope_scaling or rope_parameters of type longrope give angles that are not finite numbers"`,
    );
    expect(await plain({ partial_rotary_factor: 0 })).toMatchInlineSnapshot(
      `"format: MODEL/config.json: partial_rotary_factor must be a number above 0, at most 1, got 0"`,
    );
  });
});

test.each<[Variant]>([
  ["gpt2-hub-names"],
  ["llama-longrope-crossing"],
  ["gemma3-old-style"],
  ["qwen3-moe-dense-first"],
  ["gpt-neo-mixed-untied"],
])("%s: no field of nested garbage gets past the reader", async (variant) => {
  const garbage = [{ a: [{ b: null }] }, [[[]]], "x".repeat(10_000), -1e308];
  for (const key of [
    "hidden_size",
    "n_embd",
    "num_attention_heads",
    "n_head",
    "layer_types",
    "rope_scaling",
    "attention_types",
    "vocab_size",
  ]) {
    for (const value of garbage) {
      const said = await loading(variant, { config: { [key]: value } }, { lazy: true }).catch((error: Error) => error.message);
      expect(said === "nothing was refused" || /^(format|unsupported|weights): .{1,600}$/s.test(said), `${key}: ${said}`).toBe(true);
    }
  }
});
