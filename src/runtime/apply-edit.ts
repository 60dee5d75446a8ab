/**
 * @file What each kind of edit does to one vector, and how it is applied to the values of a pass. Formulas as in `edit.ts`; a
 * basis is made orthonormal once, when the edit is prepared. Sums run in float64.
 */
import { internal, must, refuse, SextantError } from "../base/errors.js";
import { orthonormalRows } from "../base/linear-algebra.js";
import type { TensorData } from "../base/tensor.js";
import type { Place } from "../models/address.js";
import { pointRow } from "../models/points.js";
import type { AxisSizes } from "../models/sizes.js";
import type { Edit, EditKind, ScheduledEdit, Values } from "./edit.js";
import type { Pass } from "./pass.js";
import type { PositionTest, PreparedEdit } from "./prepare-edits.js";

/** Where a vector stands: row, position, head. At scores and patterns `head` is the head and the vector runs over keys. */
export interface Spot {
  readonly row: number;
  readonly position: number;
  readonly head: number;
}

/** Changes the elements `units` (all when undefined) of a vector in place. `keyAt` gives an element's key position at edges. */
export type VectorOperation = (x: TensorData, spot: Spot, units: Iterable<number>, keyAt?: (index: number) => number) => void;

/** What an edit is made for. */
export interface Target {
  readonly where: string;
  readonly place: Place;
  readonly sizes: AxisSizes;
  readonly isEdges: boolean;
  /** Whether the softmax has a logit besides the keys', so that a query without keys is defined. */
  readonly hasSinks: boolean;
}

type Maker<K extends EditKind> = (edit: Extract<Edit, { op: K }>, target: Target) => VectorOperation;

/** One function an edit kind; the compiler asks for the missing one. */
const MAKERS: { readonly [K in EditKind]: Maker<K> } = {
  set: ({ value }, target) => {
    if (typeof value === "number") {
      if (!Number.isFinite(value)) throw bad(target, `value must be a number, got ${value}`);
      return (x, _, units) => assign(x, units, () => value);
    }
    const source = lookup(value, target, "value");
    return (x, spot, units, keyAt) => assign(x, units, (unit) => source(spot, keyAt ? keyAt(unit) : unit));
  },
  add: ({ vector, strength = 1 }, target) => {
    const step = vectorOf(vector, target, "vector");
    if (!Number.isFinite(strength)) throw bad(target, `strength must be a number, got ${strength}`);
    return (x, _, units) => assign(x, units, (unit) => x[unit]! + strength * step[unit]!);
  },
  scale: ({ by }, target) => {
    if (!Number.isFinite(by)) throw bad(target, `by must be a number, got ${by}`);
    return (x, _, units) => assign(x, units, (unit) => (x[unit] === -Infinity ? -Infinity : by * x[unit]!));
  },
  project_out: ({ basis }, target) => {
    const rows = basisOf(basis, target);
    return (x) =>
      addComponents(
        x,
        rows,
        rows.map((row) => -dot(row, x)),
      );
  },
  clamp: ({ direction, min = -Infinity, max = Infinity }, target) => {
    const unbounded = min === -Infinity && max === Infinity;
    if (!(min <= max) || unbounded || min === Infinity || max === -Infinity)
      throw bad(target, `clamp needs a min or a max, and min ≤ max; got ${min} and ${max}`);
    vectorOf(direction, target, "direction");
    const [unit] = basisOf(direction, target, "direction");
    const u = must(unit, "a direction");
    return (x) => {
      const c = dot(u, x);
      addComponents(x, [u], [Math.min(Math.max(c, min), max) - c]);
    };
  },
  interchange: ({ value, basis }, target) => {
    const rows = basisOf(basis, target);
    const source = lookup(value, target, "value");
    return (x, spot) => {
      const other = Float64Array.from({ length: x.length }, (_, unit) => source(spot, unit) - x[unit]!);
      addComponents(
        x,
        rows,
        rows.map((row) => dot(row, other)),
      );
    };
  },
  rotate: ({ plane, angle }, target) => {
    const [e1, e2] = planeOf(plane, target);
    if (!Number.isFinite(angle)) throw bad(target, `angle must be a number of degrees, got ${angle}`);
    const [cos, sin] = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
    return (x) => {
      const [c1, c2] = [dot(e1, x), dot(e2, x)];
      const radius = Math.hypot(c1, c2);
      addComponents(x, [e1, e2], [radius * cos - c1, radius * sin - c2]);
    };
  },
  knockout: (_, target) => {
    if (target.place.point !== "attn_scores") {
      throw refuse(
        {
          what: `${target.where}: cannot knock out edges here`,
          why: "knockout works before softmax",
          instead: `attn_scores.${target.place.layer ?? 0}`,
        },
        "request",
      );
    }
    return (x, spot, units) => {
      assign(x, units, () => -Infinity);
      if (!target.hasSinks && x.every((score) => score === -Infinity)) {
        throw new SextantError(
          "request",
          `${target.where}: query ${spot.position} of row ${spot.row} has no key left at head ${spot.head}; its pattern would be undefined`,
        );
      }
    };
  },
};

