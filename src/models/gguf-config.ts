/**
 * @file The keys of a GGUF file → the `config.json` that the same model has elsewhere, so that one reading of each family serves both. What llama.cpp
 * computes and no key says (scales of Gemma, its window's rhythm) is stated here with its source, llama.cpp's `src/llama-model.cpp`. A key
 * that nobody reads is refused where it would change the numbers.
 */
import { refuse, SextantError } from "../base/errors.js";
import { quote } from "../formats/json.js";
import type { GgufMetadata, GgufValue } from "../formats/gguf/metadata.js";
import type { GgufTensor } from "../formats/gguf/header.js";
import { Config, type Json } from "./config.js";
import { ggufRope } from "./gguf-rope.js";

/** What a file says of its model. */
export interface GgufDescription {
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, Pick<GgufTensor, "shape">>;
  /** The values of `rope_freqs.weight`, where there is such a tensor. */
  readonly ropeFactors?: readonly number[];
}

/** Keys below the architecture's name, by their short names, and what a family's settings are made of. */
interface Reading {
  readonly keys: Config;
  /** `llama.` and the like. */
  readonly p: string;
  readonly given: GgufDescription;
  readonly layers: number;
  readonly dModel: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly dHead: number;
}

type Settings = (reading: Reading) => Json;

/** One row an architecture: the settings that its family has beyond those of all. */
const ARCHITECTURES: Readonly<Record<string, Settings>> = {
  llama: (reading) => ({
    model_type: "llama",
    hidden_act: "silu",
    attention_bias: reading.given.tensors.has("blk.0.attn_q.bias"),
    mlp_bias: reading.given.tensors.has("blk.0.ffn_gate.bias"),
    ...rotary(reading),
  }),
  qwen2: (reading) => ({ model_type: "qwen2", hidden_act: "silu", ...rotary(reading) }),
  qwen3: (reading) => ({ model_type: "qwen3", hidden_act: "silu", ...rotary(reading) }),
  gemma: (reading) => ({ model_type: "gemma", hidden_act: "gelu_pytorch_tanh", ...rotary(reading) }),
  gemma2,
  gemma3,
  gpt2: ({ keys, p, dModel }) => ({
    model_type: "gpt2",
    n_inner: keys.count(`${p}feed_forward_length`, 4 * dModel),
    layer_norm_epsilon: shortest(keys.positive(`${p}attention.layer_norm_epsilon`)),
    activation_function: "gelu_new",
  }),
};

/** The architectures that can be loaded. */
export const GGUF_ARCHITECTURES: readonly string[] = Object.keys(ARCHITECTURES);

/** The configuration of the model in a file; `where` is the file, for errors. */
export function ggufConfig(given: GgufDescription, where: string): Json {
  const { metadata, tensors } = given;
  const keys = new Config(Object.fromEntries([...metadata].filter(([key]) => !key.startsWith("tokenizer."))), where);
  const architecture = keys.text("general.architecture", "");
  const settings = Object.hasOwn(ARCHITECTURES, architecture) ? ARCHITECTURES[architecture] : undefined;
  if (architecture === "controlvector") {
    const why = "it is a control vector, which changes a model and is none";
    throw refuse({ what: `cannot load ${where}`, why, instead: "give the model's own file, and this one with --control" });
  }
  if (!settings) {
    const why = `the architectures read from GGUF are ${GGUF_ARCHITECTURES.join(", ")}`;
    throw refuse({ what: `cannot load the architecture ${quote(architecture)} of ${where}`, why, instead: "use the model's safetensors" });
  }
  const reading = readingOf(keys, `${architecture}.`, given);
  const json = { ...common(reading), ...settings(reading), tie_word_embeddings: !tensors.has("output.weight"), ...specialIds(metadata) };
  return { ...json, ...unreadKeys(reading) };
}

function readingOf(keys: Config, p: string, given: GgufDescription): Reading {
  const dModel = keys.count(`${p}embedding_length`);
  const heads = evenCount(keys, given, `${p}attention.head_count`);
  const kvHeads = keys.has(`${p}attention.head_count_kv`) ? evenCount(keys, given, `${p}attention.head_count_kv`) : heads;
  if (!keys.has(`${p}attention.key_length`) && dModel % heads !== 0)
    throw keys.wrong(`${p}attention.head_count`, `a divisor of ${dModel}`, heads);
  const dHead = keys.count(`${p}attention.key_length`, dModel / heads);
  const dValue = keys.count(`${p}attention.value_length`, dHead);
  if (dValue !== dHead) throw keys.refused(`${p}attention.value_length`, dValue, `values must be as long as keys, ${dHead}`);
  keys.refuseIf(`${p}expert_count`, (count) => count !== 0, "mixtures of experts are not read from GGUF");
  return { keys, p, given, layers: keys.count(`${p}block_count`), dModel, heads, kvHeads, dHead };
}

/** A count, or a list with that count for each layer. */
function evenCount(keys: Config, { metadata }: GgufDescription, key: string): number {
  if (!Array.isArray(metadata.get(key))) return keys.count(key);
  const list = keys.numbers(key) ?? [];
  const [first] = list;
  if (first === undefined || !Number.isInteger(first) || first < 1) throw keys.wrong(key, "counts above 0", list);
  if (list.some((count) => count !== first)) throw keys.refused(key, list, "layers of different shapes are not read");
  return first;
}

