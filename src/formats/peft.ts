/**
 * @file The folder in which Hugging Face's `peft` keeps a LoRA adapter: `adapter_config.json` and `adapter_model.safetensors`, with
 * `base_model.model.PATH.lora_A.weight` `[r, in]` and `…lora_B.weight` `[out, r]` for each module. What of a configuration changes the
 * numbers and is not computed is refused with the reason (settings of peft 0.21.2, `LoraConfig`).
 */
import { join } from "node:path";
import { refuse, SextantError } from "../base/errors.js";
import { sizeOf, type Tensor } from "../base/tensor.js";
import { isThere, statOf } from "./files.js";
import { describeJson, isJsonObject, quote, type JsonObject } from "./json.js";
import { readJsonObject, writeJson } from "./json-file.js";
import { openCheckpoint, type Checkpoint } from "./safetensors.js";
import { writeSafetensors } from "./safetensors-writer.js";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";

/** A LoRA configuration, as far as it changes numbers. */
export interface PeftConfig {
  readonly rank: number;
  readonly alpha: number;
  /** Names of modules, or the ends of their paths; a text is a regular expression over whole paths, or `all-linear`. */
  readonly targets: readonly string[] | string;
  /** The scale is alpha / √rank instead of alpha / rank. */
  readonly rankStabilised: boolean;
  /** Whether the adapted matrices are stored `[in, out]` (GPT-2's Conv1D). */
  readonly fanInFanOut: boolean;
  /** Whether only some of the modules that `targets` names have an adapter. */
  readonly isPartial: boolean;
  /** Where the base model came from, for people. */
  readonly baseModel: string | undefined;
}

/** The factor of the low-rank term. */
export function adapterScale({ rank, alpha, rankStabilised }: Pick<PeftConfig, "rank" | "alpha" | "rankStabilised">): number {
  return alpha / (rankStabilised ? Math.sqrt(rank) : rank);
}

/** The key of one of a module's two matrices in an adapter's file. */
export function adapterKey(path: string, which: "A" | "B"): string {
  return `base_model.model.${path}.lora_${which}.weight`;
}

/** The module and matrix that a key of an adapter's file stands for; undefined for any other key. */
export function parseAdapterKey(key: string): { path: string; which: "A" | "B" } | undefined {
  const [, path, which] = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/.exec(key) ?? [];
  return path === undefined ? undefined : { path, which: which as "A" | "B" };
}

/** An adapter's configuration and its tensors. The caller closes the checkpoint. */
export function openPeft(folder: string): { config: PeftConfig; checkpoint: Checkpoint } {
  const where = join(folder, CONFIG);
  const why = !statOf(folder, "the adapter").isDirectory() ? "it is a file" : isThere(where) ? undefined : `it has no ${CONFIG}`;
  const instead = `give a folder with ${CONFIG} and ${WEIGHTS}`;
  if (why) throw refuse({ what: `cannot load the adapter ${folder}`, why, instead }, "file");
  const config = parsePeftConfig(readJsonObject(where), where);
  const weights = join(folder, WEIGHTS);
  if (!isThere(weights)) {
    const pickle = isThere(join(folder, "adapter_model.bin"))
      ? "; adapter_model.bin is a Python pickle, which runs code when it is loaded"
      : "";
    throw refuse({ what: `cannot load the adapter ${folder}`, why: `it has no ${WEIGHTS}${pickle}`, instead }, "file");
  }
  return { config, checkpoint: openCheckpoint(weights) };
}

/** Settings without effect on a forward pass of a finished adapter. */
// oxfmt-ignore
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode", "lora_dropout", "megatron_core", "loftq_config",
  "eva_config", "qalora_group_size", "runtime_config", "ensure_weight_tying", "layers_pattern", "lora_ga_config", "init_lora_weights", "bias",
  "peft_type", "task_type", "r", "lora_alpha", "target_modules", "use_rslora", "fan_in_fan_out", "exclude_modules", "layers_to_transform",
]);

/** Why a setting that says more than nothing is refused. */
const REFUSED: { readonly [key: string]: string } = {
  use_dora: "DoRA rescales each column of the weight, which is not computed",
  modules_to_save: "it replaces whole modules of the base model",
  rank_pattern: "modules of different ranks are not read",
  alpha_pattern: "modules of different scales are not read",
  layer_replication: "it repeats layers of the base model",
  lora_bias: "biases of the low-rank matrices are not computed",
  target_parameters: "it adapts parameters that are no modules, such as experts",
  trainable_token_indices: "it changes rows of the embedding",
  alora_invocation_tokens: "activated LoRA depends on the tokens",
  corda_config: "CorDA changes the base model's weights",
  arrow_config: "Arrow routes between several adapters",
  use_qalora: "QALoRA pools its input",
};