const AT_EDGES: ReadonlySet<EditKind> = new Set(["set", "scale", "knockout"]);

/** The operation of an edit on single vectors, its tensors checked. */
export function operationOn(edit: ScheduledEdit, target: Target): VectorOperation {
  if (target.isEdges && !AT_EDGES.has(edit.op)) {
    throw refuse(
      {
        what: `${target.where}: cannot ${edit.op} here`,
        why: "the point's last axis is the key, which has no fixed width",
        instead: "set, scale or knockout; or edit q, k, v or z",
      },
      "request",
    );
  }
  if (pointRow(target.place.point).dtype === "int32" && edit.op !== "set") {
    throw refuse({ what: `${target.where}: cannot ${edit.op} here`, why: "the point holds indices", instead: "set" }, "request");
  }
  return (MAKERS[edit.op] as Maker<EditKind>)(edit as never, target);
}

/** Applies an edit, in place, to the values of its point in a pass. */
export function applyEdit(edit: PreparedEdit, data: TensorData, pass: Pass, sizes: AxisSizes): void {
  if (pointRow(edit.place.point).axes.includes("key")) applyToEdges(edit, data, pass, must(sizes.heads, "the number of heads"));
  else applyToVectors(edit, data, pass, sizes);
}

function applyToVectors(edit: PreparedEdit, data: TensorData, pass: Pass, { heads = 1, last }: AxisSizes): void {
  const chosenHeads = edit.heads ?? range(heads);
  const units = edit.units ?? range(last);
  forSelected(edit, pass, (row, i, position) => {
    for (const head of chosenHeads) {
      const start = ((row * pass.width + i) * heads + head) * last;
      edit.operation(data.subarray(start, start + last), { row, position, head }, units);
    }
  });
}

/** Scores and patterns: batch, head, query, key. Only keys that the query sees, within the window, count as selected. */
function applyToEdges(edit: PreparedEdit, data: TensorData, pass: Pass, heads: number): void {
  const keyCount = pass.keyPositions[0]?.length ?? 0;
  const chosenHeads = edit.heads ?? range(heads);
  forSelected(edit, pass, (row, i, position) => {
    const keyPositions = must(pass.keyPositions[row], `keys of row ${row}`);
    const test = must(edit.keys[row], `key test of row ${row}`);
    const oldest = edit.window === undefined ? 0 : Math.max(position - edit.window + 1, 0);
    const keys = selectedKeys(keyPositions, { oldest, newest: position }, test);
    if (keys.length === 0) return;
    for (const head of chosenHeads) {
      const start = ((row * heads + head) * pass.width + i) * keyCount;
      edit.operation(data.subarray(start, start + keyCount), { row, position, head }, keys, (key) => keyPositions[key]!);
    }
  });
}

function selectedKeys(keyPositions: Int32Array, seen: { oldest: number; newest: number }, test: PositionTest): number[] {
  const keys: number[] = [];
  keyPositions.forEach((position, key) => {
    if (position >= seen.oldest && position <= seen.newest && test(position)) keys.push(key);
  });
  return keys;
}

function forSelected(edit: PreparedEdit, pass: Pass, visit: (row: number, i: number, position: number) => void): void {
  pass.rows.forEach((tokens, row) => {
    if (edit.rows && !edit.rows.has(row)) return;
    const test = must(edit.positions[row], `position test of row ${row}`);
    for (let i = 0; i < tokens.length; i++) {
      const position = pass.positions[row]![i]!;
      if (test(position)) visit(row, i, position);
    }
  });
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function assign(x: TensorData, units: Iterable<number>, value: (unit: number) => number): void {
  for (const unit of units) x[unit] = value(unit);
}

/** `a · b`. */
export function dot(a: Float64Array, b: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i]! * b[i]!;
  return total;
}

