/**
 * @file Metrics held against a model: expressions become terms, positions become indices from the row's start, tokens and units are
 * checked. What a metric is in the end, and its gradient by the logits, stands in `readout.ts`.
 */
import { SextantError } from "../../base/errors.js";
import { describeJson, quote } from "../../formats/json.js";
import { parseAddress, type Place } from "../../models/address.js";
import { pointRow } from "../../models/points.js";
import { axisLength } from "../../models/sizes.js";
import type { ModelSpec } from "../../models/spec.js";
import type { Metric, Seed, Term } from "./request.js";

/** What a term can read of the logits. */
export type LogitReading = "logits" | "logprobs" | "probs";

/** A term of one row: of the logits at a position, or of the value at a place. */
export type ReadyTerm =
  | { readonly weight: number; readonly reading: LogitReading; readonly position: number; readonly token: number }
  | { readonly weight: number; readonly reading: "place"; readonly place: Place; readonly index: readonly number[] };

/** A prediction that counts in a cross-entropy: what stands behind `position` of a row. */
export interface Prediction {
  readonly row: number;
  readonly position: number;
  readonly token: number;
}

export type ReadyMetric =
  | { readonly kind: "terms"; readonly rows: readonly (readonly ReadyTerm[])[] }
  | { readonly kind: "cross_entropy"; readonly predictions: readonly Prediction[] }
  | { readonly kind: "seeds"; readonly seeds: readonly (Seed & { readonly place: Place })[] };

type Rows = readonly (readonly number[])[];

/** The metric, checked against the model and the rows. */
export function readyMetric(spec: ModelSpec, metric: Metric, tokens: Rows): ReadyMetric {
  if (typeof metric === "string") return { kind: "terms", rows: tokens.map((row) => termsOf(spec, metric, row.length)) };
  if (isList(metric)) return { kind: "terms", rows: perRow(metric, tokens).map((text, row) => termsOf(spec, text, tokens[row]!.length)) };
  if (typeof metric !== "object" || metric === null)
    throw bad(`must be an expression, a list of them or an object, got ${describeJson(metric)}`);
  if ("loss" in metric) return { kind: "cross_entropy", predictions: predictionsOf(metric.loss, metric.mask, tokens) };
  if ("seeds" in metric) return { kind: "seeds", seeds: metric.seeds.map((seed) => readySeed(spec, seed, tokens)) };
  return {
    kind: "terms",
    rows: perRow(metric.terms, tokens).map((terms, row) => terms.map((term) => readyTerm(spec, term, tokens[row]!.length))),
  };
}

function isList(metric: Metric): metric is readonly string[] {
  return Array.isArray(metric);
}

function perRow<T>(list: readonly T[], tokens: Rows): readonly T[] {
  if (list.length !== tokens.length) throw bad(`has ${list.length} entries for ${tokens.length} rows; one for each row is needed`);
  return list;
}

const TERM = /\s*([+-]?)\s*(?:(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*\*\s*)?([A-Za-z_][A-Za-z0-9_.]*)\s*\[([^\]]*)\]\s*/y;

/** The terms of an expression such as `logits[-1,5] - 0.5*z.3[-1,2,7]`. */
export function parseExpression(text: string): Term[] {
  if (typeof text !== "string" || text.trim() === "")
    throw bad(`an expression must be a text such as logits[-1,5]-logits[-1,9], got ${describeJson(text)}`);
  const terms: Term[] = [];
  TERM.lastIndex = 0;
  while (TERM.lastIndex < text.length) {
    const from = TERM.lastIndex;
    const match = TERM.exec(text);
    if (!match || (terms.length > 0 && match[1] === ""))
      throw bad(`cannot be read from ${quote(text.slice(from))} on; write logits[-1,5]-logits[-1,9]`);
    const [, sign, factor = "1", of = "", inside = ""] = match;
    const index = inside.split(",").map((part) => part.trim());
    if (!index.every((part) => /^-?\d{1,9}$/.test(part))) throw bad(`${quote(match[0].trim())} needs whole numbers in its brackets`);
    terms.push({ weight: (sign === "-" ? -1 : 1) * Number(factor), of, index: index.map(Number) });
  }
  return terms;
}

