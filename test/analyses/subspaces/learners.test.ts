/** @file Learners one by one: their gradients against central differences, their steps, and singular vectors against numpy. */
import { describe, expect, it } from "vitest";
import { directions } from "../../../src/analyses/subspaces/components.js";
import type { Learner } from "../../../src/analyses/subspaces/learner.js";
import { makeAdam } from "../../../src/base/adam.js";
import { clampedMask, sigmoidMask } from "../../../src/analyses/subspaces/mask-learner.js";
import { randomRows, rotation, spanOf, tangentOf } from "../../../src/analyses/subspaces/rotation-learner.js";
import { singularVectors } from "../../../src/analyses/subspaces/singular-vectors.js";
import { orthonormalRows } from "../../../src/base/linear-algebra.js";
import { seededRandom } from "../../../src/base/random.js";

/** numpy: `X = [[(7*i+3*j)%5 - 1.5 + 0.25*i*j for j in range(4)] for i in range(6)]`, `np.linalg.svd(X)`, and of `X - X.mean(0)`. */
const NUMPY = {
  values: [9.725971634244729, 4.752015897834694, 3.5809738844159216, 2.5739943115174913],
  first: [0.014522954722943534, -0.38284054425524067, -0.42817751622164907, -0.8184657696340917],
  centred: [5.391902649479141, 4.412729831921008, 3.5740913211186984, 2.465138091598845],
};

const WIDTH = 6;
const random = seededRandom(2);
const vector = (): Float64Array => Float64Array.from({ length: WIDTH }, () => 2 * random() - 1);
const product = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

/** Differences with the targets that their changes are drawn to: loss Σ ½ ‖change − target‖². */
const cases = Array.from({ length: 5 }, () => ({ difference: vector(), target: vector() }));

function lossOf(change: (difference: Float64Array) => Float64Array): number {
  return cases.reduce((sum, { difference, target }) => {
    const rest = change(difference).map((value, i) => value - target[i]!);
    return sum + product(rest, rest) / 2;
  }, 0);
}

function addAll(learner: Learner): void {
  for (const { difference, target } of cases)
    learner.add(
      learner.change(difference).map((value, i) => value - target[i]!),
      difference,
    );
}

describe("a rotation", () => {
  it("goes down the steepest way on the manifold", () => {
    const start = randomRows(2, WIDTH, 4);
    const learner = rotation(WIDTH, { dimension: 2, learningRate: 1e-4, seed: 4 });
    expect(learner.settle().rows).toEqual(start);
    // The gradient by central differences of the loss over spans, each row's elements moved and the rows made orthonormal again.
    const measured = start.map((row, i) =>
      row.map((_, u) => {
        const moved = (step: number): number => {
          const rows = start.map((other) => other.slice());
          rows[i]![u]! += step;
          return lossOf(spanOf(orthonormalRows(rows)!).change);
        };
        return (moved(1e-5) - moved(-1e-5)) / 2e-5;
      }),
    );
    addAll(learner);
    learner.step(0);
    // Adam's first step is the unit vector along the tangent gradient, times the rate and √2 for two rows.
    const length = Math.sqrt(measured.reduce((sum, row) => sum + product(row, row), 0));
    learner
      .settle()
      .rows!.forEach((row, i) =>
        row.forEach((value, u) => expect((start[i]![u]! - value) / (1e-4 * Math.SQRT2)).toBeCloseTo(measured[i]![u]! / length, 3)),
      );
  });

  it("has a tangent: nothing of it is symmetric along the rows", () => {
    const rows = randomRows(3, WIDTH, 1);
    const tangent = tangentOf([vector(), vector(), vector()], rows);
    for (let i = 0; i < 3; i++)
      for (let j = 0; j < 3; j++) expect(product(tangent[i]!, rows[j]!) + product(tangent[j]!, rows[i]!)).toBeCloseTo(0, 12);
  });
});

