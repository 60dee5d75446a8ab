/** @file Dumps of TransformerLens and nnsight against the model: what agrees, what is recognised, what differs, what is left out. */
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { tensor, type Tensor } from "../../src/base/tensor.js";
import { parseAddress } from "../../src/models/address.js";
import { moduleName } from "../../src/models/module-names.js";
import { readVectors } from "../../src/runtime/control-vector.js";
import type { Model } from "../../src/runtime/model.js";
import { compareDump, type DumpReport } from "../../src/runtime/verify/dump.js";
import { loadFixture, rowsOf } from "./support.js";

const file = (name: string): string => fileURLToPath(new URL(`../fixtures/vectors/${name}`, import.meta.url));
const open = new Map<string, Promise<Model>>();
afterAll(async () => {
  for (const model of open.values()) await (await model).close();
});

function load(name: string): Promise<Model> {
  const model = open.get(name) ?? loadFixture(name);
  open.set(name, model);
  return model;
}

const NEO = "gpt-neo-mixed-untied";

async function compare(name: string, dump: string | Record<string, Tensor>, tokens?: number[][]): Promise<DumpReport> {
  const tensors = typeof dump === "string" ? readVectors(file(dump)).tensors : new Map(Object.entries(dump));
  return compareDump(await load(name), { tensors, ...(tokens && { tokens }) });
}

/** How many of each verdict, and the largest difference among those that agree. */
function summary({ compared }: DumpReport): Record<string, number> {
  const count = (verdict: string): number => compared.filter((one) => one.verdict === verdict).length;
  return { agrees: count("agrees"), explained: count("explained"), differs: count("differs") };
}

describe("HookedTransformer", () => {
  test("with its weights as they are agrees everywhere", async () => {
    const report = await compare(NEO, "hooked-plain.npz");
    expect(summary(report)).toEqual({ agrees: 51, explained: 0, differs: 0 });
    expect(report.ok).toBe(true);
    // Float32 of two programs; the largest seen is 1.5e-6.
    expect(Math.max(...report.compared.map(({ relative }) => relative))).toBeLessThan(2e-5);
    expect(report.left.map(({ name, why }) => `${name}: ${why}`)).toMatchInlineSnapshot(`
      [
        "blocks.0.ln1.hook_normalized: it is what stands before the norm's weight and bias; instead: ln1_normalized.0, which is after them",
        "blocks.0.ln2.hook_normalized: it is what stands before the norm's weight and bias; instead: ln2_normalized.0, which is after them",
        "blocks.1.ln1.hook_normalized: it is what stands before the norm's weight and bias; instead: ln1_normalized.1, which is after them",
        "blocks.1.ln2.hook_normalized: it is what stands before the norm's weight and bias; instead: ln2_normalized.1, which is after them",
        "blocks.2.ln1.hook_normalized: it is what stands before the norm's weight and bias; instead: ln1_normalized.2, which is after them",
        "blocks.2.ln2.hook_normalized: it is what stands before the norm's weight and bias; instead: ln2_normalized.2, which is after them",
        "ln_final.hook_normalized: it is what stands before the norm's weight and bias; instead: final_normalized, which is after them",
      ]
    `);
  });

  test("with folded and centred weights differs by means, and says so", async () => {
    const report = await compare(NEO, "hooked-folded.npz");
    expect(report.ok).toBe(true);
    const words = new Map<string, string[]>();
    for (const { address, explanation = "" } of report.compared)
      words.set(explanation, [...new Set([...(words.get(explanation) ?? []), address.split(".")[0]!])]);
    expect(Object.fromEntries(words)).toMatchInlineSnapshot(`
      {
        "": [
          "ln1_scale",
          "q",
          "k",
          "attn_scores",
          "pattern",
          "ln2_scale",
          "mlp_pre",
          "mlp_post",
          "final_scale",
        ],
        "a factor and a shift of each unit: fold_ln of TransformerLens": [
          "final_normalized",
        ],
        "the mean over d_model: center_writing_weights of TransformerLens": [
          "embed",
          "pos_embed",
          "resid_pre",
          "attn_out",
          "resid_mid",
          "mlp_out",
          "resid_post",
        ],
        "the mean over vocab: center_unembed of TransformerLens": [
          "logits",
        ],
        "the same vector at every position: fold_value_biases of TransformerLens": [
          "v",
          "z",
        ],
      }
    `);
  });
});

test("nnsight's modules by their paths agree", async () => {
  const report = await compare("llama-longrope-crossing", "nnsight.npz");
  expect(report.compared.map(({ name, address, verdict }) => `${name} = ${address}: ${verdict}`)).toMatchInlineSnapshot(`
    [
      "model.embed_tokens.output = embed: agrees",
      "model.layers.0.input = resid_pre.0: agrees",
      "model.layers.0.self_attn.output = attn_out.0: agrees",
      "model.layers.0.mlp.input = ln2_normalized.0: agrees",
      "model.layers.0.mlp.output = mlp_out.0: agrees",
      "model.layers.0.output = resid_post.0: agrees",
      "model.layers.1.input = resid_pre.1: agrees",
      "model.layers.1.self_attn.output = attn_out.1: agrees",
      "model.layers.1.mlp.input = ln2_normalized.1: agrees",
      "model.layers.1.mlp.output = mlp_out.1: agrees",
      "model.layers.1.output = resid_post.1: agrees",
      "model.norm.output = final_normalized: agrees",
      "lm_head.output = logits: agrees",
    ]
  `);
  expect(report.left).toMatchInlineSnapshot(`[]`);
});

