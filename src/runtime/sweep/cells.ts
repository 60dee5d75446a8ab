/**
 * @file The counterfactuals of a sweep held against the model and the pairs: addresses, selectors, positions by name. What matches
 * nothing is refused. The result says for each pair what is changed where, and which cells cannot change anything.
 */
import { refuse, SextantError } from "../../base/errors.js";
import { describeJson, isJsonObject, type JsonObject } from "../../formats/json.js";
import { inForwardOrder, stageOf, type Place } from "../../models/address.js";
import { pointRow } from "../../models/points.js";
import { axisLength, axisSizes } from "../../models/sizes.js";
import type { ModelSpec } from "../../models/spec.js";
import { basisOf, operationOn, type Target, type VectorOperation } from "../apply-edit.js";
import { checkEdit } from "../check-edit.js";
import type { Edit } from "../edit.js";
import { checkExperts, checkSelectors, chosen, edgesAt, placeOf } from "../prepare-edits.js";
import type { PreparedPair } from "./pairs.js";
import type { Counterfactual, Patch, SweepEdit } from "./request.js";
import { resolvePositions, type SelectedPositions } from "./positions.js";

/** What happens to a selected vector: a function of it, or its replacement by that of another run. */
export type Change =
  | { readonly kind: "operation"; readonly operation: VectorOperation }
  | { readonly kind: "patch"; readonly run: "source" | "base"; readonly basis: readonly Float64Array[] | undefined };

/** An edit of a counterfactual, ready to be applied for any pair. Absent selectors mean all. */
export interface CellEdit {
  readonly place: Place;
  readonly heads: readonly number[] | undefined;
  readonly units: readonly number[] | undefined;
  /** Of each pair: positions of the base run, or queries at edges, and where in the other run a patch takes its value. */
  readonly selected: readonly SelectedPositions[];
  /** Of each pair: keys at edges; undefined for all. */
  readonly keys: readonly (ReadonlySet<number> | undefined)[];
  readonly change: Change;
}

/** A counterfactual, ready to be run. */
export interface PreparedCounterfactual {
  /** In forward order. */
  readonly edits: readonly CellEdit[];
  /** Layers in which attention's, and the MLP's, output is held at the base's wherever the variant differs. */
  readonly frozen: { readonly attention: ReadonlySet<number>; readonly mlp: ReadonlySet<number> };
}

interface Context {
  readonly spec: ModelSpec;
  readonly pairs: readonly PreparedPair[];
}

/** The counterfactuals, checked. */
export function prepareCounterfactuals(list: readonly Counterfactual[], context: Context): PreparedCounterfactual[] {
  if (!Array.isArray(list) || list.length === 0)
    throw new SextantError("request", `counterfactuals must be a list of at least one, got ${describeJson(list)}`);
  return list.map((counterfactual: Counterfactual, index) => prepareOne(counterfactual, `counterfactuals[${index}]`, context));
}

function prepareOne(counterfactual: Counterfactual, where: string, context: Context): PreparedCounterfactual {
  const { edits, freeze = [], ...rest } = isJsonObject(counterfactual) ? counterfactual : ({} as Partial<Counterfactual>);
  if (!Array.isArray(edits) || edits.length === 0) throw new SextantError("request", `${where}: edits must be a list of at least one`);
  if (!Array.isArray(freeze))
    throw new SextantError("request", `${where}: freeze must be a list of addresses, got ${describeJson(freeze)}`);
  const [stray] = Object.keys(rest);
  if (stray !== undefined)
    throw new SextantError("request", `${where}: a counterfactual has no field ${JSON.stringify(stray)}; it takes edits and freeze`);
  const changing = edits.map((edit: unknown, i) => prepareCellEdit(edit, `${where}.edits[${i}]`, context));
  const holding = freeze.map((at: string, i) => prepareCellEdit({ at, op: "patch", run: "base" }, `${where}.freeze[${i}]`, context));
  const all = [...changing, ...holding];
  const held = (point: string): ReadonlySet<number> =>
    new Set(holding.flatMap(({ place }) => (place.point === point && place.layer !== undefined ? [place.layer] : [])));
  const ordered = all
    .map((edit, index) => ({ edit, index }))
    .toSorted((a, b) => inForwardOrder(a.edit.place, b.edit.place) || a.index - b.index)
    .map(({ edit }) => edit);
  return {
    edits: withoutEqual(ordered, context.pairs),
    frozen: { attention: held("attn_out"), mlp: held("mlp_out") },
  };
}

