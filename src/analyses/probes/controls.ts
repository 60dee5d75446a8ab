/**
 * @file A probe beside what it must beat. How well a probe does says little alone: with as many elements as examples it can fit anything.
 *
 * - majority: always calling the class that is most frequent among the training examples.
 * - shuffled: the same fit to labels shuffled within sides and, as far as can be, by whole groups. On the test side it is chance, with the spread that
 *   so few examples have; on the training side it is what the probe can learn by heart.
 * - random elements, random projections: a fit to as few random numbers an example as the probe reads: k elements for a probe of k,
 *   else classes − 1, the dimension of what a linear probe reads. They say whether just anything in the layer carries the label.
 * - control task: random labels a type (such as the token), the same on all sides. Accuracy minus its accuracy is the selectivity of Hewitt
 *   and Liang (2019, arXiv 1909.03368).
 *
 * When they mislead: p-values count the shuffles that did as well, so 10 shuffles give no less than 1/11; a probe of high selectivity may
 * still read what goes with the label, not the label; and a layer whose random projections do well carries it everywhere, which is no fault.
 */
import { SextantError } from "../../base/errors.js";
import { seededRandom, type Random } from "../../base/random.js";
import { mean } from "../../base/statistics.js";
import { checkElementCount, elementsOf, projectionsOf } from "./coordinates.js";
import { normalNumbers, shuffled } from "../../base/draws.js";
import { examplesOf, splitOf, type Examples } from "./examples.js";
import { scalingOf } from "./features.js";
import { fitProbe } from "./fit.js";
import { controlTaskLabels, shuffledLabels } from "./relabel.js";
import type { DeterminedMethod, LayerProbe, ProbeRequest } from "./request.js";
import { chooseElements, fitElements, type ElementChoice } from "./sparse.js";
import type { GroupId, ProbeSplit } from "./split.js";

/** A probe request with the controls to run. */
export interface ControlledRequest extends ProbeRequest {
  readonly method: DeterminedMethod;
  /** The number of draws of each control; 10 by default. */
  readonly repeats?: number;
  /** The type of each example, such as its token, for the control task; none by default. */
  readonly types?: readonly GroupId[];
  /** To probe the best k elements only; chosen anew under each shuffle, since choosing is part of the fit. */
  readonly k?: number;
  readonly choice?: ElementChoice;
}

/** What a control did on the test side: means over its draws, and each draw's. Shares are 0 … 1. */
export interface ControlReport {
  readonly accuracy: number;
  readonly balancedAccuracy: number;
  /** Absent where a draw has none. */
  readonly auroc?: number;
  /** On the training side: what was learned by heart. */
  readonly trainAccuracy: number;
  readonly draws: readonly { readonly accuracy: number; readonly balancedAccuracy: number; readonly auroc?: number }[];
}

/** The controls of one layer. */
export interface LayerControls {
  readonly majority: { readonly accuracy: number; readonly balancedAccuracy: number };
  readonly shuffled: ControlReport;
  readonly randomElements: ControlReport;
  readonly randomProjections: ControlReport;
  /** Absent where no types were given. */
  readonly controlTask?: ControlReport;
  /** Accuracy minus the control task's; absent without one. */
  readonly selectivity?: number;
  /** (1 + the shuffles with at least the probe's balanced accuracy) / (1 + shuffles): not below 1 / (1 + repeats). */
  readonly p: number;
}

/** The probes, each beside its controls. */
export interface ControlledResult {
  readonly layers: readonly (LayerProbe & { readonly elements?: readonly number[]; readonly controls: LayerControls })[];
  readonly split: ProbeSplit;
}

/** What the controls of one layer need. */
interface Setting {
  readonly request: ControlledRequest;
  readonly examples: Examples;
  readonly split: ProbeSplit;
  readonly layer: number;
  readonly random: Random;
}

/** A probe a layer with controls on the same split. It fits some 3 · repeats more probes a layer, 4 · with types. */
export function probeWithControls(request: ControlledRequest): ControlledResult {
  const examples = examplesOf(request);
  checkControls(request, examples);
  const split = splitOf(request, examples);
  const layers = Array.from({ length: examples.layers }, (_, layer) => {
    const setting = { request, examples, split, layer, random: seededRandom(request.seed, 2 + layer) };
    const found = fitIn(setting, examples.labels, request);
    return { ...found, controls: controlsOf(setting, found) };
  });
  return { layers, split };
}

