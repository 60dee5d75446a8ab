/** @file Folders of `peft`: what is written comes back, and settings that change numbers are refused by name. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isSextantError } from "../../src/base/errors.js";
import { tensor } from "../../src/base/tensor.js";
import { adapterKey, adapterScale, openPeft, parseAdapterKey, parsePeftConfig, writePeft } from "../../src/formats/peft.js";
import { temporaryFolder } from "./folder.js";

const { path, write, refusal } = temporaryFolder();

const config = { rank: 2, alpha: 3, targets: ["q_proj"], rankStabilised: true, fanInFanOut: false } as const;
const pair = {
  [adapterKey("model.q_proj", "A")]: tensor(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]),
  [adapterKey("model.q_proj", "B")]: tensor(Float32Array.of(7, 8), [1, 2]),
};
const minimal = { peft_type: "LORA", r: 4, target_modules: ["q_proj"] };

test("an adapter comes back as it was written", () => {
  writePeft(path("adapter"), { ...config, baseModel: "somebody/model" }, pair);
  const { config: read, checkpoint } = openPeft(path("adapter"));
  expect(read).toEqual({ ...config, isPartial: false, baseModel: "somebody/model" });
  for (const [name, { data, shape }] of Object.entries(pair)) {
    expect(checkpoint.readFloat32(name)).toEqual(data);
    expect(checkpoint.stored(name).shape).toEqual(shape);
  }
  expect(checkpoint.tensors.size).toBe(2);
  checkpoint.close();
  expect(JSON.parse(readFileSync(path("adapter/adapter_config.json"), "utf8"))).toEqual({
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: "somebody/model",
    inference_mode: true,
    r: 2,
    lora_alpha: 3,
    target_modules: ["q_proj"],
    lora_dropout: 0,
    bias: "none",
    fan_in_fan_out: false,
    use_rslora: true,
    init_lora_weights: true,
  });
});

test("keys are those of peft", () => {
  expect(adapterKey("model.layers.0.self_attn.q_proj", "A")).toBe("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight");
  expect(parseAdapterKey(adapterKey("transformer.h.0.attn.c_attn", "B"))).toEqual({ path: "transformer.h.0.attn.c_attn", which: "B" });
  expect(parseAdapterKey("base_model.model.q_proj.lora_magnitude_vector")).toBeUndefined();
  expect(parseAdapterKey("model.q_proj.weight")).toBeUndefined();
});

test("the scale is alpha / r, or alpha / √r; alpha is 8 where nothing is said", () => {
  const read = parsePeftConfig(minimal, "X");
  expect(read).toMatchObject({ rank: 4, alpha: 8, rankStabilised: false, fanInFanOut: false, isPartial: false });
  expect(adapterScale(read)).toBe(2);
  expect(adapterScale(parsePeftConfig({ ...minimal, use_rslora: true }, "X"))).toBe(4);
});

describe("refuses", () => {
  const reading = (members: Record<string, unknown>): string => refusal(() => parsePeftConfig({ ...minimal, ...members }, "X"));

  test.each([
    [{ use_dora: true }, "DoRA"],
    [{ bias: "all" }, "biases"],
    [{ peft_type: "IA3" }, 'the string "IA3"'],
    [{ task_type: "SEQ_CLS" }, "causal"],
    [{ modules_to_save: ["lm_head"] }, "whole modules"],
    [{ rank_pattern: { q_proj: 8 } }, "different ranks"],
    [{ init_lora_weights: "pissa" }, "base model's weights"],
    [{ target_parameters: ["experts.gate_up_proj"] }, "experts"],
    [{ a_setting_of_tomorrow: 1 }, "not known"],
  ])("%o", (members, word) => {
    expect(reading(members)).toContain(word);
    expect(reading(members)).toMatch(/^unsupported: cannot honour .* of X: .*Instead: merge/);
  });

  test.each([
    [{ r: 0 }, "r must be a whole number from 1 on"],
    [{ r: "8" }, 'got the string "8"'],
    [{ lora_alpha: "x" }, "lora_alpha must be a number"],
    [{ target_modules: [] }, "target_modules must be a list of names"],
    [{ target_modules: undefined }, "target_modules"],
    [{ use_rslora: 1 }, "use_rslora must be true or false"],
  ])("%o", (members, word) => expect(reading(members)).toContain(word));

  test("folders that hold no adapter", () => {
    write("bare/adapter_config.json", JSON.stringify(minimal));
    write("pickled/adapter_config.json", JSON.stringify(minimal));
    write("pickled/adapter_model.bin", "");
    write("nothing/x", "");
    expect(refusal(() => openPeft(path("nothing")))).toMatchInlineSnapshot(
      `"file: cannot load the adapter TMP/nothing: it has no adapter_config.json. Instead: give a folder with adapter_config.json and adapter_model.safetensors"`,
    );
    expect(refusal(() => openPeft(path("bare")))).toMatchInlineSnapshot(
      `"file: cannot load the adapter TMP/bare: it has no adapter_model.safetensors. Instead: give a folder with adapter_config.json and adapter_model.safetensors"`,
    );
    expect(refusal(() => openPeft(path("pickled")))).toContain("pickle, which runs code");
    expect(refusal(() => openPeft(path("nothing/x")))).toContain("it is a file");
    expect(refusal(() => openPeft(path("nowhere")))).toContain("it does not exist");
  });

  test("tensors that are no adapter", () => {
    const [a, b] = Object.keys(pair) as [string, string];
    const writing = (tensors: typeof pair, rank = 2) => refusal(() => writePeft(path("bad"), { ...config, rank }, tensors));
    expect(writing({ [a]: pair[a]! })).toMatchInlineSnapshot(
      `"usage: writePeft: tensor "base_model.model.model.q_proj.lora_A.weight" has no partner"`,
    );
    expect(writing({ [b]: pair[b]! })).toContain("no partner");
    expect(writing(pair, 3)).toContain("of rank 3");
    expect(writing({ "model.q_proj.weight": pair[a]! })).toContain("is not named");
    expect(writing({})).toContain("needs tensors");
  });

  test("any other JSON with a SextantError, if at all", () => {
    const keys = fc.constantFrom("peft_type", "r", "lora_alpha", "target_modules", "use_rslora", "bias", "init_lora_weights", "x");
    const members = fc.dictionary(keys, fc.oneof(fc.jsonValue(), fc.constantFrom("LORA", "none", 8, ["q_proj"], true)));
    fc.assert(
      fc.property(members, (json) => {
        try {
          const { rank, alpha } = parsePeftConfig(json, "X");
          expect(Number.isInteger(rank) && rank > 0 && Number.isFinite(alpha)).toBe(true);
        } catch (error) {
          if (!isSextantError(error)) throw error;
        }
      }),
    );
  });
});