describe("a dump of our own values", () => {
  const tokens = rowsOf(5, 3);

  async function own(read: string[]): Promise<Record<string, Tensor>> {
    return { ...(await (await load(NEO)).forward({ tokens, read, logits: false })).activations };
  }

  function changed(value: Tensor, change: (x: number, at: number) => number): Tensor {
    return { ...value, axes: [], data: Float32Array.from(value.data, change) };
  }

  test("agrees exactly; what stands past a row's end does not count", async () => {
    const values = await own(["resid_post.*", "pattern.1", "z.0", "logits"]);
    const dirty = Object.fromEntries(
      Object.entries(values).map(([name, value]) => [name, changed(value, (x, at) => (x === 0 && value.axes[1] === "pos" && at > value.data.length * 0.8 ? 7 : x))]), // prettier-ignore
    );
    const report = await compare(NEO, dirty, tokens);
    expect(summary(report)).toEqual({ agrees: 6, explained: 0, differs: 0 });
    expect(report.compared.every(({ absolute }) => absolute === 0)).toBe(true);
  });

  test("in another shape is fitted where the numbers lie in the same order, else left out", async () => {
    const { "z.0": z } = await own(["z.0"]);
    const [batch, pos, heads, width] = z!.shape as [number, number, number, number];
    const as = async (...shape: number[]): Promise<string> => {
      const { compared, left } = await compare(
        NEO,
        {
          "z.0": tensor(
            z!.data.slice(
              0,
              shape.reduce((a, b) => a * b),
            ),
            shape,
          ),
        },
        tokens,
      );
      return compared[0]?.verdict ?? left[0]!.why;
    };
    expect(await as(batch, pos, heads * width)).toBe("agrees");
    expect(await as(batch * pos, heads, width)).toBe("agrees");
    expect(await as(pos, heads, width)).toMatchInlineSnapshot(`"its shape is [5, 4, 8], that of z.0 is [2, 5, 4, 8]"`);
    expect(await as(batch, heads, pos, width)).toMatch(/^its shape is/);
  });

  test("shifted, scaled or changed in one place is told apart", async () => {
    const rows = rowsOf(5, 5);
    const model = await load(NEO);
    const { activations } = await model.forward({ tokens: rows, read: ["v.0", "resid_mid.1", "embed", "mlp_out.2"], logits: false });
    const report = await compare(
      NEO,
      {
        "v.0": changed(activations["v.0"]!, (x, at) => x + Math.cos(at % 32)),
        "resid_mid.1": changed(activations["resid_mid.1"]!, (x, at) => x + Math.cos(at % 32)),
        embed: changed(activations["embed"]!, (x) => x * 8),
        "mlp_out.2": changed(activations["mlp_out.2"]!, (x, at) => (at === 40 ? x + 0.1 : x)),
        "mlp_out.0": changed(activations["mlp_out.2"]!, (x) => x),
      },
      rows,
    );
    expect(report.compared.map(({ address, verdict, explanation }) => `${address}: ${verdict}${explanation ? `, ${explanation}` : ""}`))
      .toMatchInlineSnapshot(`
        [
          "v.0: explained, the same vector at every position: fold_value_biases of TransformerLens",
          "resid_mid.1: differs, the same vector at every position",
          "embed: differs, the factor 8",
          "mlp_out.2: differs",
          "mlp_out.0: differs",
        ]
      `);
    expect(report.ok).toBe(false);
    const at40 = report.compared.find(({ address }) => address === "mlp_out.2")!;
    expect(at40.absolute).toBeCloseTo(0.1, 5);
  });

  test("needs tokens, and something that is a point", async () => {
    await expect(compare(NEO, await own(["embed"]))).rejects.toThrow(/does not hold the tokens/);
    const report = await compare(NEO, { nothing: tensor(new Float32Array(1), [1]) }, tokens);
    expect(report).toMatchObject({ ok: false, compared: [], left: [{ name: "nothing" }] });
    await expect(compare(NEO, { tokens: tensor(Float32Array.of(1), [1]), embed: tensor(Float32Array.of(1), [1]) })).rejects.toThrow(
      /rows of ids/,
    );
  });
});

test("paths of transformers' modules are nnterp's names", () => {
  const names = [
    "model.layers.5.output",
    "model.layers[5].output[0]",
    "transformer.h.0.input",
    "gpt_neox.layers.2.attention.output",
    "model.language_model.layers.1.self_attn.output.0",
    "model.layers.*.mlp.output",
    "transformer.ln_f.output",
    "model.norm.input",
    "lm_head.output",
    "transformer.wte.output",
    "transformer.wte.input",
    "model.layers.1.input_layernorm.output",
    "model.layers.x.output",
    "layers_output.3",
    "output",
  ];
  expect(names.map((name) => `${name}: ${moduleName(name)}`)).toMatchInlineSnapshot(`
    [
      "model.layers.5.output: layers_output.5",
      "model.layers[5].output[0]: layers_output.5",
      "transformer.h.0.input: layers_input.0",
      "gpt_neox.layers.2.attention.output: attentions_output.2",
      "model.language_model.layers.1.self_attn.output.0: attentions_output.1",
      "model.layers.*.mlp.output: mlps_output.*",
      "transformer.ln_f.output: ln_final.output",
      "model.norm.input: ln_final.input",
      "lm_head.output: lm_head.output",
      "transformer.wte.output: token_embeddings",
      "transformer.wte.input: transformer.wte.input",
      "model.layers.1.input_layernorm.output: model.layers.1.input_layernorm.output",
      "model.layers.x.output: model.layers.x.output",
      "layers_output.3: layers_output.3",
      "output: output",
    ]
  `);
});

test("such a path is an address wherever one is asked for", async () => {
  const { spec } = await load(NEO);
  expect(parseAddress(spec, "transformer.h.2.output").address).toBe("resid_post.2");
  expect(parseAddress(spec, "transformer.h.-1.attn.output[0]").address).toBe("attn_out.2");
});
