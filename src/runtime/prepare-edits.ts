/**
 * @file Edits of a request, held against the model and the rows they are for: addresses, widths, selectors. What matches
 * nothing, or undoes another edit, is refused. The result can be applied to any pass over these rows.
 */
import { refuse, SextantError } from "../base/errors.js";
import { describeJson } from "../formats/json.js";
import { inForwardOrder, parseAddress, type Place } from "../models/address.js";
import { pointRow } from "../models/points.js";
import { axisLength, axisSizes } from "../models/sizes.js";
import type { ModelSpec } from "../models/spec.js";
import { operationOn, type VectorOperation } from "./apply-edit.js";
import { checkEdit } from "./check-edit.js";
import { pullbackOn, type Pullback } from "./edit-pullback.js";
import type { Positions, ScheduledEdit } from "./edit.js";

/** Which of a row's positions, by index from its start. */
export type PositionTest = (position: number) => boolean;

/** An edit ready to be applied. Absent selectors mean all. */
export interface PreparedEdit {
  readonly place: Place;
  readonly index: number;
  readonly op: ScheduledEdit["op"];
  readonly operation: VectorOperation;
  /** How a gradient goes back through it. */
  readonly pullback: Pullback;
  readonly rows: ReadonlySet<number> | undefined;
  readonly heads: readonly number[] | undefined;
  readonly units: readonly number[] | undefined;
  /** Positions of the point, or queries at scores and patterns. */
  readonly positions: readonly PositionTest[];
  /** Keys, at scores and patterns. */
  readonly keys: readonly PositionTest[];
  /** Keys further back than this are masked, and so never selected. */
  readonly window: number | undefined;
}

/** What the rows of a request are like. In generation the lengths are the prompts', and positions may lie beyond them. */
export interface RowSizes {
  readonly lengths: readonly number[];
  /** Positions that a row can grow to; equal to `lengths` in a plain forward pass. */
  readonly limits: readonly number[];
}

/** The edits in forward order, ready to apply. */
export function prepareEdits(spec: ModelSpec, edits: readonly ScheduledEdit[], rows: RowSizes): PreparedEdit[] {
  if (!Array.isArray(edits)) throw new SextantError("request", `edits: must be a list of edits, got ${describeJson(edits)}`);
  const prepared = edits
    .map((edit, index) => prepareEdit(spec, edit, { index, ...rows }))
    .toSorted((a, b) => inForwardOrder(a.place, b.place) || a.index - b.index);
  for (const edit of prepared) refuseIdle(edit, rows);
  prepared.forEach((edit, index) => {
    for (const earlier of prepared.slice(0, index)) refuseContradiction(earlier, edit, rows);
  });
  return prepared;
}

function prepareEdit(spec: ModelSpec, edit: unknown, context: RowSizes & { index: number }): PreparedEdit {
  checkEdit(edit, `edits[${context.index}]`);
  const place = placeOf(spec, edit.at, `edits[${context.index}]`);
  const row = pointRow(place.point);
  const where = `edits[${context.index}] at ${place.address}`;
  if (row.readOnly) throw refuse({ what: `${where}: cannot write ${place.address}`, ...row.readOnly });
  const sizes = axisSizes(spec, place);
  const { isEdges, window, hasSinks } = edgesAt(spec, place);
  checkSelectors(edit, { where, isEdges, hasHeads: sizes.heads !== undefined });
  if (row.dtype === "int32") checkExperts(edit, axisLength(spec, "expert", place.layer), where);
  const rows = chosen(edit.rows, context.lengths.length, `${where}: rows`);
  const selected = context.lengths.map((_, index) => !rows || rows.includes(index));
  const at = isEdges ? edit.queries : edit.positions;
  const target = { where, place, sizes, isEdges, hasSinks };
  return {
    place,
    index: context.index,
    op: edit.op,
    operation: operationOn(edit, target),
    pullback: pullbackOn(edit, target),
    rows: rows && new Set(rows),
    heads: chosen(edit.heads, sizes.heads ?? 0, `${where}: heads`),
    units: chosen(edit.units, isEdges ? Infinity : sizes.last, `${where}: units`),
    positions: scheduled(
      edit,
      positionTests(at, { where: `${where}: ${isEdges ? "queries" : "positions"}`, selected, ...context }),
      context,
    ),
    keys: positionTests(edit.keys, { where: `${where}: keys`, selected, ...context }),
    window,
  };
}

