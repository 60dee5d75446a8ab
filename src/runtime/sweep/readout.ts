/** @file From the rows behind the last block to numbers: last norm, logits of the measured positions, metrics. */
import { must, SextantError } from "../../base/errors.js";
import type { TensorData } from "../../base/tensor.js";
import type { Checkpoint } from "../../formats/checkpoint.js";
import { STREAM } from "../../models/block.js";
import { axisSizes } from "../../models/sizes.js";
import { areFinite, explainNonFinite } from "../diagnose.js";
import { ownValue, type Engine } from "../engine.js";
import { tokenColumns } from "../logits.js";
import type { Batch } from "./batch.js";
import { changeRows } from "./change-rows.js";
import { logProbabilities, type LogitView, type Metric, type MetricContext } from "./metrics.js";
import type { PreparedPair } from "./pairs.js";
import { gatherRows, regroup, union, type Rows } from "./rows.js";
import type { Schedule } from "./variants.js";

export interface Readout {
  readonly engine: Engine;
  readonly checkpoint: Checkpoint;
  readonly pairs: readonly PreparedPair[];
  readonly schedule: Schedule;
  readonly metrics: readonly Metric[];
}

/** Logits held at once: 64 MiB. */
const MOST_LOGITS = 1 << 24;

/** Values by variant, one a metric; a variant without a row at the measured position has its base's. */
export async function readOut(batch: Batch, readout: Readout): Promise<Float64Array[]> {
  const { schedule, metrics, pairs } = readout;
  const normed = await normalised(batch, readout);
  const values = schedule.variants.map(() => new Float64Array(metrics.length));
  const order = rowOrder(batch.rows, schedule, pairs);
  const ofRow = metrics.some(({ needs }) => needs === "all") ? fullLogits(normed, order, readout) : fewLogits(normed, order, readout);
  let reference: { base: number; logs: Float64Array } | undefined;
  for (const [place, { variant }] of order.entries()) {
    const { pair, base, cell } = schedule.variant(variant);
    const view = await ofRow(place);
    if (reference?.base !== base && metrics.some(({ needsReference }) => needsReference))
      reference = { base, logs: logProbabilities(view.all) };
    const context: MetricContext = { pair: must(pairs[pair], "a pair"), reference: reference?.logs };
    const at = cell ?? { pair };
    for (const [i, metric] of metrics.entries()) {
      const value = metric.of(view, context, at);
      values[variant]![i] = typeof value === "number" ? value : await value;
    }
  }
  const seen = new Set(order.map(({ variant }) => variant));
  schedule.variants.forEach(({ base }, variant) => {
    if (!seen.has(variant)) values[variant]!.set(values[base]!);
  });
  return values;
}

/** The rows in the order in which they are measured: of each pair the clean run first, since others are compared with it. */
function rowOrder(rows: Rows, schedule: Schedule, pairs: readonly PreparedPair[]): { row: number; variant: number }[] {
  const order: { row: number; variant: number }[] = [];
  schedule.variants.forEach(({ base, source, cell, pair }, variant) => {
    if (rows.of(variant).length === 0) return;
    const isSource = variant === source && source !== base;
    const swaps = !cell && source !== base && must(pairs[pair], "a pair").cleanIs === "source";
    const takenFor = swaps ? (isSource ? base : source) : variant;
    order.push({ row: rows.starts[takenFor]!, variant: takenFor });
  });
  return order;
}

