/** @file A request held against the model before anything runs: tokens, context, logits. */
import { refuse, SextantError } from "../base/errors.js";
import type { ModelSpec } from "../models/spec.js";
import type { LogitsRequest } from "./model.js";

/** Throws unless every row has tokens of the vocabulary and fits the context (with `extra` tokens to come). */
export function checkTokens(
  spec: ModelSpec,
  tokens: readonly (readonly number[])[],
  options: { extra?: number; beyondContext?: boolean | undefined } = {},
): void {
  if (!Array.isArray(tokens) || tokens.length === 0) throw new SextantError("request", "tokens: at least one row is needed");
  tokens.forEach((row, index) => {
    if (!Array.isArray(row)) throw new SextantError("request", `tokens: row ${index} is not a list; one row is written [[1, 2, 3]]`);
    if (row.length === 0) throw new SextantError("request", `tokens: row ${index} is empty`);
    const stray = row.findIndex((token) => !Number.isInteger(token) || token < 0 || token >= spec.vocab);
    if (stray !== -1) {
      throw new SextantError(
        "request",
        `tokens: row ${index} has ${row[stray]} at position ${stray}; the vocabulary has ids 0 to ${spec.vocab - 1}`,
      );
    }
    checkContext(spec, { row: index, length: row.length, ...options });
  });
}

function checkContext(spec: ModelSpec, at: { row: number; length: number; extra?: number; beyondContext?: boolean | undefined }): void {
  const { context } = spec;
  const { row, length, extra = 0, beyondContext = false } = at;
  if (!context || length + extra <= context.length) return;
  const grows = spec.rotaries.length > 0 && spec.rotaries.every(({ rope }) => rope.type === "dynamic");
  if (!context.hard && (beyondContext || grows)) return;
  const asked = extra > 0 ? `${length} tokens and ${extra} more to generate` : `${length} tokens`;
  throw refuse(
    {
      what: `row ${row} has ${asked}`,
      why: `the model was made for ${context.length} positions${context.hard ? " and has no embedding for later ones" : ""}`,
      instead: context.hard ? "shorten it" : "shorten it, or allow it with beyondContext (--beyond-context)",
    },
    "request",
  );
}

/** The positions of each row whose logits are asked for; `width` columns in the result. */
export function logitPositions(request: LogitsRequest, lengths: readonly number[]): number[][] {
  const { positions = "last" } = request;
  if (positions === "all") return lengths.map((length) => Array.from({ length }, (_, position) => position));
  if (positions === "last") return lengths.map((length) => [length - 1]);
  if (positions.length === 0) throw new SextantError("request", "logits: an empty list of positions asks for nothing");
  return lengths.map((length, row) =>
    positions.map((position) => {
      const index = position < 0 ? position + length : position;
      if (Number.isInteger(position) && index >= 0 && index < length) return index;
      throw new SextantError("request", `logits: position ${position} is outside row ${row}, which has ${length} positions`);
    }),
  );
}

/** Throws unless the tokens asked for are columns of the logits. */
export function checkLogitTokens(spec: ModelSpec, tokens: readonly number[] | undefined): void {
  const stray = tokens?.find((token) => !Number.isInteger(token) || token < 0 || token >= spec.vocabOut);
  if (stray !== undefined) throw new SextantError("request", `logits: token ${stray} is not one of the ${spec.vocabOut} columns`);
  if (tokens?.length === 0) throw new SextantError("request", "logits: an empty list of tokens asks for nothing");
}
