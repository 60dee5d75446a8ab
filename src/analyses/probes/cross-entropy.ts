/**
 * @file Logistic and softmax probes: the least mean cross-entropy + l2/2 ‖weights‖², biases free. With l2 above 0 there is exactly one. Where
 * there are more elements than examples the weights lie in the span of the examples, so the fit is done there, which is the same and smaller.
 *
 * When they mislead: correlated elements share a weight, so a large weight is no sign of an important element and a small one of none;
 * with few examples and a weak l2 everything is separable (see `probeWithControls`).
 */
import { cholesky, solveUpper, type CholeskyFactor } from "../../base/cholesky.js";
import { logSumExp } from "../../base/log-sum-exp.js";
import type { LinearMap, Problem } from "./features.js";
import { gramOfRows } from "./gram.js";
import { minimise, type Surroundings } from "./newton.js";
import { addTo, dot } from "../../base/vectors.js";

/** The part of a model behind its scores: how many there are a row, and what cross-entropy makes of them. */
interface Link {
  readonly outputs: number;
  /** Puts ∂loss/∂score into `rest` and the probabilities into `chances`; gives the loss. */
  readonly loss: (scores: Float64Array, label: number, rest: Float64Array, chances: Float64Array) => number;
  /** Puts the change of `rest` along a change of the scores into `out`. */
  readonly bend: (chances: Float64Array, change: Float64Array, out: Float64Array) => void;
}

/** Fits of one problem, by strength. */
export type FitByStrength = (strength: number) => LinearMap;

/** Logistic fits: W₁ = w/2 = −W₀, so that the scores differ by w·x + b. */
export function logisticFits(problem: Problem): FitByStrength {
  const fit = fitsOf(problem, LOGISTIC);
  return (l2) => {
    const { weights, bias } = fit(l2);
    return { weights: [weights[0]!.map((w) => -w / 2), weights[0]!.map((w) => w / 2)], bias: Float64Array.of(-bias[0]! / 2, bias[0]! / 2) };
  };
}

/** Softmax fits. */
export function softmaxFits(problem: Problem): FitByStrength {
  return fitsOf(problem, softmaxOf(problem.classes));
}

const LOGISTIC: Link = {
  outputs: 1,
  loss: (scores, label, rest, chances) => {
    const score = scores[0]!;
    const chance = 1 / (1 + Math.exp(-score));
    chances[0] = chance;
    rest[0] = chance - label;
    return Math.max(score, 0) - score * label + Math.log1p(Math.exp(-Math.abs(score)));
  },
  bend: (chances, change, out) => {
    out[0] = chances[0]! * (1 - chances[0]!) * change[0]!;
  },
};

function softmaxOf(classes: number): Link {
  return {
    outputs: classes,
    loss: (scores, label, rest, chances) => {
      const total = logSumExp(scores);
      for (let c = 0; c < classes; c++) {
        chances[c] = Math.exp(scores[c]! - total);
        rest[c] = chances[c]! - (c === label ? 1 : 0);
      }
      return total - scores[label]!;
    },
    bend: (chances, change, out) => {
      const middle = dot(chances, change);
      for (let c = 0; c < classes; c++) out[c] = chances[c]! * (change[c]! - middle);
    },
  };
}

function fitsOf(problem: Problem, link: Link): FitByStrength {
  if (problem.width <= problem.rows.length) return (l2) => fit(problem, link, l2);
  const { small, factor } = compressed(problem);
  return (l2) => {
    const map = fit(small, link, l2);
    return { ...map, weights: map.weights.map((weights) => expanded(weights, factor, problem)) };
  };
}

/** The rows X as L Q with Q's rows orthonormal: from X Xᵀ = L Lᵀ. L then stands for X, and weights u on L are Qᵀ u on X. */
function compressed(problem: Problem): { small: Problem; factor: CholeskyFactor } {
  const size = problem.rows.length;
  const factor = cholesky(gramOfRows(problem.rows), size);
  const rows = problem.rows.map((_, i) => factor.lower.subarray(i * size, (i + 1) * size));
  return { small: { ...problem, rows, width: size }, factor };
}

/** Qᵀ u = Xᵀ (L⁻ᵀ u). */
function expanded(u: Float64Array, factor: CholeskyFactor, { rows, width }: Problem): Float64Array {
  const weights = new Float64Array(width);
  for (const [i, share] of solveUpper(factor, u).entries()) if (share !== 0) addTo(weights, share, rows[i]!);
  return weights;
}

function fit(problem: Problem, link: Link, l2: number): LinearMap {
  const length = problem.width + 1;
  const found = minimise((point) => surroundings(problem, { link, l2 }, point), new Float64Array(link.outputs * length));
  return mapOf(found, length);
}

/** Points of the search are rows of weights, each with its bias behind. */
function mapOf(point: Float64Array, length: number): LinearMap {
  const outputs = Array.from({ length: point.length / length }, (_, k) => k * length);
  return {
    weights: outputs.map((from) => point.subarray(from, from + length - 1)),
    bias: Float64Array.from(outputs, (from) => point[from + length - 1]!),
  };
}

function surroundings(problem: Problem, { link, l2 }: { link: Link; l2: number }, point: Float64Array): Surroundings {
  const { outputs } = link;
  const count = problem.rows.length;
  const map = mapOf(point, problem.width + 1);
  const chances = new Float64Array(count * outputs);
  const scores = new Float64Array(outputs);
  const rests = new Float64Array(count * outputs);
  let value = map.weights.reduce((sum, weights) => sum + (l2 / 2) * dot(weights, weights), 0);
  for (const [i, row] of problem.rows.entries()) {
    scoresOf(map, row, scores);
    const [from, to] = [i * outputs, (i + 1) * outputs];
    value += link.loss(scores, problem.labels[i]!, rests.subarray(from, to), chances.subarray(from, to)) / count;
  }
  const curve = (direction: Float64Array): Float64Array => {
    const change = mapOf(direction, problem.width + 1);
    const bent = new Float64Array(count * outputs);
    for (const [i, row] of problem.rows.entries()) {
      scoresOf(change, row, scores);
      link.bend(chances.subarray(i * outputs, (i + 1) * outputs), scores, bent.subarray(i * outputs, (i + 1) * outputs));
    }
    return gathered(problem, bent, { weights: direction, l2 });
  };
  return { value, gradient: gathered(problem, rests, { weights: point, l2 }), curve };
}

function scoresOf({ weights, bias }: LinearMap, row: Float64Array, out: Float64Array): void {
  for (let k = 0; k < out.length; k++) out[k] = dot(weights[k]!, row) + bias[k]!;
}

/** Mean over rows of share · (row, 1) for each output, + l2 · weights. */
function gathered(problem: Problem, shares: Float64Array, penalty: { weights: Float64Array; l2: number }): Float64Array {
  const [count, length] = [problem.rows.length, problem.width + 1];
  const outputs = shares.length / count;
  const out = new Float64Array(outputs * length);
  for (let k = 0; k < outputs; k++) {
    const [weights, bias] = [out.subarray(k * length, (k + 1) * length - 1), (k + 1) * length - 1];
    for (let i = 0; i < count; i++) {
      const share = shares[i * outputs + k]! / count;
      addTo(weights, share, problem.rows[i]!);
      out[bias] = out[bias]! + share;
    }
    addTo(weights, penalty.l2, penalty.weights.subarray(k * length, (k + 1) * length - 1));
  }
  return out;
}
