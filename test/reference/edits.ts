/**
 * @file The edits, one function an operation, on the vector along a point's last axis. An edit changes the vectors that its
 * selectors choose, and of them the elements that `units` (or, on edges, `keys`) choose.
 */
import { floats, sizeOf, type Floats } from "./arrays.js";
import { clip } from "./activations.js";
import { axesAt } from "./points.js";

/** A number for all elements, the name of a vector, or the values themselves. */
type Values = number | string | readonly number[] | { readonly shape: readonly number[]; readonly data: ArrayLike<number> };

/** The tensors that edits name. */
export type Vectors = Readonly<Record<string, { readonly shape: readonly number[]; readonly data: ArrayLike<number> }>>;

/** Every n-th position from `from` (0) to before `to` (the end). */
interface Every {
  readonly every: number;
  readonly from?: number;
  readonly to?: number;
}

interface Selectors {
  readonly rows?: readonly number[];
  readonly positions?: readonly number[] | Every;
  readonly heads?: readonly number[];
  readonly units?: readonly number[];
  readonly queries?: readonly number[];
  readonly keys?: readonly number[];
}

type Operation =
  | { readonly op: "set"; readonly value: Values }
  | { readonly op: "add"; readonly vector: Values; readonly strength?: number }
  | { readonly op: "scale"; readonly by: number }
  | { readonly op: "project_out"; readonly basis: Values }
  | { readonly op: "clamp"; readonly direction: Values; readonly min?: number; readonly max?: number }
  | { readonly op: "interchange"; readonly value: Values; readonly basis: Values }
  | { readonly op: "rotate"; readonly plane: Values; readonly angle: number }
  | { readonly op: "knockout" };

/** One edit as plain data: where, what, and on which part. */
export type Edit = { readonly at: string } & Selectors & Operation;

/** The tensors of an edit at one place: `here` gives the vector for this row, position and head, `all` every row of a matrix. */
interface Reader {
  here(values: Values): Float64Array;
  all(values: Values): Float64Array[];
}

type Change<O extends Edit["op"]> = (x: Float64Array, edit: Extract<Edit, { op: O }>, read: Reader) => Float64Array;

const CHANGES: { readonly [O in Edit["op"]]: Change<O> } = {
  set: (_x, { value }, read) => read.here(value),
  add: (x, { vector, strength = 1 }, read) => along(x, read.here(vector), strength),
  scale: (x, { by }) => x.map((value) => by * value),
  project_out: (x, { basis }, read) => along(x, inSpan(x, read.all(basis)), -1),
  clamp: (x, { direction, min = -Infinity, max = Infinity }, read) => {
    const u = unit(read.here(direction));
    const c = dot(x, u);
    return along(x, u, clip(c, min, max) - c);
  },
  interchange: (x, { value, basis }, read) => along(x, inSpan(along(read.here(value), x, -1), read.all(basis)), 1),
  rotate: (x, { plane, angle }, read) => {
    const [e1, e2] = read.all(plane) as [Float64Array, Float64Array];
    const [c1, c2] = [dot(x, e1), dot(x, e2)];
    const [length, turn] = [Math.hypot(c1, c2), (angle / 180) * Math.PI];
    return along(along(x, e1, length * Math.cos(turn) - c1), e2, length * Math.sin(turn) - c2);
  },
  knockout: (x) => x.map(() => -Infinity),
};

/** `x` (one row's value of a point, without the batch axis) after the edit. */
export function applyEdit(x: Floats, edit: Edit, { row, vectors }: { row: number; vectors: Vectors }): Floats {
  const axes = axesAt(edit.at);
  checkSelectors(edit, axes);
  const out = floats(x.shape, x.data.slice());
  const chosen = axes.map((axis, i) => selected(edit, axis, x.shape[i]!));
  const width = x.shape.at(-1)!;
  for (const index of product(chosen.slice(0, -1))) {
    const at = index.reduce((offset, i, axis) => offset * x.shape[axis]! + i, 0) * width;
    const old = x.data.slice(at, at + width);
    const change = CHANGES[edit.op] as Change<Edit["op"]>;
    const now = change(old, edit as never, reader([row, ...index], width, vectors));
    for (const i of chosen.at(-1)!) out.data[at + i] = now[i]!;
  }
  return out;
}