/** The place of an edit's address, which is one and not many. */
export function placeOf(spec: ModelSpec, at: string, where: string): Place {
  if (!at.trim().endsWith(".*")) return parseAddress(spec, at);
  const instead = "write an edit for each layer";
  throw refuse({ what: `${where}: cannot edit ${at}`, why: "an edit is at one address", instead }, "request");
}

/** Whether a place is scores or a pattern, and what its layer's attention says about edges. */
export function edgesAt(spec: ModelSpec, { point, layer = 0 }: Place): { isEdges: boolean; window: number | undefined; hasSinks: boolean } {
  const isEdges = pointRow(point).axes.includes("key");
  const attention = isEdges ? spec.layers[layer]?.attention : undefined;
  return { isEdges, window: attention?.window, hasSinks: attention?.sinks !== undefined };
}

/** Throws unless an edit of `experts` sets indices of experts; another number would leave one out without a word. */
export function checkExperts(edit: ScheduledEdit, count: number, where: string): void {
  if (edit.op !== "set") return;
  const values = typeof edit.value === "number" ? [edit.value] : "data" in edit.value ? [...edit.value.data] : edit.value;
  const stray = values.find((value) => !Number.isInteger(value) || value < 0 || value >= count);
  if (stray !== undefined) throw new SextantError("request", `${where}: value must hold experts, 0 to ${count - 1}, got ${stray}`);
}

/** The selectors that an edit has, whatever they hold. */
type Selected = { readonly [K in "heads" | "units" | "positions" | "queries" | "keys"]?: unknown } & { readonly op: string };

/** Throws where a selector is for another kind of point. */
export function checkSelectors(edit: Selected, at: { where: string; isEdges: boolean; hasHeads: boolean }): void {
  const { where, isEdges, hasHeads } = at;
  const say = (selector: string, why: string, instead?: string): SextantError =>
    refuse({ what: `${where}: cannot select ${selector}`, why, ...(instead && { instead }) }, "request");
  if (edit.heads && !hasHeads) throw say("heads", "the point has no head axis", "edit z, q, k, v or head_out");
  if (isEdges && edit.positions) throw say("positions", "the point has two position axes", "queries and keys");
  if (isEdges && edit.units) throw say("units", "the point's last axis is the key", "keys");
  if (!isEdges && (edit.queries || edit.keys)) throw say("queries or keys", "the point has one position axis", "positions");
  const whole = ["project_out", "clamp", "interchange", "rotate"];
  if (edit.units && whole.includes(edit.op)) throw say("units", `${edit.op} changes the whole vector`);
}

/** Indices in range, each once; undefined for all. Negative ones count from the end. */
export function chosen(indices: readonly number[] | undefined, count: number, where: string): readonly number[] | undefined {
  if (!indices) return undefined;
  if (indices.length === 0) throw new SextantError("request", `${where}: an empty list selects nothing; leave it out to select all`);
  const found = indices.map((index) => {
    const from = index < 0 && Number.isFinite(count) ? index + count : index;
    if (!Number.isInteger(index) || from < 0 || from >= count)
      throw new SextantError("request", `${where}: ${index} is out of range, there are ${count}`);
    return from;
  });
  return [...new Set(found)];
}

interface PositionContext extends RowSizes {
  readonly where: string;
  readonly selected: readonly boolean[];
}

