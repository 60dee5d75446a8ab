/**
 * @file The tokenizer in the keys of a GGUF file, written as the `tokenizer.json` and the files beside it that the same tokenizer has elsewhere, so that
 * one reading of those serves both. Two kinds are known: byte-level BPE (`gpt2`), whose file names its rule for cutting text, and SentencePiece's BPE
 * with byte fallback (`llama`), whose merges follow from the scores of its pieces. Any other, and any other rule, is refused by name.
 */
import { refuse, SextantError } from "../../base/errors.js";
import { describeJson, quote, type JsonObject } from "../json.js";
import type { TokenizerParts } from "../make-tokenizer.js";
import type { GgufMetadata, GgufValue } from "./metadata.js";
import { cutting, type Cutting } from "./pre-tokenizers.js";
import { mergesOf } from "./sentencepiece-merges.js";

/** What llama.cpp calls the kinds of entries. */
const [UNKNOWN, CONTROL, USER_DEFINED, BYTE] = [2, 3, 4, 6];
const NORMAL = 1;
const MOST_ENTRIES = 1 << 24;

/** A vocabulary and what goes with it. */
interface Vocabulary {
  readonly source: string;
  readonly keys: GgufMetadata;
  readonly tokens: readonly string[];
  readonly kinds: readonly number[];
}

/** The files that describe the tokenizer; `source` is what an error calls the GGUF file. */
export function tokenizerFiles(metadata: GgufMetadata, source: string): TokenizerParts {
  const model = metadata.get("tokenizer.ggml.model");
  const make = typeof model === "string" && Object.hasOwn(MODELS, model) ? MODELS[model] : undefined;
  if (!make) {
    const why =
      model === undefined
        ? "it has none"
        : `it is of the kind ${typeof model === "string" ? quote(model) : describeJson(model)}; read are ${Object.keys(MODELS).join(", ")}`;
    throw refuse({ what: `cannot read the tokenizer of ${source}`, why, instead: "give token ids with --tokens" });
  }
  const vocabulary = readVocabulary(metadata, source);
  const { file, named, addsBos } = make(vocabulary);
  const added = addedTokens(vocabulary);
  return {
    file: { version: "1.0", added_tokens: added, post_processor: surrounding(vocabulary, addsBos), ...file },
    config: { ...named, ...chatTemplates(metadata) },
    generation: { eos_token_id: endIds(vocabulary) },
  };
}

interface Made {
  readonly file: JsonObject;
  readonly named: JsonObject;
  /** Whether a text begins with the beginning-of-text token where the file does not say. */
  readonly addsBos: boolean;
}

const MODELS: Readonly<Record<string, (vocabulary: Vocabulary) => Made>> = { gpt2: byteLevel, llama: sentencePiece };

function byteLevel(vocabulary: Vocabulary): Made {
  const { keys, source, tokens, kinds } = vocabulary;
  const rule: Cutting = cutting(keys.get("tokenizer.ggml.pre"), source);
  const known = new Set(tokens);
  const merges = textList(keys, "tokenizer.ggml.merges", source).map((merge) => pairOf(merge, known, source));
  const vocab = entries(tokens, (_, id) => kinds[id] !== CONTROL && kinds[id] !== USER_DEFINED);
  return {
    file: {
      normalizer: rule.normalizer,
      pre_tokenizer: rule.preTokenizer,
      decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: "BPE",
        ...PLAIN,
        unk_token: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: rule.ignoresMerges,
        vocab,
        merges,
      },
    },
    named: namedTokens(vocabulary, ["bos", "eos", "unknown", "padding"]),
    addsBos: rule.addsBos,
  };
}

const PLAIN = { dropout: null, continuing_subword_prefix: "", end_of_word_suffix: "" } as const;

function sentencePiece(vocabulary: Vocabulary): Made {
  const { keys, source, tokens, kinds } = vocabulary;
  const scores = numberList(keys, "tokenizer.ggml.scores", source);
  if (scores.length !== tokens.length) throw wrong(source, "tokenizer.ggml.scores", `${tokens.length} numbers, one a token`, scores);
  const hasPrefix = flag(keys, "tokenizer.ggml.add_space_prefix", source) ?? true;
  const spaces = { type: "Replace", pattern: { String: " " }, content: "▁" };
  const strip = hasPrefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : [];
  const unk = tokens[idOf(vocabulary, "unknown") ?? kinds.indexOf(UNKNOWN)] ?? null;
  const byteFallback = kinds.filter((kind) => kind === BYTE).length === 256;
  const merges = mergesOf(tokens, scores, (id) => kinds[id] === NORMAL || kinds[id] === USER_DEFINED);
  return {
    file: {
      normalizer: hasPrefix ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "▁" }, spaces] } : spaces,
      pre_tokenizer: null,
      decoder: {
        type: "Sequence",
        decoders: [{ type: "Replace", pattern: { String: "▁" }, content: " " }, { type: "ByteFallback" }, { type: "Fuse" }, ...strip],
      },
      model: {
        type: "BPE",
        ...PLAIN,
        unk_token: unk,
        fuse_unk: true,
        byte_fallback: byteFallback,
        vocab: entries(tokens, () => true),
        merges,
      },
    },
    named: namedTokens(vocabulary, ["bos", "eos", "unknown", "padding"]),
    addsBos: true,
  };
}

