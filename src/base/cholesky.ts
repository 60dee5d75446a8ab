/**
 * @file Cholesky's factor of a symmetric positive (semi)definite matrix, and what is solved with it, in float64. Matrices are row-major
 * and square; only their lower triangle is read.
 */

/** The smallest pivot, as a share of the largest diagonal element, that counts as more than rounding. */
const LEAST_PIVOT = 1e-13;

/**
 * The lower triangle L with A = L Lᵀ, zeros above; `rank` counts its pivots. A pivot that is rounding (below 1e-13 of the largest
 * diagonal element) leaves a column of zeros, so that of a semidefinite matrix too A = L Lᵀ, with `rank` below `size`.
 */
export interface CholeskyFactor {
  readonly size: number;
  readonly rank: number;
  readonly lower: Float64Array;
}

/** The factor of a symmetric matrix of `size` rows; the matrix is not changed. */
export function cholesky(matrix: Float64Array, size: number): CholeskyFactor {
  const lower = new Float64Array(size * size);
  let largest = 0;
  for (let i = 0; i < size; i++) largest = Math.max(largest, Math.abs(matrix[i * size + i]!));
  let rank = 0;
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < row; column++) {
      const pivot = lower[column * size + column]!;
      if (pivot > 0) lower[row * size + column] = (matrix[row * size + column]! - rowProduct(lower, size, row, column)) / pivot;
    }
    const left = matrix[row * size + row]! - rowProduct(lower, size, row, row);
    if (!(left > LEAST_PIVOT * largest)) continue;
    lower[row * size + row] = Math.sqrt(left);
    rank++;
  }
  return { size, rank, lower };
}

/** The x with L Lᵀ x = b; where the matrix has not full rank, one that is 0 at the elements without a pivot. */
export function choleskySolve(factor: CholeskyFactor, b: Float64Array): Float64Array {
  return solveUpper(factor, solveLower(factor, b));
}

/** The y with L y = b. */
function solveLower({ size, lower }: CholeskyFactor, b: Float64Array): Float64Array {
  const y = new Float64Array(size);
  for (let row = 0; row < size; row++) {
    let rest = b[row]!;
    for (let column = 0; column < row; column++) rest -= lower[row * size + column]! * y[column]!;
    const pivot = lower[row * size + row]!;
    y[row] = pivot > 0 ? rest / pivot : 0;
  }
  return y;
}

/** The x with Lᵀ x = y; elements without a pivot are 0. */
export function solveUpper({ size, lower }: CholeskyFactor, y: Float64Array): Float64Array {
  const x = Float64Array.from(y);
  for (let row = size - 1; row >= 0; row--) {
    const pivot = lower[row * size + row]!;
    const value = pivot > 0 ? x[row]! / pivot : 0;
    x[row] = value;
    for (let column = 0; column < row; column++) x[column] = x[column]! - lower[row * size + column]! * value;
  }
  return x;
}

/** Σ L[row][k] · L[column][k] over k below `column`. */
function rowProduct(lower: Float64Array, size: number, row: number, column: number): number {
  const [a, b] = [row * size, column * size];
  let sum = 0;
  for (let k = 0; k < column; k++) sum += lower[a + k]! * lower[b + k]!;
  return sum;
}
