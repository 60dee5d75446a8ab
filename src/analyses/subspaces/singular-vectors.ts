/**
 * @file Right singular vectors of stacked activations, from the eigenvectors of the smaller of X Xᵀ and Xᵀ X. Squaring halves the digits:
 * directions whose singular value is below 1e-6 of the largest are left out.
 */
import { SextantError } from "../../base/errors.js";
import { symmetricEigen } from "../../base/eigen.js";
import { orthonormalRows } from "../../base/linear-algebra.js";
import { gramOfRows } from "../probes/gram.js";
import { addTo } from "../../base/vectors.js";

/** The largest matrix whose eigenvectors are sought; one of 1000 rows takes 11 s. */
const MOST_ROWS = 1200;
/** The least squared singular value, as a share of the largest, that is more than rounding. */
const LEAST_SQUARE = 1e-12;

/** Orthonormal directions, largest singular value first. */
export interface SingularVectors {
  readonly values: readonly number[];
  readonly vectors: readonly Float64Array[];
}

/** The first `most` right singular vectors of the rows; `centre` takes the mean row off first. */
export function singularVectors(
  rows: readonly Float64Array[],
  { most = 500, centre = false }: { most?: number; centre?: boolean } = {},
): SingularVectors {
  const used = centre ? centred(rows) : rows;
  const width = used[0]!.length;
  const isWide = used.length <= width;
  const size = Math.min(used.length, width);
  if (size > MOST_ROWS)
    throw new SextantError(
      "request",
      `singular vectors: of ${rows.length} vectors of ${width} elements; the smaller number may be ${MOST_ROWS} at most, so use fewer pairs`,
    );
  const { values, vectors } = symmetricEigen(isWide ? gramOfRows(used) : gramOfRows(columnsOf(used, width)), size);
  const kept = values.filter((value, i) => i < most && value > LEAST_SQUARE * values[0]!).length;
  const chosen = vectors.slice(0, kept);
  const directions = isWide ? chosen.map((shares) => combined(used, shares)) : chosen;
  const clean = orthonormalRows(directions);
  if (!clean || clean.length === 0) throw new SextantError("request", "singular vectors: the vectors at the site are all zero");
  return { values: clean.map((_, i) => Math.sqrt(values[i]!)), vectors: clean };
}

function centred(rows: readonly Float64Array[]): Float64Array[] {
  const mean = new Float64Array(rows[0]?.length ?? 0);
  for (const row of rows) addTo(mean, 1 / rows.length, row);
  return rows.map((row) => row.map((value, i) => value - mean[i]!));
}

function columnsOf(rows: readonly Float64Array[], width: number): Float64Array[] {
  return Array.from({ length: width }, (_, i) => Float64Array.from(rows, (row) => row[i]!));
}

/** Σ shares · rows. */
function combined(rows: readonly Float64Array[], shares: Float64Array): Float64Array {
  const sum = new Float64Array(rows[0]!.length);
  for (const [i, row] of rows.entries()) addTo(sum, shares[i]!, row);
  return sum;
}