function prepareCellEdit(given: unknown, where: string, context: Context): CellEdit {
  const { spec, pairs } = context;
  const edit = checkShape(given, where);
  const place = placeOf(spec, edit.at, where);
  const row = pointRow(place.point);
  const at = `${where} at ${place.address}`;
  if (row.readOnly) throw refuse({ what: `${at}: cannot write ${place.address}`, ...row.readOnly });
  const sizes = axisSizes(spec, place);
  const { isEdges, window, hasSinks } = edgesAt(spec, place);
  checkSelectors(edit, { where: at, isEdges, hasHeads: sizes.heads !== undefined });
  const change = changeOf(edit, { where: at, place, sizes, isEdges, hasSinks }, spec);
  const selectedAt = isEdges ? edit.queries : edit.positions;
  const patch = edit.op === "patch" ? edit : undefined;
  const selected = pairs.map((pair) =>
    resolvePositions(pair, { where: `${at}: ${isEdges ? "queries" : "positions"}`, positions: selectedAt, patch, isEdges }),
  );
  if (selected.every(({ positions }) => positions.length === 0))
    throw new SextantError("request", `${at}: it changes nothing, since no position of any pair is selected`);
  const keys = pairs.map((pair) => keysOf(pair, edit, `${at}: keys`));
  const prepared = {
    place,
    heads: chosen(edit.heads, sizes.heads ?? 0, `${at}: heads`),
    units: chosen(edit.units, isEdges ? Infinity : sizes.last, `${at}: units`),
    selected,
    keys,
    change,
  };
  if (isEdges) refuseUnseen(prepared, { where: at, window, pairs });
  return prepared;
}

/** What an edit does to a vector. */
function changeOf(edit: SweepEdit, target: Target, spec: ModelSpec): Change {
  const { where, place, isEdges } = target;
  const isIndices = pointRow(place.point).dtype === "int32";
  if (edit.op === "patch") {
    if (edit.basis !== undefined && (isEdges || isIndices)) throw noSubspace(where, isEdges);
    return { kind: "patch", run: edit.run ?? "source", basis: edit.basis && basisOf(edit.basis, target) };
  }
  if (isIndices) checkExperts(plainEdit(edit), axisLength(spec, "expert", place.layer), where);
  return { kind: "operation", operation: operationOn(plainEdit(edit), target) };
}

function noSubspace(where: string, isEdges: boolean): SextantError {
  const why = isEdges ? "the point's last axis is the key, which has no fixed width" : "the point holds indices";
  return refuse({ what: `${where}: cannot patch in a subspace here`, why, instead: "patch without a basis" }, "request");
}

/** The edit without the selectors that may hold names, as every other request has it. */
function plainEdit({ positions: _positions, queries: _queries, keys: _keys, ...rest }: SweepEdit): Edit {
  return rest as Edit;
}

const PATCH_FIELDS = ["at", "op", "positions", "queries", "keys", "heads", "units", "run", "from", "basis"];

function checkShape(given: unknown, where: string): SweepEdit {
  const fail = (what: string): SextantError => new SextantError("request", `${where}: ${what}`);
  if (!isJsonObject(given)) throw fail(`must be an edit, got ${describeJson(given)}`);
  for (const name of ["queries", "keys", "from"] as const) if (given[name] !== undefined) checkNames(given[name], `${where}: ${name}`);
  const { positions } = given;
  if (positions !== undefined && !isJsonObject(positions)) checkNames(positions, `${where}: positions`);
  if (given["rows"] !== undefined) throw fail("a counterfactual has no rows: it holds for every pair");
  if (given["on"] !== undefined || given["steps"] !== undefined)
    throw fail("on and steps are for generation, and a sweep generates nothing");
  if (given["op"] !== "patch") {
    const { queries: _queries, keys: _keys, positions: spots, ...rest } = given;
    checkEdit({ ...rest, ...(isJsonObject(spots) && { positions: spots }) }, where);
    return given as unknown as SweepEdit;
  }
  checkPatch(given, where);
  return given as unknown as SweepEdit;
}