/** What every family is told, by the names of Llama's configuration or, of GPT-2's, by its own. */
function common({ keys, p, given, layers, dModel, heads, kvHeads, dHead }: Reading): Json {
  const [vocab] = given.tensors.get("token_embd.weight")?.shape ?? [];
  if (vocab === undefined) throw new SextantError("weights", `${keys.where} has no tensor "token_embd.weight"`);
  const shared = { num_hidden_layers: layers, hidden_size: dModel, num_attention_heads: heads, vocab_size: vocab };
  const context = { max_position_embeddings: keys.count(`${p}context_length`) };
  if (p === "gpt2.") return { ...shared, ...context };
  return {
    ...shared,
    ...context,
    num_key_value_heads: kvHeads,
    head_dim: dHead,
    intermediate_size: evenCount(keys, given, `${p}feed_forward_length`),
    rms_norm_eps: shortest(keys.positive(`${p}attention.layer_norm_rms_epsilon`)),
  };
}

/** Rotary settings of the families that turn the whole head. */
function rotary({ keys, p, given, dHead }: Reading): Json {
  const dims = keys.count(`${p}rope.dimension_count`, dHead);
  if (dims !== dHead) throw keys.refused(`${p}rope.dimension_count`, dims, `this family turns the whole head of ${dHead}`);
  return ggufRope(keys, p, { dHead, ...(given.ropeFactors && { factors: given.ropeFactors }) });
}

/** The scale is 1/√(width/heads) in the 27B, which is told by its 46 layers, and 1/√(head size) elsewhere. */
function gemma2(reading: Reading): Json {
  const { keys, p, layers } = reading;
  return {
    model_type: "gemma2",
    hidden_activation: "gelu_pytorch_tanh",
    query_pre_attn_scalar: scalarOf(reading, layers === 46),
    attn_logit_softcapping: shortest(keys.positive(`${p}attn_logit_softcapping`, 50)),
    final_logit_softcapping: shortest(keys.positive(`${p}final_logit_softcapping`, 30)),
    sliding_window: keys.count(`${p}attention.sliding_window`, 4096),
    ...rotary(reading),
  };
}

/** As Gemma 2, the 27B told by its 62 layers. Every sixth layer sees all; local layers turn with a base of 10 000. */
function gemma3(reading: Reading): Json {
  const { keys, p, layers } = reading;
  const cap = keys.optionalPositive(`${p}final_logit_softcapping`);
  return {
    model_type: "gemma3_text",
    hidden_activation: "gelu_pytorch_tanh",
    query_pre_attn_scalar: scalarOf(reading, layers === 62),
    ...(cap !== undefined && { final_logit_softcapping: shortest(cap) }),
    sliding_window: keys.count(`${p}attention.sliding_window`),
    ...windows(reading, `${p}attention.sliding_window_pattern`),
    rope_local_base_freq: shortest(keys.positive(`${p}rope.freq_base_swa`, 10_000)),
    ...rotary(reading),
  };
}

function scalarOf({ dModel, heads, dHead }: Reading, isLargest: boolean): number {
  return isLargest ? dModel / heads : dHead;
}

/** A period, or for each layer whether it slides. */
function windows({ keys, given }: Reading, key: string): Json {
  if (!Array.isArray(given.metadata.get(key))) return { sliding_window_pattern: keys.count(key, 6) };
  return { layer_types: keys.list(key)?.map((slides) => (slides === true || slides === 1 ? "sliding_attention" : "full_attention")) };
}

/** Ids of special tokens; a generation ends at the end of a turn, too. */
function specialIds(metadata: GgufMetadata): Json {
  const id = (name: string): GgufValue | undefined => metadata.get(`tokenizer.ggml.${name}_token_id`);
  const [bos, pad] = [id("bos"), id("padding")];
  const eos = [...new Set([id("eos"), id("eot"), id("eom")].filter((value) => typeof value === "number"))];
  return {
    ...(bos !== undefined && { bos_token_id: bos }),
    ...(pad !== undefined && { pad_token_id: pad }),
    ...(eos.length > 0 && { eos_token_id: eos }),
  };
}

/** Keys of the architecture that say nothing about the numbers. */
const WITHOUT_EFFECT = new Set(["vocab_size", "tensor_data_layout", "rope.scaling.finetuned", "rope.scaling.original_context_length"]);

/** Keys of the architecture that nothing has read: refused where they would change the numbers, else passed on to be listed as not understood. */
function unreadKeys({ keys, p }: Reading): Json {
  const unread = keys.unread().filter((key) => key.startsWith(p) && !WITHOUT_EFFECT.has(key.slice(p.length)));
  const grave = unread.find((key) => /^(attention|rope|expert)|scale|softcap|residual/.test(key.slice(p.length)));
  if (grave !== undefined) throw refuse({ what: `cannot honour ${grave} of ${keys.where}`, why: "no part of Sextant knows this setting" });
  return Object.fromEntries(unread.map((key) => [key, true]));
}

/** The decimal that was meant by a float32: the shortest that rounds to it, as in `1e-5`; a number that is no float32 is itself. */
export function shortest(value: number): number {
  for (let digits = 1; digits <= 8; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
