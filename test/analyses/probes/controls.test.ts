/** @file Controls: they find nothing where a probe finds what was planted, everything is chance in noise, and labels stay with their groups. */
import { describe, expect, test } from "vitest";
import { probeWithControls } from "../../../src/analyses/probes/controls.js";
import { examplesOf, splitOf } from "../../../src/analyses/probes/examples.js";
import { controlTaskLabels, shuffledLabels } from "../../../src/analyses/probes/relabel.js";
import { SIDES } from "../../../src/analyses/probes/split.js";
import { seededRandom } from "../../../src/base/random.js";
import { tensor } from "../../../src/base/tensor.js";
import { refusalOf } from "../../base/samples.js";
import { plantedExamples } from "./planted.js";

const METHOD = { kind: "ridge" } as const;

describe("a planted direction", () => {
  const planted = plantedExamples({ seed: 31, groups: 100, perGroup: 2, width: 30, strength: 2, emptyLayers: 1 });
  const { layers } = probeWithControls({ ...planted, method: METHOD, seed: 1, repeats: 19, interval: "none" });
  const [empty, full] = layers;

  test("is found by the probe and by no control", () => {
    expect(full!.test.accuracy).toBeGreaterThan(0.9);
    const { shuffled, randomElements, randomProjections, majority, p } = full!.controls;
    // 40 test examples, 19 draws: a deviation of the mean of 0.02; one of 30 elements carries 1/√30 of the direction.
    expect(Math.abs(shuffled.accuracy - 0.5)).toBeLessThan(0.08);
    expect(Math.abs(shuffled.auroc! - 0.5)).toBeLessThan(0.08);
    expect(randomElements.auroc).toBeLessThan(0.75);
    expect(randomProjections.auroc).toBeLessThan(0.75);
    expect(majority.balancedAccuracy).toBe(0.5);
    expect(p).toBe(1 / 20);
  });

  test("shows how much is learned by heart", () => {
    expect(full!.controls.shuffled.trainAccuracy).toBeGreaterThan(0.6);
    expect(full!.controls.shuffled.draws.length).toBe(19);
  });

  test("is not found in the layer before, where the probe is one of its shuffles", () => {
    expect(empty!.controls.p).toBeGreaterThan(1 / 20);
    expect(empty!.layer).toBe(0);
    expect(full!.layer).toBe(1);
  });
});

test("choosing elements in noise is in the control too: the best of 200 on few examples is no finding", () => {
  const planted = plantedExamples({ seed: 33, groups: 60, perGroup: 1, width: 200, strength: 0 });
  const { layers } = probeWithControls({ ...planted, method: METHOD, seed: 1, k: 5, repeats: 19, interval: "none" });
  const found = layers[0]!;
  expect(found.elements!.length).toBe(5);
  expect(found.probe.weights.shape).toEqual([2, 200]);
  expect(found.train.accuracy).toBeGreaterThan(0.75);
  expect(Math.abs(found.train.accuracy - found.controls.shuffled.trainAccuracy)).toBeLessThan(0.12);
  expect(found.controls.p).toBeGreaterThan(0.05);
});

test("a probe that remembers types has no selectivity, one that reads a planted direction has", () => {
  // Activations are noise but for a large code of the token; labels follow the token. The control task is as easy.
  const planted = plantedExamples({ seed: 35, groups: 200, perGroup: 1, width: 24, strength: 0 });
  const types = planted.labels.map((_, i) => (i * 7) % 12);
  const coded = planted.examples.data.map((value, at) => value + (at % 24 === types[Math.floor(at / 24)] ? 8 : 0));
  const labels = types.map((type) => (type < 6 ? 0 : 1));
  const shared = { labels, types, method: METHOD, seed: 1, repeats: 5, interval: "none" } as const;
  const remembered = probeWithControls({ ...shared, examples: tensor(coded, [200, 24]) }).layers[0]!;
  expect(remembered.test.accuracy).toBeGreaterThan(0.9);
  expect(Math.abs(remembered.controls.selectivity!)).toBeLessThan(0.1);
  const along = planted.examples.data.map((value, at) => value + (at % 24 === 0 ? 6 * labels[Math.floor(at / 24)]! : 0));
  const read = probeWithControls({ ...shared, examples: tensor(along, [200, 24]) }).layers[0]!;
  expect(read.test.accuracy).toBeGreaterThan(0.95);
  expect(read.controls.selectivity!).toBeGreaterThan(0.15);
});

describe("shuffled labels", () => {
  test.each([true, false])("keep the counts of each side, and groups of one label their own (%s)", (isConstant) => {
    const planted = plantedExamples({ seed: 37, groups: 40, perGroup: 3, width: 2, strength: 0, isConstant });
    const examples = examplesOf(planted);
    const split = splitOf({ ...planted, method: METHOD, seed: 1 }, examples);
    const labels = shuffledLabels(examples, split, seededRandom(1));
    for (const side of SIDES) {
      expect(split[side].map((example) => labels[example])).not.toEqual(split[side].map((example) => planted.labels[example]));
      const count = (of: Int32Array): number => split[side].reduce((sum, example) => sum + of[example]!, 0);
      expect(count(labels)).toBe(count(examples.labels));
    }
    const ones = (of: Int32Array): number[] => Array.from({ length: 40 }, (_, g) => of[3 * g]! + of[3 * g + 1]! + of[3 * g + 2]!);
    expect(ones(labels).toSorted((a, b) => a - b)).toEqual(ones(examples.labels).toSorted((a, b) => a - b));
  });

  test("of a control task are one a type, on all sides", () => {
    const planted = plantedExamples({ seed: 39, groups: 60, perGroup: 1, width: 2, strength: 0 });
    const examples = examplesOf(planted);
    const split = splitOf({ ...planted, method: METHOD, seed: 1 }, examples);
    const types = planted.labels.map((_, i) => i % 9);
    const labels = controlTaskLabels(examples, types, split, seededRandom(1));
    for (const [i, label] of labels.entries()) expect(label).toBe(labels[i % 9]);
    expect(() =>
      controlTaskLabels(
        examples,
        types.map(() => "the"),
        split,
        seededRandom(1),
      ),
    ).toThrow("random labels of 1 types");
  });
});

test("wrong numbers and lengths are refused", () => {
  const request = { ...plantedExamples({ seed: 1, groups: 20, perGroup: 1, width: 3, strength: 1 }), method: METHOD, seed: 1 };
  expect(refusalOf(() => probeWithControls({ ...request, repeats: 0 }))).toContain("repeats must be a whole number of 1 or more, got 0");
  expect(refusalOf(() => probeWithControls({ ...request, types: [1] }))).toContain("types: needs one for each of 20 examples, got 1");
  expect(refusalOf(() => probeWithControls({ ...request, k: 4 }))).toContain("k must be a whole number of elements, 1 … 3, got 4");
});
