/** @file Models from a configuration alone: which tensors there are, and what they begin as. */
import { describe, expect, test } from "vitest";
import { weightsOf } from "../../src/models/check-weights.js";
import { readModelSpec } from "../../src/models/read-spec.js";
import { initialise } from "../../src/training/initialise.js";
import { planModel, PLANNED_MODEL_TYPES } from "../../src/training/plan-spec.js";

const gpt2 = { model_type: "gpt2", n_embd: 64, n_layer: 2, n_head: 4, n_positions: 32, vocab_size: 100 };
const sizes = { hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 96, vocab_size: 100 };
const llama = { model_type: "llama", ...sizes, num_key_value_heads: 2, max_position_embeddings: 32 };
const phi3 = { model_type: "phi3", ...sizes, max_position_embeddings: 32, original_max_position_embeddings: 32, pad_token_id: 0 };

describe("planModel", () => {
  test("names the tensors of transformers", () => {
    const { shapes } = planModel(gpt2);
    expect([...shapes].filter(([name]) => !name.includes(".h.1."))).toEqual([
      ["transformer.wte.weight", [100, 64]],
      ["transformer.wpe.weight", [32, 64]],
      ["transformer.h.0.ln_1.weight", [64]],
      ["transformer.h.0.ln_1.bias", [64]],
      ["transformer.h.0.attn.c_attn.weight", [64, 192]],
      ["transformer.h.0.attn.c_attn.bias", [192]],
      ["transformer.h.0.attn.c_proj.weight", [64, 64]],
      ["transformer.h.0.attn.c_proj.bias", [64]],
      ["transformer.h.0.ln_2.weight", [64]],
      ["transformer.h.0.ln_2.bias", [64]],
      ["transformer.h.0.mlp.c_fc.weight", [64, 256]],
      ["transformer.h.0.mlp.c_fc.bias", [256]],
      ["transformer.h.0.mlp.c_proj.weight", [256, 64]],
      ["transformer.h.0.mlp.c_proj.bias", [64]],
      ["transformer.ln_f.weight", [64]],
      ["transformer.ln_f.bias", [64]],
    ]);
  });

  test("has an unembedding of its own unless the configuration ties it", () => {
    expect(planModel(llama).shapes.get("lm_head.weight")).toEqual([100, 64]);
    expect(planModel({ ...llama, tie_word_embeddings: true }).shapes.has("lm_head.weight")).toBe(false);
    expect(planModel(gpt2).shapes.has("lm_head.weight")).toBe(false);
  });

  test.each(PLANNED_MODEL_TYPES)("a %s begins with every tensor that its spec asks for", (type) => {
    const more = type === "phi3" ? phi3 : type === "gpt_neo" ? { attention_types: [[["global"], 2]], num_layers: 2 } : {};
    const rotary = type === "gptj" ? { rotary_dim: 16 } : {};
    const json = { ...sizes, num_key_value_heads: 4, head_dim: 16, pad_token_id: 0, ...more, ...rotary, model_type: type };
    const known = planKnown(json);
    const parameters = initialise(known.spec, { seed: 1 });
    expect(new Map([...parameters].map(([name, { shape }]) => [name, shape]))).toEqual(new Map(known.shapes));
    expect(readModelSpec(json, known.shapes)).toEqual(known.spec);
    for (const { name, shape, stored = shape } of weightsOf(known.spec)) expect(parameters.get(name)!.shape, name).toEqual(stored);
    for (const [name, { data }] of parameters) if (!/bias$|norm|ln_/.test(name)) expect(data.includes(0), name).toBe(false);
  });

  test("refuses a family that it does not know, and a setting that nobody knows", () => {
    expect(() => planModel({ model_type: "gpt_oss" })).toThrow('cannot begin a model of the family "gpt_oss" described by config.json');
    expect(() => planModel({ ...llama, hidden_sise: 3 })).toThrow('nothing is known of its "hidden_sise"');
  });
});