function termsOf(spec: ModelSpec, text: string, length: number): ReadyTerm[] {
  return parseExpression(text).map((term) => readyTerm(spec, term, length));
}

function isLogitReading(of: string): of is LogitReading {
  return of === "logits" || of === "logprobs" || of === "probs";
}

function readyTerm(spec: ModelSpec, { weight, of, index }: Term, length: number): ReadyTerm {
  const where = `${of}[${index.join(",")}]`;
  if (!Number.isFinite(weight)) throw bad(`the weight of ${where} must be a number, got ${weight}`);
  const [at = Number.NaN, ...rest] = index;
  if (isLogitReading(of)) {
    const [token = Number.NaN, ...more] = rest;
    if (more.length > 0 || Number.isNaN(token)) throw bad(`${where} needs a position and a token`);
    return { weight, reading: of, position: position(at, length, where), token: inRange(token, spec.vocabOut, `${where}: token`) };
  }
  const place = parseAddress(spec, of);
  const { axes, dtype } = pointRow(place.point);
  if (dtype === "int32") throw bad(`${where} holds indices, which have no gradient`);
  const names = axes.slice(1);
  if (index.length !== names.length) throw bad(`${where} needs ${names.join(", ")} in its brackets`);
  const full = names.map((axis, i) => {
    if (axis === "pos" || axis === "query" || axis === "key") return position(index[i]!, length, where);
    return inRange(index[i]!, axisLength(spec, axis, place.layer), `${where}: ${axis}`);
  });
  return { weight, reading: "place", place, index: full };
}

function position(at: number, length: number, where: string): number {
  const from = at < 0 ? at + length : at;
  if (!Number.isInteger(at) || from < 0 || from >= length) throw bad(`${where}: position ${at} is outside a row of ${length} tokens`);
  return from;
}

function inRange(value: number, count: number, where: string): number {
  if (!Number.isInteger(value) || value < 0 || value >= count) throw bad(`${where} ${value} is out of range, there are ${count}`);
  return value;
}

function predictionsOf(loss: string, mask: readonly (readonly number[])[] | undefined, tokens: Rows): Prediction[] {
  if (loss !== "cross_entropy") throw bad(`the loss ${quote(String(loss))} is not known; there is cross_entropy`);
  if (mask) perRow(mask, tokens);
  const found = tokens.flatMap((row, index) => {
    const counts = mask?.[index];
    if (counts && counts.length !== row.length) throw bad(`mask[${index}] has ${counts.length} entries for ${row.length} tokens`);
    return row.slice(1).flatMap((token, i) => (counts && counts[i + 1] !== 1 ? [] : [{ row: index, position: i, token }]));
  });
  if (found.length === 0) throw bad("no token counts: the mask is empty, or all rows have one token");
  return found;
}

function readySeed(spec: ModelSpec, seed: Seed, tokens: Rows): Seed & { place: Place } {
  const place = parseAddress(spec, seed.at);
  const { axes, dtype } = pointRow(place.point);
  if (dtype === "int32") throw bad(`${place.address} holds indices, which have no gradient`);
  const width = Math.max(...tokens.map((row) => row.length));
  const shape = axes.map((axis) => {
    if (axis === "batch") return tokens.length;
    return axis === "pos" || axis === "query" || axis === "key" ? width : axisLength(spec, axis, place.layer);
  });
  const given = seed.gradient.shape;
  if (given.length !== shape.length || given.some((length, axis) => length !== shape[axis]))
    throw bad(`the seed at ${place.address} must have shape [${shape.join(", ")}], got [${given.join(", ")}]`);
  if (!seed.gradient.data.every((value) => Number.isFinite(value)))
    throw bad(`the seed at ${place.address} holds values that are not finite`);
  return { ...seed, place };
}

function bad(problem: string): SextantError {
  return new SextantError("request", `of: ${problem}`);
}
