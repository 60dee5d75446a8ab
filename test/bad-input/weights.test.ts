/** @file Checkpoints that do not fit their configuration, or hold values that cannot be computed with. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { tensor, type Tensor } from "../../src/base/tensor.js";
import { filled, using, workshop } from "./damaged.js";

const { copy, complaint, loading } = workshop();

describe("refuses", () => {
  test("a tensor of another shape, naming it and both shapes", async () => {
    const wide = (all: Map<string, Tensor>): unknown => all.set("h.0.attn.c_attn.weight", filled([32, 97]));
    expect(await loading("gpt2-hub-names", { tensors: wide })).toMatchInlineSnapshot(
      `"weights: tensor "h.0.attn.c_attn.weight" has shape [32, 97], MODEL/config.json asks for [32, 96]"`,
    );
    const transposed = (all: Map<string, Tensor>): unknown => all.set("model.layers.1.mlp.down_proj.weight", filled([40, 32]));
    expect(await loading("llama-longrope-crossing", { tensors: transposed })).toMatchInlineSnapshot(
      `"weights: tensor "model.layers.1.mlp.down_proj.weight" has shape [40, 32], MODEL/config.json asks for [32, 40]"`,
    );
    const flat = (all: Map<string, Tensor>): unknown => all.set("model.norm.weight", filled([32, 1]));
    expect(await loading("llama-longrope-crossing", { tensors: flat })).toMatchInlineSnapshot(
      `"weights: tensor "model.norm.weight" has shape [32, 1], MODEL/config.json asks for [32]"`,
    );
  });

  test("a tensor that is missing", async () => {
    const without = (name: string) => ({ tensors: (all: Map<string, Tensor>): unknown => all.delete(name) });
    expect(await loading("llama-longrope-crossing", without("model.layers.1.mlp.up_proj.weight"))).toMatchInlineSnapshot(
      `"weights: the checkpoint has no tensor "model.layers.1.mlp.up_proj.weight"; MODEL/config.json asks for it with shape [40, 32]"`,
    );
    expect(await loading("llama-longrope-crossing", without("lm_head.weight"))).toMatchInlineSnapshot(
      `"weights: the checkpoint has no tensor "lm_head.weight"; MODEL/config.json asks for it with shape [61, 32]"`,
    );
    expect(await loading("gpt2-hub-names", without("wpe.weight"))).toMatchInlineSnapshot(
      `"weights: the checkpoint has no tensor "wpe.weight"; MODEL/config.json asks for it with shape [64, 32]"`,
    );
    expect(await loading("qwen3-moe-dense-first", without("model.layers.1.mlp.experts.3.up_proj.weight"))).toMatchInlineSnapshot(
      `"weights: the checkpoint has no tensor "model.layers.1.mlp.experts.3.up_proj.weight"; MODEL/config.json asks for it with shape [16, 32]"`,
    );
  });

  test("a bias that one layer lacks", async () => {
    const lacking = (layer: number) => ({ tensors: (all: Map<string, Tensor>): unknown => all.delete(`h.${layer}.attn.c_attn.bias`) });
    expect(await loading("gpt2-hub-names", lacking(1))).toMatchInlineSnapshot(
      `"weights: the checkpoint has no tensor "h.1.attn.c_attn.bias"; MODEL/config.json asks for it with shape [96]"`,
    );
    expect(await loading("gpt2-hub-names", lacking(0))).toMatchInlineSnapshot(
      `"unsupported: cannot use the checkpoint's "h.1.attn.c_attn.bias": config.json describes a model without these tensors, so leaving them out would compute another one. Instead: check that configuration and weights belong together"`,
    );
  });

  test("tensors that the configuration has no use for", async () => {
    const more = (...names: string[]) => ({
      tensors: (all: Map<string, Tensor>): void => names.forEach((name) => all.set(name, filled([32]))),
    });
    expect(await loading("llama-longrope-crossing", more("model.layers.0.self_attn.q_proj.bias"))).toMatchInlineSnapshot(
      `"unsupported: cannot use the checkpoint's "model.layers.0.self_attn.q_proj.bias": config.json describes a model without these tensors, so leaving them out would compute another one. Instead: check that configuration and weights belong together"`,
    );
    expect(await loading("llama-longrope-crossing", more("a", "b", "c", "d", "e", "f"))).toMatchInlineSnapshot(
      `"unsupported: cannot use the checkpoint's "a", "b", "c", "d" and 2 more: config.json describes a model without these tensors, so leaving them out would compute another one. Instead: check that configuration and weights belong together"`,
    );
    expect(await loading("llama-longrope-crossing", { config: { num_hidden_layers: 1 } })).toMatchInlineSnapshot(
      `"unsupported: cannot use the checkpoint's "model.layers.1.input_layernorm.weight", "model.layers.1.mlp.down_proj.weight", "model.layers.1.mlp.gate_proj.weight", "model.layers.1.mlp.up_proj.weight" and 5 more: config.json describes a model without these tensors, so leaving them out would compute another one. Instead: check that configuration and weights belong together"`,
    );
  });

  test("whole numbers where floating point must be", async () => {
    const integers = (all: Map<string, Tensor>): unknown => all.set("h.0.mlp.c_fc.weight", tensor(new Int32Array(32 * 128), [32, 128]));
    expect(await loading("gpt2-hub-names", { tensors: integers })).toMatchInlineSnapshot(
      `"unsupported: cannot compute with tensor h.0.mlp.c_fc.weight: it is stored as I32, not as floating point. Instead: use the float checkpoint"`,
    );
    expect(await loading("gpt2-hub-names", { tensors: integers }, { lazy: true })).toMatch(/stored as I32/);
    const eightBits = copy("gpt2-hub-names");
    const file = join(eightBits, "model.safetensors");
    const bytes = readFileSync(file);
    writeFileSync(
      file,
      Buffer.from(bytes.toString("latin1").replace('"F32","shape":[32]', '"F8_E4M3","shape":[128]').padEnd(bytes.length), "latin1"),
    );
    expect((await complaint(() => using(eightBits, () => undefined))).split(": ")[0]).toBe("format");
  });
});

describe("names the tensor that holds NaN or infinity, once a run meets it", () => {
  const spoilt = (name: string, value = NaN) => ({ tensors: (all: Map<string, Tensor>): unknown => (all.get(name)!.data[7] = value) });
  const running = async (name: string, value?: number, request: { read?: string[]; logits?: false } = {}): Promise<string> => {
    const folder = copy("llama-longrope-crossing", spoilt(name, value));
    const said = await complaint(() => using(folder, (model) => model.forward({ tokens: [[0, 1, 2]], ...request })));
    return said.replace(/m\d+/, "MODEL");
  };

  test("in a block", async () => {
    expect(await running("model.layers.1.self_attn.k_proj.weight")).toMatchInlineSnapshot(
      `"weights: the weights cannot be computed with: tensor model.layers.1.self_attn.k_proj.weight holds NaN at element 7 (TMP/MODEL/model.safetensors)"`,
    );
    expect(await running("model.layers.0.mlp.up_proj.weight", -Infinity)).toMatchInlineSnapshot(
      `"weights: the weights cannot be computed with: tensor model.layers.0.mlp.up_proj.weight holds -Infinity at element 7 (TMP/MODEL/model.safetensors)"`,
    );
  });

  test("in the embedding, the last norm and the head", async () => {
    expect(await running("model.embed_tokens.weight")).toMatchInlineSnapshot(
      `"weights: the weights cannot be computed with: tensor model.embed_tokens.weight holds NaN at element 7 (TMP/MODEL/model.safetensors)"`,
    );
    expect(await running("model.norm.weight")).toMatchInlineSnapshot(
      `"weights: the weights cannot be computed with: tensor model.norm.weight holds NaN at element 7 (TMP/MODEL/model.safetensors)"`,
    );
    expect(await running("lm_head.weight")).toMatchInlineSnapshot(
      `"weights: the weights cannot be computed with: tensor lm_head.weight holds NaN at element 7 (TMP/MODEL/model.safetensors)"`,
    );
    expect(await running("model.norm.weight", NaN, { read: ["final_normalized"], logits: false })).toMatch(/"?model.norm.weight/);
  });

  test("while generating", async () => {
    const folder = copy("llama-longrope-crossing", spoilt("lm_head.weight"));
    const said = await complaint(() => using(folder, (model) => model.generate({ tokens: [[1]], maxNew: 2 })));
    expect(said.replace(/m\d+/, "MODEL")).toMatchInlineSnapshot(
      `"weights: the weights cannot be computed with: tensor lm_head.weight holds NaN at element 7 (TMP/MODEL/model.safetensors)"`,
    );
  });

  test("but not where no token meets it", async () => {
    const folder = copy("llama-longrope-crossing", spoilt("lm_head.weight"));
    const read = { read: ["resid_post.1"], logits: false } as const;
    await using(folder, async (model) =>
      expect((await model.forward({ tokens: [[1]], ...read })).activations["resid_post.1"]).toBeDefined(),
    );
  });

  test("and overflow is told apart", async () => {
    const huge = { tensors: (all: Map<string, Tensor>): unknown => all.get("model.layers.0.mlp.down_proj.weight")!.data.fill(3e38) };
    const folder = copy("llama-longrope-crossing", huge);
    expect(await complaint(() => using(folder, (model) => model.forward({ tokens: [[1]] })))).toMatchInlineSnapshot(
      `"weights: the run came out with values that are not finite, though the weights are: they overflow float32"`,
    );
  });
});
