/**
 * @file A tokenizer made of what its files say: ids, the stretch of text behind each id, and text again, exactly. It follows
 * `tokenizer.json` to the letter, as the Rust `tokenizers` do; in particular its post-processor alone decides whether a
 * beginning-of-text token is added (`add_bos_token` in `tokenizer_config.json` is not consulted, as in transformers 5).
 * One departure: a character for which there is neither a token nor an unknown token is refused rather than dropped.
 */
import { refuse, SextantError } from "../base/errors.js";
import { isJsonObject, quote, type JsonObject } from "./json.js";
import { decodeUtf8, makeDetokenizer, type Detokenizer, type TextStream } from "./tokens/detokenize.js";
import { makeEncoder, type Encode } from "./tokens/encoder.js";
import { makeEngine, type TokenizerEngine } from "./tokens/engine.js";
import type { TextRange } from "./tokens/trace.js";

/** A text as ids. */
export interface Encoding {
  readonly ids: number[];
  /** Each id as text for people, see `Tokenizer.token`. */
  readonly tokens: string[];
  /** Each id's `[start, end)` in UTF-16 units of the text as given; the part of a character has the whole character's. */
  readonly offsets: TextRange[];
}

/** Text to ids and back. */
export interface Tokenizer {
  readonly folder: string;
  /** One more than the highest id. */
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  /** Every id that ends a generation: the tokenizer's own first, then those of `generation_config.json`. */
  readonly eosIds: readonly number[];
  readonly padId: number | undefined;
  readonly specialIds: ReadonlySet<number>;
  /** The named special tokens as text: `bos_token`, `eos_token`, …; chat templates use them. */
  readonly specialTokens: Readonly<Record<string, string>>;
  /** Chat templates by name; the usual one is `default`. */
  readonly chatTemplates: ReadonlyMap<string, string>;
  encode(text: string, options?: { addSpecialTokens?: boolean }): Encoding;
  /** The text of the ids; an id without a token adds nothing. */
  decode(ids: readonly number[], options?: { skipSpecialTokens?: boolean }): string;
  /** The token as people read it: its text, or `<0xE4><0xBD>` where the bytes are only part of a character. */
  token(id: number): string;
  /** The one id that spells `text`, in a model with prefix spaces with or without its leading space; refused when it takes several. */
  singleToken(text: string): number;
  /** A stream whose pieces, joined, are the decoded text; with `after`, what the ids add to the text of those. */
  streamDecoder(options?: { skipSpecialTokens?: boolean; after?: readonly number[] }): TextStream;
}

/** What the files of a tokenizer say. */
export interface TokenizerParts {
  /** `tokenizer.json`. */
  readonly file: JsonObject;
  /** `tokenizer_config.json`. */
  readonly config: JsonObject;
  /** `generation_config.json`. */
  readonly generation: JsonObject;
  /** `special_tokens_map.json`. */
  readonly specialTokens?: JsonObject;
  /** `chat_template.jinja`. */
  readonly chatTemplate?: string | undefined;
}

/** The tokenizer of these files; `folder` is what it is called, `source` what an error calls `tokenizer.json`. */
export function makeTokenizer(parts: TokenizerParts, folder: string, source: string): Tokenizer {
  const { file, config, generation } = parts;
  const specialTokens = { ...namedTokens(parts.specialTokens ?? {}), ...namedTokens(config) };
  const engine = makeEngine(file, config, source);
  const detokenizer = makeDetokenizer(file["decoder"], engine);
  const encode = makeEncoder(file["normalizer"], engine, detokenizer);
  const named = namedIds(specialTokens, generation, engine);
  return {
    folder,
    vocabSize: engine.vocabSize,
    ...named,
    specialTokens,
    chatTemplates: chatTemplatesOf(parts),
    ...methods(engine, detokenizer, encode, named),
  };
}

/** Throws when the tokenizer can produce an id for which the model, with `rows` embeddings, has none. */
export function checkVocabulary(tokenizer: Tokenizer, rows: number): void {
  const highest = tokenizer.vocabSize - 1;
  if (highest < rows) return;
  throw refuse(
    {
      what: `cannot use the tokenizer of ${tokenizer.folder} with this model`,
      why: `its token ${quote(tokenizer.token(highest))} has the id ${highest}, the model has embeddings for ${rows} ids`,
      instead: "use the tokenizer that the model was trained with, or give token ids with --tokens",
    },
    "request",
  );
}

