/**
 * @file The moments of judgement in a row of tokens: each ` (` in front of `not` or `this`, with the result, the sign of equality and the attempt that it
 * judges (Lee et al. 2025: t_valid and t_invalid are ` (`, the alternative is the last digit of the result).
 */
import { refuse } from "../../base/errors.js";
import { quote } from "../../formats/json.js";
import type { Tokenizer } from "../../formats/tokenizer.js";
import type { JudgementWords } from "./format.js";
import { CLAIM } from "./verdicts.js";

/** The ids of the tokens at which a judgement is made. */
export interface WordIds {
  readonly open: number;
  readonly valid: number;
  readonly invalid: number;
}

/** A judgement, by positions in its row. */
export interface TimeStep {
  /** 0: `not`, 1: `this`. */
  readonly label: 0 | 1;
  /** Which judgement of the row from `from` on, from 0. */
  readonly attempt: number;
  /** The token in front of the judgement, ` (`. */
  readonly open: number;
  /** The last digit of the result in front of it. */
  readonly lastDigit: number;
  /** The sign of equality in front of that. */
  readonly equals: number;
  /** The first token of the attempt: of its line. */
  readonly start: number;
}

/**
 * The one token of each word. Refused where a word takes several tokens, or where behind a result they are not these tokens, since then there is
 * no position at which the verdict is still open.
 */
export function wordIds(tokenizer: Tokenizer, words: JudgementWords): WordIds {
  const [open, valid, invalid] = [words.open, words.valid, words.invalid].map((word) => oneToken(tokenizer, word)) as [
    number,
    number,
    number,
  ];
  for (const [word, id] of [
    [words.valid, valid],
    [words.invalid, invalid],
  ] as const) {
    const text = ` = 12${words.open}${word}`;
    const { ids, tokens } = tokenizer.encode(text, { addSpecialTokens: false });
    if (ids.at(-2) === open && ids.at(-1) === id) continue;
    throw refusal(word, `in ${quote(text)} the tokens are ${tokens.map(quote).join(" ")}`);
  }
  return { open, valid, invalid };
}

function oneToken(tokenizer: Tokenizer, word: string): number {
  try {
    return tokenizer.singleToken(word);
  } catch {
    const { tokens } = tokenizer.encode(word, { addSpecialTokens: false });
    throw refusal(word, tokens.length === 0 ? "it has no tokens" : `it is ${tokens.length} tokens, ${tokens.map(quote).join(" ")}`);
  }
}

function refusal(word: string, why: string): Error {
  const instead = "study a model whose tokenizer has it as one token, or give the format other words";
  return refuse({ what: `cannot find judgements by ${quote(word)}`, why, instead }, "request");
}

/**
 * All judgements from position `from` (default 0) on, in order. A bracket that judges no result (no `= number` right in front of it in its line) is none:
 * so these are the verdicts of `verdictsOf` one by one.
 */
export function findTimeSteps(
  tokens: readonly number[],
  words: WordIds,
  { from = 0, tokenizer }: { readonly from?: number; readonly tokenizer: Tokenizer },
): TimeStep[] {
  const steps: TimeStep[] = [];
  const textOf = (position: number): string => tokenizer.decode([tokens[position]!]);
  for (let open = from + 1; open + 1 < tokens.length; open++) {
    const label = tokens[open] === words.open ? labelOf(tokens[open + 1]!, words) : undefined;
    if (label === undefined) continue;
    const start = startOfLine(textOf, open, from);
    if (!CLAIM.test(tokenizer.decode(tokens.slice(start, open)))) continue;
    const equals = lastWhere(open - 1, start, (at) => textOf(at).includes("="));
    const lastDigit = lastWhere(open - 1, start, (at) => /\d/.test(textOf(at)));
    steps.push({ label, attempt: steps.length, open, lastDigit, equals, start });
  }
  return steps;
}

function labelOf(id: number, { valid, invalid }: WordIds): 0 | 1 | undefined {
  return id === valid ? 1 : id === invalid ? 0 : undefined;
}

/** The first token behind the last line break in front of `end`; a token that holds the break and more is itself the first. */
function startOfLine(textOf: (position: number) => string, end: number, from: number): number {
  for (let at = end - 1; at >= from; at--) {
    const text = textOf(at);
    const broken = text.lastIndexOf("\n");
    if (broken >= 0) return text.slice(broken + 1).trim() === "" ? at + 1 : at;
  }
  return from;
}

function lastWhere(last: number, first: number, test: (position: number) => boolean): number {
  let at = last;
  while (at > first && !test(at)) at--;
  return at;
}
