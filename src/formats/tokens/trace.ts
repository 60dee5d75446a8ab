/**
 * @file Which stretch of the text each token stands for. The tokens of a piece of text spell it byte by byte, so a cursor over
 * its UTF-8 bytes finds them: each token moves it by the bytes that it spells, and a token that holds only part of a
 * character is given the whole character. Every byte is compared, and text that no token spells is refused.
 */
import { SextantError } from "../../base/errors.js";
import type { AlignedText } from "./aligned-text.js";
import { quote } from "../json.js";

/** `[start, end)` in UTF-16 units of the text as given. */
export type TextRange = readonly [start: number, end: number];

/** How tokens spell text. */
export interface Spelling {
  /** The bytes that the token spells, undefined for the unknown token. */
  readonly bytesOf: (token: string) => Uint8Array | undefined;
  /** Whether `▁` in the text is spelled as a space. */
  readonly metaspace: boolean;
  /** Whether the unknown token stands for a whole run of unknown characters. */
  readonly fusesUnknown: boolean;
  /** Whether the unknown token stands for a whole word: everything up to white space or punctuation. */
  readonly wholeWords: boolean;
  readonly isKnown: (character: string) => boolean;
  /** Whether white space may be left out. */
  readonly dropsSpace: boolean;
}

interface Cursor {
  readonly bytes: Uint8Array;
  /** For each byte the first unit of its character. */
  readonly unit: Int32Array;
  readonly text: AlignedText;
  at: number;
}

const SPACE = 0x20;

/** The stretch of the original text for each of the tokens that `text` was cut into. */
export function traceTokens(text: AlignedText, tokens: readonly string[], spelling: Spelling): TextRange[] {
  const cursor = makeCursor(text, spelling.metaspace);
  const ranges = tokens.map((token): TextRange => {
    const bytes = spelling.bytesOf(token);
    return bytes ? takeBytes(cursor, bytes, spelling) : takeUnknown(cursor, spelling);
  });
  skipSpace(cursor, spelling);
  if (cursor.at < cursor.bytes.length) throw unspelled(cursor);
  return ranges;
}

function makeCursor(text: AlignedText, metaspace: boolean): Cursor {
  const plain = metaspace ? text.text.replaceAll("▁", " ") : text.text;
  const bytes = new TextEncoder().encode(plain);
  const unit = new Int32Array(bytes.length);
  let first = 0;
  for (let i = 0, at = 0; at < bytes.length; i = first) {
    const length = byteLength(bytes[at]!);
    unit.fill(i, at, at + length);
    at += length;
    first = i + (length === 4 ? 2 : 1);
  }
  return { bytes, unit, text, at: 0 };
}

function byteLength(first: number): number {
  return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

function takeBytes(cursor: Cursor, bytes: Uint8Array, spelling: Spelling): TextRange {
  const start = cursor.at;
  if (bytes[0] === SPACE && cursor.bytes[start] !== SPACE) bytes = bytes.subarray(1);
  else if (!spells(cursor, bytes)) skipSpace(cursor, spelling);
  if (!spells(cursor, bytes)) throw unspelled(cursor);
  return take(cursor, bytes.length);
}

function takeUnknown(cursor: Cursor, spelling: Spelling): TextRange {
  if (spelling.wholeWords) skipSpace(cursor, spelling);
  const goesOn = (character: string): boolean =>
    spelling.wholeWords ? !/[\s\p{P}\p{S}]/u.test(character) : spelling.fusesUnknown && !spelling.isKnown(character);
  const left = cursor.bytes.length - cursor.at;
  const isOneMark = spelling.wholeWords && left > 0 && !goesOn(characterAt(cursor, cursor.at));
  let length = 0;
  do length += byteLength(cursor.bytes[cursor.at + length] ?? 0);
  while (!isOneMark && length < left && goesOn(characterAt(cursor, cursor.at + length)));
  return take(cursor, Math.min(length, left));
}

/** Moves the cursor on; the range from the first byte's character to the last one's. */
function take(cursor: Cursor, length: number): TextRange {
  const { text, unit, at } = cursor;
  cursor.at = at + length;
  const first = unit[at] ?? text.text.length;
  const start = text.from[first] ?? text.to.at(-1) ?? 0;
  if (length === 0) return [start, start];
  const last = unit[cursor.at - 1]!;
  const width = text.text.codePointAt(last)! > 0xffff ? 2 : 1;
  return [start, text.to[last + width - 1]!];
}

function spells({ bytes, at }: Cursor, expected: Uint8Array): boolean {
  return expected.every((byte, i) => bytes[at + i] === byte);
}

function skipSpace(cursor: Cursor, { dropsSpace }: Spelling): void {
  while (dropsSpace && cursor.at < cursor.bytes.length && /\s/.test(characterAt(cursor, cursor.at)))
    cursor.at += byteLength(cursor.bytes[cursor.at]!);
}

function characterAt({ text, unit }: Cursor, at: number): string {
  return String.fromCodePoint(text.text.codePointAt(unit[at]!)!);
}

function unspelled(cursor: Cursor): SextantError {
  const character = cursor.at < cursor.bytes.length ? quote(characterAt(cursor, cursor.at)) : "the end";
  const position = cursor.at < cursor.bytes.length ? cursor.text.from[cursor.unit[cursor.at]!] : cursor.text.text.length;
  return new SextantError(
    "request",
    `the tokenizer has no token for ${character}, at ${position} of the text, and no unknown token to stand for it`,
  );
}
