/** @file The rules by which byte-level tokenizers cut a text into words, by the names that llama.cpp gives them (`tokenizer.ggml.pre`). */
import { refuse, SextantError } from "../../base/errors.js";
import { describeJson, quote, type JsonObject } from "../json.js";
import type { GgufValue } from "./metadata.js";

/** How text is cut, and what goes with that rule. */
export interface Cutting {
  readonly normalizer: JsonObject | null;
  readonly preTokenizer: JsonObject;
  /** Whether a word that is a token as a whole is that token, whatever the merges give. */
  readonly ignoresMerges: boolean;
  /** Whether a text begins with the beginning-of-text token where the file does not say. */
  readonly addsBos: boolean;
}

const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)`;
const LLAMA3 = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const QWEN2 = LLAMA3.replace(String.raw`\p{N}{1,3}`, String.raw`\p{N}`);

/** Patterns, one after another, each of which cuts the pieces that the one before it left. */
function splits(...patterns: readonly string[]): JsonObject {
  const steps = patterns.map((pattern) => ({ type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false }));
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
  return { type: "Sequence", pretokenizers: [...steps, bytes] };
}

const rule = (preTokenizer: JsonObject, others: Partial<Cutting> = {}): Cutting => ({
  normalizer: null,
  preTokenizer,
  ignoresMerges: false,
  addsBos: false,
  ...others,
});

const ofGpt2 = rule({ type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true });
const ofLlama3 = rule(splits(LLAMA3), { ignoresMerges: true, addsBos: true });

/** One row a name; the patterns of `default` are llama.cpp's own, of no tokenizer in particular. */
const RULES: Readonly<Record<string, Cutting>> = {
  default: rule(splits(String.raw`[\p{P}\$\+<=>\^~\|]+`, GPT2, String.raw`\p{N}+`, "[0-9][0-9][0-9]")),
  "gpt-2": ofGpt2,
  "llama-bpe": ofLlama3,
  "llama-v3": ofLlama3,
  llama3: ofLlama3,
  qwen2: rule(splits(QWEN2), { normalizer: { type: "NFC" } }),
  smollm: rule(splits(String.raw`\p{N}`, String.raw`${GPT2}|\s+`)),
};

/** The rule of that name; `source` is the file that names it. */
export function cutting(name: GgufValue | undefined, source: string): Cutting {
  const known = `known are ${Object.keys(RULES).join(", ")}`;
  const refused = (why: string): SextantError =>
    refuse({ what: `cannot read the tokenizer of ${source}`, why, instead: "give token ids with --tokens" });
  if (name === undefined) throw refused(`no tokenizer.ggml.pre says how it cuts text, and guessing would give other tokens; ${known}`);
  if (typeof name !== "string") throw refused(`tokenizer.ggml.pre is ${describeJson(name)}; ${known}`);
  const found = Object.hasOwn(RULES, name) ? RULES[name] : undefined;
  if (found) return found;
  throw refused(`it cuts text by the rule ${quote(name)}; ${known}`);
}