/** Which indices of an axis the edit chooses. */
function selected(edit: Edit, axis: string, length: number): number[] {
  const everything = Array.from({ length }, (_, i) => i);
  const lists: Record<string, readonly number[] | Every | undefined> = {
    pos: edit.positions,
    head: edit.heads,
    query: edit.queries,
    key: edit.keys,
  };
  const picked = axis in lists ? lists[axis] : edit.units;
  if (!picked) return everything;
  return "length" in picked ? picked.map((i) => fromEnd(i, length)) : everything.filter((i) => isEvery(i, picked, length));
}

function isEvery(i: number, { every, from = 0, to }: Every, length: number): boolean {
  return i >= from && i < (to ?? length) && (i - from) % every === 0;
}

function fromEnd(index: number, length: number): number {
  const at = index < 0 ? index + length : index;
  if (at < 0 || at >= length) throw new Error(`an edit names index ${index} of ${length}`);
  return at;
}

function isElement(axis: string): boolean {
  return !["pos", "head", "query", "key"].includes(axis);
}

/** A selector for an axis that the point lacks would be lost without a word. */
function checkSelectors(edit: Edit, axes: readonly string[]): void {
  const needs = { positions: "pos", heads: "head", queries: "query", keys: "key" } as const;
  for (const [selector, axis] of Object.entries(needs))
    if (edit[selector as keyof typeof needs] && !axes.includes(axis)) throw new Error(`${edit.at} has no ${axis} for ${selector}`);
  if (edit.units && !axes.some(isElement)) throw new Error(`${edit.at} has no units`);
}

/** Every combination of one index from each list. */
function product(lists: readonly (readonly number[])[]): number[][] {
  return lists.reduce<number[][]>((done, list) => done.flatMap((head) => list.map((i) => [...head, i])), [[]]);
}

/** A tensor's axes are the last ones of the point (batch in front), so its leading axes are looked up at `index`. */
function reader(index: readonly number[], width: number, vectors: Vectors): Reader {
  const resolve = (values: Values): Floats | number => {
    if (typeof values === "number") return values;
    if (typeof values === "string") return resolve(vectors[values] ?? fail(`no vector ${values}`));
    if ("shape" in values) return floats(values.shape, Float64Array.from(values.data));
    return floats([values.length], Float64Array.from(values));
  };
  const all = (values: Values): Float64Array[] => {
    const x = resolve(values);
    if (typeof x === "number" || x.shape.at(-1) !== width) return fail(`an edit needs vectors of ${width} elements`);
    return Array.from({ length: sizeOf(x.shape) / width }, (_, i) => x.data.slice(i * width, (i + 1) * width));
  };
  const here = (values: Values): Float64Array => {
    const x = resolve(values);
    if (typeof x === "number") return new Float64Array(width).fill(x);
    const lead = x.shape.slice(0, -1);
    const place = index.slice(index.length - lead.length);
    if (place.some((i, axis) => i >= lead[axis]!))
      return fail(`an edit's value of shape [${x.shape.join()}] has nothing at [${place.join()}]`);
    return all(values)[place.reduce((offset, i, axis) => offset * lead[axis]! + i, 0)]!;
  };
  return { here, all };
}

/** The part of `x` in the span of `basis`: Bᵀ B x, with B made orthonormal. */
function inSpan(x: Float64Array, basis: readonly Float64Array[]): Float64Array {
  return orthonormal(basis).reduce((sum, b) => along(sum, b, dot(x, b)), new Float64Array(x.length));
}

/** Gram-Schmidt, each vector made orthogonal twice against rounding. */
function orthonormal(basis: readonly Float64Array[]): Float64Array[] {
  return basis.reduce<Float64Array[]>((done, vector) => {
    const sweep = (v: Float64Array): Float64Array => done.reduce((rest, b) => along(rest, b, -dot(rest, b)), v);
    return [...done, unit(sweep(sweep(vector)))];
  }, []);
}

function unit(x: Float64Array): Float64Array {
  const length = Math.sqrt(dot(x, x));
  return x.map((value) => value / length);
}

function dot(x: Float64Array, y: Float64Array): number {
  return x.reduce((sum, value, i) => sum + value * y[i]!, 0);
}

/** x + by · y. */
function along(x: Float64Array, y: Float64Array, by: number): Float64Array {
  return x.map((value, i) => value + by * y[i]!);
}

function fail(message: string): never {
  throw new Error(message);
}
