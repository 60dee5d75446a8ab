/** @file k-sparse probes: planted elements are found in order, the curve rises to where they end, and the test side has no part in it. */
import { describe, expect, test } from "vitest";
import { fitSparseProbes, type ElementChoice } from "../../../src/analyses/probes/sparse.js";
import { scoreWithProbe } from "../../../src/analyses/probes/apply.js";
import { tensor } from "../../../src/base/tensor.js";
import { refusalOf } from "../../base/samples.js";
import { plantedExamples } from "./planted.js";

const WIDTH = 40;
const noise = plantedExamples({ seed: 21, groups: 300, perGroup: 1, width: WIDTH, strength: 0 });
/** Class 1 is shifted by so much along these elements, in deviations; element 17 is of another unit. */
const SHIFTS = new Map([
  [31, 2],
  [17, -1.5],
  [5, 1],
]);
const examples = tensor(
  noise.examples.data.map((value, at) => {
    const element = at % WIDTH;
    const shifted = value + (SHIFTS.get(element) ?? 0) * noise.labels[Math.floor(at / WIDTH)]!;
    return element === 17 ? 0.01 * shifted : shifted;
  }),
  [300, WIDTH],
);
const request = { examples, labels: noise.labels, method: { kind: "logistic" }, seed: 1, interval: "none" } as const;

describe.each(["mean_difference", "adaptive_thresholding"] as const satisfies ElementChoice[])("by %s", (choice) => {
  const { layers } = fitSparseProbes({ ...request, choice, k: [3, 1, 2, WIDTH] });
  const [three, one, two, all] = layers[0]!;

  test("planted elements are found, the strongest first, whatever their unit", () => {
    expect(one!.elements).toEqual([31]);
    expect(two!.elements).toEqual([31, 17]);
    expect(three!.elements).toEqual([31, 17, 5]);
    expect(all!.elements.length).toBe(WIDTH);
  });

  test("the curve rises to the planted elements, and no further", () => {
    expect(two!.test.auroc!).toBeGreaterThan(one!.test.auroc!);
    // One element 2 deviations apart: AUROC Φ(2/√2) = 0.921; three: Φ(√(4 + 2.25 + 1)/√2) = 0.972.
    expect(Math.abs(one!.test.auroc! - 0.921)).toBeLessThan(0.1);
    expect(three!.test.auroc!).toBeGreaterThan(0.93);
    expect(all!.test.auroc!).toBeLessThan(three!.test.auroc! + 0.02);
  });

  test("weights are of the whole width, and 0 but for the elements", () => {
    const { probe } = two!;
    expect(probe.weights.shape).toEqual([2, WIDTH]);
    expect([...probe.weights.data.entries()].filter(([, w]) => w !== 0).map(([at]) => at % WIDTH)).toEqual([17, 31, 17, 31]);
    const scores = scoreWithProbe(probe, examples);
    const right = noise.labels.filter((label, i) => scores.data[2 * i + 1]! > scores.data[2 * i]! === (label === 1));
    expect(right.length / 300).toBeGreaterThan(0.85);
  });
});

test("the best of three classes' elements is the one whose means are farthest apart", () => {
  const labels = noise.labels.map((_, i) => i % 3);
  const data = noise.examples.data.map((value, at) => value + (at % WIDTH === 8 ? 1.5 * labels[Math.floor(at / WIDTH)]! : 0));
  const sparse = { examples: tensor(data, [300, WIDTH]), labels, method: { kind: "softmax" }, seed: 1, interval: "none", k: [1] } as const;
  for (const choice of ["mean_difference", "adaptive_thresholding"] as const)
    expect(fitSparseProbes({ ...sparse, choice }).layers[0]![0]!.elements).toEqual([8]);
});

test("elements are chosen without the test side", () => {
  const split = { train: range(0, 150), validation: [], test: range(150, 300) };
  const other = tensor(
    examples.data.map((value, at) => (at >= 150 * WIDTH && at % WIDTH === 3 ? 100 * noise.labels[Math.floor(at / WIDTH)]! : value)),
    [300, WIDTH],
  );
  const [one, two] = [examples, other].map((each) => fitSparseProbes({ ...request, examples: each, split, k: [2] }).layers[0]![0]!);
  expect(two!.elements).toEqual(one!.elements);
});

test("a number of elements that there is not is refused", () => {
  for (const k of [[0], [1.5], [WIDTH + 1], []]) expect(refusalOf(() => fitSparseProbes({ ...request, k }))).toContain("request: k");
});

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
