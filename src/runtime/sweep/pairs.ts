/** @file The pairs of a sweep held against the model: which prompt is edited, which one values come from, names of positions, answers. */
import { SextantError } from "../../base/errors.js";
import { describeJson, isJsonObject } from "../../formats/json.js";
import { dependsOnLength } from "../../models/rotary.js";
import type { ModelSpec } from "../../models/spec.js";
import { checkTokens } from "../check-request.js";
import type { Answer, Span, SweepPair, SweepRequest } from "./request.js";

/** A prompt as the sweep runs it. */
export interface Side {
  readonly tokens: readonly number[];
  /** Positions by name. */
  readonly names: ReadonlyMap<string, readonly number[]>;
  /** The position whose logits are measured. */
  readonly at: number;
}

export interface PreparedPair {
  /** The prompt that is edited, up to the measured position: what comes later changes nothing there. */
  readonly base: readonly number[];
  readonly baseSide: Side;
  /** The prompt that values are taken from. */
  readonly source: readonly number[] | undefined;
  readonly sourceSide: Side | undefined;
  /** Which of the two is the clean one. */
  readonly cleanIs: "base" | "source";
  /** The first position at which the two unedited runs may differ. */
  readonly firstDifference: number;
  readonly answer: readonly number[];
  readonly wrong: readonly number[];
}

const FIELDS: readonly string[] = ["clean", "corrupted", "answer", "wrong", "positions"] satisfies (keyof SweepPair)[];

/** Throws where an object has a field that nobody reads. */
export function refuseStray(given: object, fields: readonly string[], where: string): void {
  const stray = Object.keys(given).find((name) => !fields.includes(name));
  if (stray !== undefined)
    throw new SextantError("request", `${where} has no field ${JSON.stringify(stray)}; it takes ${fields.join(", ")}`);
}

/** The pairs, checked. */
export function preparePairs(spec: ModelSpec, request: SweepRequest): PreparedPair[] {
  const { pairs, beyondContext } = request;
  if (!Array.isArray(pairs) || pairs.length === 0)
    throw new SextantError("request", `pairs must be a list of at least one, got ${describeJson(pairs)}`);
  pairs.forEach((pair: SweepPair, index) => {
    if (!isJsonObject(pair)) throw new SextantError("request", `pairs[${index}] must be an object, got ${describeJson(pair)}`);
    refuseStray(pair, FIELDS, `pairs[${index}]`);
    const rows = pair.corrupted === undefined ? [pair.clean] : [pair.clean, pair.corrupted];
    try {
      checkTokens(spec, rows, { beyondContext });
    } catch (error) {
      if (error instanceof SextantError)
        throw new SextantError(error.kind, `pairs[${index}] (row 0 is clean, row 1 corrupted): ${error.message}`, { cause: error });
      throw error;
    }
  });
  return pairs.map((pair: SweepPair, index) => preparePair(spec, pair, { request, where: `pairs[${index}]` }));
}

function preparePair(spec: ModelSpec, pair: SweepPair, { request, where }: { request: SweepRequest; where: string }): PreparedPair {
  const clean = sideOf(pair, "clean", { at: request.at, where });
  const corrupted = pair.corrupted && sideOf(pair, "corrupted", { at: request.at, where });
  const direction = directionOf(request, corrupted !== undefined, where);
  const [baseSide, sourceSide] = direction === "denoise" && corrupted ? [corrupted, clean] : [clean, corrupted];
  return {
    base: baseSide.tokens.slice(0, baseSide.at + 1),
    baseSide,
    source: sourceSide?.tokens,
    sourceSide,
    cleanIs: direction === "denoise" ? "source" : "base",
    firstDifference: firstDifference(spec, baseSide.tokens, sourceSide?.tokens ?? []),
    answer: answerOf(spec, pair.answer, `${where}: answer`),
    wrong: answerOf(spec, pair.wrong, `${where}: wrong`),
  };
}

function directionOf(request: SweepRequest, isPair: boolean, where: string): "denoise" | "noise" {
  const direction = request.direction ?? (isPair ? "denoise" : "noise");
  if (direction !== "denoise" && direction !== "noise")
    throw new SextantError("request", `direction must be "denoise" or "noise", got ${describeJson(direction)}`);
  if (direction === "denoise" && !isPair)
    throw new SextantError("request", `${where}: there is no corrupted prompt to restore; leave the direction out, or say "noise"`);
  return direction;
}

function sideOf(pair: SweepPair, which: "clean" | "corrupted", options: { at: SweepRequest["at"]; where: string }): Side {
  const tokens = pair[which]!;
  const { at = -1, where } = options;
  const names = new Map<string, readonly number[]>();
  for (const [name, given] of Object.entries(pair.positions ?? {})) {
    if (name === "end") throw new SextantError("request", `${where}: "end" is the measured position; give this position another name`);
    const span: Span = isJsonObject(given) && !Array.isArray(given) ? (given as { clean: Span; corrupted: Span })[which] : (given as Span);
    names.set(name, spanOf(span, tokens.length, `${where}: position ${JSON.stringify(name)} in the ${which} prompt`));
  }
  const found =
    at === "end"
      ? [tokens.length - 1]
      : typeof at === "string"
        ? names.get(at)
        : spanOf(at, tokens.length, `${where}: at, in the ${which} prompt`);
  if (found?.length !== 1)
    throw new SextantError("request", `${where}: at must be one position or the name of one, got ${describeJson(at)}`);
  return { tokens, names: new Map([["end", found], ...names]), at: found[0]! };
}

function spanOf(span: Span, length: number, where: string): number[] {
  const list = typeof span === "number" ? [span] : span;
  if (!Array.isArray(list) || list.length === 0)
    throw new SextantError("request", `${where} must be an index or a list of them, got ${describeJson(span)}`);
  return list.map((position: number) => {
    const index = position < 0 ? position + length : position;
    if (!Number.isInteger(position) || index < 0 || index >= length)
      throw new SextantError("request", `${where}: ${describeJson(position)} is outside its ${length} tokens`);
    return index;
  });
}

function answerOf(spec: ModelSpec, answer: Answer | undefined, where: string): number[] {
  if (answer === undefined) return [];
  const tokens = typeof answer === "number" ? [answer] : answer;
  if (!Array.isArray(tokens) || tokens.length === 0)
    throw new SextantError("request", `${where} must be a token id or a list of them, got ${describeJson(answer)}`);
  const stray = tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= spec.vocabOut);
  if (stray !== undefined) throw new SextantError("request", `${where}: ${describeJson(stray)} is not one of the ${spec.vocabOut} tokens`);
  return [...tokens];
}

/** Where some rotary embedding depends on a prompt's length, prompts of other lengths differ from the start. */
function firstDifference(spec: ModelSpec, a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length && spec.rotaries.some(({ rope }) => dependsOnLength(rope))) return 0;
  const index = a.findIndex((token, i) => token !== b[i]);
  return index === -1 ? a.length : index;
}
