/**
 * @file The parts of `@huggingface/tokenizers` that cut and merge text, behind an interface that TypeScript can check (the
 * package's own types do not resolve under Node's rules). Two readings of `tokenizer.json` are put right on the way in, so
 * that the ids agree with the Rust implementation: GPT-2's pattern means Unicode white space by `\s`, which the package only
 * grants to patterns that the file spells out, and a prefix space is added here, where it can be traced.
 */
import * as parts from "@huggingface/tokenizers";
import { SextantError } from "../../base/errors.js";
import { rewriteAligned, type AlignedText } from "./aligned-text.js";
import { readAddedTokens, type AddedToken } from "./added-tokens.js";
import { isJsonObject, quote, type JsonObject } from "../json.js";

/** Cuts normalized text into vocabulary entries, and knows the vocabulary. */
export interface TokenizerEngine {
  readonly cut: (text: AlignedText) => { text: AlignedText; tokens: string[] };
  readonly idOf: (token: string) => number | undefined;
  /** The vocabulary entry of an id, as the file spells it. */
  readonly entry: (id: number) => string | undefined;
  readonly added: readonly AddedToken[];
  /** One more than the highest id. */
  readonly vocabSize: number;
  /** The tokens that the post-processor puts before and after a text. */
  readonly prefix: readonly string[];
  readonly suffix: readonly string[];
  readonly byteLevel: boolean;
  readonly byteFallback: boolean;
  readonly unknown: string | undefined;
  readonly fusesUnknown: boolean;
  /** Whether a word with an unknown part is unknown as a whole. */
  readonly wholeWords: boolean;
  readonly dropsSpace: boolean;
  readonly decodeAll: (ids: readonly number[]) => string;
}

interface Package {
  readonly pre_tokenizer: ((text: string, options: { section_index: number }) => string[]) | null;
  readonly model: {
    (pieces: string[]): string[];
    readonly vocab: (string | undefined)[];
    readonly tokens_to_ids: ReadonlyMap<string, number>;
    readonly unk_token?: string | null;
    readonly fuse_unk: boolean;
    readonly byte_fallback?: boolean;
  };
  readonly post_processor: ((tokens: string[], pair: null, addSpecial: boolean) => { tokens: string[] }) | null;
  decode(ids: readonly number[], options: { clean_up_tokenization_spaces: boolean }): string;
}

const { Tokenizer: Engine, ReplaceNormalizer } = parts as unknown as {
  readonly Tokenizer: new (file: object, config: object) => Package;
  readonly ReplaceNormalizer: new (config: object) => { readonly pattern: RegExp | null };
};
const GPT2_PATTERN = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;
const MAX_ID = 1 << 24;

/** The engine of a parsed `tokenizer.json`; `source` is what an error calls the file. */
export function makeEngine(file: JsonObject, config: JsonObject, source: string): TokenizerEngine {
  const added = allAddedTokens(file, config);
  checkIds(file, added, source);
  const steps = flattenPreTokenizers(file["pre_tokenizer"]);
  const prefixSpace = steps[0]?.["type"] === "ByteLevel" && steps[0]["add_prefix_space"] === true;
  const built = build({ ...file, added_tokens: added, pre_tokenizer: preTokenizer(steps) }, config, source);
  const { model, pre_tokenizer: preTokenize } = built;
  const cut = (text: AlignedText): { text: AlignedText; tokens: string[] } => {
    const prefixed = prefixSpace && !text.text.startsWith(" ") ? rewriteAligned(text, [{ at: 0, length: 0, text: " " }]) : text;
    const section = prefixed.from[0] === 0 ? 0 : 1;
    const pieces = preTokenize ? preTokenize(prefixed.text, { section_index: section }) : [prefixed.text];
    return { text: prefixed, tokens: model(pieces) };
  };
  return {
    cut,
    ...surroundings(built, source),
    added,
    idOf: (token) => model.tokens_to_ids.get(token),
    entry: (id) => model.vocab[id],
    vocabSize: model.vocab.length,
    byteLevel: steps.some((step) => step["type"] === "ByteLevel"),
    byteFallback: model.byte_fallback === true,
    unknown: model.unk_token ?? undefined,
    fusesUnknown: model.fuse_unk,
    wholeWords: isJsonObject(file["model"]) && /^Word(Piece|Level)$/.test(String(file["model"]["type"])),
    dropsSpace: steps.some((step) => /^(Whitespace|WhitespaceSplit|BertPreTokenizer)$/.test(String(step["type"]))),
    decodeAll: (ids) => (ids.length === 0 ? "" : built.decode(ids, { clean_up_tokenization_spaces: false })),
  };
}