/** The measured rows through the last norm, with the edits there: row, d_model. Leaves the batch with these rows. */
async function normalised(batch: Batch, { engine, schedule, checkpoint }: Readout): Promise<Float32Array> {
  const places = schedule.placesIn(undefined).filter(({ point }) => point === "final_scale" || point === "final_normalized");
  const rowsOf = (variant: number): Int32Array => {
    const at = schedule.measuredAt(variant);
    const own = batch.rows.find(variant, at) < 0 ? new Int32Array(0) : Int32Array.of(at);
    const joining = places.flatMap(({ address }) => schedule.joining(variant, address));
    return union(
      own,
      joining.filter((position) => position === at),
    );
  };
  batch.follow(regroup(batch.rows, rowsOf, schedule.baseOf));
  const stream = batch.data(STREAM.in) as Float32Array;
  if (!areFinite(stream)) throw explainNonFinite(checkpoint, engine.spec, { hasEdits: true });
  const { finalNorm } = engine;
  if (!finalNorm) return stream;
  const changes = new Map(
    places.map((place) => [
      place.point as string,
      <T extends { data: TensorData }>(value: T): T => {
        changeRows(value.data, place, { rows: batch.rows, schedule, sizes: axisSizes(engine.spec, place) });
        return value;
      },
    ]),
  );
  const feeds = { [STREAM.in]: ownValue(stream, [batch.rows.count, engine.spec.dModel]) };
  const made = await finalNorm.run({ feeds, wanted: ["final_normalized"], ...(changes.size > 0 && { changes }) });
  return must(made["final_normalized"], "final_normalized").data as Float32Array;
}

/** Gives the logits of a row by its place in the order. */
type ViewOf = (place: number) => Promise<LogitView>;

/** Views of all logits, computed for some rows at a time. */
function fullLogits(normed: Float32Array, order: readonly { row: number }[], { engine, checkpoint }: Readout): ViewOf {
  const { dModel, vocabOut } = engine.spec;
  const size = Math.max(1, Math.floor(MOST_LOGITS / vocabOut));
  let held: { from: number; data: Float32Array } | undefined;
  const load = async (from: number): Promise<Float32Array> => {
    const rows = Int32Array.from(order.slice(from, from + size), ({ row }) => row);
    const made = await engine.unembed(ownValue(gatherRows(normed, dModel, { index: rows }), [rows.length, dModel]));
    if (!areFinite(made.data)) throw explainNonFinite(checkpoint, engine.spec, { hasEdits: true });
    const data = made.data.slice() as Float32Array;
    made.release();
    held = { from, data };
    return data;
  };
  return async (place) => {
    const from = place - (place % size);
    const data = held?.from === from ? held.data : await load(from);
    const all = data.subarray((place - from) * vocabOut, (place - from + 1) * vocabOut);
    return { all, of: (token) => all[token]! };
  };
}

/** Views of the logits of each pair's own tokens. */
function fewLogits(normed: Float32Array, order: readonly { row: number; variant: number }[], readout: Readout): ViewOf {
  const { engine, schedule, pairs } = readout;
  const { dModel } = engine.spec;
  const byPair = new Map<number, { tokens: number[]; places: number[] }>();
  order.forEach(({ variant }, place) => {
    const { pair } = schedule.variant(variant);
    const { answer, wrong } = must(pairs[pair], "a pair");
    const known = byPair.get(pair) ?? { tokens: [...new Set([...answer, ...wrong])], places: [] };
    known.places.push(place);
    byPair.set(pair, known);
  });
  const columns = new Map<number, Promise<Map<number, Float32Array>>>();
  const load = async (pair: number): Promise<Map<number, Float32Array>> => {
    const { tokens, places } = must(byPair.get(pair), "a pair");
    const rows = Int32Array.from(places, (place) => order[place]!.row);
    const data = await tokenColumns(ownValue(gatherRows(normed, dModel, { index: rows }), [rows.length, dModel]), readout, tokens);
    if (!areFinite(data)) throw explainNonFinite(readout.checkpoint, engine.spec, { hasEdits: true });
    return new Map(places.map((place, i) => [place, data.subarray(i * tokens.length, (i + 1) * tokens.length)]));
  };
  return async (place) => {
    const { pair } = schedule.variant(order[place]!.variant);
    const known = columns.get(pair) ?? load(pair);
    columns.set(pair, known);
    const mine = must((await known).get(place), "a row");
    const { tokens } = must(byPair.get(pair), "a pair");
    return {
      of: (token) => mine[tokens.indexOf(token)]!,
      get all(): Float32Array {
        throw new SextantError("internal", "internal: only some logits were computed");
      },
    };
  };
}
