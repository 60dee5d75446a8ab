/** @file Eigenvalues and eigenvectors: against numpy, by putting the matrix together again, and where values are equal. */
import { expect, test } from "vitest";
import { symmetricEigen } from "../../src/base/eigen.js";
import { seededRandom } from "../../src/base/random.js";

function symmetric(size: number, seed: number): Float64Array {
  const random = seededRandom(seed);
  const matrix = new Float64Array(size * size);
  for (let i = 0; i < size; i++)
    for (let j = 0; j <= i; j++) {
      const value = 2 * random() - 1;
      matrix[i * size + j] = value;
      matrix[j * size + i] = value;
    }
  return matrix;
}

test("Hilbert's matrix has the eigenvalues that numpy finds", () => {
  const hilbert = Float64Array.from({ length: 16 }, (_, k) => 1 / (Math.floor(k / 4) + (k % 4) + 1));
  const { values } = symmetricEigen(hilbert, 4);
  const numpy = [1.5002142800592426, 0.16914122022145006, 0.006738273605760613, 9.670230402260876e-5];
  numpy.forEach((value, i) => expect(values[i]).toBeCloseTo(value, 14));
});

test.each([1, 2, 17, 40])("%i rows are Σ value · v vᵀ of orthonormal v, largest value first", (size) => {
  const matrix = symmetric(size, size);
  const before = matrix.slice();
  const { values, vectors } = symmetricEigen(matrix, size);
  expect(matrix).toEqual(before);
  expect([...values]).toEqual([...values].sort((a, b) => b - a));
  for (let i = 0; i < size; i++)
    for (let j = 0; j < size; j++) {
      const product = vectors[i]!.reduce((sum, value, k) => sum + value * vectors[j]![k]!, 0);
      expect(product).toBeCloseTo(i === j ? 1 : 0, 12);
      const again = vectors.reduce((sum, v, k) => sum + values[k]! * v[i]! * v[j]!, 0);
      expect(again).toBeCloseTo(matrix[i * size + j]!, 12);
    }
});

test("equal values have orthonormal vectors, and zeros are no trouble", () => {
  const ones = new Float64Array(9).fill(1);
  const { values, vectors } = symmetricEigen(ones, 3);
  [3, 0, 0].forEach((value, i) => expect(values[i]).toBeCloseTo(value, 14));
  expect(vectors[1]!.reduce((sum, value, k) => sum + value * vectors[2]![k]!, 0)).toBeCloseTo(0, 14);
  expect([...symmetricEigen(new Float64Array(4), 2).values]).toEqual([0, 0]);
});

test("what is no finite matrix is refused", () => {
  expect(() => symmetricEigen(Float64Array.of(1, NaN, NaN, 1), 2)).toThrow("a matrix with eigenvalues has finite elements");
  expect(() => symmetricEigen(new Float64Array(3), 2)).toThrow("needs 4 elements, got 3");
});
