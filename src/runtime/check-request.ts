/** @file A request held against the model before anything runs: tokens, context, logits. */
import { refuse, SextantError } from "../base/errors.js";
import { sizeOf, type Tensor } from "../base/tensor.js";
import { describeJson, isJsonObject } from "../formats/json.js";
import type { ModelSpec } from "../models/spec.js";
import type { ForwardRequest, GenerateRequest, LogitsRequest } from "./model.js";

type Resume = NonNullable<ForwardRequest["resume"]>;

/** Throws unless every row has tokens of the vocabulary and fits the context (with `extra` tokens to come). */
export function checkTokens(
  spec: ModelSpec,
  tokens: readonly (readonly number[])[],
  options: { extra?: number; beyondContext?: boolean | undefined } = {},
): void {
  if (!Array.isArray(tokens)) throw new SextantError("request", `tokens must be a list of rows, [[1, 2, 3]], got ${describeJson(tokens)}`);
  if (tokens.length === 0) throw new SextantError("request", "tokens: at least one row is needed");
  tokens.forEach((row, index) => {
    if (!Array.isArray(row)) throw new SextantError("request", `tokens: row ${index} is not a list; one row is written [[1, 2, 3]]`);
    if (row.length === 0) throw new SextantError("request", `tokens: row ${index} is empty`);
    const stray = row.findIndex((token) => !Number.isInteger(token) || token < 0 || token >= spec.vocab);
    if (stray !== -1) {
      throw new SextantError(
        "request",
        `tokens: row ${index} has ${describeJson(row[stray]).replace(/^the number /, "")} at position ${stray}; the vocabulary has ids 0 to ${spec.vocab - 1}`,
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
  const asked = extra > 0 ? `${counted(length, "token")} and ${extra} more to generate` : counted(length, "token");
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
      throw new SextantError("request", `logits: position ${position} is outside row ${row}, which has ${counted(length, "position")}`);
    }),
  );
}

/** Throws unless the logits asked for are of positions that the rows have, and of columns of the vocabulary. */
export function checkLogits(spec: ModelSpec, request: LogitsRequest, lengths: readonly number[]): void {
  if (!isJsonObject(request)) throw new SextantError("request", `logits: must be false or an object, got ${describeJson(request)}`);
  const { positions = "last", tokens } = request;
  if (positions !== "all" && positions !== "last" && !Array.isArray(positions))
    throw new SextantError("request", `logits: positions must be "all", "last" or a list, got ${describeJson(positions)}`);
  logitPositions(request, lengths);
  if (tokens === undefined) return;
  if (!Array.isArray(tokens) || tokens.length === 0)
    throw new SextantError("request", `logits: tokens must be a list of at least one id, got ${describeJson(tokens)}`);
  const stray = tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= spec.vocabOut);
  if (stray !== undefined)
    throw new SextantError("request", `logits: token ${describeJson(stray)} is not one of the ${spec.vocabOut} columns`);
}

/** Throws unless a run can start from the stream that is given. */
export function checkResume(spec: ModelSpec, { layer, resid }: Resume, lengths: readonly number[]): void {
  if (!Number.isInteger(layer) || layer < 0 || layer > spec.layers.length) {
    throw new SextantError("request", `resume: layer must be 0 to ${spec.layers.length}, got ${describeJson(layer)}`);
  }
  const expected = [lengths.length, Math.max(...lengths), spec.dModel];
  checkTensor("resume: resid", resid, { shape: expected });
}

/** Throws unless a value is a tensor of that shape, float32 or int32, and of numbers; −∞ counts as one where it may stand. */
export function checkTensor(
  where: string,
  value: unknown,
  demand: { shape: readonly number[]; dtype?: "int32" | undefined; mayBeMasked?: boolean },
): void {
  const { shape, dtype, mayBeMasked = false } = demand;
  const given: Partial<Tensor> = isJsonObject(value) ? value : {};
  const same =
    Array.isArray(given.shape) && given.shape.length === shape.length && shape.every((length, axis) => given.shape![axis] === length);
  if (!same) throw new SextantError("request", `${where} has shape [${shape.join(", ")}], got ${describeJson(given.shape)}`);
  const { data } = given;
  const wanted = dtype === "int32" ? Int32Array : Float32Array;
  if (!(data instanceof wanted) || data.length !== sizeOf(shape))
    throw new SextantError("request", `${where} holds ${wanted.name} values, ${sizeOf(shape)} of them`);
  const stray = data.findIndex((x: number) => !Number.isFinite(x) && !(mayBeMasked && x === -Infinity));
  if (stray !== -1) throw new SextantError("request", `${where} must hold numbers, it has ${data[stray]} at element ${stray}`);
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Throws unless the model can feed back what it makes, a generation is to make at least one token, and its rows have room for all. */
export function checkGeneration(spec: ModelSpec, request: GenerateRequest): void {
  const { tokens, maxNew, beyondContext, stopTokens = [], stopStrings = [] } = request;
  if (spec.vocabOut > spec.vocab) {
    const why = `it has logits for ${spec.vocabOut} tokens and embeddings for ${spec.vocab}, so a new token may have none`;
    throw refuse({ what: "cannot generate with this model", why, instead: "read its logits with forward" }, "request");
  }
  if (!Number.isInteger(maxNew) || maxNew < 1)
    throw new SextantError("request", `maxNew must be a whole number above 0, got ${describeJson(maxNew)}`);
  checkTokens(spec, tokens, { extra: maxNew - 1, beyondContext });
  const isToken = (token: unknown): boolean => Number.isInteger(token) && (token as number) >= 0 && (token as number) < spec.vocabOut;
  if (!Array.isArray(stopTokens) || !stopTokens.every(isToken))
    throw new SextantError("request", `stopTokens must be ids from 0 to ${spec.vocabOut - 1}, got ${describeJson(stopTokens)}`);
  if (!Array.isArray(stopStrings) || !stopStrings.every((text) => typeof text === "string" && text !== ""))
    throw new SextantError("request", `stopStrings must be texts that are not empty, got ${describeJson(stopStrings)}`);
}

/** What a closed model says to every request. */
export function closedModel(): SextantError {
  return new SextantError("usage", "the model is closed; load it again");
}
