/** @file Products of a matrix with itself, and (XᵀX + s I)⁻¹ by whichever of them is smaller. */
import { cholesky, choleskySolve } from "../../base/cholesky.js";
import { refuse } from "../../base/errors.js";
import { addTo, dot } from "../../base/vectors.js";

/** X Xᵀ, row-major, of the rows of X. */
export function gramOfRows(rows: readonly Float64Array[]): Float64Array {
  const size = rows.length;
  const gram = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      const product = dot(rows[i]!, rows[j]!);
      gram[i * size + j] = product;
      gram[j * size + i] = product;
    }
  }
  return gram;
}

/** Xᵀ X, row-major, of the rows of X. */
function gramOfColumns(rows: readonly Float64Array[], width: number): Float64Array {
  const gram = new Float64Array(width * width);
  for (const row of rows) for (let i = 0; i < width; i++) addTo(gram.subarray(i * width, i * width + i + 1), row[i]!, row);
  for (let i = 0; i < width; i++) for (let j = 0; j < i; j++) gram[j * width + i] = gram[i * width + j]!;
  return gram;
}

/** Solutions for one X, from one product with itself. */
export interface NormalEquations {
  /** ‖Xᵀ X‖², the sum of its squared elements. */
  readonly squaredNorm: number;
  /** (XᵀX + shift I)⁻¹ b for each b of d elements; shift above 0, or 0 where XᵀX has full rank. */
  readonly solve: (shift: number, ...sides: readonly Float64Array[]) => Float64Array[];
}

/** Solves with XᵀX + s I: as it stands where X has no more columns than rows, else by X Xᵀ + s I (Woodbury). */
export function normalEquations(rows: readonly Float64Array[], width: number): NormalEquations {
  const isTall = width <= rows.length;
  const size = isTall ? width : rows.length;
  const gram = isTall ? gramOfColumns(rows, width) : gramOfRows(rows);
  const shifted = (shift: number): ((b: Float64Array) => Float64Array) => {
    const matrix = Float64Array.from(gram);
    for (let i = 0; i < size; i++) matrix[i * size + i]! += shift;
    const factor = cholesky(matrix, size);
    if (factor.rank < size || (!isTall && shift <= 0)) throw unsolvable(shift);
    return (b) => choleskySolve(factor, b);
  };
  return {
    squaredNorm: dot(gram, gram),
    solve: (shift, ...sides) => {
      const inverse = shifted(shift);
      return sides.map((b) => (isTall ? inverse(b) : byRows(rows, shift, { b, inverse })));
    },
  };
}

/** (b − Xᵀ (X Xᵀ + s I)⁻¹ X b) / s. */
function byRows(
  rows: readonly Float64Array[],
  shift: number,
  { b, inverse }: { readonly b: Float64Array; readonly inverse: (b: Float64Array) => Float64Array },
): Float64Array {
  const out = Float64Array.from(b);
  const shares = inverse(Float64Array.from(rows, (row) => dot(row, b)));
  for (const [i, row] of rows.entries()) addTo(out, -shares[i]!, row);
  return out.map((value) => value / shift);
}

function unsolvable(shift: number): Error {
  const why = `elements depend on each other, and a regularisation of ${shift} does not decide between them`;
  return refuse({ what: "the probe has no single solution", why, instead: "make l2 or shrinkage larger" }, "request");
}
