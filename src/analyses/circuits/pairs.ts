/** @file Pairs of prompts for circuits: equally long, with a number read off each one's logits; what both runs of a pair add to the stream. */
import { must, SextantError } from "../../base/errors.js";
import { tensor, type Tensor } from "../../base/tensor.js";
import type { ModelSpec } from "../../models/spec.js";
import { readyMetric, type ReadyMetric } from "../../runtime/gradient/metric.js";
import { logitRowsOf, readOut } from "../../runtime/gradient/readout.js";
import type { Metric } from "../../runtime/gradient/request.js";
import type { Model, RunOptions } from "../../runtime/model.js";
import { swapped } from "../../runtime/circuit/nodes.js";
import type { CircuitGraph } from "./graph.js";

/** Two prompts of equal length. */
export interface CircuitPair {
  readonly clean: readonly number[];
  readonly corrupted: readonly number[];
}

/** What is read off a run: an expression in logits, log-probabilities or probabilities for all pairs, or one for each. */
export type CircuitMetric = Extract<Metric, string | readonly string[] | { readonly terms: unknown }>;

/** What every question about circuits is asked of. */
export interface CircuitData {
  readonly pairs: readonly CircuitPair[];
  readonly of: CircuitMetric;
}

/** Throws unless there are pairs, and both prompts of each are equally long. */
export function checkPairs(pairs: readonly CircuitPair[]): void {
  if (!Array.isArray(pairs) || pairs.length === 0) throw new SextantError("request", "pairs: at least one pair of prompts is needed");
  pairs.forEach(({ clean, corrupted }: CircuitPair, index) => {
    if (!Array.isArray(clean) || !Array.isArray(corrupted))
      throw new SextantError("request", `pairs[${index}] needs clean and corrupted tokens`);
    if (clean.length !== corrupted.length)
      throw new SextantError(
        "request",
        `pairs[${index}]: values are exchanged position by position, so both prompts need as many tokens; clean has ${clean.length}, corrupted ${corrupted.length}`,
      );
  });
}

/** Which run is changed, and so gives the gradients: `noise` puts corrupted values into the clean run, `denoise` clean ones into the corrupted. */
export type Direction = "noise" | "denoise";

/** Throws unless the direction is one. */
export function checkDirection(direction: Direction): void {
  if (direction !== "noise" && direction !== "denoise")
    throw new SextantError("request", `direction must be "noise" or "denoise", got ${JSON.stringify(direction)}`);
}

/** Throws where pairs are not all equally long, so that their positions mean nothing together. `where` begins the message. */
export function checkEquallyLong(pairs: readonly CircuitPair[], where: string): void {
  if (new Set(pairs.map(({ clean }) => clean.length)).size > 1)
    throw new SextantError(
      "request",
      `${where}: positions can be kept only of pairs that are all equally long; sum over them, or sort the pairs`,
    );
}

/** The prompts that are changed, and those that values come from. */
export function sidesOf(pairs: readonly CircuitPair[], direction: Direction): { readonly tokens: TokenRows; readonly others: TokenRows } {
  const [clean, corrupted] = [pairs.map((pair) => pair.clean), pairs.map((pair) => pair.corrupted)];
  return direction === "noise" ? { tokens: clean, others: corrupted } : { tokens: corrupted, others: clean };
}

/** Rows of tokens. */
export type TokenRows = readonly (readonly number[])[];

/** Parts of the data with at most so many floats, given what a token takes, each with the number of its first pair. */
export function* partsOf(data: CircuitData, floatsPerToken: number, most = 1 << 26): Generator<{ from: number; data: CircuitData }> {
  const { pairs, of } = data;
  let from = 0;
  while (from < pairs.length) {
    let [to, width] = [from, 0];
    while (to < pairs.length) {
      const wider = Math.max(width, pairs[to]!.clean.length);
      if (to > from && wider * (to - from + 1) * floatsPerToken > most) break;
      width = wider;
      to++;
    }
    yield { from, data: { pairs: pairs.slice(from, to), of: partOf(of, pairs.length, from, to) } };
    from = to;
  }
}

function partOf(of: CircuitMetric, count: number, from: number, to: number): CircuitMetric {
  if (typeof of === "string") return of;
  const list: readonly unknown[] = "terms" in of ? of.terms : of;
  if (list.length !== count) throw new SextantError("request", `of: has ${list.length} entries for ${count} pairs; one for each is needed`);
  return "terms" in of ? { terms: of.terms.slice(from, to) } : of.slice(from, to);
}

/** Floats that the streams of all senders of a token take. */
export function senderFloats({ senders, dModel }: CircuitGraph): number {
  return senders.length * dModel;
}

