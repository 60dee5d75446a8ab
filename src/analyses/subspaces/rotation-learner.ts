/**
 * @file DAS, distributed alignment search (Geiger et al. 2023, arXiv 2303.02536): k orthonormal rows B, turned until exchanging their span does what the hypothesis
 * says. Riemannian Adam (Bécigneul & Ganea 2019, arXiv 1810.00760) on the Stiefel manifold: the gradient and its running mean are
 * projected on the tangent space, the step's size is set by the gradient's length as a whole, and rows are made orthonormal again.
 */
import { must } from "../../base/errors.js";
import { orthonormalRows } from "../../base/linear-algebra.js";
import { seededRandom } from "../../base/random.js";
import { normalNumbers } from "../../base/draws.js";
import { addTo, dot } from "../../base/vectors.js";
import { directions } from "./components.js";
import type { Learner, Settled } from "./learner.js";

const DECAY_1 = 0.9;
const DECAY_2 = 0.999;

/** `count` random orthonormal rows, spread evenly over all such. */
export function randomRows(count: number, width: number, seed: number): Float64Array[] {
  const random = seededRandom(seed);
  return must(orthonormalRows(Array.from({ length: count }, () => normalNumbers(width, random))), "independent rows");
}

/** The span of orthonormal rows, exchanged whole. */
export function spanOf(rows: readonly Float64Array[]): Settled {
  const { move } = directions(rows);
  const ones = new Float64Array(rows.length).fill(1);
  return { rank: rows.length, change: (difference) => move(ones, difference), penalty: 0, rows };
}

/** A rotation that starts at random; `learningRate`: radians that rows turn in a step (root mean square), falling to 0 along a straight line. */
export function rotation(
  width: number,
  { dimension, learningRate, seed }: { dimension: number; learningRate: number; seed: number },
): Learner {
  let rows = randomRows(dimension, width, seed);
  let span = spanOf(rows);
  const gradient = rows.map(() => new Float64Array(width));
  let momentum: readonly Float64Array[] = rows.map(() => new Float64Array(width));
  let [square, steps] = [0, 0];
  return {
    change: (difference) => span.change(difference),
    add: (slope, difference) => {
      rows.forEach((row, i) => {
        addTo(gradient[i]!, dot(row, difference), slope);
        addTo(gradient[i]!, dot(row, slope), difference);
      });
    },
    step: (progress) => {
      steps++;
      const tangent = tangentOf(gradient, rows);
      momentum = momentum.map((old, i) => old.map((value, u) => DECAY_1 * value + (1 - DECAY_1) * tangent[i]![u]!));
      square = DECAY_2 * square + (1 - DECAY_2) * tangent.reduce((sum, row) => sum + dot(row, row), 0);
      const size = Math.sqrt(square / (1 - DECAY_2 ** steps)) * (1 - DECAY_1 ** steps);
      const rate = size > 0 ? (learningRate * Math.sqrt(rows.length) * (1 - progress)) / size : 0;
      const moved = rows.map((row, i) => row.map((value, u) => value - rate * momentum[i]![u]!));
      rows = must(orthonormalRows(moved), "rows after a step");
      span = spanOf(rows);
      momentum = tangentOf(momentum, rows);
      for (const row of gradient) row.fill(0);
    },
    penalty: () => 0,
    settle: () => span,
  };
}

/** G − ½ (G Bᵀ + B Gᵀ) B: the part of G along the manifold at B. */
export function tangentOf(gradient: readonly Float64Array[], rows: readonly Float64Array[]): Float64Array[] {
  const products = gradient.map((slope) => rows.map((row) => dot(slope, row)));
  return gradient.map((slope, i) => {
    const along = Float64Array.from(slope);
    for (const [j, row] of rows.entries()) addTo(along, -(products[i]![j]! + products[j]![i]!) / 2, row);
    return along;
  });
}