type Named = Pick<Tokenizer, "bosId" | "eosIds" | "padId" | "specialIds">;
type Methods = Pick<Tokenizer, "encode" | "decode" | "token" | "singleToken" | "streamDecoder">;

function methods(engine: TokenizerEngine, detokenizer: Detokenizer, encodeText: Encode, { specialIds }: Named): Methods {
  const token = (id: number): string => displayToken(id, engine, detokenizer);
  const encode: Tokenizer["encode"] = (text, { addSpecialTokens = true } = {}) => {
    const pieces = encodeText(text, addSpecialTokens);
    return { ids: pieces.map(({ id }) => id), tokens: pieces.map(({ id }) => token(id)), offsets: pieces.map(({ range }) => range) };
  };
  const streamDecoder: Tokenizer["streamDecoder"] = ({ skipSpecialTokens = false, after = [] } = {}) => {
    const stream = detokenizer.stream();
    const push = (id: number): string => (skipSpecialTokens && specialIds.has(checkId(id)) ? "" : stream.push(checkId(id)));
    after.forEach(push);
    return { push, end: () => stream.end() };
  };
  const decode: Tokenizer["decode"] = (ids, { skipSpecialTokens = false } = {}) => {
    const stream = streamDecoder({ skipSpecialTokens });
    return ids.map((id) => stream.push(id)).join("") + stream.end();
  };
  return { encode, decode, token, streamDecoder, singleToken: (text) => singleToken(text, encode, engine) };
}

function checkId(id: number): number {
  if (Number.isInteger(id) && id >= 0) return id;
  throw new SextantError("request", `a token id must be a whole number from 0 on, got ${id}`);
}

function displayToken(id: number, engine: TokenizerEngine, { bytesOf }: Detokenizer): string {
  const entry = engine.entry(id);
  if (entry === undefined) return `<unused ${id}>`;
  const bytes = bytesOf(entry);
  const hex = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
  return decodeUtf8(bytes) ?? Array.from(bytes, hex).join("");
}

function singleToken(text: string, encode: Tokenizer["encode"], engine: TokenizerEngine): number {
  const { ids, tokens } = encode(text, { addSpecialTokens: false });
  if (ids.length === 1) return ids[0]!;
  const bare = text.startsWith(" ") && !engine.byteLevel ? encode(text.slice(1), { addSpecialTokens: false }) : undefined;
  if (bare?.ids.length === 1 && bare.tokens[0] === text) return bare.ids[0]!;
  const why = tokens.length === 0 ? "it has no tokens" : `it is ${tokens.length} tokens, ${tokens.map(quote).join(" ")}`;
  throw refuse({ what: `cannot take ${quote(text)} as one token`, why, instead: "use a text that is one token, or a token id" }, "request");
}

/** The `…_token` members, as text. */
function namedTokens(config: JsonObject): Record<string, string> {
  const entries = Object.entries(config).flatMap(([key, value]): [string, string][] => {
    const text = isJsonObject(value) ? value["content"] : value;
    return /^(bos|eos|unk|pad|sep|cls|mask)_token$/.test(key) && typeof text === "string" ? [[key, text]] : [];
  });
  return Object.fromEntries(entries);
}

function namedIds(tokens: Readonly<Record<string, string>>, generation: JsonObject, engine: TokenizerEngine): Named {
  const listed = (key: string): number[] => [generation[key]].flat().filter((id): id is number => engine.entry(id as number) !== undefined);
  const own = (key: string): number[] => [tokens[key]].flatMap((text) => (text === undefined ? [] : (engine.idOf(text) ?? [])));
  const idsOf = (name: string): number[] => [...new Set([...own(`${name}_token`), ...listed(`${name}_token_id`)])];
  const special = engine.added.filter((token) => token.special).map((token) => token.id);
  const named = Object.keys(tokens).flatMap((key) => own(key));
  return { bosId: idsOf("bos")[0], eosIds: idsOf("eos"), padId: idsOf("pad")[0], specialIds: new Set([...special, ...named]) };
}

function chatTemplatesOf({ config, chatTemplate }: TokenizerParts): Map<string, string> {
  const templates = new Map<string, string>();
  const own = config["chat_template"];
  if (typeof own === "string") templates.set("default", own);
  for (const entry of Array.isArray(own) ? own.filter(isJsonObject) : []) {
    if (typeof entry["name"] === "string" && typeof entry["template"] === "string") templates.set(entry["name"], entry["template"]);
  }
  if (chatTemplate !== undefined) templates.set("default", chatTemplate);
  return templates;
}
