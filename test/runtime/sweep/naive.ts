/**
 * @file The naive loop that a sweep must equal: for each counterfactual and pair a plain forward pass of the whole prompt, in which a
 * patch is a `set` (or, in a subspace, an `interchange`) with what a plain pass of the other prompt reads there. It shares nothing with
 * `src/runtime/sweep` but the types of requests. Passes that edit the same addresses run as rows of one batch.
 */
import { must } from "../../../src/base/errors.js";
import { sizeOf, tensor, type Tensor } from "../../../src/base/tensor.js";
import { inForwardOrder, parseAddress } from "../../../src/models/address.js";
import { pointRow } from "../../../src/models/points.js";
import type { Edit, Operation, Values } from "../../../src/runtime/edit.js";
import type { Model } from "../../../src/runtime/model.js";
import type {
  Counterfactual,
  NamedPositions,
  Patch,
  Span,
  SweepEdit,
  SweepPair,
  SweepRequest,
} from "../../../src/runtime/sweep/request.js";

/** One pass: the logits at the measured position, and what was read, without the batch axis. */
export interface NaiveRun {
  readonly logits: Float32Array;
  readonly activations: Readonly<Record<string, Tensor>>;
}

export interface NaiveSweep {
  /** By counterfactual, then pair. */
  readonly cells: readonly (readonly NaiveRun[])[];
  /** By pair. */
  readonly clean: readonly NaiveRun[];
  readonly corrupted: readonly (NaiveRun | undefined)[];
}

/** A prompt, its positions by name, and which one is measured. */
interface Prompt {
  readonly tokens: readonly number[];
  readonly at: number;
  readonly find: (entry: number | string) => readonly number[];
}

/** A pair as a direction sees it. */
interface Case {
  readonly base: Prompt;
  readonly source: Prompt | undefined;
  readonly baseRun: NaiveRun;
  readonly sourceRun: NaiveRun | undefined;
  readonly pair: number;
}

interface Job {
  readonly prompt: Prompt;
  readonly edits: readonly Edit[];
}

/** Rows of one batch. */
const MOST_ROWS = 64;

/** Every counterfactual run of every pair, and the runs without edits. */
export async function naiveSweep(model: Model, request: SweepRequest): Promise<NaiveSweep> {
  const { pairs, counterfactuals, read = [] } = request;
  const touched = counterfactuals.flatMap(({ edits, freeze = [] }) => [...edits.map(({ at }) => at), ...freeze]);
  const addresses = [...new Set([...read, ...touched.map((at) => parseAddress(model.spec, at).address)])];
  const plain = async (prompt: Prompt | undefined): Promise<NaiveRun | undefined> =>
    prompt && (await runJobs(model, [{ prompt, edits: [] }], { request, read: addresses }))[0];
  const cases: Case[] = [];
  for (const [pair, given] of pairs.entries()) {
    const [clean, corrupted] = [promptOf(given, "clean", request), given.corrupted && promptOf(given, "corrupted", request)];
    const isDenoising = corrupted !== undefined && (request.direction ?? "denoise") === "denoise";
    const [base, source] = isDenoising ? [corrupted, clean] : [clean, corrupted];
    cases.push({ base, source, baseRun: must(await plain(base), "the base"), sourceRun: await plain(source), pair });
  }
  const jobs = counterfactuals.flatMap((counterfactual) => cases.map((one) => jobOf(model, counterfactual, one)));
  const runs = await inBatches(model, jobs, { request, read });
  const sides = cases.map(({ baseRun, sourceRun }, pair): [NaiveRun, NaiveRun | undefined] =>
    pairs[pair]!.corrupted && (request.direction ?? "denoise") === "denoise" ? [must(sourceRun, "clean"), baseRun] : [baseRun, sourceRun],
  );
  return {
    cells: counterfactuals.map((_, i) => runs.slice(i * pairs.length, (i + 1) * pairs.length)),
    clean: sides.map(([clean]) => clean),
    corrupted: sides.map(([, corrupted]) => corrupted),
  };
}