function controlsOf(setting: Setting, found: LayerProbe): LayerControls {
  const { request, examples, split, layer, random } = setting;
  const plain = { ...request, split, interval: "none", labels: examples.labels } as const;
  const size = request.k ?? Math.min(examples.classes - 1, examples.width);
  const repeat = (draw: () => LayerProbe): ControlReport => summary(Array.from({ length: request.repeats ?? 10 }, draw));
  const shuffles = repeat(() => fitIn(setting, shuffledLabels(examples, split, random), plain));
  const { types } = request;
  const task = types && repeat(() => fitIn(setting, controlTaskLabels(examples, types, split, random), plain));
  const { scale } = scalingOf(examples, layer, split.train, true);
  const ofElements = (): LayerProbe => {
    const elements = shuffled([...scale.keys()], random).slice(0, size);
    return fitProbe({ ...plain, examples: elementsOf(examples, layer, elements) }).layers[0]!;
  };
  const ofProjections = (): LayerProbe => {
    // Elements count alike: else the few of large deviation would be all that is seen.
    const directions = Array.from({ length: size }, () => normalNumbers(scale.length, random).map((value, i) => value / scale[i]!));
    return fitProbe({ ...plain, examples: projectionsOf(examples, layer, directions) }).layers[0]!;
  };
  const asGood = shuffles.draws.filter(({ balancedAccuracy }) => balancedAccuracy >= found.test.balancedAccuracy).length;
  return {
    majority: majorityOf(setting),
    shuffled: shuffles,
    randomElements: repeat(ofElements),
    randomProjections: repeat(ofProjections),
    ...(task && { controlTask: task, selectivity: found.test.accuracy - task.accuracy }),
    p: (1 + asGood) / (1 + shuffles.draws.length),
  };
}

/** The probe of one layer, of all elements or of the best k, fitted to the given labels. */
function fitIn(setting: Setting, labels: Int32Array, request: ControlledRequest): LayerProbe & { readonly elements?: readonly number[] } {
  const { examples, split, layer } = setting;
  const task = { ...request, labels, split };
  const { k, choice = "mean_difference" } = request;
  if (k !== undefined) {
    const labelled = { ...examples, labels };
    return fitElements(task, labelled, layer, chooseElements(labelled, { layer, split, sizes: [k], choice })[0]!);
  }
  const all = Array.from({ length: examples.width }, (_, i) => i);
  return { ...fitProbe({ ...task, examples: elementsOf(examples, layer, all) }).layers[0]!, layer };
}

function summary(probes: readonly LayerProbe[]): ControlReport {
  const draws = probes.map(({ test: { accuracy, balancedAccuracy, auroc } }) => ({
    accuracy,
    balancedAccuracy,
    ...(auroc !== undefined && { auroc }),
  }));
  const areas = draws.flatMap(({ auroc }) => (auroc === undefined ? [] : [auroc]));
  return {
    accuracy: mean(draws.map(({ accuracy }) => accuracy)),
    balancedAccuracy: mean(draws.map(({ balancedAccuracy }) => balancedAccuracy)),
    ...(areas.length === draws.length && { auroc: mean(areas) }),
    trainAccuracy: mean(probes.map(({ train }) => train.accuracy)),
    draws,
  };
}

function majorityOf({ examples: { labels, classes }, split }: Setting): { accuracy: number; balancedAccuracy: number } {
  const counts = new Float64Array(classes);
  for (const example of split.train) counts[labels[example]!]!++;
  const called = counts.indexOf(Math.max(...counts));
  const test = split.test.map((example) => labels[example]!);
  const occurring = new Set(test);
  return {
    accuracy: test.filter((label) => label === called).length / test.length,
    balancedAccuracy: occurring.has(called) ? 1 / occurring.size : 0,
  };
}

function checkControls({ repeats = 10, types, k }: ControlledRequest, { count, width }: Examples): void {
  if (!(Number.isInteger(repeats) && repeats >= 1))
    throw new SextantError("request", `repeats must be a whole number of 1 or more, got ${repeats}`);
  if (types && types.length !== count)
    throw new SextantError("request", `types: needs one for each of ${count} examples, got ${types.length}`);
  if (k !== undefined) checkElementCount(k, width);
}
