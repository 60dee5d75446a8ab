/**
 * @file A configuration and a checkpoint's tensor names → the model's spec. The list of families is here, and the settings that
 * every family treats alike: those without effect on the numbers, and those that nobody honours.
 */
import { refuse, SextantError } from "../base/errors.js";
import { bloom } from "./architectures/bloom.js";
import { gemma } from "./architectures/gemma.js";
import { gemma2 } from "./architectures/gemma2.js";
import { gemma3, gemma3Wrapper } from "./architectures/gemma3.js";
import { gpt2 } from "./architectures/gpt2.js";
import { gptNeo } from "./architectures/gpt-neo.js";
import { gptNeox } from "./architectures/gpt-neox.js";
import { gptOss } from "./architectures/gpt-oss.js";
import { gptj } from "./architectures/gptj.js";
import { granite } from "./architectures/granite.js";
import { llama } from "./architectures/llama.js";
import { mistral } from "./architectures/mistral.js";
import { mixtral } from "./architectures/mixtral.js";
import { olmo2 } from "./architectures/olmo2.js";
import { opt } from "./architectures/opt.js";
import { phi } from "./architectures/phi.js";
import { phi3 } from "./architectures/phi3.js";
import { qwen2 } from "./architectures/qwen2.js";
import { qwen3 } from "./architectures/qwen3.js";
import { qwen3Moe } from "./architectures/qwen3-moe.js";
import { smollm3 } from "./architectures/smollm3.js";
import { transformerLens } from "./architectures/transformer-lens.js";
import { quote } from "../formats/json.js";
import { checkLeftovers } from "./check-weights.js";
import { checkRotaries } from "./check-rotaries.js";
import { Config, type Json } from "./config.js";
import type { Family } from "./family.js";
import { Source } from "./source.js";
import type { ModelSpec } from "./spec.js";

/** Every family, in the order of the list of `model_type`s. */
// oxfmt-ignore
export const FAMILIES: readonly Family[] = [
  gpt2, gptNeo, gptj, gptNeox, opt, bloom, phi, llama, mistral, qwen2, qwen3, gemma, gemma2, gemma3, gemma3Wrapper, phi3, olmo2, smollm3,
  granite, mixtral, qwen3Moe, gptOss, transformerLens,
];

/** All `model_type`s that can be loaded. */
export const MODEL_TYPES: readonly string[] = FAMILIES.flatMap((family) => family.modelTypes);

const MOST_LAYERS = 4096;
/** What a file says of the whole model, whose text model is described inside. */
const OF_THE_WHOLE = ["tie_word_embeddings", "bos_token_id", "eos_token_id", "pad_token_id"];

/** Settings that say nothing about the numbers of a forward pass. */
// oxfmt-ignore
const WITHOUT_EFFECT = new Set([
  "architectures", "model_type", "torch_dtype", "dtype", "transformers_version", "_name_or_path", "name_or_path", "use_cache",
  "initializer_range", "init_std", "initializer_factor", "gradient_checkpointing", "tokenizer_class", "id2label", "label2id", "num_labels",
  "finetuning_task", "task_specific_params", "output_attentions", "output_hidden_states", "output_router_logits", "return_dict", "problem_type",
  "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "decoder_start_token_id", "unk_token_id", "auto_map", "torchscript",
  "use_bfloat16", "router_aux_loss_coef", "router_jitter_noise", "chunk_size_feed_forward", "is_decoder", "cross_attention_hidden_size",
  "tie_encoder_decoder", "num_nextn_predict_layers", "_attn_implementation", "attn_implementation", "attn_implementation_internal", "license",
  "max_length", "min_length", "prefix", "tie_word_embeddings", "_commit_hash", "forced_bos_token_id",
  "forced_eos_token_id", "suppress_tokens", "begin_suppress_tokens", "remove_invalid_values", "exponential_decay_length_penalty", "tf_legacy_loss",
  "adapter_attn_dim", "no_split_modules", "bad_words_ids", "do_sample", "temperature", "top_k", "top_p", "num_beams", "unsloth_version",
  "n_ctx", "activation_dropout",
  "model_max_length", "repetition_penalty", "num_return_sequences", "num_beam_groups", "encoder_no_repeat_ngram_size", "no_repeat_ngram_size", "typical_p",
  "early_stopping", "output_scores", "return_dict_in_generate", "length_penalty", "diversity_penalty", "add_cross_attention", "cache_implementation",
  "vision_config", "mm_tokens_per_image", "boi_token_index", "eoi_token_index", "image_token_index", "boi_token_id", "eoi_token_id", "image_token_id",
]);
const WITHOUT_EFFECT_PATTERN = /dropout|_pdrop$|^summary_|^layerdrop$|^gradient_/;

/** The spec that a configuration and the shapes of a checkpoint's tensors describe, checked against each other. */
export function readModelSpec(json: Json, shapes: ReadonlyMap<string, readonly number[]>, where = "config.json"): ModelSpec {
  const config = new Config(json, where);
  const type = config.text("model_type", "");
  const family = FAMILIES.find(({ modelTypes }) => modelTypes.includes(type));
  if (!family) {
    const what = type ? `cannot load a model of the family ${quote(type)}` : `cannot tell the family of ${where}: it has no model_type`;
    throw refuse({
      what,
      why: `the families are ${MODEL_TYPES.join(", ")}`,
      instead: "convert it to one of these, or add a file to src/models/architectures",
    });
  }
  const own = family.inside ? config.inside(family.inside, OF_THE_WHOLE) : config;
  for (const part of new Set([config, own])) {
    refuseEverywhere(part, family);
    refuseTooManyLayers(part);
  }
  const spec = family.spec(new Source(own, shapes));
  checkRotaries(spec, own.where);
  checkLeftovers(spec, shapes);
  return { ...spec, notUnderstood: config.unread().filter((key) => !isWithoutEffect(key)) };
}

/** Whether a key, or the last part of `text_config.key`, says nothing about the numbers. */
function isWithoutEffect(key: string): boolean {
  const name = key.split(".").at(-1) ?? key;
  return WITHOUT_EFFECT.has(name) || WITHOUT_EFFECT_PATTERN.test(name);
}

function refuseEverywhere(config: Config, { quantised = [] }: Family): void {
  const always = (): boolean => true;
  const isRead = (value: unknown): boolean => quantised.includes((value as { quant_method?: string }).quant_method ?? "");
  const methods =
    quantised.length > 0
      ? `of this family's quantised checkpoints only ${quantised.join(", ")} is read`
      : "quantised checkpoints are not read";
  config.refuseIf("quantization_config", (value) => !isRead(value), `${methods}; use the float one`);
  config.refuseIf("is_causal", (value) => value === false, "only causal attention is computed");
  config.refuseIf("use_bidirectional_attention", (value) => value !== false, "only causal attention is computed");
  config.refuseIf("is_encoder_decoder", (value) => value === true, "only decoders are computed");
  config.refuseIf("attention_chunk_size", always, "chunked attention is not computed");
  config.refuseIf("per_layer_config", always, "layers of different shapes are not read");
  config.refuseIf("pruned_heads", (value) => Object.keys(value as object).length > 0, "pruned heads are not read");
}

/** A count of layers in the millions would build millions of specs before a weight is missed. */
function refuseTooManyLayers(config: Config): void {
  for (const key of ["num_hidden_layers", "n_layer", "num_layers", "n_layers"]) {
    const layers = config.optionalNumber(key);
    if (layers !== undefined && layers > MOST_LAYERS)
      throw new SextantError("format", `${config.where}: ${key} is ${layers}; at most ${MOST_LAYERS} are read`);
  }
}
