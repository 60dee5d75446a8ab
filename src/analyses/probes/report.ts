/** @file How well a probe does on a side of the examples. */
import { weightedAuroc, type WeightedAuroc } from "../../base/auroc.js";
import { bootstrapInterval, type Interval, type IntervalOptions, type Statistic } from "../../base/bootstrap.js";
import { calibrationOf, type ScoredItems } from "../../base/calibration.js";
import { logSumExp } from "../../base/log-sum-exp.js";
import { hasProbabilities, scoresOfOne } from "./apply.js";
import { activationsOf, type Examples } from "./examples.js";
import type { Probe, SideReport, TestReport } from "./request.js";

/** A side of the examples with the scores that a probe gives them, axes `example, class`. */
export interface ScoredSide extends ScoredItems {
  readonly scores: Float64Array;
  readonly labels: Int32Array;
  readonly groups: Int32Array;
}

/** The scores of some examples of a layer. */
export function scoreSide(probe: Probe, examples: Examples, layer: number, side: readonly number[]): ScoredSide {
  const { classes } = examples;
  const scores = new Float64Array(side.length * classes);
  for (const [i, example] of side.entries()) scores.set(scoresOfOne(probe, activationsOf(examples, example, layer)), i * classes);
  const pick = (values: Int32Array): Int32Array => Int32Array.from(side, (example) => values[example]!);
  return { scores, classes, labels: pick(examples.labels), groups: pick(examples.groups) };
}

/** Accuracy and AUROC of a side. */
export function reportOn(side: ScoredSide): SideReport {
  const areas = aurocsOf(side).map((area) => area(new Float64Array(side.labels.length).fill(1)));
  const area = meanOf(areas);
  const right = isRight(side);
  const report = {
    examples: side.labels.length,
    groups: new Set(side.groups).size,
    accuracy: right.reduce((sum, one) => sum + one, 0) / right.length,
    balancedAccuracy: balanced(side, right),
  };
  return area === undefined ? report : { ...report, auroc: area };
}

/** The report of the test side, with intervals that draw groups whole where there are options for them, and calibration where the scores mean probabilities. */
export function reportOnTest(side: ScoredSide, probe: Probe, options: IntervalOptions | undefined): TestReport {
  const areas = aurocsOf(side);
  const right = isRight(side);
  const accuracy = options && intervalOverGroups(side, options, (weights) => shareOf(right, weights));
  const area = options && intervalOverGroups(side, options, (weights) => meanOf(areas.map((each) => each(weights))));
  const { temperature = 1 } = probe;
  return {
    ...reportOn(side),
    ...(accuracy && { accuracyInterval: accuracy }),
    ...(area && { aurocInterval: area }),
    classAuroc: areas.map((each) => each(new Float64Array(right.length).fill(1))),
    ...(hasProbabilities(probe) && { calibration: calibrationOf(side, { temperature }) }),
  };
}

/** The interval of a statistic of weighted examples, where an example weighs as often as its group was drawn. */
function intervalOverGroups(
  { groups }: ScoredSide,
  options: IntervalOptions,
  statistic: (weights: Float64Array) => number | undefined,
): Interval | undefined {
  const ids = [...new Set(groups)];
  const numbers = new Map(ids.map((id, number) => [id, number]));
  const ofExample = Int32Array.from(groups, (id) => numbers.get(id)!);
  const times = new Float64Array(ids.length);
  const weights = new Float64Array(groups.length);
  const ofDrawn: Statistic = (drawn) => {
    times.fill(0);
    for (const group of drawn) times[group]!++;
    for (const [i, group] of ofExample.entries()) weights[i] = times[group]!;
    return statistic(weights);
  };
  return bootstrapInterval([...ids.keys()], { ...options, statistic: ofDrawn });
}

/**
 * The area of each class against the rest, by weights. Examples are ordered by the lead of the class over the log-sum-exp of the others, which is
 * the difference of two scores with two classes, and the log odds of the class where scores are log-probabilities.
 */
function aurocsOf({ scores, labels, classes }: ScoredSide): WeightedAuroc[] {
  return Array.from({ length: classes }, (_, c) => {
    const leads = Float64Array.from(labels, (_label, i) => {
      const row = scores.subarray(i * classes, (i + 1) * classes);
      return row[c]! - logSumExp(row.filter((_score, other) => other !== c));
    });
    return weightedAuroc(
      leads,
      Array.from(labels, (label) => label === c),
    );
  });
}

/** 1 for each example whose class is called, else 0; of equal scores the first class is called. */
function isRight({ scores, labels, classes }: ScoredSide): Float64Array {
  return Float64Array.from(labels, (label, i) => {
    const row = scores.subarray(i * classes, (i + 1) * classes);
    return row.indexOf(Math.max(...row)) === label ? 1 : 0;
  });
}

function balanced({ labels, classes }: ScoredSide, right: Float64Array): number {
  const shares = Array.from({ length: classes }, (_, c) =>
    shareOf(
      right,
      Float64Array.from(labels, (label) => (label === c ? 1 : 0)),
    ),
  ).filter((share) => share !== undefined);
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

function shareOf(right: Float64Array, weights: Float64Array): number | undefined {
  let [sum, total] = [0, 0];
  for (let i = 0; i < right.length; i++) {
    sum += right[i]! * weights[i]!;
    total += weights[i]!;
  }
  return total > 0 ? sum / total : undefined;
}

/** The mean, or undefined where a value is. */
function meanOf(values: readonly (number | undefined)[]): number | undefined {
  return values.reduce((sum, value) => (sum === undefined || value === undefined ? undefined : sum + value / values.length), 0);
}