function checkPatch(given: JsonObject, where: string): void {
  const fail = (what: string): SextantError => new SextantError("request", `${where}: ${what}`);
  const stray = Object.keys(given).find((name) => !PATCH_FIELDS.includes(name));
  if (stray !== undefined) throw fail(`patch has no field ${JSON.stringify(stray)}; it takes ${PATCH_FIELDS.join(", ")}`);
  if (typeof given["at"] !== "string") throw fail(`at must be an address, got ${describeJson(given["at"])}`);
  const { at, heads, units, positions } = given;
  checkEdit({ at, op: "scale", by: 1, heads, units, ...(isJsonObject(positions) && { positions }) }, where);
  const { run, from, basis } = given as Partial<Patch>;
  if (run !== undefined && run !== "source" && run !== "base") throw fail(`run must be "source" or "base", got ${describeJson(run)}`);
  if (run === "base" && from !== undefined)
    throw fail('from is for values of the other prompt; a patch from the "base" restores each position');
  if (basis !== undefined) checkEdit({ at, op: "project_out", basis }, where);
  if (basis !== undefined && units !== undefined) throw fail("a patch with a basis changes the whole vector, so it cannot select units");
}

function checkNames(value: unknown, where: string): void {
  const isEntry = (item: unknown): boolean => typeof item === "number" || typeof item === "string";
  if (!Array.isArray(value) || !value.every(isEntry))
    throw new SextantError("request", `${where} must be a list of positions or of their names, got ${describeJson(value)}`);
}

function keysOf(pair: PreparedPair, { keys }: SweepEdit, where: string): ReadonlySet<number> | undefined {
  if (keys === undefined) return undefined;
  return new Set(resolvePositions(pair, { where, positions: keys, patch: undefined, isEdges: true }).positions);
}

/**
 * The edits, in forward order, without the positions whose value a patch would not change: those in front of the first token in which
 * the two prompts differ, since no position sees a later one; and in front of the first block those of equal tokens. Behind what an
 * earlier edit of the same run changed, a patch does change something there too.
 */
function withoutEqual(edits: readonly CellEdit[], pairs: readonly PreparedPair[]): CellEdit[] {
  const changedFrom = pairs.map(() => Infinity);
  return edits.map((edit) => {
    const selected = edit.selected.map(({ positions, from }, pair): SelectedPositions => {
      const isIdle = (i: number): boolean =>
        positions[i]! < changedFrom[pair]! && isEqual(edit, pairs[pair]!, { position: positions[i]!, from: from[i]! });
      const kept = [...positions.keys()].filter((i) => !isIdle(i));
      const first = kept[0];
      if (first !== undefined && !isRestoring(edit)) changedFrom[pair] = Math.min(changedFrom[pair]!, positions[first]!);
      return { positions: Int32Array.from(kept, (i) => positions[i]!), from: Int32Array.from(kept, (i) => from[i]!) };
    });
    return { ...edit, selected };
  });
}

function isRestoring({ change }: Pick<CellEdit, "change">): boolean {
  return change.kind === "patch" && change.run === "base";
}

/** Whether the two prompts have the same value at a place of a patch. */
function isEqual(
  { change, place }: Pick<CellEdit, "change" | "place">,
  pair: PreparedPair,
  at: { position: number; from: number },
): boolean {
  const { position, from } = at;
  if (change.kind !== "patch" || change.run === "base" || position !== from) return false;
  const isFirst = stageOf(place) === -1 || (place.point === "resid_pre" && place.layer === 0);
  return position < pair.firstDifference || (isFirst && pair.base[position] === pair.source?.[position]);
}

/** Throws where no selected query sees a selected key. */
function refuseUnseen(
  edit: Pick<CellEdit, "place" | "change" | "selected" | "keys">,
  at: { where: string; window: number | undefined; pairs: readonly PreparedPair[] },
): void {
  const { where, window = Infinity, pairs } = at;
  pairs.forEach((prepared, pair) => {
    const keys = edit.keys[pair];
    if (!keys) return;
    const queries = [...edit.selected[pair]!.positions];
    const sees = queries.some((query) => [...keys].some((key) => key <= query && key > query - window));
    const isIdle = queries.every((position) => isEqual(edit, prepared, { position, from: position }));
    if (!sees && !isIdle)
      throw new SextantError(
        "request",
        `${where}: it changes nothing in pair ${pair}, since no query that it selects sees a key that it selects`,
      );
  });
}