/** The regular expression of a `{ String }` or `{ Regex }` pattern, Oniguruma's dialect translated; null for anything else. */
export function compilePattern(pattern: unknown): RegExp | null {
  return new ReplaceNormalizer({ pattern }).pattern;
}

function build(file: JsonObject, config: JsonObject, source: string): Package {
  const defaults = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, added_tokens: [] };
  try {
    return new Engine({ ...defaults, ...file }, config);
  } catch (error) {
    throw new SextantError("unsupported", `cannot use ${source}: ${(error as Error).message}`, { cause: error });
  }
}

/** The file's added tokens, and those that only `tokenizer_config.json` has. */
function allAddedTokens(file: JsonObject, config: JsonObject): AddedToken[] {
  const own = readAddedTokens(file["added_tokens"]);
  const decoder = isJsonObject(config["added_tokens_decoder"]) ? config["added_tokens_decoder"] : {};
  const others = Object.entries(decoder).map(([id, entry]) => (isJsonObject(entry) ? { ...entry, id: Number(id) } : entry));
  const known = new Set(own.map((token) => token.content));
  return [...own, ...readAddedTokens(others).filter((token) => !known.has(token.content))];
}

function checkIds(file: JsonObject, added: readonly AddedToken[], source: string): void {
  const model = file["model"];
  const vocabulary = isJsonObject(model) ? model["vocab"] : undefined;
  if (!isJsonObject(vocabulary) && !Array.isArray(vocabulary)) throw new SextantError("format", `${source} has no model.vocab`);
  const listed = isJsonObject(vocabulary) ? Object.values(vocabulary) : [vocabulary.length - 1];
  for (const id of [...listed, ...added.map((token) => token.id)]) {
    if (Number.isInteger(id) && (id as number) >= -1 && (id as number) < MAX_ID) continue;
    throw new SextantError("format", `${source} gives a token the id ${String(id)}, which is not an index below ${MAX_ID}`);
  }
}

function flattenPreTokenizers(config: unknown): JsonObject[] {
  if (!isJsonObject(config)) return [];
  const { type, pretokenizers } = config;
  return type === "Sequence" && Array.isArray(pretokenizers) ? pretokenizers.flatMap(flattenPreTokenizers) : [config];
}

function preTokenizer(steps: readonly JsonObject[]): JsonObject | null {
  const pretokenizers = steps.flatMap((step, i) => {
    if (step["type"] !== "ByteLevel") return [step];
    const bytes = { ...step, use_regex: false, ...(i === 0 ? { add_prefix_space: false } : {}) };
    if (step["use_regex"] === false) return [bytes];
    return [{ type: "Split", pattern: { Regex: GPT2_PATTERN }, behavior: "Isolated", invert: false }, bytes];
  });
  return steps.length === 0 ? null : { type: "Sequence", pretokenizers };
}

/** What the post-processor puts around a text, found by passing it a stand-in. */
function surroundings({ post_processor: process, model }: Package, source: string): Pick<TokenizerEngine, "prefix" | "suffix"> {
  const standIn = "\0text";
  const tokens = process ? process([standIn], null, true).tokens : [standIn];
  const at = tokens.indexOf(standIn);
  const stray = tokens.find((token) => token !== standIn && !model.tokens_to_ids.has(token));
  if (at < 0) throw new SextantError("format", `${source}: the post_processor leaves the text out`);
  if (stray !== undefined) throw new SextantError("format", `${source}: the post_processor adds ${quote(stray)}, which is no token`);
  return { prefix: tokens.slice(0, at), suffix: tokens.slice(at + 1) };
}