/** The plan of a configuration that states more than its family reads; what it does not read is taken away. */
function planKnown(json: Record<string, unknown>): ReturnType<typeof planModel> {
  try {
    return planModel(json);
  } catch (error) {
    const [, names] = /nothing is known of its (.*)\. Instead/.exec((error as Error).message) ?? [];
    if (!names) throw error;
    for (const name of names.split(", ")) delete json[JSON.parse(name) as string];
    return planModel(json);
  }
}

describe("initialise", () => {
  const { spec } = planModel(gpt2);
  const parameters = initialise(spec, { seed: 3 });
  const deviationOf = (name: string, of = parameters): number => {
    const { data } = of.get(name)!;
    return Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length);
  };

  test("draws weights with a deviation of 0.02, half of that where two layers write into the stream", () => {
    // Deviations of 4096 and more draws are off by 1.1 % each; 5 % are more than four times that.
    for (const name of ["attn.c_attn", "mlp.c_fc"]) expect(deviationOf(`transformer.h.1.${name}.weight`) / 0.02).toBeCloseTo(1, 1);
    for (const name of ["attn.c_proj", "mlp.c_proj"]) expect(deviationOf(`transformer.h.1.${name}.weight`) / 0.01).toBeCloseTo(1, 1);
    expect(deviationOf("transformer.wte.weight") / 0.02).toBeCloseTo(1, 1);
    const plain = initialise(spec, { seed: 3, scaleResidual: false, deviation: 0.5 });
    expect(deviationOf("transformer.h.1.mlp.c_proj.weight", plain) / 0.5).toBeCloseTo(1, 1);
  });

  test("draws from a normal distribution", () => {
    const { data } = parameters.get("transformer.h.0.mlp.c_fc.weight")!;
    const share = (limit: number): number => data.filter((x) => Math.abs(x) < limit * 0.02).length / data.length;
    // Shares of 16384 draws are off by 0.004 at most; three times that.
    for (const [limit, expected] of [[0.5, 0.3829], [1, 0.6827], [2, 0.9545]] as const) expect(Math.abs(share(limit) - expected)).toBeLessThan(0.012); // oxfmt-ignore
  });

  test("begins with norms that do nothing and biases of 0", () => {
    expect(new Set(parameters.get("transformer.h.0.ln_1.weight")!.data)).toEqual(new Set([1]));
    expect(new Set(parameters.get("transformer.ln_f.bias")!.data)).toEqual(new Set([0]));
    expect(new Set(parameters.get("transformer.h.1.attn.c_attn.bias")!.data)).toEqual(new Set([0]));
    const gemma = planModel({ ...sizes, num_key_value_heads: 4, head_dim: 16, max_position_embeddings: 32, model_type: "gemma" });
    expect(new Set(initialise(gemma.spec, { seed: 1 }).get("model.norm.weight")!.data)).toEqual(new Set([0]));
  });

  test("gives the same for the same seed, other numbers for another, and each tensor its own", () => {
    const name = "transformer.h.0.attn.c_attn.weight";
    expect(initialise(spec, { seed: 3 })).toEqual(parameters);
    expect(initialise(spec, { seed: 4 }).get(name)).not.toEqual(parameters.get(name));
    expect(parameters.get(name.replace("0", "1"))).not.toEqual(parameters.get(name));
    // A tensor's numbers do not depend on what else there is.
    const deeper = initialise(planModel({ ...gpt2, n_layer: 3 }).spec, { seed: 3 });
    expect(deeper.get(name)).toEqual(parameters.get(name));
  });

  test("refuses what it cannot draw from", () => {
    expect(() => initialise(spec, { seed: 0.5 })).toThrow("seed must be a whole number");
    expect(() => initialise(spec, { seed: 1, deviation: 0 })).toThrow("deviation must be a number above 0");
  });
});
