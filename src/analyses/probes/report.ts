/** @file How well a probe does on a side of the examples. */
import { weightedAuroc, type WeightedAuroc } from "../../base/auroc.js";
import type { Interval, IntervalOptions } from "../../base/bootstrap.js";
import { calibrationOf, type ScoredItems } from "../../base/calibration.js";
import { bootstrapOverGroups } from "../../base/group-bootstrap.js";
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
    balancedAccuracy: balanced(side, right, new Float64Array(right.length).fill(1)),
  };
  return area === undefined ? report : { ...report, auroc: area };
}

/** The report of the test side, with intervals that draw groups whole where there are options for them, and calibration where the scores mean probabilities. */
export function reportOnTest(side: ScoredSide, probe: Probe, options: IntervalOptions | undefined): TestReport {
  const areas = aurocsOf(side);
  const right = isRight(side);
  const intervalOf = (statistic: (weights: Float64Array) => number | undefined): Interval | undefined =>
    options && bootstrapOverGroups(side.groups, statistic, options);
  const accuracy = intervalOf((weights) => shareOf(right, weights));
  const balancedAccuracy = intervalOf((weights) => balanced(side, right, weights));
  const area = intervalOf((weights) => meanOf(areas.map((each) => each(weights))));
  const { temperature = 1 } = probe;
  return {
    ...reportOn(side),
    ...(accuracy && { accuracyInterval: accuracy }),
    ...(balancedAccuracy && { balancedAccuracyInterval: balancedAccuracy }),
    ...(area && { aurocInterval: area }),
    classAuroc: areas.map((each) => each(new Float64Array(right.length).fill(1))),
    ...(hasProbabilities(probe) && { calibration: calibrationOf(side, { temperature }) }),
  };
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

function balanced({ labels, classes }: ScoredSide, right: Float64Array, weights: Float64Array): number {
  const shares = Array.from({ length: classes }, (_, c) =>
    shareOf(
      right,
      weights.map((weight, i) => (labels[i] === c ? weight : 0)),
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
