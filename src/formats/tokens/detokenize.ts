/**
 * @file From ids back to text, token by token: the pieces that a stream gives, joined, are the decoded text, because decoding
 * *is* the stream. Bytes that do not make a character yet are held back. No clean-up of spaces: what was encoded comes out.
 */
import { isJsonObject, type JsonObject } from "../json.js";
import type { TokenizerEngine } from "./engine.js";

/** Text as it becomes known: what each id adds, and at the end what was held back. */
export interface TextStream {
  push(id: number): string;
  end(): string;
}

/** Makes streams, and the text of single tokens. */
export interface Detokenizer {
  readonly stream: () => TextStream;
  /** The bytes that a token spells; a leading `▁` is a space. */
  readonly bytesOf: (entry: string) => Uint8Array;
}

type Part = Pick<TokenizerEngine, "entry" | "added" | "decodeAll">;

/** The detokenizer that the `decoder` of a `tokenizer.json` describes. */
export function makeDetokenizer(decoder: unknown, engine: Part): Detokenizer {
  const steps = flatten(decoder);
  const added = new Set(engine.added.map((token) => token.content));
  if (steps.length === 1 && steps[0]!["type"] === "ByteLevel") {
    const bytesOf = (entry: string): Uint8Array => (added.has(entry) ? encodeUtf8(entry) : byteLevelBytes(entry));
    return { bytesOf, stream: () => byteStream((id) => mapDefined(engine.entry(id), bytesOf)) };
  }
  const rules = readRules(steps);
  const bytesOf = (entry: string): Uint8Array => byteOf(entry, rules?.byteFallback) ?? encodeUtf8(entry.replaceAll("▁", " "));
  return { bytesOf, stream: () => (rules ? pieceStream(engine.entry, rules) : wholeStream(engine.decodeAll)) };
}

/** The bytes that a byte-level vocabulary entry spells: one a character. */
function byteLevelBytes(entry: string): Uint8Array {
  const bytes = new Uint8Array(entry.length);
  for (let i = 0; i < entry.length; i++) {
    const byte = BYTE_OF_CHARACTER.get(entry[i]!);
    if (byte === undefined) return encodeUtf8(entry);
    bytes[i] = byte;
  }
  return bytes;
}

/** GPT-2's alphabet: printable bytes stand for themselves, the others for the characters from U+0100 on. */
const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = new Map(
  Array.from({ length: 256 }, (_, byte) => byte).reduce<[string, number][]>((pairs, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    const shifted = pairs.filter(([character]) => character >= "\u0100").length;
    return [...pairs, [String.fromCharCode(printable ? byte : 0x100 + shifted), byte]];
  }, []),
);

function byteStream(bytesOf: (id: number) => Uint8Array | undefined): TextStream {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return { push: (id) => decoder.decode(bytesOf(id) ?? new Uint8Array(), { stream: true }), end: () => decoder.decode() };
}

interface Rules {
  readonly replace: readonly (readonly [from: string, to: string])[];
  readonly byteFallback: boolean;
  /** Put between tokens. */
  readonly separator: string;
  /** Left out at the beginning of the whole text, at most `stripCount` times. */
  readonly strip: string;
  readonly stripCount: number;
}

/** The chain of SentencePiece models (replace, bytes, fuse, strip), or none; undefined for any other. */
function readRules(steps: readonly JsonObject[]): Rules | undefined {
  const names = steps.map((step) => String(step["type"]));
  if (!/^((Replace )*(ByteFallback )?Fuse( Strip)?)?$/.test(names.join(" "))) return undefined;
  const replace = steps.filter((step) => step["type"] === "Replace").map(readReplace);
  const strip = steps.find((step) => step["type"] === "Strip");
  if (strip?.["stop"] || replace.includes(undefined)) return undefined;
  return {
    replace: replace.filter((pair) => pair !== undefined),
    byteFallback: names.includes("ByteFallback"),
    separator: steps.length === 0 ? " " : "",
    strip: String(strip?.["content"]),
    stripCount: Number(strip?.["start"] ?? 0),
  };
}

function readReplace({ pattern, content }: JsonObject): readonly [string, string] | undefined {
  const from = isJsonObject(pattern) ? pattern["String"] : undefined;
  return typeof from === "string" && typeof content === "string" ? [from, content] : undefined;
}

function pieceStream(entry: (id: number) => string | undefined, rules: Rules): TextStream {
  const spell = (text: string): string => rules.replace.reduce((spelled, [from, to]) => spelled.replaceAll(from, () => to), text);
  let held: number[] = [];
  let strippable = rules.stripCount;
  let started = false;
  const stripped = (text: string): string => {
    let start = 0;
    while (strippable > 0 && start < text.length && text.startsWith(rules.strip, start)) [start, strippable] = [start + 1, strippable - 1];
    if (start < text.length) strippable = 0;
    return text.slice(start);
  };
  const release = (): string => {
    const text = bytesAsText(held);
    held = [];
    return text;
  };
  const push = (id: number): string => {
    const found = entry(id);
    if (found === undefined) return "";
    const byte = byteOf(found, rules.byteFallback);
    if (byte) held.push(byte[0]!);
    const gap = started ? rules.separator : "";
    started = true;
    return byte ? "" : stripped(release() + gap + spell(found));
  };
  return { push, end: () => stripped(release()) };
}

/** A run of byte tokens as text; as the Rust implementation has it, one bad byte makes each of them `�`. */
function bytesAsText(bytes: readonly number[]): string {
  return bytes.length === 0 ? "" : (decodeUtf8(Uint8Array.from(bytes)) ?? "\ufffd".repeat(bytes.length));
}

/** The text of the bytes, or undefined where they are not whole characters. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return STRICT.decode(bytes);
  } catch {
    return undefined;
  }
}

const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** For decoders whose rules are not known here: what decoding all ids adds to what was given out before. */
function wholeStream(decodeAll: (ids: readonly number[]) => string): TextStream {
  const ids: number[] = [];
  let given = "";
  const rest = (): string => {
    const text = ids.length === 0 ? "" : decodeAll(ids);
    if (!text.startsWith(given)) return "";
    const added = text.slice(given.length);
    given = text;
    return added;
  };
  return { push: (id) => (ids.push(id), rest()), end: rest };
}

function byteOf(entry: string, byteFallback = false): Uint8Array | undefined {
  const hex = byteFallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(entry)?.[1] : undefined;
  return hex === undefined ? undefined : Uint8Array.of(parseInt(hex, 16));
}

function flatten(config: unknown): JsonObject[] {
  if (!isJsonObject(config)) return [];
  const { type, decoders } = config;
  return type === "Sequence" && Array.isArray(decoders) ? decoders.flatMap(flatten) : [config];
}

function encodeUtf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function mapDefined<A, B>(value: A | undefined, map: (value: A) => B): B | undefined {
  return value === undefined ? undefined : map(value);
}
