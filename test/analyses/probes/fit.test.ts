/** @file Probes on planted truths: a direction is found where it is, nothing is found where nothing is, and what misleads is refused. */
import { describe, expect, test } from "vitest";
import { directionOf, probabilitiesWithProbe, scoreWithProbe } from "../../../src/analyses/probes/apply.js";
import { fitProbe } from "../../../src/analyses/probes/fit.js";
import type { ProbeMethod, ProbeRequest } from "../../../src/analyses/probes/request.js";
import { tensor } from "../../../src/base/tensor.js";
import { refusalOf } from "../../base/samples.js";
import { cosine, plantedExamples } from "./planted.js";

const METHODS: readonly ProbeMethod[] = [
  { kind: "logistic" },
  { kind: "softmax" },
  { kind: "softmax_adamw", learningRate: 0.03, evaluateEvery: 20, patience: 3, maxSteps: 300 },
  { kind: "ridge" },
  { kind: "difference_of_means" },
  { kind: "lda" },
];

const INTERVAL = { resamples: 200 };

describe.each(METHODS)("$kind", (method) => {
  const planted = plantedExamples({ seed: 7, groups: 120, perGroup: 4, width: 16, strength: 1.5, emptyLayers: 1 });

  test("finds a planted direction in its layer, and nothing in the layer before", () => {
    const { layers } = fitProbe({ ...planted, method, seed: 1, interval: INTERVAL });
    const [empty, full] = layers;
    // Two normals 3 deviations apart: accuracy Φ(1.5) = 0.933, AUROC Φ(3/√2) = 0.983.
    expect(full!.test.accuracy).toBeGreaterThan(0.88);
    expect(full!.test.auroc).toBeGreaterThan(0.96);
    expect(full!.test.aurocInterval!.low).toBeGreaterThan(0.9);
    expect(cosine(directionOf(full!.probe, { toward: 1, from: 0 }).data, planted.direction)).toBeGreaterThan(0.9);
    // 96 examples of chance: a deviation of the AUROC of 0.06.
    expect(Math.abs(empty!.test.auroc! - 0.5)).toBeLessThan(0.2);
    expect(empty!.test.aurocInterval!.low).toBeLessThan(0.5);
    expect(empty!.test.aurocInterval!.high).toBeGreaterThan(0.5);
  });

  test("gives the same for the same request, and the same reports of scores anybody can compute", () => {
    const request: ProbeRequest = { ...planted, method, seed: 1, interval: "none" };
    const { layers, split } = fitProbe(request);
    expect(fitProbe(request).layers).toEqual(layers);
    const { probe, test: report } = layers[1]!;
    const scores = scoreWithProbe(probe, planted.examples);
    expect(scores.axes).toEqual(["example", "layer", "class"]);
    const right = split.test.filter((example) => {
      const [s0, s1] = scores.data.slice((example * 2 + 1) * 2, (example * 2 + 2) * 2);
      return (s1! > s0! ? 1 : 0) === planted.labels[example];
    });
    expect(report.accuracy).toBeCloseTo(right.length / split.test.length, 12);
  });

  test("moves with its examples: an offset of all activations changes nothing but the bias", () => {
    if (method.kind === "softmax_adamw") return; // without a bias it cannot
    const moved = { ...planted.examples, data: planted.examples.data.map((value, i) => value + (i % 16 === 3 ? 64 : 0)) };
    const [before, after] = [planted.examples, moved].map((examples) =>
      fitProbe({ ...planted, examples, method, seed: 1, interval: "none" }),
    );
    expect(cosine(before!.layers[1]!.probe.weights.data, after!.layers[1]!.probe.weights.data)).toBeGreaterThan(0.999999);
    expect(after!.layers[1]!.test.accuracy).toBe(before!.layers[1]!.test.accuracy);
  });
});

describe("three classes", () => {
  // Class c lies at 4 along element c.
  const labels = Array.from({ length: 240 }, (_, i) => i % 3);
  const noise = plantedExamples({ seed: 2, groups: 240, perGroup: 1, width: 6, strength: 0 }).examples.data;
  const examples = tensor(
    noise.map((value, at) => value + (at % 6 === labels[Math.floor(at / 6)] ? 4 : 0)),
    [240, 6],
  );

  test.each(METHODS.slice(1))("$kind calls each, and each has its element", (method) => {
    const { layers } = fitProbe({ examples, labels, method, seed: 3, interval: "none" });
    const { probe, test: report } = layers[0]!;
    expect(report.balancedAccuracy).toBeGreaterThan(0.95);
    expect(report.classAuroc.every((area) => area! > 0.97)).toBe(true);
    for (const c of [0, 1, 2]) {
      const direction = [...directionOf(probe, { toward: c }).data];
      expect(direction.indexOf(Math.max(...direction))).toBe(c);
      expect(Math.hypot(...direction)).toBeCloseTo(1, 6);
    }
  });

  test("a logistic probe is refused", () => {
    expect(() => fitProbe({ examples, labels, method: { kind: "logistic" }, seed: 3 })).toThrow("of two classes, got 3: take softmax");
  });
});

