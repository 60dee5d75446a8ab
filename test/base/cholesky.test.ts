/** @file Cholesky's factor: its product, what it solves, and matrices without full rank. */
import { expect, test } from "vitest";
import { cholesky, choleskySolve, solveUpper } from "../../src/base/cholesky.js";
import { seededRandom } from "../../src/base/random.js";
import { normals } from "./samples.js";

/** M Mᵀ of `rows` × `columns` normal numbers: of rank `columns` where these are fewer. */
function squareOf(rows: number, columns: number): Float64Array {
  const m = normals(seededRandom(5), rows * columns);
  return Float64Array.from({ length: rows * rows }, (_, at) => {
    const [i, j] = [Math.floor(at / rows), at % rows];
    return Array.from({ length: columns }, (_unused, k) => m[i * columns + k]! * m[j * columns + k]!).reduce((a, b) => a + b, 0);
  });
}

function times(matrix: Float64Array, x: Float64Array): Float64Array {
  return x.map((_, i) => x.reduce((sum, value, j) => sum + matrix[i * x.length + j]! * value, 0));
}

test.each([
  [6, 9, 6],
  [6, 6, 6],
  [7, 3, 3],
])("a square of %i × %i has rank %i and is its factor's square", (rows, columns, rank) => {
  const matrix = squareOf(rows, columns);
  const factor = cholesky(matrix, rows);
  expect(factor.rank).toBe(rank);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < rows; j++) {
      let product = 0;
      for (let k = 0; k < rows; k++) product += factor.lower[i * rows + k]! * factor.lower[j * rows + k]!;
      expect(product).toBeCloseTo(matrix[i * rows + j]!, 10);
      if (j > i) expect(factor.lower[i * rows + j]).toBe(0);
    }
  }
});

test("solutions solve, in part and whole, also where rank is missing and a solution exists", () => {
  const known = normals(seededRandom(6), 6);
  for (const matrix of [squareOf(6, 9), squareOf(6, 4)]) {
    const factor = cholesky(matrix, 6);
    const b = times(matrix, known);
    const back = times(matrix, choleskySolve(factor, b));
    for (const [i, value] of back.entries()) expect(value).toBeCloseTo(b[i]!, 8);
  }
  const factor = cholesky(squareOf(6, 9), 6);
  const x = solveUpper(factor, known);
  const transposed = Float64Array.from({ length: 36 }, (_, at) => factor.lower[(at % 6) * 6 + Math.floor(at / 6)]!);
  for (const [i, value] of times(transposed, x).entries()) expect(value).toBeCloseTo(known[i]!, 10);
});