/** Ways of starting that leave the base model's weights as they are. */
const STARTS: readonly unknown[] = [true, false, null, undefined, "gaussian", "eva", "orthogonal"];

/** What the members of an `adapter_config.json` say; `where` is what errors call the file. */
export function parsePeftConfig(json: JsonObject, where: string): PeftConfig {
  refuseUnread(json, where);
  const rank = json["r"];
  if (!Number.isInteger(rank) || (rank as number) < 1) throw wrong(where, "r", "a whole number from 1 on", rank);
  const alpha = json["lora_alpha"] ?? 8;
  if (typeof alpha !== "number" || !Number.isFinite(alpha)) throw wrong(where, "lora_alpha", "a number", alpha);
  const base = json["base_model_name_or_path"];
  return {
    rank: rank as number,
    alpha,
    targets: targetsOf(json["target_modules"], where),
    rankStabilised: flag(json, "use_rslora", where),
    fanInFanOut: flag(json, "fan_in_fan_out", where),
    isPartial: says(json["layers_to_transform"]) || says(json["exclude_modules"]),
    baseModel: typeof base === "string" ? base : undefined,
  };
}

function refuseUnread(json: JsonObject, where: string): void {
  const refused = (key: string, why: string): SextantError =>
    refuse({
      what: `cannot honour ${key} ${describeJson(json[key])} of ${where}`,
      why,
      instead: "merge the adapter with peft, and load the merged model",
    });
  if (json["peft_type"] !== "LORA") throw refused("peft_type", "of peft's methods only LORA is read");
  if ((json["task_type"] ?? "CAUSAL_LM") !== "CAUSAL_LM") throw refused("task_type", "only adapters of causal language models are read");
  if ((json["bias"] ?? "none") !== "none") throw refused("bias", "it changes biases of the base model");
  if (!STARTS.includes(json["init_lora_weights"]))
    throw refused("init_lora_weights", "this way of starting changes the base model's weights");
  for (const [key, value] of Object.entries(json)) {
    if (!WITHOUT_EFFECT.has(key) && says(value)) throw refused(key, REFUSED[key] ?? "the setting is not known");
  }
}

/** Whether a setting says more than nothing. */
function says(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return false;
  if (Array.isArray(value)) return value.length > 0;
  return !isJsonObject(value) || Object.keys(value).length > 0;
}

function targetsOf(value: unknown, where: string): readonly string[] | string {
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === "string")) return value;
  throw wrong(where, "target_modules", "a list of names or a text", value);
}

function flag(json: JsonObject, key: string, where: string): boolean {
  const value = json[key] ?? false;
  if (typeof value !== "boolean") throw wrong(where, key, "true or false", value);
  return value;
}

function wrong(where: string, key: string, demanded: string, came: unknown): SextantError {
  return new SextantError("format", `${where}: ${key} must be ${demanded}, got ${describeJson(came)}`);
}

/**
 * Writes an adapter as a folder that `PeftModel.from_pretrained` loads. `tensors`: by key (`adapterKey`), both matrices of each module, as
 * float32.
 */
export function writePeft(
  folder: string,
  config: Omit<PeftConfig, "isPartial" | "baseModel"> & { readonly baseModel?: string | undefined },
  tensors: Readonly<Record<string, Tensor<Float32Array>>>,
): void {
  checkTensors(tensors, config.rank);
  writeSafetensors(join(folder, WEIGHTS), tensors, { format: "pt" });
  writeJson(join(folder, CONFIG), {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: config.baseModel ?? null,
    inference_mode: true,
    r: config.rank,
    lora_alpha: config.alpha,
    target_modules: config.targets,
    lora_dropout: 0,
    bias: "none",
    fan_in_fan_out: config.fanInFanOut,
    use_rslora: config.rankStabilised,
    init_lora_weights: true,
  });
}

function checkTensors(tensors: Readonly<Record<string, Tensor>>, rank: number): void {
  const fault = (key: string, why: string): SextantError => new SextantError("usage", `writePeft: tensor ${quote(key)} ${why}`);
  for (const [key, { shape, data }] of Object.entries(tensors)) {
    const parsed = parseAdapterKey(key);
    if (!parsed) throw fault(key, "is not named base_model.model.PATH.lora_A.weight or lora_B");
    const { path, which } = parsed;
    if (!tensors[adapterKey(path, which === "A" ? "B" : "A")]) throw fault(key, "has no partner");
    if (shape.length !== 2 || shape[which === "A" ? 0 : 1] !== rank || sizeOf(shape) !== data.length)
      throw fault(key, `of shape [${shape.join(", ")}] is no matrix of rank ${rank}`);
  }
  if (Object.keys(tensors).length === 0) throw new SextantError("usage", "writePeft: an adapter needs tensors, got none");
}
