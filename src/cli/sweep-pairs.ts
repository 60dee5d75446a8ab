/**
 * @file The pairs of a sweep: what options or a file say, as token ids. An answer is the token that goes on with the clean prompt, as one
 * would write it: a word is set off by a space (`Sue` behind `… the ball to` is `▁Sue`, in GPT-2's vocabulary ` Sue`), other signs are
 * not, and a space in front says what one wants. Where that is no single token the text itself is looked up, as `--target` of `lens` does;
 * `#ID` is any token.
 */
import { isSextantError, SextantError } from "../base/errors.js";
import type { Tokenizer } from "../formats/tokenizer.js";
import { METRICS } from "../runtime/sweep/metrics.js";
import type { Answer, MetricName, SweepPair } from "../runtime/sweep/request.js";
import type { OptionValues } from "./command.js";
import { needTokenizer, type Opened } from "./inputs.js";
import { parseTokens } from "./lists.js";
import { readPairs, type WrittenPair, type WrittenPrompt, type WrittenSpan } from "./pairs-file.js";
import { usage } from "./parse.js";
import type { PAIR_OPTIONS } from "./sweep-options.js";

type PairValues = OptionValues<typeof PAIR_OPTIONS>;

/** What a sweep needs of its pairs. */
export interface PairNeeds {
  readonly metrics: readonly MetricName[];
  /** Why there must be a corrupted prompt, where there must be one: `patching takes values from it`. */
  readonly corrupted?: string;
}

/** The pairs that the options say, before any model is there; what the sweep will miss is refused. */
export function writtenPairs(options: PairValues, needs: PairNeeds): WrittenPair[] {
  const pairs = options.pairs === undefined ? [pairOf(options)] : pairsOf(options.pairs, options);
  for (const pair of pairs) checkNeeds(pair, needs);
  return pairs;
}

function pairsOf(path: string, options: PairValues): WrittenPair[] {
  const beside = (["corrupted", "corrupted-tokens", "answer", "answer-token", "wrong", "wrong-token"] as const).find(
    (name) => options[name] !== undefined,
  );
  if (beside !== undefined) throw usage(`--${beside} is for one pair, those of --pairs have theirs in the file`);
  return readPairs(path);
}

function pairOf(options: PairValues): WrittenPair {
  const clean = promptOf(options.clean, options["clean-tokens"], "--clean");
  const corrupted = promptOf(options.corrupted, options["corrupted-tokens"], "--corrupted");
  const [answer, wrong] = [options.answer ?? options["answer-token"], options.wrong ?? options["wrong-token"]];
  return {
    clean: clean ?? "",
    ...(corrupted !== undefined && { corrupted }),
    ...(answer !== undefined && { answer: [answer] }),
    ...(wrong !== undefined && { wrong: [wrong] }),
  };
}

function promptOf(text: string | undefined, tokens: string | undefined, option: string): WrittenPrompt | undefined {
  if (text === "") throw usage(`${option} must not be empty`);
  if (tokens === undefined) return text;
  const rows = parseTokens(tokens, `${option}-tokens`);
  if (rows.length !== 1) throw usage(`${option}-tokens must be one row, got ${rows.length}`);
  return rows[0];
}

/** Throws where a pair lacks what is measured, or what values are taken from. */
function checkNeeds(pair: WrittenPair, { metrics, corrupted }: PairNeeds): void {
  const lacks = (name: "corrupted" | "answer" | "wrong", why: string): SextantError =>
    pair.where === undefined
      ? usage(`needs --${name}: ${why}`)
      : new SextantError("format", `${pair.where}: needs ${JSON.stringify(name)}: ${why}`);
  if (corrupted !== undefined && pair.corrupted === undefined) throw lacks("corrupted", corrupted);
  for (const metric of metrics) {
    const missing = METRICS[metric].tokens.find((token) => pair[token] === undefined);
    if (missing) throw lacks(missing, `${metric} is ${METRICS[metric].meaning}`);
  }
}

/** The pairs as a sweep takes them. */
export async function resolvePairs(written: readonly WrittenPair[], opened: Opened): Promise<SweepPair[]> {
  const isWritten = written.some(
    ({ clean, corrupted, answer = [], wrong = [], positions = {} }) =>
      [clean, corrupted, ...answer, ...wrong].some((part) => typeof part === "string" && !isId(part)) || namesTokens(positions),
  );
  const tokenizer = isWritten ? await needTokenizer(opened) : undefined;
  return written.map((pair) => {
    try {
      return resolvePair(pair, tokenizer);
    } catch (error) {
      if (pair.where === undefined || !isSextantError(error)) throw error;
      throw new SextantError(error.kind, `${pair.where}: ${error.message}`, { cause: error });
    }
  });
}