/** `x + Σ amounts[j] · rows[j]`, in place. */
export function addComponents(x: TensorData, rows: readonly Float64Array[], amounts: readonly number[]): void {
  for (let unit = 0; unit < x.length; unit++) {
    let change = 0;
    for (let j = 0; j < rows.length; j++) change += amounts[j]! * rows[j]![unit]!;
    x[unit] = x[unit]! + change;
  }
}

function shapeOf(values: Values): readonly number[] {
  return "data" in values ? values.shape : [values.length];
}

function dataOf(values: Values, target: Target, field: string): ArrayLike<number> {
  const data = "data" in values ? values.data : values;
  const isAllowed = (x: number): boolean => Number.isFinite(x) || (x === -Infinity && target.place.point === "attn_scores");
  for (let i = 0; i < data.length; i++) if (!isAllowed(data[i]!)) throw bad(target, `${field} holds ${data[i]} at element ${i}`);
  return data;
}

function vectorOf(values: Values, target: Target, field: string): ArrayLike<number> {
  const shape = shapeOf(values);
  const width = target.sizes.last;
  const length = shape.reduce((product, size) => product * size, 1);
  if (length !== width || shape.at(-1) !== width)
    throw bad(target, `${field} must have ${width} elements, got shape [${shape.join(", ")}]`);
  return dataOf(values, target, field);
}

function rowsOf(values: Values, target: Target, field: string): Float64Array[] {
  const shape = shapeOf(values);
  const width = target.sizes.last;
  const count = shape.length === 1 ? 1 : (shape[0] ?? 0);
  if (shape.length > 2 || shape.at(-1) !== width || count < 1 || count > width) {
    throw bad(target, `${field} must have shape [k, ${width}] with k from 1 to ${width}, got [${shape.join(", ")}]`);
  }
  const data = dataOf(values, target, field);
  return range(count).map((row) => Float64Array.from({ length: width }, (_, unit) => data[row * width + unit]!));
}

/** The rows of a basis, orthonormalised. */
export function basisOf(values: Values, target: Target, field = "basis"): Float64Array[] {
  const rows = orthonormalRows(rowsOf(values, target, field));
  if (!rows) throw bad(target, `the rows of ${field} are zero or depend on each other, so they span less than they claim`);
  return rows;
}

/** The two orthonormal rows of a plane. */
export function planeOf(values: Values, target: Target): readonly [Float64Array, Float64Array] {
  const [e1, e2, ...more] = rowsOf(values, target, "plane");
  if (!e1 || !e2 || more.length > 0) throw bad(target, "plane must have two rows");
  const off = Math.max(Math.abs(dot(e1, e1) - 1), Math.abs(dot(e2, e2) - 1), Math.abs(dot(e1, e2)));
  if (off > 1e-3) throw bad(target, `the rows of plane must be orthonormal, they are off by ${off.toPrecision(2)}`);
  return [e1, e2];
}

/** Reads a value whose axes are the last ones of the point, at a spot: batch, pos, head and unit as far as it has them. */
function lookup(values: Values, target: Target, field: string): (spot: Spot, unit: number) => number {
  const { axes } = pointRow(target.place.point);
  const shape = shapeOf(values);
  const names = axes.slice(axes.length - shape.length);
  if (shape.length > axes.length) throw bad(target, `${field} has ${shape.length} axes, the point has ${axes.join(", ")}`);
  const { heads, last } = target.sizes;
  names.forEach((name, axis) => {
    const known = axis === names.length - 1 && !target.isEdges ? last : name === "head" || name === "kv_head" ? heads : undefined;
    if (known !== undefined && shape[axis] !== known)
      throw bad(target, `${field} must have ${known} along ${name}, got shape [${shape.join(", ")}]`);
  });
  const data = dataOf(values, target, field);
  return (spot, unit) => {
    let index = 0;
    names.forEach((name, axis) => {
      const length = shape[axis]!;
      const at = coordinate(name, spot, unit);
      if (at >= length) throw bad(target, `${field} has ${length} along ${name}, the edit needs index ${at}`);
      index = index * length + at;
    });
    return data[index]!;
  };
}

function coordinate(axis: string, spot: Spot, unit: number): number {
  if (axis === "batch") return spot.row;
  if (axis === "pos" || axis === "query") return spot.position;
  if (axis === "head" || axis === "kv_head") return spot.head;
  if (unit < 0) throw internal("a padding key was selected");
  return unit;
}

function bad({ where }: Target, problem: string): SextantError {
  return new SextantError("request", `${where}: ${problem}`);
}