describe("a mask", () => {
  const components = directions(randomRows(4, WIDTH, 9));
  const options = { learningRate: 0.01, l1: 0.3 };

  /** Gradients by central differences of the loss and the price, at a mask that every component has to itself. */
  function slopesAt(mask: readonly number[], power: number): number[] {
    const at = (m: readonly number[]): number =>
      lossOf((difference) =>
        components.move(
          m.map((value) => value ** power),
          difference,
        ),
      ) +
      0.3 * m.reduce((sum, value) => sum + value, 0);
    return mask.map((_, i) => {
      const moved = (step: number): number => at(mask.map((value, j) => (i === j ? value + step : value)));
      return (moved(1e-5) - moved(-1e-5)) / 2e-5;
    });
  }

  it.each([true, false])("that is clamped takes Adam's steps, squared: %s", (squared) => {
    const learner = clampedMask(components, { ...options, squared });
    const adam = makeAdam(4);
    let mask = [1, 1, 1, 1];
    for (let step = 0; step < 60; step++) {
      const slopes = Float64Array.from(slopesAt(mask, squared ? 2 : 1));
      const expected = adam(slopes);
      mask = mask.map((value, i) => Math.min(1, Math.max(0, value - 0.01 * expected[i]!)));
      addAll(learner);
      learner.step(step / 60);
    }
    learner.settle().mask!.forEach((value, i) => expect(value).toBeCloseTo(mask[i]!, 4));
    expect(Math.min(...mask)).toBeLessThan(0.9);
    expect(learner.penalty()).toBeCloseTo(0.3 * mask.reduce((sum, value) => sum + value, 0), 3);
  });

  it("that is a sigmoid starts near one half, anneals, and goes down by the chain rule", () => {
    const learner = sigmoidMask(components, { ...options, temperature: { from: 2, to: 0.5 }, seed: 3 });
    const mask = learner.settle().mask!;
    for (const value of mask) expect(Math.abs(value - 0.5)).toBeLessThan(0.03);
    const slopes = slopesAt(mask, 1).map((slope, i) => (slope * mask[i]! * (1 - mask[i]!)) / 2);
    const before = mask.map((value) => 2 * Math.log(value / (1 - value)));
    addAll(learner);
    learner.step(0.5);
    expect(learner.temperature!()).toBeCloseTo(1, 12);
    const after = learner.settle().mask!.map((value) => Math.log(value / (1 - value)));
    // Adam's first step is the rate against the sign of the slope.
    after.forEach((value, i) => expect(value - before[i]!).toBeCloseTo(-0.01 * Math.sign(slopes[i]!), 6));
  });

  it("is not changed once it has settled", () => {
    const learner = clampedMask(components, { ...options, squared: false });
    const settled = learner.settle();
    const change = settled.change(cases[0]!.difference);
    for (let step = 0; step < 80; step++) {
      addAll(learner);
      learner.step(0);
    }
    expect(settled.change(cases[0]!.difference)).toEqual(change);
    expect(settled.rank).toBe(4);
  });
});

describe("singular vectors", () => {
  const rows = Array.from({ length: 6 }, (_, i) =>
    Float64Array.from({ length: 4 }, (_unused, j) => ((7 * i + 3 * j) % 5) - 1.5 + 0.25 * i * j),
  );

  it("are numpy's, for more rows than columns", () => {
    const { values, vectors } = singularVectors(rows);
    NUMPY.values.forEach((value, i) => expect(values[i]).toBeCloseTo(value, 10));
    NUMPY.first.forEach((value, i) => expect(Math.abs(vectors[0]![i]!)).toBeCloseTo(Math.abs(value), 10));
    singularVectors(rows, { centre: true }).values.forEach((value, i) => expect(value).toBeCloseTo(NUMPY.centred[i]!, 8));
  });

  it("are those of the other Gram matrix, for fewer rows than columns", () => {
    const wide = rows.slice(0, 3).map((row) => Float64Array.of(...row, 0));
    const padded = [...wide, ...Array.from({ length: 6 }, () => new Float64Array(5))];
    const [a, b] = [singularVectors(wide), singularVectors(padded)];
    expect(a.values).toHaveLength(3);
    a.values.forEach((value, i) => expect(value).toBeCloseTo(b.values[i]!, 10));
    a.vectors.forEach((one, i) => expect(Math.abs(product(one, b.vectors[i]!))).toBeCloseTo(1, 10));
  });

  it("leave out directions in which nothing varies, and stop at the most asked for", () => {
    const flat = rows.map((row) => Float64Array.of(row[0]!, row[1]!, row[0]! + row[1]!));
    expect(singularVectors(flat).vectors).toHaveLength(2);
    expect(singularVectors(rows, { most: 1 }).vectors).toHaveLength(1);
    expect(() => singularVectors([new Float64Array(3)])).toThrow("all zero");
  });
});
