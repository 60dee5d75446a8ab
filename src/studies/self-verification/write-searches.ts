/** @file Searches written by a model: what was asked and what it wrote, as text and as tokens. */
import { SextantError } from "../../base/errors.js";
import type { JsonObject } from "../../formats/json.js";
import type { Tokenizer } from "../../formats/tokenizer.js";
import type { StepContext, Subject } from "../study.js";
import type { Prompt, VerificationFormat } from "./format.js";

/** A search as text and as tokens. */
export interface Written {
  readonly prompt: Prompt;
  readonly response: string;
  readonly asked: readonly number[];
  readonly tokens: readonly number[];
  readonly finish: string;
}

/** Tokens that may be written behind the longest prompt: none beyond the model's context. */
function roomOf({ spec: { context } }: Subject["model"], asked: readonly (readonly number[])[], most: number): number {
  const longest = Math.max(...asked.map(({ length }) => length));
  const room = Math.min(most, (context?.length ?? Infinity) - longest);
  if (room > 0) return room;
  throw new SextantError(
    "request",
    `a prompt takes ${longest} tokens and fills the model's context of ${context?.length}: put fewer worked examples in front`,
  );
}

export interface SearchRequest {
  readonly prompts: readonly Prompt[];
  readonly format: VerificationFormat;
  readonly stopTokens: readonly number[];
  /** The model that writes; by default the study's. */
  readonly subject?: Subject;
}

/** Searches of prompts, written greedily, a batch at a time; batches that were finished before a stop are not written again. */
export async function writeSearches(
  context: Pick<StepContext<unknown>, "subject" | "signal" | "piece" | "progress">,
  { prompts, format, stopTokens, subject = context.subject }: SearchRequest,
): Promise<Written[]> {
  const { model, tokenizer } = subject;
  const { signal } = context;
  const batch = 32;
  const written: Written[] = [];
  for (let from = 0; from < prompts.length; from += batch) {
    const chosen = prompts.slice(from, from + batch);
    const asked = chosen.map(({ text }) => encodePrompt(tokenizer, text, format));
    const found = await context.piece(`searches ${from}`, async () => {
      const request = { tokens: asked, maxNew: roomOf(model, asked, format.most.search), stopTokens, stopStrings: format.stop.search };
      const decode = (ids: readonly number[]): string => tokenizer.decode(ids, { skipSpecialTokens: true });
      const { tokens, finish } = await model.generate(request, { signal, decode });
      return { tokens, finish };
    });
    for (const [i, prompt] of chosen.entries()) {
      const own = found.tokens[i]!;
      const response = tokenizer.decode(own, { skipSpecialTokens: true });
      written.push({ prompt, response, asked: asked[i]!, tokens: [...asked[i]!, ...own], finish: found.finish[i]! });
    }
    context.progress(written.length, prompts.length);
  }
  return written;
}

/** A prompt as tokens. */
export function encodePrompt(tokenizer: Tokenizer, text: string, { hasStartToken }: VerificationFormat): number[] {
  const { ids } = tokenizer.encode(text, { addSpecialTokens: false });
  if (!hasStartToken) return ids;
  if (tokenizer.bosId === undefined)
    throw new SextantError("request", "the format begins with a start token, and the tokenizer names none");
  return [tokenizer.bosId, ...ids];
}

/** One line a search. */
export function searchLines(written: readonly Written[]): JsonObject[] {
  return written.map(({ prompt, response, finish, tokens }) => ({
    prompt: prompt.text,
    numbers: prompt.task.numbers,
    target: prompt.task.target,
    response,
    finish,
    tokens,
  }));
}