function positionTests(positions: Positions | undefined, context: PositionContext): PositionTest[] {
  const { lengths, limits, selected, where } = context;
  if (positions === undefined) return lengths.map(() => () => true);
  if (!Array.isArray(positions)) {
    const { every, from = 0, to = Infinity } = positions as Exclude<Positions, readonly number[]>;
    return lengths.map((length) => {
      const [first, last] = [from < 0 ? from + length : from, to < 0 ? to + length : to];
      return (position) => position >= first && position < last && (position - first) % every === 0;
    });
  }
  const list = positions as readonly number[];
  if (list.length === 0) throw new SextantError("request", `${where}: an empty list selects nothing; leave it out to select all`);
  return lengths.map((length, row) => {
    const wanted = new Set(
      list.map((position) => absolute(position, { length, limit: limits[row] ?? length, row, where, strict: selected[row] ?? false })),
    );
    return (position) => wanted.has(position);
  });
}

function absolute(position: number, at: { length: number; limit: number; row: number; where: string; strict: boolean }): number {
  const { length, limit, row, where, strict } = at;
  const index = position < 0 ? position + length : position;
  if (strict && (!Number.isInteger(position) || index < 0 || index >= limit)) {
    throw new SextantError("request", `${where}: ${position} is outside row ${row}, which has ${limit} positions; name the rows it is for`);
  }
  return index;
}

/** The tests narrowed to the prompt or the generated tokens, and to the steps of the schedule. */
function scheduled(edit: ScheduledEdit, tests: readonly PositionTest[], { lengths }: RowSizes): PositionTest[] {
  const { steps } = edit;
  const on = edit.on ?? (steps ? "generated" : "both");
  if (on === "both" && !steps) return [...tests];
  const { from = 0, to = Infinity, every = 1 } = steps ?? {};
  const isScheduled = (step: number): boolean => !steps || (step >= from && step < to && (step - from) % every === 0);
  return tests.map((test, row) => (position) => {
    const step = position - (lengths[row] ?? 0);
    if (step < 0 ? on === "generated" : on === "prompt" || !isScheduled(step)) return false;
    return test(position);
  });
}

/** Throws when an edit selects nothing in any of its rows. */
function refuseIdle({ place, index, rows, positions, keys, window = Infinity }: PreparedEdit, { limits }: RowSizes): void {
  const isEdges = pointRow(place.point).axes.includes("key");
  const selects = limits.some((limit, row) => {
    if (rows && !rows.has(row)) return false;
    for (let position = 0; position < limit; position++) {
      if (!positions[row]!(position)) continue;
      if (!isEdges) return true;
      for (let key = position; key >= 0 && key > position - window; key--) if (keys[row]!(key)) return true;
    }
    return false;
  });
  if (selects) return;
  const what = isEdges ? "no query that it selects sees a key that it selects" : "no position of its rows is selected";
  throw new SextantError("request", `edits[${index}] at ${place.address}: it changes nothing, since ${what}`);
}

/** Two edits contradict when the later one overwrites what the earlier one did. */
function refuseContradiction(first: PreparedEdit, second: PreparedEdit, { limits }: RowSizes): void {
  if (first.place.address !== second.place.address || !overwrites(second.op) || (first.op === "knockout" && second.op === "knockout"))
    return;
  const meet = (a: readonly number[] | undefined, b: readonly number[] | undefined): boolean =>
    !a || !b || a.some((item) => b.includes(item));
  if (!meet(first.heads, second.heads) || !meet(first.units, second.units)) return;
  const row = limits.findIndex((limit, index) => {
    if ((first.rows && !first.rows.has(index)) || (second.rows && !second.rows.has(index))) return false;
    const together = (a: readonly PositionTest[], b: readonly PositionTest[]): boolean =>
      Array.from({ length: limit }, (_, position) => position).some((position) => a[index]!(position) && b[index]!(position));
    return together(first.positions, second.positions) && together(first.keys, second.keys);
  });
  if (row === -1) return;
  throw new SextantError(
    "request",
    `edits[${first.index}] and edits[${second.index}] contradict: both change ${first.place.address} at the same places of row ${row}, and the ${second.op} of the second undoes the first`,
  );
}

function overwrites(op: ScheduledEdit["op"]): boolean {
  return op === "set" || op === "knockout";
}
