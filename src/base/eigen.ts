/**
 * @file Eigenvalues and eigenvectors of a symmetric matrix, in float64: Householder's reflections make it tridiagonal, implicit QL steps diagonal
 * (Golub & Van Loan 2013, Matrix Computations, sections 8.3; Bowdler et al. 1968). Errors are some 1e-15 of the largest
 * eigenvalue, so that small ones have fewer digits. The work grows with the cube of the size.
 */
import { internal, SextantError } from "./errors.js";

/** Steps that one eigenvalue may take; two or three are usual. */
const MOST_STEPS = 60;

/** Eigenvalues from the largest down, and the unit eigenvector of each; of those that are equal, any orthonormal ones. */
export interface Eigen {
  readonly values: Float64Array;
  readonly vectors: readonly Float64Array[];
}

/** The eigenvalues and eigenvectors of a symmetric row-major matrix of `size` rows, which is not changed; its two triangles are averaged. */
export function symmetricEigen(matrix: Float64Array, size: number): Eigen {
  if (matrix.length !== size * size) throw internal(`a matrix of ${size} rows needs ${size * size} elements, got ${matrix.length}`);
  if (!matrix.every((value) => Number.isFinite(value))) throw new SextantError("request", "a matrix with eigenvalues has finite elements");
  const rows = Array.from({ length: size }, (_, i) =>
    Float64Array.from({ length: size }, (_unused, j) => (matrix[i * size + j]! + matrix[j * size + i]!) / 2),
  );
  const reflections = tridiagonalise(rows);
  const diagonal = Float64Array.from(rows, (row, i) => row[i]!);
  const beside = Float64Array.from(rows, (row, i) => row[i + 1] ?? 0);
  const vectors = transformed(reflections, size);
  for (let first = 0; first < size; first++) settle(first, { diagonal, beside, vectors });
  const order = vectors.map((_, i) => i).sort((a, b) => diagonal[b]! - diagonal[a]! || a - b);
  return { values: Float64Array.from(order, (i) => diagonal[i]!), vectors: order.map((i) => vectors[i]!) };
}

/** A reflection x − v (v · x), with v · v = 2 or v = 0. */
type Reflection = Float64Array;

/** Makes the matrix tridiagonal in place; gives the reflections, first to last. */
function tridiagonalise(rows: readonly Float64Array[]): Reflection[] {
  const size = rows.length;
  const reflections: Reflection[] = [];
  for (let k = 0; k < size - 2; k++) {
    const v = reflectionOf(rows[k]!, k + 1);
    reflections.push(v);
    // With p = A v and w = p − ½ (v · p) v, the matrix becomes A − v wᵀ − w vᵀ.
    const p = Float64Array.from(rows, (row, i) => (i < k ? 0 : product(row, v, k + 1)));
    const half = product(p, v, k + 1) / 2;
    const w = p.map((value, i) => value - half * v[i]!);
    for (let i = k; i < size; i++) {
      const [row, vi, wi] = [rows[i]!, v[i]!, w[i]!];
      for (let j = k; j < size; j++) row[j] = row[j]! - vi * w[j]! - wi * v[j]!;
    }
  }
  return reflections;
}

/** The reflection that leaves of the elements from `from` on only the first. */
function reflectionOf(row: Float64Array, from: number): Reflection {
  const v = row.slice().fill(0, 0, from);
  const length = Math.sqrt(product(v, v, from));
  if (length === 0) return v;
  v[from]! += v[from]! < 0 ? -length : length;
  const scale = Math.sqrt(2 / product(v, v, from));
  return v.map((value) => value * scale);
}

/** The unit vectors, seen from the tridiagonal matrix: row i is the i-th axis in the coordinates of the first matrix. */
function transformed(reflections: readonly Reflection[], size: number): Float64Array[] {
  const axes = Array.from({ length: size }, (_, i) => Float64Array.from({ length: size }, (_unused, j) => (i === j ? 1 : 0)));
  for (const axis of axes)
    for (let k = reflections.length - 1; k >= 0; k--) {
      const v = reflections[k]!;
      const amount = product(axis, v, k + 1);
      for (let j = k + 1; j < size; j++) axis[j] = axis[j]! - amount * v[j]!;
    }
  return axes;
}

interface Tridiagonal {
  readonly diagonal: Float64Array;
  /** Element i stands beside diagonal elements i and i + 1. */
  readonly beside: Float64Array;
  readonly vectors: readonly Float64Array[];
}

/** Takes QL steps until the diagonal element `first` is an eigenvalue. */
function settle(first: number, all: Tridiagonal): void {
  const { diagonal, beside } = all;
  for (let step = 0; ; step++) {
    let last = first;
    while (last < diagonal.length - 1 && !isSmall(last, all)) last++;
    if (last === first) return;
    if (step === MOST_STEPS) throw internal(`an eigenvalue was not found in ${MOST_STEPS} steps`);
    // Wilkinson's shift.
    const ratio = (diagonal[first + 1]! - diagonal[first]!) / (2 * beside[first]!);
    const root = Math.sqrt(ratio * ratio + 1);
    const shift = diagonal[first]! - beside[first]! / (ratio + (ratio < 0 ? -root : root));
    chase(first, last, shift, all);
  }
}

function isSmall(i: number, { diagonal, beside }: Tridiagonal): boolean {
  const around = Math.abs(diagonal[i]!) + Math.abs(diagonal[i + 1]!);
  return around + Math.abs(beside[i]!) === around;
}

/** One implicit QL step: rotations from the last element to the first. */
function chase(first: number, last: number, shift: number, { diagonal, beside, vectors }: Tridiagonal): void {
  let [g, s, c, p] = [diagonal[last]! - shift, 1, 1, 0];
  for (let i = last - 1; i >= first; i--) {
    const [f, b] = [s * beside[i]!, c * beside[i]!];
    const r = Math.sqrt(f * f + g * g);
    beside[i + 1] = r;
    if (r === 0) {
      diagonal[i + 1]! -= p;
      beside[last] = 0;
      return;
    }
    [s, c] = [f / r, g / r];
    g = diagonal[i + 1]! - p;
    const turned = (diagonal[i]! - g) * s + 2 * c * b;
    p = s * turned;
    diagonal[i + 1] = g + p;
    g = c * turned - b;
    turn(vectors[i]!, vectors[i + 1]!, c, s);
  }
  diagonal[first]! -= p;
  beside[first] = g;
  beside[last] = 0;
}

function turn(x: Float64Array, y: Float64Array, c: number, s: number): void {
  for (let k = 0; k < x.length; k++) {
    const [a, b] = [x[k]!, y[k]!];
    x[k] = c * a - s * b;
    y[k] = s * a + c * b;
  }
}

/** Σ a · b from an index on. */
function product(a: Float64Array, b: Float64Array, from: number): number {
  let sum = 0;
  for (let i = from; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
