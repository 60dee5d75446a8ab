/**
 * @file The metric's part in the logits, and its gradient by the rows in front of the unembedding. A metric of a few plain logits needs
 * their rows of the matrix alone: neither the product with the whole vocabulary nor the one back is computed.
 */
import { must } from "../../base/errors.js";
import type { ModelSpec } from "../../models/spec.js";
import { STREAM } from "../../models/block.js";
import { ownValue } from "../engine.js";
import type { Runner } from "../forward.js";
import { takeColumns, type LogitSlice } from "../logit-slices.js";
import { areColumnsPicked, tokenColumns } from "../logits.js";
import type { Held } from "../session.js";
import type { ReadyMetric } from "./metric.js";
import type { ParameterSums } from "./parameters.js";
import { readOut } from "./readout.js";
import type { Ready } from "./ready.js";

export interface Unembedded {
  /** What the logits add to each row's metric. */
  readonly values: Float64Array;
  /** Row-major over the rows that went in, d_model; zeros where the metric reads no logits. */
  readonly gradient: Float32Array;
}

/** Takes rows (`rows` of the pass · its width, d_model) to the metric and back. The gradients by weights are added to `parameters`. */
export async function throughUnembedding(
  rows: Float32Array,
  { runner, ready, parameters }: { readonly runner: Runner; readonly ready: Ready; readonly parameters: ParameterSums },
): Promise<Unembedded> {
  const width = runner.spec.dModel;
  const places = ready.logitRows.map(({ row, position }) => row * ready.pass.width + position);
  const data = new Float32Array(places.length * width);
  places.forEach((place, i) => data.set(rows.subarray(place * width, (place + 1) * width), i * width));
  const picked = ownValue(data, [places.length, width]);
  const tokens = parameters.isWanted ? undefined : fewTokens(runner.spec, ready.metric);
  const end = tokens ? await byColumns(picked, { runner, ready, tokens }) : await byGraph(picked, { runner, ready, parameters });
  const gradient = new Float32Array(rows.length);
  places.forEach((place, i) => gradient.set(end.gradient.subarray(i * width, (i + 1) * width), place * width));
  return { values: end.values, gradient };
}

/** The tokens whose logits are all that the metric reads of them, where there are few and each is its row's product; else undefined. */
function fewTokens(spec: ModelSpec, metric: ReadyMetric): readonly number[] | undefined {
  if (metric.kind !== "terms" || spec.head.softcap !== undefined) return undefined;
  const terms = metric.rows.flat().filter((term) => term.reading !== "place");
  const tokens = [...new Set(terms.map(({ token }) => token))];
  return areColumnsPicked(spec, tokens.length) && terms.every(({ reading }) => reading === "logits") ? tokens : undefined;
}

/** logit = multiplier · (row · W[token] + b), so the gradient by the row is that multiple of W[token]. */
async function byColumns(
  picked: Held,
  { runner, ready, tokens }: { runner: Runner; ready: Ready; tokens: readonly number[] },
): Promise<Unembedded> {
  const { metric, logitRows, pass } = ready;
  const { dModel: width, head } = runner.spec;
  const logits = await tokenColumns(picked, runner, tokens);
  const columns = runner.checkpoint.readRows(head.unembed.weight.name, tokens);
  const end = { values: new Float64Array(pass.rows.length), gradient: new Float32Array(picked.data.length) };
  if (metric.kind !== "terms") return end;
  const columnOf = new Map(tokens.map((token, i) => [token, i] as const));
  logitRows.forEach(({ row, position }, i) => {
    for (const term of must(metric.rows[row], `row ${row}`)) {
      if (term.reading === "place" || term.position !== position) continue;
      const column = must(columnOf.get(term.token), `token ${term.token}`);
      end.values[row]! += term.weight * logits[i * tokens.length + column]!;
      const slope = term.weight * (head.multiplier ?? 1);
      for (let unit = 0; unit < width; unit++) end.gradient[i * width + unit]! += slope * columns[column * width + unit]!;
    }
  });
  return end;
}

/** All logits of the picked rows, and the gradient by the rows and by the weights that are wanted. */
async function byGraph(
  picked: Held,
  { runner, ready, parameters }: { runner: Runner; ready: Ready; parameters: ParameterSums },
): Promise<Unembedded> {
  const { engine, spec } = runner;
  const { logitRows, pass, metric } = ready;
  const logits = (await engine.unembed(picked)).data as Float32Array;
  const read = readOut(metric, logits, { rows: logitRows, vocab: spec.vocabOut, batch: pass.rows.length, width: pass.width });
  let gradient: Float32Array | undefined;
  for (const slice of engine.unembedding) {
    const seed = takeColumns(read.gradient, spec.vocabOut, slice);
    const part = await sliceBack(slice, { picked, seed, rows: logitRows.length, parameters });
    gradient = gradient ? gradient.map((value, i) => value + part[i]!) : part;
  }
  return { values: read.values, gradient: must(gradient, "the gradient by the rows") };
}

/** The gradient by the rows through a slice of the logits. */
async function sliceBack(
  { stage, count }: LogitSlice,
  { picked, seed, rows, parameters }: { picked: Held; seed: Float32Array; rows: number; parameters: ParameterSums },
): Promise<Float32Array> {
  const link = must(stage.chain([])[0], "the unembedding");
  const id = must(link.graph.named.get("logits"), "logits");
  const weights = [...link.graph.weights].filter(([, weight]) => parameters.wants(weight));
  const targets = [STREAM.in, ...weights.map(([key]) => key)];
  const live = new Map([[STREAM.in, picked]]);
  const found = await stage.runBackward(link, live, { seeds: { [id]: { data: seed, dims: [rows, count] } }, targets });
  for (const [key, weight] of weights) parameters.add(weight, found[key]?.data as Float32Array | undefined);
  return must(found[STREAM.in], "the gradient by the rows").data as Float32Array;
}
