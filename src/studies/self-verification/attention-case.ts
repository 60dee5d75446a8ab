/** @file Right attempts as cases of attention: from where it is measured, to which mentions of the target, and beside which other numbers. */
import { mentions, type AttentionCase } from "../../analyses/mechanism/target-attention.js";
import { must, SextantError } from "../../base/errors.js";
import type { Tokenizer } from "../../formats/tokenizer.js";
import { formatNamed } from "./formats/table.js";
import type { CaseState, SearchesState } from "./state.js";

/**
 * A case from the result's last digit and from the bracket behind it. Keys are the last token of each mention of the target in front of the attempts; the control
 * `others` are those of the task's other numbers.
 */
export function attentionCase(
  { tokenizer, format }: { readonly tokenizer: Tokenizer; readonly format: string },
  searches: Pick<SearchesState, "searches" | "words">,
  { search, tokens }: CaseState,
): { readonly result: AttentionCase; readonly open: AttentionCase } {
  const { target, numbers } = must(searches.searches[search], "the search");
  const end = contextEnd(tokenizer, format, tokens);
  const keys = mentionsOf(tokenizer, { tokens, number: target, end });
  if (keys.length === 0)
    throw new SextantError("request", `search ${search} does not mention its target ${target} in front of its attempts`);
  const others = new Set(numbers.filter((number) => number !== target).flatMap((number) => mentionsOf(tokenizer, { tokens, number, end })));
  const controls = { others: [...others] };
  return {
    result: { tokens, query: tokens.length - 1, keys, controls },
    open: { tokens: [...tokens, searches.words.open], query: tokens.length, keys, controls },
  };
}

/** The last token of each mention of a number that ends before `end`, ascending; as a number by itself, with or without a space in front. */
function mentionsOf(
  tokenizer: Tokenizer,
  { tokens, number, end }: { readonly tokens: readonly number[]; readonly number: number; readonly end: number },
): number[] {
  const spellings = [` ${number}`, String(number)].map((text) => tokenizer.encode(text, { addSpecialTokens: false }).ids);
  const found = new Set(spellings.flatMap((ids) => mentions(tokens, ids, end)));
  const isDigitAt = (position: number): boolean =>
    position >= 0 && position < tokens.length && /^\d/.test(tokenizer.decode([tokens[position]!]));
  const width = String(number).length;
  return [...found].filter((last) => !isDigitAt(last + 1) && !isLonger(tokenizer, tokens, last, width)).toSorted((a, b) => a - b);
}

/** Whether the number that ends at `last` has more than `width` digits. */
function isLonger(tokenizer: Tokenizer, tokens: readonly number[], last: number, width: number): boolean {
  const text = tokenizer.decode(tokens.slice(Math.max(0, last - width - 2), last + 1));
  return (/\d+$/.exec(text)?.[0].length ?? 0) > width;
}

/** How many tokens stand in front of the attempts. */
function contextEnd(tokenizer: Tokenizer, format: string, tokens: readonly number[]): number {
  const end = formatNamed(format).contextEnd(tokenizer.decode(tokens, { skipSpecialTokens: true }));
  let length = 0;
  for (const [position, token] of tokens.entries()) {
    length += tokenizer.decode([token], { skipSpecialTokens: true }).length;
    if (length > end) return position;
  }
  return tokens.length;
}