/** What each sender adds in a run: for each sender an array batch, pos, d_model; and the streams that receivers read. */
export interface Added {
  readonly senders: readonly Float32Array[];
  readonly resid: Readonly<Record<string, Tensor<Float32Array>>>;
  readonly batch: number;
  readonly width: number;
}

/** Runs prompts and takes what every sender adds. */
export async function addedBy(
  model: Model,
  graph: CircuitGraph,
  tokens: readonly (readonly number[])[],
  options: RunOptions,
): Promise<Added> {
  const { blocks } = graph;
  const outs = blocks.flatMap(({ hasMlp }, layer) => [`head_out.${layer}`, ...(hasMlp ? [`mlp_out.${layer}`] : [])]);
  const read = [...streamsOf(graph), ...outs];
  const { activations } = await model.forward({ tokens, read, logits: false }, options);
  const [batch, width] = [tokens.length, Math.max(...tokens.map((row) => row.length))];
  const value = (at: string): Tensor<Float32Array> => must(activations[at], at) as Tensor<Float32Array>;
  const senders: Float32Array[] = [value("resid_pre.0").data];
  blocks.forEach(({ heads, hasMlp }, layer) => {
    const by = model.spec.layers[layer]!.residualMultiplier ?? 1;
    const flat = swapped(value(`head_out.${layer}`).data, [batch, width, heads, graph.dModel], by);
    for (let head = 0; head < heads; head++) senders.push(ofHead(flat, { batch, heads, head }));
    if (hasMlp) senders.push(value(`mlp_out.${layer}`).data);
  });
  const resid = Object.fromEntries(streamsOf(graph).map((at) => [at, value(at)] as const));
  return { senders, resid, batch, width };
}

/** Addresses of the streams that receivers read. */
export function streamsOf({ blocks, layers }: CircuitGraph): string[] {
  const inside = blocks.flatMap((_, layer) => [...new Set([`resid_pre.${layer}`, mlpStream(blocks, layer)])]);
  return [...inside, `resid_post.${layers - 1}`];
}

/** Where an MLP reads; where heads do, if the block is parallel or has none. */
export function mlpStream(blocks: CircuitGraph["blocks"], layer: number): string {
  const { hasMlp, isParallel } = blocks[layer]!;
  return hasMlp && !isParallel ? `resid_mid.${layer}` : `resid_pre.${layer}`;
}

/** One head of batch, head, …: batch, …. */
export function ofHead(data: Float32Array, { batch, heads, head }: { batch: number; heads: number; head: number }): Float32Array {
  const size = data.length / (batch * heads);
  const out = new Float32Array(batch * size);
  for (let row = 0; row < batch; row++) out.set(data.subarray((row * heads + head) * size, (row * heads + head + 1) * size), row * size);
  return out;
}

/**
 * The metric of each row, from the stream behind the last block: batch, pos, d_model. Each row of logits that it reads is a prompt of one token
 * that goes on behind the last block, since nothing there looks at positions.
 */
export async function metricAt(model: Model, { tokens, of, resid }: Ending, options: RunOptions): Promise<Float64Array> {
  const metric = logitMetric(model.spec, of, tokens);
  const lengths = tokens.map((row) => row.length);
  const [batch, width, dModel] = [tokens.length, Math.max(...lengths), model.spec.dModel];
  const rows = logitRowsOf(metric, lengths);
  const picked = new Float32Array(rows.length * dModel);
  rows.forEach(({ row, position }, i) => {
    const from = (row * width + position) * dModel;
    picked.set(resid.subarray(from, from + dModel), i * dModel);
  });
  const stream = tensor(picked, [rows.length, 1, dModel], ["batch", "pos", "d_model"]);
  const request = {
    tokens: rows.map(({ row, position }) => [tokens[row]![position]!]),
    resume: { layer: model.spec.layers.length, resid: stream },
  };
  const { logits } = await model.forward(request, options);
  return readOut(metric, must(logits, "logits").data, { rows, vocab: model.spec.vocabOut, batch, width }).values;
}

/** Where runs end: their tokens, what is read of each, and the stream. */
export interface Ending {
  readonly tokens: readonly (readonly number[])[];
  readonly of: CircuitMetric;
  readonly resid: Float32Array;
}

/** The metric, made of logits alone: what a circuit ends in. */
export function logitMetric(spec: ModelSpec, of: CircuitMetric, tokens: readonly (readonly number[])[]): ReadyMetric {
  const metric = readyMetric(spec, of, tokens);
  if (metric.kind !== "terms") throw new SextantError("request", "of: a circuit ends in an expression of logits, logprobs or probs");
  const stray = metric.rows.flat().find((term) => term.reading === "place");
  if (stray?.reading === "place")
    throw new SextantError(
      "request",
      `of: a circuit ends in the logits, so it cannot end at ${stray.place.address}; write logits[-1,5] or the like`,
    );
  return metric;
}
