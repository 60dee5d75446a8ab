/**
 * @file k-sparse probes (Gurnee et al. 2023, arXiv 2305.01610): how well a label can be read off k elements, neurons or coordinates. They are
 * chosen on the training examples, then a probe is fitted to them alone; the curve over k says how far the label is spread.
 *
 * When they mislead: with thousands of elements some single one goes with any label on few examples, so compare with random elements and
 * shuffled labels (`probeWithControls` with `k`); elements that say the same crowd out one that says more together with them; and axes
 * of the residual stream are not privileged, so sparsity there means less than in an MLP.
 */
import { SextantError } from "../../base/errors.js";
import { checkElementCount, elementsOf, spread } from "./coordinates.js";
import { logisticFits, softmaxFits } from "./cross-entropy.js";
import { examplesOf, splitOf, type Examples } from "./examples.js";
import { problemOf, scalingOf, type Problem } from "./features.js";
import { fitProbe } from "./fit.js";
import type { DeterminedMethod, LayerProbe, ProbeRequest } from "./request.js";
import type { ProbeSplit } from "./split.js";

/** How elements are chosen. */
export type ElementChoice =
  /** By the variance between class means over that within classes; of two classes, the squared standardised difference of means. */
  | "mean_difference"
  /** By the weights of a probe of all elements, of which the smaller half is dropped and the rest fitted anew until k are left. */
  | "adaptive_thresholding";

/** A probe request with the numbers of elements to try. */
export interface SparseRequest extends ProbeRequest {
  readonly method: DeterminedMethod;
  readonly k: readonly number[];
  /** `mean_difference` by default. */
  readonly choice?: ElementChoice;
}

/** The probe of one layer that reads k elements. */
export interface SparseProbe extends LayerProbe {
  readonly k: number;
  /** The elements that it reads, the best first; the others weigh 0. */
  readonly elements: readonly number[];
}

/** Of each layer, a probe for each k in the order given. */
export interface SparseResult {
  readonly layers: readonly (readonly SparseProbe[])[];
  readonly split: ProbeSplit;
}

/** l2 of the probes whose weights choose; elements have deviation 1. */
const CHOOSING_L2 = 0.01;

/** Probes of the best k elements of every layer, for each k. */
export function fitSparseProbes(request: SparseRequest): SparseResult {
  const examples = examplesOf(request);
  const { k: sizes, choice = "mean_difference" } = request;
  if (sizes.length === 0) throw new SextantError("request", "k: needs at least one number of elements, got none");
  for (const k of sizes) checkElementCount(k, examples.width);
  const split = splitOf(request, examples);
  const layers = Array.from({ length: examples.layers }, (_, layer) => {
    const chosen = chooseElements(examples, { layer, split, sizes, choice });
    return sizes.map((k, i) => fitElements({ ...request, split }, examples, layer, chosen[i]!));
  });
  return { layers, split };
}

/** A probe of given elements of one layer; its weights are of the layer's whole width. */
export function fitElements(request: ProbeRequest, examples: Examples, layer: number, elements: readonly number[]): SparseProbe {
  const { layers } = fitProbe({ ...request, examples: elementsOf(examples, layer, elements) });
  const found = layers[0]!;
  return { ...found, layer, k: elements.length, elements, probe: spread(found.probe, elements, examples.width) };
}

interface Choice {
  readonly layer: number;
  readonly split: ProbeSplit;
  readonly sizes: readonly number[];
  readonly choice: ElementChoice;
}

/** The best elements for each size, by the training examples. */
export function chooseElements(examples: Examples, { layer, split, sizes, choice }: Choice): number[][] {
  const problem = problemOf(examples, layer, split.train, scalingOf(examples, layer, split.train, true));
  if (choice === "adaptive_thresholding") return thresholded(problem, sizes);
  const order = byWorth(
    Array.from({ length: problem.width }, (_, i) => i),
    separations(problem),
  );
  return sizes.map((k) => order.slice(0, k));
}

/** Of each element, the variance of the class means over the mean variance within classes. */
function separations({ rows, width, labels, classes }: Problem): Float64Array {
  const [sums, squares] = [new Float64Array(classes * width), new Float64Array(width)];
  const counts = new Float64Array(classes);
  for (const [i, row] of rows.entries()) {
    const label = labels[i]!;
    counts[label]!++;
    for (let j = 0; j < width; j++) {
      sums[label * width + j]! += row[j]!;
      squares[j]! += row[j]! ** 2;
    }
  }
  return squares.map((square, j) => {
    // Rows are centred, so the sum of squares between classes is Σ sum² / count.
    let between = 0;
    for (let c = 0; c < classes; c++) between += sums[c * width + j]! ** 2 / counts[c]!;
    return square > 0 ? between / Math.max(square - between, 1e-12 * square) : 0;
  });
}

function thresholded(problem: Problem, sizes: readonly number[]): number[][] {
  const found = new Map<number, number[]>();
  let kept = Array.from({ length: problem.width }, (_, i) => i);
  for (const k of new Set([...sizes].sort((a, b) => b - a))) {
    do {
      const worth = new Float64Array(problem.width);
      for (const [place, value] of weightsOf(problem, kept).entries()) worth[kept[place]!] = value;
      kept = byWorth(kept, worth).slice(0, Math.max(k, Math.ceil(kept.length / 2)));
    } while (kept.length > k);
    found.set(k, kept);
  }
  return sizes.map((k) => found.get(k)!);
}

/** The squared weight of each of some elements in a probe of them, summed over classes. */
function weightsOf(problem: Problem, elements: readonly number[]): Float64Array {
  const rows = problem.rows.map((row) => Float64Array.from(elements, (element) => row[element]!));
  const part = { ...problem, rows, width: elements.length };
  const { weights } = (problem.classes === 2 ? logisticFits : softmaxFits)(part)(CHOOSING_L2);
  return Float64Array.from(elements, (_, i) => weights.reduce((sum, row) => sum + row[i]! ** 2, 0));
}

/** The elements of most worth first; of equals the lower index. */
function byWorth(elements: readonly number[], worth: Float64Array): number[] {
  return elements.toSorted((a, b) => worth[b]! - worth[a]! || a - b);
}
