/** @file Every setting of every family, changed alone, does to the spec what `spec-cases.ts` says. */
import { describe, expect, test } from "vitest";
import { isSextantError } from "../../src/base/errors.js";
import type { Json } from "../../src/models/config.js";
import { MODEL_TYPES, readModelSpec } from "../../src/models/read-spec.js";
import { CASES, SAME } from "./spec-cases.js";
import { changed, CONFIGS, tiny } from "./tiny-specs.js";

const families = Object.keys(CONFIGS);

describe("every family", () => {
  test("has a configuration here", () => {
    expect(families.toSorted()).toEqual([...MODEL_TYPES].sort());
  });

  test.each(families)("%s: each field of its class is understood", (family) => {
    expect(tiny(CONFIGS[family]!).spec.notUnderstood).toEqual([]);
  });

  test.each(families)("%s: a field that nobody knows is reported", (family) => {
    expect(tiny(changed(family, { surprise: 1 })).spec.notUnderstood).toEqual(["surprise"]);
  });

  const refused: readonly (readonly [Json, string])[] = [
    [{ is_causal: false }, "cannot honour is_causal false of config.json: only causal attention is computed"],
    [
      { use_bidirectional_attention: true },
      "cannot honour use_bidirectional_attention true of config.json: only causal attention is computed",
    ],
    [{ is_encoder_decoder: true }, "cannot honour is_encoder_decoder true of config.json: only decoders are computed"],
    [{ attention_chunk_size: 8 }, "cannot honour attention_chunk_size 8 of config.json: chunked attention is not computed"],
    [{ per_layer_config: {} }, "cannot honour per_layer_config {…} of config.json: layers of different shapes are not read"],
    [{ pruned_heads: { 0: [1] } }, "cannot honour pruned_heads {…} of config.json: pruned heads are not read"],
  ];
  test.each(refused)("refuses %j", (change, message) => {
    for (const family of families) expect(effectOf(family, change), family).toBe(`unsupported: ${message}`);
  });

  test("refuses quantised checkpoints but those it reads", () => {
    const bits = { quantization_config: { quant_method: "gptq", bits: 4 } };
    expect(new Set(families.map((family) => effectOf(family, bits)))).toMatchInlineSnapshot(`
      Set {
        "unsupported: cannot honour quantization_config {…} of config.json: quantised checkpoints are not read; use the float one",
        "unsupported: cannot honour quantization_config {…} of config.json: of this family's quantised checkpoints only mxfp4 is read; use the float one",
      }
    `);
  });

  const without: readonly Json[] = [
    { torch_dtype: "bfloat16", transformers_version: "4.40.0", architectures: ["X"], auto_map: { AutoModel: "x.Y" } },
    { use_cache: false, output_attentions: true, initializer_range: 7, gradient_checkpointing: true },
    { attention_dropout: 0.9, hidden_dropout: 0.9, resid_pdrop: 0.9, embd_pdrop: 0.9, layerdrop: 0.9, classifier_dropout: 0.9 },
    { is_decoder: true, cross_attention_hidden_size: 3, tie_encoder_decoder: false, router_jitter_noise: 0.1, router_aux_loss_coef: 0.1 },
    { quantization_config: null, is_causal: true, pruned_heads: {}, is_encoder_decoder: false },
    { temperature: 2, do_sample: true, max_length: 3, num_beams: 4 },
  ];
  test.each(without)("is not changed by %j", (change) => {
    for (const family of families) {
      const { spec, shapes } = tiny(CONFIGS[family]!);
      expect(readModelSpec(changed(family, change), shapes), family).toEqual(spec);
    }
  });

  test.each(families)("%s: takes its special tokens", (family) => {
    const ids = { bos_token_id: 3, eos_token_id: [4, 5], pad_token_id: -1 };
    const config = family === "gemma3" ? { text_config: { ...(CONFIGS[family]!["text_config"] as Json), ...ids } } : ids;
    expect(tiny(changed(family, config)).spec.special).toEqual({ bos: 3, eos: [4, 5] });
  });
});

describe.each(Object.entries(CASES))("%s", (family, cases) => {
  test.each(cases)("%j", (change, effect) => {
    const found = effectOf(family, change);
    if (typeof effect === "string") expect(found).toBe(effect);
    else expect(valuesOf(family, change, Object.keys(effect))).toEqual(effect);
  });
});

/** What a change does: `SAME`, the refusal, or `changed`. */
function effectOf(family: string, change: Json): string {
  try {
    const { spec } = tiny(changed(family, change));
    return JSON.stringify(spec) === JSON.stringify(tiny(CONFIGS[family]!).spec) ? SAME : "changed";
  } catch (error) {
    if (isSextantError(error)) return `${error.kind}: ${error.message}`;
    throw error;
  }
}

function valuesOf(family: string, change: Json, paths: readonly string[]): Record<string, unknown> {
  const { spec } = tiny(changed(family, change));
  return Object.fromEntries(
    paths.map((path) => [path, path.split(".").reduce<unknown>((value, key) => (value as Json | undefined)?.[key], spec)]),
  );
}
