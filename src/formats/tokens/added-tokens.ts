/** @file Added tokens (`<|im_end|>`, `<s>`): cut out of the text before anything else looks at it, the longest first. */
import { sliceAligned, type AlignedText } from "./aligned-text.js";
import { isJsonObject } from "../json.js";

/** One entry of `added_tokens`. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Left out of decoded text on request. */
  readonly special: boolean;
  /** Looked for in the normalized text rather than in the text as given. */
  readonly normalized: boolean;
  readonly singleWord: boolean;
  /** Takes the white space before it along. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

/** A stretch of ordinary text, or an added token and the stretch that it stands for. */
export interface Section {
  readonly text: AlignedText;
  readonly added?: AddedToken;
}

/** Cuts text at added tokens. */
export type Splitter = (text: AlignedText) => Section[];

/** The added tokens of a configuration's list; entries without id or content are left out. */
export function readAddedTokens(list: unknown): AddedToken[] {
  return (Array.isArray(list) ? list : []).filter(isJsonObject).flatMap((entry) => {
    const { id, content } = entry;
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || typeof content !== "string" || content === "") return [];
    const is = (key: string, otherwise = false): boolean => (typeof entry[key] === "boolean" ? entry[key] : otherwise);
    const special = is("special");
    const sides = { singleWord: is("single_word"), lstrip: is("lstrip"), rstrip: is("rstrip") };
    return [{ id, content, special, normalized: is("normalized", !special), ...sides }];
  });
}

/** A splitter that finds `spelling(token)` for each token: leftmost, then longest. */
export function makeSplitter(tokens: readonly AddedToken[], spelling: (token: AddedToken) => string): Splitter {
  const bySpelling = new Map(tokens.map((token) => [spelling(token), token]));
  bySpelling.delete("");
  if (bySpelling.size === 0) return (text) => (text.text === "" ? [] : [{ text }]);
  const longestFirst = [...bySpelling.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(longestFirst.map(escape).join("|"), "gu");
  return (text) => split(text, pattern, bySpelling);
}

function split(text: AlignedText, pattern: RegExp, bySpelling: ReadonlyMap<string, AddedToken>): Section[] {
  const sections: Section[] = [];
  let done = 0;
  for (const match of text.text.matchAll(pattern)) {
    const added = bySpelling.get(match[0])!;
    const [start, end] = extent(text.text, added, match.index, match.index + match[0].length);
    if (start < done && match.index < done) continue;
    if (added.singleWord && !standsAlone(text.text, match.index, match.index + match[0].length)) continue;
    const from = Math.max(start, done);
    if (from > done) sections.push({ text: sliceAligned(text, done, from) });
    sections.push({ text: sliceAligned(text, from, end), added });
    done = end;
  }
  if (done < text.text.length) sections.push({ text: sliceAligned(text, done, text.text.length) });
  return sections;
}

/** The stretch that the token takes, with the white space that it swallows. */
function extent(text: string, { lstrip, rstrip }: AddedToken, start: number, end: number): [start: number, end: number] {
  while (lstrip && start > 0 && WHITE.test(text[start - 1]!)) start--;
  while (rstrip && end < text.length && WHITE.test(text[end]!)) end++;
  return [start, end];
}

function standsAlone(text: string, start: number, end: number): boolean {
  return !WORD.test(text[start - 1] ?? " ") && !WORD.test(text[end] ?? " ");
}

const WHITE = /\p{White_Space}/u;
const WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]/u;

function escape(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, (character) => `\\${character}`);
}
