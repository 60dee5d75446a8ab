/** @file What a mask chooses among: parts of a vector at the site that can each be exchanged by a share. Parts are orthogonal. */
import { refuse, SextantError } from "../../base/errors.js";
import { orthonormalRows } from "../../base/linear-algebra.js";
import type { Tensor } from "../../base/tensor.js";
import { addTo, dot } from "../../base/vectors.js";
import type { CachedPair } from "./cached-pairs.js";
import type { ComponentChoice } from "./request.js";
import { singularVectors } from "./singular-vectors.js";
import type { Site } from "./site.js";

/** Components, with Pᵢ the projection on the i-th. */
export interface Components {
  readonly count: number;
  /** What the i-th is called: a head's number in the model, else i. */
  readonly names: readonly number[];
  /** How many dimensions each has. */
  readonly size: number;
  /** Σ weightᵢ · Pᵢ difference. */
  readonly move: (weights: ArrayLike<number>, difference: Float64Array) => Float64Array;
  /** Of each, slope · Pᵢ difference: the slope of a loss by the weights. */
  readonly slopes: (slope: Float64Array, difference: Float64Array) => Float64Array;
  /** Rows of the components where they are directions. */
  readonly rows?: readonly Float64Array[];
  readonly singularValues?: readonly number[];
}

/** The components of a choice; singular vectors are those of base and source vectors of the pairs. */
export function componentsOf(choice: ComponentChoice, site: Site, pairs: readonly CachedPair[]): Components {
  if (choice === "units")
    return blocksOf(
      1,
      Array.from({ length: site.width }, (_, unit) => unit),
    );
  if (choice === "heads") {
    if (!site.heads)
      throw refuse(
        { what: "components: no heads to choose among", why: `${site.address} has no head axis`, instead: "units, or z as the site" },
        "request",
      );
    return blocksOf(site.unit, site.heads);
  }
  if ("basis" in choice) return directions(basisRows(choice.basis, site));
  const { values, vectors } = singularVectors(
    pairs.flatMap(({ base, source }) => [...base, ...source]),
    choice,
  );
  return { ...directions(vectors), singularValues: values };
}

/** Pieces of equal size of a vector, one behind another. */
function blocksOf(size: number, names: readonly number[]): Components {
  return {
    count: names.length,
    names,
    size,
    move: (weights, difference) => difference.map((value, unit) => weights[Math.floor(unit / size)]! * value),
    slopes: (slope, difference) => {
      const sums = new Float64Array(names.length);
      for (let unit = 0; unit < slope.length; unit++) sums[Math.floor(unit / size)]! += slope[unit]! * difference[unit]!;
      return sums;
    },
  };
}

/** Orthonormal rows. */
export function directions(rows: readonly Float64Array[]): Components {
  return {
    count: rows.length,
    names: rows.map((_, i) => i),
    size: 1,
    rows,
    move: (weights, difference) => {
      const change = new Float64Array(difference.length);
      for (const [i, row] of rows.entries()) if (weights[i] !== 0) addTo(change, weights[i]! * dot(row, difference), row);
      return change;
    },
    slopes: (slope, difference) => Float64Array.from(rows, (row) => dot(row, slope) * dot(row, difference)),
  };
}

function basisRows({ data, shape }: Tensor<Float32Array>, { width, address }: Site): Float64Array[] {
  const [count = 0, length = 0] = shape;
  if (shape.length !== 2 || count < 1 || count > width || length !== width)
    throw new SextantError("request", `components: basis must have shape [k, ${width}] at ${address}, got [${shape.join(", ")}]`);
  const rows = Array.from({ length: count }, (_, i) => Float64Array.from(data.subarray(i * width, (i + 1) * width)));
  const off = rows.some((row, i) => rows.slice(0, i + 1).some((other, j) => !(Math.abs(dot(row, other) - (i === j ? 1 : 0)) < 1e-3)));
  const clean = off ? undefined : orthonormalRows(rows);
  if (!clean) throw new SextantError("request", "components: the rows of basis must be orthonormal, to within 0.001");
  return clean;
}
