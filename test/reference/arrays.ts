/** @file Dense row-major arrays of float64, and the few things that are done to them. Shapes in words: `reference.ts`. */

/** A dense row-major array. */
export interface Floats {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** The number of elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

/** An array over `data`, or of zeros. */
export function floats(shape: readonly number[], data: Float64Array = new Float64Array(sizeOf(shape))): Floats {
  if (data.length !== sizeOf(shape)) throw new Error(`shape [${shape.join()}] needs ${sizeOf(shape)} elements, got ${data.length}`);
  return { shape, data };
}

/** The same elements under another shape. */
export function reshape(x: Floats, shape: readonly number[]): Floats {
  return floats(shape, x.data);
}

/** `x` with `f` done to each element. */
export function map(x: Floats, f: (value: number) => number): Floats {
  return floats(x.shape, x.data.map(f));
}

/** x + y, element by element. */
export function add(x: Floats, y: Floats): Floats {
  if (x.data.length !== y.data.length) throw new Error(`add: [${x.shape.join()}] and [${y.shape.join()}]`);
  return floats(
    x.shape,
    x.data.map((value, i) => value + y.data[i]!),
  );
}

/** x · y, element by element. */
export function multiply(x: Floats, y: Floats): Floats {
  if (x.data.length !== y.data.length) throw new Error(`multiply: [${x.shape.join()}] and [${y.shape.join()}]`);
  return floats(
    x.shape,
    x.data.map((value, i) => value * y.data[i]!),
  );
}

/** by · x. */
export function scale(x: Floats, by: number): Floats {
  return map(x, (value) => by * value);
}

/** The rows of `table [N, C]` that `ids` names: `[T, C]`. */
export function rows(table: Floats, ids: readonly number[]): Floats {
  const [N = 0, C = 0] = table.shape;
  const out = floats([ids.length, C]);
  ids.forEach((id, t) => {
    if (!(id >= 0 && id < N)) throw new Error(`row ${id} of ${N}`);
    out.data.set(table.data.subarray(id * C, (id + 1) * C), t * C);
  });
  return out;
}

/** Columns `from … from+count` of `x [T, N]`: `[T, count]`. */
export function columns(x: Floats, from: number, count: number): Floats {
  const [T = 0, N = 0] = x.shape;
  const out = floats([T, count]);
  for (let t = 0; t < T; t++) for (let i = 0; i < count; i++) out.data[t * count + i] = x.data[t * N + from + i]!;
  return out;
}

/** `[I, O]` → `[O, I]`. */
export function transpose(x: Floats): Floats {
  const [I = 0, O = 0] = x.shape;
  const out = floats([O, I]);
  for (let i = 0; i < I; i++) for (let o = 0; o < O; o++) out.data[o * I + i] = x.data[i * O + o]!;
  return out;
}

/** Element `index` of the first axis: `[E, …rest]` → `[…rest]`. */
export function slab(x: Floats, index: number): Floats {
  const shape = x.shape.slice(1);
  const size = sizeOf(shape);
  return floats(shape, x.data.subarray(index * size, (index + 1) * size));
}

/** x Wᵀ + b: `x [T, I]`, `w [O, I]` (as torch stores it), `b [O]` → `[T, O]`. */
export function linear(x: Floats, w: Floats, b?: Floats): Floats {
  const [T = 0, I = 0] = x.shape;
  const [O = 0, wide = 0] = w.shape;
  if (wide !== I) throw new Error(`linear: x [${x.shape.join()}] and w [${w.shape.join()}]`);
  const out = floats([T, O]);
  for (let t = 0; t < T; t++) {
    const row = x.data.subarray(t * I, (t + 1) * I);
    for (let o = 0; o < O; o++) {
      let sum = b ? b.data[o]! : 0;
      for (let i = 0, at = o * I; i < I; i++, at++) sum += row[i]! * w.data[at]!;
      out.data[t * O + o] = sum;
    }
  }
  return out;
}
