/** @file Small dense linear algebra in float64. */

/**
 * Orthonormal rows with the span of the given ones (Gram–Schmidt, each row twice), or undefined where they depend on each
 * other to within 1e-6 of their length.
 */
export function orthonormalRows(rows: readonly Float64Array[]): Float64Array[] | undefined {
  const basis: Float64Array[] = [];
  for (const row of rows) {
    const length = norm(row);
    const rest = Float64Array.from(row);
    for (let round = 0; round < 2; round++) for (const unit of basis) subtractProjection(rest, unit);
    const left = norm(rest);
    if (!(left > 1e-6 * length)) return undefined;
    basis.push(rest.map((value) => value / left));
  }
  return basis;
}

function norm(x: Float64Array): number {
  return Math.sqrt(x.reduce((total, value) => total + value * value, 0));
}

function subtractProjection(x: Float64Array, unit: Float64Array): void {
  const c = x.reduce((total, value, i) => total + value * unit[i]!, 0);
  for (let i = 0; i < x.length; i++) x[i] = x[i]! - c * unit[i]!;
}
