/** @file The families, by their `model_type` in `config.json`. */
import type { Floats } from "./arrays.js";
import { bloom } from "./families/bloom.js";
import { gemma } from "./families/gemma.js";
import { gemma2 } from "./families/gemma2.js";
import { gemma3, gemma3Wrapped } from "./families/gemma3.js";
import { gpt2 } from "./families/gpt2.js";
import { gptNeo } from "./families/gpt-neo.js";
import { gptNeox } from "./families/gpt-neox.js";
import { gptOss } from "./families/gpt-oss.js";
import { gptj } from "./families/gptj.js";
import { granite } from "./families/granite.js";
import { hooked } from "./families/hooked.js";
import { llama } from "./families/llama.js";
import { mistral } from "./families/mistral.js";
import { mixtral } from "./families/mixtral.js";
import { olmo2 } from "./families/olmo2.js";
import { opt } from "./families/opt.js";
import { phi } from "./families/phi.js";
import { phi3 } from "./families/phi3.js";
import { qwen2 } from "./families/qwen2.js";
import { qwen3 } from "./families/qwen3.js";
import { qwen3Moe } from "./families/qwen3-moe.js";
import { smollm3 } from "./families/smollm3.js";
import type { Run } from "./run.js";

/** A forward pass: from one row's tokens to its logits `[T, V]`. */
export type Family = (run: Run) => Floats;

/** The forward pass of each `model_type`. */
export const FAMILIES: Readonly<Record<string, Family>> = {
  gpt2,
  gpt_neo: gptNeo,
  gptj,
  gpt_neox: gptNeox,
  opt,
  bloom,
  phi,
  llama,
  mistral,
  qwen2,
  qwen3,
  gemma,
  gemma2,
  gemma3: gemma3Wrapped,
  gemma3_text: gemma3,
  phi3,
  olmo2,
  smollm3,
  granite,
  mixtral,
  qwen3_moe: qwen3Moe,
  gpt_oss: gptOss,
  hooked_transformer: hooked,
};