function promptOf(pair: SweepPair, which: "clean" | "corrupted", { at = -1 }: SweepRequest): Prompt {
  const tokens = must(pair[which], which);
  const index = (position: number): number => (position < 0 ? position + tokens.length : position);
  const named = (name: string): number[] => {
    const given = must(pair.positions?.[name], `the position ${name}`);
    const span: Span = typeof given === "object" && "clean" in given ? given[which] : given;
    return (typeof span === "number" ? [span] : span).map(index);
  };
  const measured = typeof at === "number" ? index(at) : at === "end" ? tokens.length - 1 : must(named(at)[0], "the measured position");
  const find = (entry: number | string): readonly number[] => {
    if (typeof entry === "number") return [index(entry)];
    return entry === "end" ? [measured] : named(entry);
  };
  return { tokens, find, at: measured };
}

/** The ordinary edits of one counterfactual of one pair. */
function jobOf(model: Model, { edits, freeze = [] }: Counterfactual, one: Case): Job {
  const frozen = freeze.map((at): SweepEdit => ({ at, op: "patch", run: "base" }));
  const plain = [...edits, ...frozen]
    .map((edit) => plainEdit(model, edit, one))
    .toSorted((a, b) => inForwardOrder(parseAddress(model.spec, a.at), parseAddress(model.spec, b.at)));
  return { prompt: one.base, edits: plain.flatMap((edit, i) => remaining(edit, plain.slice(i + 1))) };
}

/** An edit without the positions that a later one at its address sets anew as a whole; `forward` would refuse the two as a contradiction. */
function remaining(edit: Edit, later: readonly Edit[]): Edit[] {
  const isWhole = ({ at, op, heads, units, keys }: Edit): boolean => at === edit.at && op === "set" && !heads && !units && !keys;
  const anew = new Set(later.filter(isWhole).flatMap(({ positions, queries }) => [...((positions ?? queries) as readonly number[])]));
  if (anew.size === 0) return [edit];
  const field = edit.queries ? "queries" : "positions";
  const left = (edit[field] as readonly number[]).filter((position) => !anew.has(position));
  return left.length === 0 ? [] : [{ ...edit, [field]: left }];
}

function plainEdit(model: Model, edit: SweepEdit, one: Case): Edit {
  const place = parseAddress(model.spec, edit.at);
  const isEdges = pointRow(place.point).axes.includes("key");
  const { positions, queries, keys, heads, units } = edit;
  const own = selected(one.base, isEdges ? queries : positions);
  const where = {
    at: place.address as string,
    ...(isEdges ? { queries: own } : { positions: own }),
    ...(keys && { keys: keys.flatMap((key) => one.base.find(key)) }),
    ...(heads && { heads }),
    ...(units && { units }),
  };
  if (edit.op !== "patch") return { ...operationFor(edit, { pair: one.pair, axes: pointRow(place.point).axes.length }), ...where };
  const { basis } = edit;
  const value = isEdges ? edgesFrom(edit, { place: place.address, one }) : vectorsFrom(edit, { place: place.address, one, own });
  return basis ? { ...where, op: "interchange", value, basis } : { ...where, op: "set", value };
}

function selected({ tokens, find }: Prompt, positions: NamedPositions | undefined): number[] {
  const all = Array.from(tokens, (_, position) => position);
  if (positions === undefined) return all;
  if (isList(positions)) return positions.flatMap((entry) => [...find(entry)]);
  const { every, from = 0, to = tokens.length } = positions;
  const [first, end] = [from < 0 ? from + tokens.length : from, to < 0 ? to + tokens.length : to];
  return all.filter((position) => position >= first && position < end && (position - first) % every === 0);
}

function isList(positions: NamedPositions): positions is readonly (number | string)[] {
  return Array.isArray(positions);
}

/** The operation, with the pair's own value where it has one for each. */
function operationFor(edit: Exclude<SweepEdit, Patch>, { pair, axes }: { pair: number; axes: number }): Operation {
  const { at: _at, positions: _positions, queries: _queries, keys: _keys, heads: _heads, units: _units, ...operation } = edit;
  if (!("value" in operation) || typeof operation.value === "number") return operation;
  return { ...operation, value: ofPair(operation.value, pair, axes) } as Operation;
}

function ofPair(values: Values, pair: number, axes: number): Values {
  if (!("data" in values) || values.shape.length < axes) return values;
  const shape = values.shape.slice(1);
  return tensor(values.data.slice(pair * sizeOf(shape), (pair + 1) * sizeOf(shape)), shape);
}

interface PatchedAt {
  readonly place: string;
  readonly one: Case;
}

function otherRun({ run }: Patch, { one, place }: PatchedAt): Tensor {
  return must((run === "base" ? one.baseRun : must(one.sourceRun, "a source")).activations[place], place);
}

