/** @file Pairs held against a model, with the vectors that base and source have at the site, read in one forward pass each. */
import { must, SextantError } from "../../base/errors.js";
import type { ModelSpec } from "../../models/spec.js";
import { parseExpression, readyMetric } from "../../runtime/gradient/metric.js";
import type { Term } from "../../runtime/gradient/request.js";
import type { Model, RunOptions } from "../../runtime/model.js";
import type { InterchangePair } from "./request.js";
import { vectorAt, type Site } from "./site.js";

/** A pair ready to be exchanged. */
export interface CachedPair {
  readonly tokens: readonly number[];
  /** From the start of the base. */
  readonly positions: readonly number[];
  /** What the base has there, and what the source offers: one vector a position. */
  readonly base: readonly Float64Array[];
  readonly source: readonly Float64Array[];
  readonly goal: Goal;
}

/** What should follow. */
export interface Goal {
  readonly terms: readonly Term[];
  readonly answer: number | undefined;
}

/** Reads both sides of each pair. `name`: the pairs' name in errors. */
export async function cachePairs(
  model: Model,
  site: Site,
  { pairs, name }: { readonly pairs: readonly InterchangePair[]; readonly name: string },
  options: RunOptions,
): Promise<CachedPair[]> {
  const places = pairs.map((pair, i) => placesOf(pair, `${name}[${i}]`));
  const goals = pairs.map((pair, i) => goalOf(pair, `${name}[${i}]`));
  checkGoals(
    model.spec,
    goals,
    pairs.map(({ base }) => base),
  );
  const cached: CachedPair[] = [];
  const together = rowsTogether(model.spec, [...pairs.map(({ base }) => base), ...pairs.map(({ source }) => source)]);
  for (let from = 0; from < pairs.length; from += together) {
    const part = pairs.slice(from, from + together);
    const [bases, sources] = [await vectorsOf("base"), await vectorsOf("source")];
    part.forEach(({ base: tokens }, i) => {
      const { base: positions } = places[from + i]!;
      cached.push({ tokens, positions, base: bases[i]!, source: sources[i]!, goal: goals[from + i]! });
    });
    async function vectorsOf(side: "base" | "source"): Promise<Float64Array[][]> {
      const run = await model.forward({ tokens: part.map((pair) => pair[side]), read: [site.address], logits: false }, options);
      const values = must(run.activations[site.address], site.address);
      return part.map((_, row) => places[from + row]![side].map((position) => vectorAt(site, values, row, position)));
    }
  }
  return cached;
}

function placesOf(pair: InterchangePair, where: string): { base: number[]; source: number[] } {
  const { positions = [-1], sourcePositions = positions } = pair;
  if (positions.length === 0) throw new SextantError("request", `${where}: positions: at least one is needed`);
  if (sourcePositions.length !== positions.length)
    throw new SextantError(
      "request",
      `${where}: sourcePositions: needs one for each of ${positions.length} positions, got ${sourcePositions.length}`,
    );
  const base = positions.map((position) => fromStart(position, pair.base.length, `${where}: positions`));
  if (new Set(base).size < base.length) throw new SextantError("request", `${where}: positions: each once`);
  return { base, source: sourcePositions.map((position) => fromStart(position, pair.source.length, `${where}: sourcePositions`)) };
}

function fromStart(position: number, length: number, where: string): number {
  const from = position < 0 ? position + length : position;
  if (!Number.isInteger(position) || from < 0 || from >= length)
    throw new SextantError("request", `${where}: ${position} is outside a prompt of ${length} tokens`);
  return from;
}

function goalOf({ of, answer }: InterchangePair, where: string): Goal {
  if (of === undefined && answer === undefined)
    throw new SextantError("request", `${where}: says neither which answer should follow nor what should be high; give answer or of`);
  const terms =
    of === undefined ? [{ weight: 1, of: "logprobs", index: [-1, answer!] }] : typeof of === "string" ? parseExpression(of) : of;
  return { terms, answer };
}

/** Throws unless every goal is made of the base's logits. */
function checkGoals(spec: ModelSpec, goals: readonly Goal[], tokens: readonly (readonly number[])[]): void {
  const metric = readyMetric(spec, { terms: goals.map(({ terms }) => terms) }, tokens);
  const stray = metric.kind === "terms" && metric.rows.flat().find((term) => term.reading === "place");
  if (stray && stray.reading === "place")
    throw new SextantError("request", `of: must be made of logits, logprobs or probs, got ${stray.place.address}`);
  const answers = goals.flatMap(({ answer }) => answer ?? []);
  const unknown = answers.find((answer) => !Number.isInteger(answer) || answer < 0 || answer >= spec.vocabOut);
  if (unknown !== undefined) throw new SextantError("request", `answer ${unknown} is no token, there are ${spec.vocabOut}`);
}

/** How many rows a run takes at once, so that what it keeps stays below a quarter of a gigabyte or so. */
export function rowsTogether(spec: ModelSpec, tokens: readonly (readonly number[])[], most = 1 << 26): number {
  const width = Math.max(1, ...tokens.map((row) => row.length));
  const heads = Math.max(1, ...spec.layers.map(({ attention }) => attention.heads));
  const perRow = width * spec.dModel * (spec.layers.length + 24) + 6 * heads * width * width + 3 * spec.vocabOut;
  return Math.min(256, Math.max(1, Math.floor(most / perRow)));
}