describe("choosing a strength", () => {
  // 60 training examples of 100 elements: a weak penalty fits noise.
  const planted = plantedExamples({ seed: 9, groups: 150, perGroup: 1, width: 100, strength: 1 });
  const split = { train: range(0, 60), validation: range(60, 100), test: range(100, 150) };

  test.each(["logistic", "softmax", "ridge"] as const)("%s takes the least validation loss, and says what it tried", (kind) => {
    const l2 = [1e-4, 1e-2, 1, 100];
    const { layers } = fitProbe({ ...planted, split, method: { kind, l2 }, seed: 1, interval: "none" });
    const { candidates, strength } = layers[0]!;
    expect(candidates.map((candidate) => candidate.strength)).toEqual(l2);
    const least = candidates.reduce((a, b) => (b.loss < a.loss ? b : a));
    expect(strength).toBe(least.strength);
    expect(strength).toBeGreaterThan(1e-4);
    const alone = fitProbe({ ...planted, split, method: { kind, l2: strength! }, seed: 1, interval: "none" });
    expect(alone.layers[0]!.probe).toEqual(layers[0]!.probe);
  });

  test("the test side has no part in it", () => {
    const method = { kind: "logistic", l2: [1e-3, 1e-1, 10] } as const;
    const other = { ...planted.examples, data: planted.examples.data.map((value, at) => (at >= 100 * 100 ? -value : value)) };
    const [one, two] = [planted.examples, other].map((examples) =>
      fitProbe({ ...planted, examples, split, method, seed: 1, interval: "none" }),
    );
    expect(two!.layers[0]!.probe).toEqual(one!.layers[0]!.probe);
    expect(two!.layers[0]!.test.auroc).not.toBe(one!.layers[0]!.test.auroc);
  });
});

describe("temperature", () => {
  const planted = plantedExamples({ seed: 5, groups: 500, perGroup: 1, width: 10, strength: 0.7 });

  test("gives ridge's scores a meaning", () => {
    const method = { kind: "ridge" } as const;
    const plain = fitProbe({ ...planted, method, seed: 1, interval: "none" }).layers[0]!;
    expect(plain.test.calibration).toBeUndefined();
    expect(() => probabilitiesWithProbe(plain.probe, planted.examples)).toThrow("no log-probabilities");
    const { probe, test: report } = fitProbe({ ...planted, method, seed: 1, temperature: true, interval: "none" }).layers[0]!;
    expect(probe.temperature).toBeLessThan(1);
    // 100 test examples, accuracy 0.76: a Brier score of chance is 0.5, of the truth about 0.33.
    expect(report.calibration!.brier).toBeLessThan(0.42);
    const { data } = probabilitiesWithProbe(probe, planted.examples);
    for (let at = 0; at < data.length; at += 2) expect(data[at]! + data[at + 1]!).toBeCloseTo(1, 6);
  });
});

describe("refusals", () => {
  const planted = plantedExamples({ seed: 1, groups: 20, perGroup: 1, width: 3, strength: 1 });
  const request: ProbeRequest = { ...planted, method: { kind: "logistic" }, seed: 1 };
  const withNaN = { ...planted.examples, data: planted.examples.data.map((value, i) => (i === 7 ? NaN : value)) };
  const split = { train: range(0, 12), validation: [] as number[], test: range(12, 20) };
  const cases: readonly (readonly [name: string, request: ProbeRequest])[] = [
    ["one class", { ...request, labels: planted.labels.map(() => 1) }],
    ["a class left out", { ...request, labels: planted.labels.map((label) => label * 2) }],
    ["labels of another length", { ...request, labels: [0, 1] }],
    ["groups of another length", { ...request, groups: [0, 1] }],
    ["NaN", { ...request, examples: withNaN }],
    ["axes", { ...request, examples: tensor(planted.examples.data, [60]) }],
    ["two groups", { ...request, groups: planted.groups.map((_, i) => i % 2) }],
    ["a leak", { ...request, split, groups: planted.groups.map((_, i) => Math.floor((i + 1) / 2)) }],
    ["an example twice", { ...request, split: { ...split, validation: [3] } }],
    ["an example beyond the end", { ...request, split: { ...split, validation: [20] } }],
    ["a class not trained on", { ...request, split: { ...split, train: [0, 2, 4] } }],
    ["no l2", { ...request, method: { kind: "softmax", l2: 0 } }],
    ["shrinkage", { ...request, method: { kind: "lda", shrinkage: 2 } }],
    ["nothing to choose by", { ...request, split, method: { kind: "ridge", l2: [1, 2] } }],
    ["nothing to stop by", { ...request, split, method: { kind: "softmax_adamw" } }],
    ["patience", { ...request, method: { kind: "softmax_adamw", patience: 0 } }],
    ["no temperature without validation", { ...request, split, temperature: true }],
  ];

  test.each(cases)("%s", (_name, wrong) => {
    expect(refusalOf(() => fitProbe(wrong))).toMatchSnapshot();
  });

  test("directions and activations that a probe has not", () => {
    const { probe } = fitProbe(request).layers[0]!;
    expect(() => directionOf(probe, { toward: 2 })).toThrow("toward must be a class of 0 … 1, got 2");
    expect(() => directionOf(probe, { toward: 1, from: 1 })).toThrow("no such direction");
    expect(() => scoreWithProbe(probe, tensor(new Float32Array(4), [4]))).toThrow("activations of 3 elements, got shape [4]");
  });
});

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
