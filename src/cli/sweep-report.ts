/** @file What a sweep found, ready to be told: which question it answers, and the document that `--json` prints. */
import type { Effect, Effects } from "../analyses/sweeps/effects.js";
import { nested } from "../analyses/sweeps/grid-sweep.js";
import { sizeOf } from "../base/tensor.js";
import type { Tokenizer } from "../formats/tokenizer.js";
import type { Answer, SweepPair, SweptMetric } from "../runtime/sweep/request.js";
import type { Found } from "./sweep-run.js";

/** A sweep with what was asked. */
export interface SweepReport {
  readonly found: Found;
  /** What was done, as the words of the command line have it. */
  readonly operation: "patch" | "zero" | "mean" | "knockout" | "path";
  /** The point, or `edges`. */
  readonly point: string;
  /** The first is the one that is drawn. */
  readonly metrics: readonly string[];
  readonly pairs: readonly SweepPair[];
  readonly tokenizer: Tokenizer | undefined;
  /** Layers changed together. */
  readonly window: number;
  /** Further members of the document, and lines of text. */
  readonly more?: { readonly json: object; readonly lines: readonly string[] };
}

/** The prompt that was edited, where there is but one pair. */
export function editedPrompt({ found, pairs }: Pick<SweepReport, "found" | "pairs">): readonly number[] | undefined {
  const [pair] = pairs;
  if (!pair || pairs.length > 1) return undefined;
  return found.edited === "corrupted" ? pair.corrupted : pair.clean;
}

/** One value for each cell of the grid, row-major; undefined where a cell was left out. */
export function overGrid<T>({ grid, cells }: Pick<Found, "grid" | "cells">, values: readonly T[]): (T | undefined)[] {
  if (!cells) return [...values];
  const all = Array.from({ length: sizeOf(grid.shape) }, (): T | undefined => undefined);
  cells.forEach((cell, index) => (all[cell] = values[index]));
  return all;
}

/** The document: `clean`, `corrupted`, `axes` and `values` are raw values of the first metric, everything else stands beside them. */
export function sweepJson(report: SweepReport): object {
  const { found, operation, point, metrics, pairs, tokenizer, window, more } = report;
  const [first = "", ...others] = metrics;
  const prompt = editedPrompt(report);
  const text = (id: number): object => ({ token: id, ...(tokenizer && { text: tokenizer.token(id) }) });
  const answers = (answer: Answer): object[] => [answer].flat().map(text);
  const [{ answer, wrong }] = pairs as readonly [SweepPair];
  const { clean, corrupted, values, ...rest } = metricJson(found, first);
  return {
    clean,
    corrupted,
    axes: found.grid.axes,
    values,
    metric: first,
    direction: found.edited === "corrupted" ? "denoise" : "noise",
    edited: found.edited,
    operation,
    point,
    ticks: found.grid.ticks,
    ...(window > 1 && { window }),
    ...more?.json,
    ...(prompt && { tokens: prompt, ...(tokenizer && { text: prompt.map((id) => tokenizer.token(id)) }) }),
    ...(prompt && answer !== undefined && { answer: answers(answer) }),
    ...(prompt && wrong !== undefined && { wrong: answers(wrong) }),
    pairs: pairs.length,
    ...rest,
    ...(others.length > 0 && { metrics: Object.fromEntries(others.map((name) => [name, metricJson(found, name)])) }),
    cost: found.cost,
  };
}

/** One metric, with whatever stands beside its raw values. */
interface MetricJson {
  readonly [member: string]: unknown;
  readonly clean: number;
  readonly corrupted: number | null;
  readonly values: unknown;
}

function metricJson(found: Found, name: string): MetricJson {
  const [effects, raw] = [found.effects[name]!, found.raw[name]!];
  const over = (of: (effect: Effect, index: number) => unknown): unknown => nestedOver(found, effects.cells.map(of));
  return {
    clean: effects.clean,
    corrupted: effects.corrupted ?? null,
    values: over(({ value }) => value),
    normalised: effects.corrupted === undefined ? null : over(({ normalised }) => normalised),
    ...(effects.pairs > 1 && { ...statistics(over), perPair: perPair(found, effects, raw) }),
    marked: over(({ isMarked }) => isMarked),
    guard: effects.guard,
  };
}

function statistics(over: (of: (effect: Effect) => unknown) => unknown): object {
  return {
    intervals: over(({ interval }) => interval && [interval.low, interval.high]),
    p: over(({ p }) => p),
    q: over(({ q }) => q),
  };
}

/** Raw values with the pairs as their last axis. */
function perPair(found: Found, { cells, pairs }: Effects, { values }: SweptMetric): unknown {
  const rows = cells.map((_, cell) => [...values.subarray(cell * pairs, (cell + 1) * pairs)]);
  return nestedOver(found, rows);
}

/** Nested lists over the grid, `null` where a cell was left out or has no such value. */
function nestedOver(found: Found, values: readonly unknown[]): unknown {
  const all = overGrid(found, values).map((value) => value ?? null);
  return nested(all, found.grid.shape);
}