function readVocabulary(keys: GgufMetadata, source: string): Vocabulary {
  const tokens = textList(keys, "tokenizer.ggml.tokens", source);
  if (tokens.length === 0 || tokens.length > MOST_ENTRIES)
    throw wrong(source, "tokenizer.ggml.tokens", `a list of 1 to ${MOST_ENTRIES} texts`, tokens);
  const twice = firstTwice(tokens);
  if (twice !== undefined) throw new SextantError("format", `${source}: tokenizer.ggml.tokens has ${quote(twice)} twice`);
  const kinds = keys.has("tokenizer.ggml.token_type") ? numberList(keys, "tokenizer.ggml.token_type", source) : tokens.map(() => NORMAL);
  if (kinds.length !== tokens.length) throw wrong(source, "tokenizer.ggml.token_type", `${tokens.length} numbers, one a token`, kinds);
  return { source, keys, tokens, kinds };
}

function firstTwice(tokens: readonly string[]): string | undefined {
  const seen = new Set<string>();
  return tokens.find((token) => seen.size === seen.add(token).size);
}

/** Entries that are looked for in the text as it is: control and unknown tokens, which are special, and those of the user. */
function addedTokens({ tokens, kinds }: Vocabulary): JsonObject[] {
  return tokens.flatMap((content, id) => {
    const isSpecial = kinds[id] === CONTROL || kinds[id] === UNKNOWN;
    if ((!isSpecial && kinds[id] !== USER_DEFINED) || content === "") return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: isSpecial }];
  });
}

/** The tokens around a text, as the file asks for them. */
function surrounding(vocabulary: Vocabulary, addsBos: boolean): JsonObject | null {
  const { keys, source, tokens } = vocabulary;
  const asked = (name: string, otherwise: boolean): number[] => {
    if (!(flag(keys, `tokenizer.ggml.add_${name}_token`, source) ?? otherwise)) return [];
    const id = idOf(vocabulary, name);
    if (id === undefined)
      throw new SextantError("format", `${source}: a text is to have its ${name} token, but tokenizer.ggml.${name}_token_id is missing`);
    return [id];
  };
  const [before, after] = [asked("bos", addsBos && idOf(vocabulary, "bos") !== undefined), asked("eos", false)];
  if (before.length + after.length === 0) return null;
  const special = (id: number): JsonObject => ({ SpecialToken: { id: tokens[id], type_id: 0 } });
  const single = [...before.map(special), { Sequence: { id: "A", type_id: 0 } }, ...after.map(special)];
  const known = [...before, ...after].map((id) => [tokens[id], { id: tokens[id], ids: [id], tokens: [tokens[id]] }] as const);
  return { type: "TemplateProcessing", single, pair: single, special_tokens: Object.fromEntries(known) };
}

const CONFIG_NAMES: Readonly<Record<string, string>> = { bos: "bos_token", eos: "eos_token", unknown: "unk_token", padding: "pad_token" };

function namedTokens(vocabulary: Vocabulary, names: readonly string[]): JsonObject {
  const found = names.flatMap((name) => {
    const id = idOf(vocabulary, name);
    return id === undefined ? [] : [[CONFIG_NAMES[name]!, vocabulary.tokens[id]!] as const];
  });
  return Object.fromEntries(found);
}

/** Ids that end a generation: of the text, of a turn, of a message. */
function endIds(vocabulary: Vocabulary): number[] {
  return ["eos", "eot", "eom"].flatMap((name) => idOf(vocabulary, name) ?? []);
}

function chatTemplates(keys: GgufMetadata): JsonObject {
  const prefix = "tokenizer.chat_template";
  const templates = [...keys].flatMap(([key, template]) => {
    if (typeof template !== "string" || (key !== prefix && !key.startsWith(`${prefix}.`))) return [];
    return [{ name: key === prefix ? "default" : key.slice(prefix.length + 1), template }];
  });
  return templates.length === 0 ? {} : { chat_template: templates };
}

function entries(tokens: readonly string[], isIn: (token: string, id: number) => boolean): JsonObject {
  return Object.fromEntries(tokens.flatMap((token, id) => (isIn(token, id) ? [[token, id] as const] : [])));
}

/** A merge as its two parts, whose joint must be a token, as they must be. */
function pairOf(merge: string, known: ReadonlySet<string>, source: string): readonly [string, string] {
  const at = merge.indexOf(" ", 1);
  const [left, right] = [merge.slice(0, at), merge.slice(at + 1)];
  if (at > 0 && known.has(left) && known.has(right) && known.has(left + right)) return [left, right];
  throw new SextantError("format", `${source}: tokenizer.ggml.merges has ${quote(merge)}, which does not join two tokens to a third`);
}

// ── keys ──

function idOf({ keys, source, tokens }: Vocabulary, name: string): number | undefined {
  const key = `tokenizer.ggml.${name}_token_id`;
  const id = keys.get(key);
  if (id === undefined) return undefined;
  if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id < tokens.length) return id;
  throw wrong(source, key, `an index below ${tokens.length}`, id);
}

function flag(keys: GgufMetadata, key: string, source: string): boolean | undefined {
  const value = keys.get(key);
  if (value === undefined || typeof value === "boolean") return value;
  throw wrong(source, key, "true or false", value);
}

function textList(keys: GgufMetadata, key: string, source: string): readonly string[] {
  const list = keys.get(key);
  if (Array.isArray(list) && list.every((item) => typeof item === "string")) return list;
  throw wrong(source, key, "a list of texts", list);
}

function numberList(keys: GgufMetadata, key: string, source: string): readonly number[] {
  const list = keys.get(key);
  if (Array.isArray(list) && list.every((item) => typeof item === "number")) return list;
  throw wrong(source, key, "a list of numbers", list);
}

function wrong(source: string, key: string, demand: string, value: GgufValue | undefined): SextantError {
  return new SextantError(
    "format",
    `${source}: ${key} must be ${demand}, ${value === undefined ? "it is missing" : `got ${describeJson(value)}`}`,
  );
}