function namesTokens(positions: NonNullable<WrittenPair["positions"]>): boolean {
  const isText = (span: WrittenSpan): boolean => typeof span === "string";
  return Object.values(positions).some((given) => (isBoth(given) ? isText(given.clean) || isText(given.corrupted) : isText(given)));
}

type Both = { readonly clean: WrittenSpan; readonly corrupted: WrittenSpan };

function isBoth(given: WrittenSpan | Both): given is Both {
  return typeof given === "object" && !Array.isArray(given);
}

function resolvePair(pair: WrittenPair, tokenizer: Tokenizer | undefined): SweepPair {
  const clean = encode(pair.clean, tokenizer, "the clean prompt");
  const corrupted = pair.corrupted === undefined ? undefined : encode(pair.corrupted, tokenizer, "the corrupted prompt");
  const answers = (tokens: readonly (number | string)[]): Answer => {
    const ids = tokens.map((token) => tokenOf(token, pair.clean, tokenizer));
    return ids.length === 1 ? ids[0]! : ids;
  };
  return {
    clean,
    ...(corrupted && { corrupted }),
    ...(pair.answer && { answer: answers(pair.answer) }),
    ...(pair.wrong && { wrong: answers(pair.wrong) }),
    ...(pair.positions && { positions: positionsOf(pair.positions, { clean, corrupted }, tokenizer) }),
  };
}

function encode(prompt: WrittenPrompt, tokenizer: Tokenizer | undefined, what: string): readonly number[] {
  if (typeof prompt !== "string") return prompt;
  const ids = tokenizer?.encode(prompt).ids ?? [];
  if (ids.length === 0) throw new SextantError("request", `${what} has no tokens`);
  return ids;
}

function isId(token: number | string | readonly number[]): boolean {
  return typeof token === "string" && /^#\d+$/.test(token);
}

function tokenOf(token: number | string, prompt: WrittenPrompt, tokenizer: Tokenizer | undefined): number {
  if (typeof token === "number") return token;
  if (isId(token) || !tokenizer) return Number(token.slice(1));
  const before = typeof prompt === "string" ? prompt : tokenizer.decode(prompt, { skipSpecialTokens: true });
  const [first, second] = continuations(before, token).map((text) => nextToken(before, text, tokenizer));
  return first ?? second ?? tokenizer.singleToken(token);
}

/** What would be written behind the prompt, the likelier first: a word after a word or a closing sign is set off by a space. */
function continuations(before: string, text: string): string[] {
  if (/^\s/.test(text)) return [text];
  const isSetOff = /[\p{L}\p{N}\p{M}.,;:!?)\]}%…”’»]$/u.test(before) && /^[\p{L}\p{N}]/u.test(text);
  return isSetOff ? [` ${text}`, text] : [text, ` ${text}`];
}

/** The one token that `text` adds to the prompt; undefined where it adds others, or changes those before it. */
function nextToken(before: string, text: string, tokenizer: Tokenizer): number | undefined {
  const idsOf = (whole: string): readonly number[] | undefined => {
    try {
      return tokenizer.encode(whole, { addSpecialTokens: false }).ids;
    } catch (error) {
      if (isSextantError(error)) return undefined;
      throw error;
    }
  };
  const [own, longer] = [idsOf(before), idsOf(before + text)];
  if (!own || longer?.length !== own.length + 1 || !own.every((id, i) => id === longer[i])) return undefined;
  return longer.at(-1);
}

interface Sides {
  readonly clean: readonly number[];
  readonly corrupted: readonly number[] | undefined;
}

function positionsOf(
  positions: NonNullable<WrittenPair["positions"]>,
  { clean, corrupted }: Sides,
  tokenizer: Tokenizer | undefined,
): NonNullable<SweepPair["positions"]> {
  const find = (span: WrittenSpan, ids: readonly number[], where: string): number | readonly number[] =>
    typeof span === "string" && tokenizer ? placeOf(span, { ids, where, tokenizer }) : (span as number | readonly number[]);
  return Object.fromEntries(
    Object.entries(positions).map(([name, given]) => {
      const both = isBoth(given) ? given : { clean: given, corrupted: given };
      const where = `position ${JSON.stringify(name)}`;
      const own = find(both.clean, clean, `${where} in the clean prompt`);
      if (!corrupted) return [name, own];
      return [name, { clean: own, corrupted: find(both.corrupted, corrupted, `${where} in the corrupted prompt`) }];
    }),
  );
}

/** Where the token stands that reads as `text`, but for spaces around it. */
function placeOf(text: string, { ids, where, tokenizer }: { ids: readonly number[]; where: string; tokenizer: Tokenizer }): number {
  const found = [...ids.keys()].filter((index) => tokenizer.token(ids[index]!).trim() === text.trim());
  if (found.length === 1) return found[0]!;
  const count = found.length === 0 ? "no token" : `${found.length} tokens (at ${found.join(", ")})`;
  throw new SextantError("request", `${where}: ${count} of it read ${JSON.stringify(text)}; give an index`);
}
