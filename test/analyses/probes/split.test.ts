/** @file Splits by group: nothing leaks, shares and classes are kept, and what cannot be split is refused. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SIDES, splitByGroup } from "../../../src/analyses/probes/split.js";
import { refusalOf } from "../../base/samples.js";

const shares = { train: 0.6, validation: 0.2, test: 0.2 };

/** Groups of 1 … 6 examples, each with labels of its own. */
const grouped = fc
  .array(fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 6 }), { minLength: 30, maxLength: 60 })
  .map((sizes) => ({
    labels: sizes.flat(),
    groups: sizes.flatMap((labels, group) => labels.map(() => (group % 2 === 0 ? group : `group ${group}`))),
  }));

test("every example is on one side, and no group on two", () => {
  fc.assert(
    fc.property(grouped, fc.integer({ min: 0, max: 9 }), ({ labels, groups }, seed) => {
      const split = splitByGroup({
        labels: [...labels, 0, 1, 0, 1, 0, 1],
        groups: [...groups, "a", "b", "c", "d", "e", "f"],
        shares,
        seed,
      });
      const all = SIDES.flatMap((side) => split[side]);
      expect(all.toSorted((a, b) => a - b)).toEqual(Array.from({ length: labels.length + 6 }, (_, i) => i));
      const sides = SIDES.map((side) => new Set(split[side].map((example) => groups[example])));
      for (const [i, one] of sides.entries())
        for (const other of sides.slice(i + 1)) expect([...one].filter((group) => group !== undefined && other.has(group))).toEqual([]);
    }),
  );
});

describe("200 groups of 1 to 5 examples, a fifth of class 1", () => {
  const sizes = Array.from({ length: 200 }, (_, group) => 1 + (group % 5));
  const groups = sizes.flatMap((size, group) => Array.from({ length: size }, () => group));
  const labels = groups.map((group) => (group % 10 < 2 ? 1 : 0));

  test("sides have their shares of each class, to within a group", () => {
    const split = splitByGroup({ labels, groups, shares, seed: 4 });
    for (const label of [0, 1]) {
      const total = labels.filter((other) => other === label).length;
      for (const side of SIDES) {
        const count = split[side].filter((example) => labels[example] === label).length;
        expect(Math.abs(count - shares[side] * total)).toBeLessThanOrEqual(5);
      }
    }
  });

  test("the seed decides, and seeds differ", () => {
    const split = (seed: number): readonly number[] => splitByGroup({ labels, groups, shares, seed }).test;
    expect(split(1)).toEqual(split(1));
    expect(split(1)).not.toEqual(split(2));
  });

  test("a share of 0 leaves a side empty", () => {
    const split = splitByGroup({ labels, groups, shares: { train: 0.5, validation: 0, test: 0.5 }, seed: 1 });
    expect(split.validation).toEqual([]);
  });
});

test("six groups of one label each are enough for three sides of two classes", () => {
  for (let seed = 0; seed < 20; seed++) {
    const split = splitByGroup({ labels: [0, 1, 0, 1, 0, 1], groups: [1, 2, 3, 4, 5, 6], shares, seed });
    for (const side of SIDES) expect(split[side].length).toBe(2);
  }
});

test("what cannot be split is refused with what to do instead", () => {
  expect(refusalOf(() => splitByGroup({ labels: [0, 1, 0, 1], groups: ["a", "a", "b", "b"], shares, seed: 1 }))).toMatchInlineSnapshot(
    `"request: the examples cannot be split by group: the test side has no example of class 0 in 50 tries with 2 groups. Instead: give more groups, fewer sides or classes, or a split of your own"`,
  );
  expect(refusalOf(() => splitByGroup({ labels: [0, 1], groups: ["a"], shares, seed: 1 }))).toMatchInlineSnapshot(
    `"request: groups: needs one for each of 2 examples, got 1"`,
  );
  expect(
    refusalOf(() => splitByGroup({ labels: [0, 1], groups: ["a", "b"], shares: { train: 0.9, validation: 0.2, test: 0 }, seed: 1 })),
  ).toMatchInlineSnapshot(`"request: shares must be 0 or more, add up to 1, and leave some to train and test, got 0.9, 0.2, 0"`);
  expect(refusalOf(() => splitByGroup({ labels: [0, 1.5], groups: ["a", "b"], shares, seed: 1 }))).toMatchInlineSnapshot(
    `"request: labels[1] must be a whole number, 0 … 65535, got 1.5"`,
  );
  expect(refusalOf(() => splitByGroup({ labels: [], groups: [], shares, seed: 1 }))).toMatchInlineSnapshot(
    `"request: labels: a probe needs examples, got none"`,
  );
});