/** The other run's vectors, put where the base's edit looks for them: pos, then the rest of the point's axes. */
function vectorsFrom(edit: Patch & SweepEdit, at: PatchedAt & { own: readonly number[] }): Tensor<Float32Array> {
  const { base, source } = at.one;
  const theirs = edit.run === "base" ? base : must(source, "a source");
  const from = edit.from ? edit.from.flatMap((entry) => [...theirs.find(entry)]) : selected(theirs, edit.positions);
  const other = otherRun(edit, at);
  const width = sizeOf(other.shape.slice(1));
  const data = new Float32Array(base.tokens.length * width);
  at.own.forEach((position, i) => data.set(other.data.subarray(from[i]! * width, (from[i]! + 1) * width), position * width));
  return tensor(data, [base.tokens.length, ...other.shape.slice(1)]);
}

/** The other run's edges, as many queries and keys as the base has: head, query, key. */
function edgesFrom(edit: Patch & SweepEdit, at: PatchedAt): Tensor<Float32Array> {
  const other = otherRun(edit, at);
  const [heads = 0, length = 0] = other.shape;
  const count = at.one.base.tokens.length;
  const data = new Float32Array(heads * count * count);
  for (let head = 0; head < heads; head++)
    for (let query = 0; query < Math.min(count, length); query++)
      for (let key = 0; key <= query; key++)
        data[(head * count + query) * count + key] = other.data[(head * length + query) * length + key]!;
  return tensor(data, [heads, count, count]);
}

interface Asked {
  readonly request: SweepRequest;
  readonly read: readonly string[];
}

/** The jobs' runs, in their order; those that edit the same addresses, and so cut the blocks at the same places, run together. */
async function inBatches(model: Model, jobs: readonly Job[], asked: Asked): Promise<NaiveRun[]> {
  const keyOf = ({ edits }: Job): string => edits.map(({ at }) => at).join();
  const order = [...jobs.keys()].toSorted((a, b) => keyOf(jobs[a]!).localeCompare(keyOf(jobs[b]!)) || a - b);
  const runs = new Map<number, NaiveRun>();
  for (let from = 0; from < order.length; from += MOST_ROWS) {
    const some = order.slice(from, from + MOST_ROWS);
    const made = await runJobs(
      model,
      some.map((job) => jobs[job]!),
      asked,
    );
    some.forEach((job, i) => runs.set(job, made[i]!));
  }
  return jobs.map((_, job) => must(runs.get(job), `job ${job}`));
}

/** One forward pass with a row a job. */
async function runJobs(model: Model, jobs: readonly Job[], { request, read }: Asked): Promise<NaiveRun[]> {
  const { logits, activations } = await model.forward({
    tokens: jobs.map(({ prompt }) => prompt.tokens),
    edits: jobs.flatMap(({ edits }, row) => edits.map((edit) => ({ ...edit, rows: [row] }))),
    read,
    logits: { positions: "all" },
    ...(request.beyondContext && { beyondContext: true }),
  });
  const { data, shape } = must(logits, "logits");
  const [, width = 0, vocab = 0] = shape;
  return jobs.map(({ prompt }, row) => ({
    logits: data.slice((row * width + prompt.at) * vocab, (row * width + prompt.at + 1) * vocab),
    activations: Object.fromEntries(
      Object.entries(activations).map(([address, value]) => [address, rowOf(value, row, prompt.tokens.length)]),
    ),
  }));
}

/** One row of a value, without its padding. */
function rowOf({ data, shape, axes }: Tensor, row: number, length: number): Tensor {
  const own = shape.slice(1);
  const cut = own.map((size, axis) => (["pos", "query", "key"].includes(axes[axis + 1]!) ? length : size));
  const whole = data.subarray(row * sizeOf(own), (row + 1) * sizeOf(own));
  const out = data instanceof Int32Array ? new Int32Array(sizeOf(cut)) : new Float32Array(sizeOf(cut));
  for (let i = 0; i < out.length; i++) {
    let [rest, at, stride] = [i, 0, 1];
    for (let axis = cut.length - 1; axis >= 0; axis--) {
      at += (rest % cut[axis]!) * stride;
      rest = Math.floor(rest / cut[axis]!);
      stride *= own[axis]!;
    }
    out[i] = whole[at]!;
  }
  return tensor(out, cut, axes.slice(1));
}
