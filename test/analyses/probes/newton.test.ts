/** @file Newton's method: where full steps diverge, where there is nothing to gain, and where there is no least value. */
import { expect, test } from "vitest";
import { minimise, type Surroundings } from "../../../src/analyses/probes/newton.js";

/** Σ √(1 + (x − place)²) around x. Undamped Newton goes from a distance r to −r³. */
const hyperbola =
  (places: readonly number[]) =>
  (x: Float64Array): Surroundings => {
    const away = x.map((value, i) => value - places[i]!);
    return {
      value: away.reduce((sum, r) => sum + Math.sqrt(1 + r * r), 0),
      gradient: away.map((r) => r / Math.sqrt(1 + r * r)),
      curve: (direction) => direction.map((d, i) => d / (1 + away[i]! ** 2) ** 1.5),
    };
  };

test("the least value is found from where full steps diverge", () => {
  const found = minimise(hyperbola([3, -20, 0.5]), new Float64Array(3));
  for (const [i, place] of [3, -20, 0.5].entries()) expect(found[i]).toBeCloseTo(place, 7);
});

test("a start at the least value stays", () => {
  expect(minimise(hyperbola([0, 0]), new Float64Array(2))).toEqual(new Float64Array(2));
});

test("a function that falls for ever is refused", () => {
  const falling = (x: Float64Array): Surroundings => ({ value: -x[0]!, gradient: Float64Array.of(-1), curve: (d) => d });
  expect(() => minimise(falling, new Float64Array(1))).toThrow("the fit did not converge: the gradient is still 1 after 200 steps");
});
