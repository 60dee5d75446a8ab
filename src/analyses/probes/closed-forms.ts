/**
 * @file Probes with a formula: ridge regression to one-hot targets, nearest class means, and linear discriminant analysis.
 *
 * When they mislead: ridge's scores are no log-probabilities, and with three classes or more it may never call the middle one of three in
 * a row; the difference of means takes along every direction in which classes happen to differ, such as length or topic, but unlike the
 * others it is not bent by correlations, which makes it the better direction for steering (Marks & Tegmark 2023, arXiv 2310.06824).
 * As it stands it calls by distance, so that a few elements of huge activations drown the rest: then standardise.
 */
import type { LinearMap, Problem } from "./features.js";
import { normalEquations, type NormalEquations } from "./gram.js";
import { addTo, dot } from "../../base/vectors.js";

/** Ridge fits by l2: the least mean ‖one-hot − W x − b‖² + l2 ‖W‖². Rows are centred, so the bias is the mean of the targets. */
export function ridgeFits(problem: Problem): (l2: number) => LinearMap {
  const count = problem.rows.length;
  const equations = normalEquations(problem.rows, problem.width);
  const shares = sharesOf(problem);
  const sides = Array.from(shares, (share, c) => {
    const side = new Float64Array(problem.width);
    for (const [i, row] of problem.rows.entries()) addTo(side, (problem.labels[i] === c ? 1 : 0) - share, row);
    return side;
  });
  return (l2) => ({ weights: equations.solve(l2 * count, ...sides), bias: shares });
}

/** Nearest class means mᵢ around their mean m: score = wᵢ·(x − m) − ‖wᵢ‖²/2 with wᵢ = mᵢ − m, so that two classes have W₁ = −W₀. */
export function differenceOfMeans(problem: Problem): LinearMap {
  const { means, middle } = meansOf(problem);
  const weights = means.map((mean) => mean.map((value, i) => value - middle[i]!));
  return { weights, bias: Float64Array.from(weights, (row) => -dot(row, middle) - dot(row, row) / 2) };
}

/** Discriminants by shrinkage s: covariance (1 − s) S + s tr(S)/d I within classes, priors as in the training examples. */
export function ldaFits(problem: Problem): { readonly ledoitWolf: number; readonly fit: (shrinkage: number) => LinearMap } {
  const { means, middle } = meansOf(problem);
  const inner = problem.rows.map((row, i) => row.map((value, j) => value - means[problem.labels[i]!]![j]!));
  const equations = normalEquations(inner, problem.width);
  const count = inner.length;
  const variance = inner.reduce((sum, row) => sum + dot(row, row), 0) / count / problem.width;
  const shares = sharesOf(problem);
  const sides = means.map((mean) => mean.map((value, i) => value - middle[i]!));
  const fit = (shrinkage: number): LinearMap => {
    const share = Math.max(1 - shrinkage, 1e-12);
    const solved = equations.solve((shrinkage * variance * count) / share, ...sides);
    const weights = solved.map((row) => row.map((value) => (value * count) / share));
    const bias = weights.map((row, c) => -dot(row, middle) - dot(row, sides[c]!) / 2 + Math.log(shares[c]!));
    return { weights, bias: Float64Array.from(bias) };
  };
  return { ledoitWolf: ledoitWolf(inner, equations, variance), fit };
}

/** Ledoit and Wolf's shrinkage (2004, A well-conditioned estimator for large-dimensional covariance matrices) of centred rows. */
function ledoitWolf(rows: readonly Float64Array[], { squaredNorm }: NormalEquations, variance: number): number {
  const [count, width] = [rows.length, rows[0]!.length];
  const square = squaredNorm / count ** 2;
  const spread = square - width * variance ** 2;
  const error = (rows.reduce((sum, row) => sum + dot(row, row) ** 2, 0) / count - square) / count;
  return spread > 0 ? Math.max(0, Math.min(1, error / spread)) : 1;
}

/** The mean of each class, and the mean of those. */
function meansOf({ rows, width, labels, classes }: Problem): { means: Float64Array[]; middle: Float64Array } {
  const means = Array.from({ length: classes }, () => new Float64Array(width));
  const counts = new Float64Array(classes);
  for (const label of labels) counts[label]!++;
  for (const [i, row] of rows.entries()) addTo(means[labels[i]!]!, 1 / counts[labels[i]!]!, row);
  const middle = new Float64Array(width);
  for (const mean of means) addTo(middle, 1 / classes, mean);
  return { means, middle };
}

/** The share of each class among the training examples. */
function sharesOf({ labels, classes }: Problem): Float64Array {
  const shares = new Float64Array(classes);
  for (const label of labels) shares[label]! += 1 / labels.length;
  return shares;
}
