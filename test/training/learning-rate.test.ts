/** @file Learning rates: values worked out by hand, and what all schedules have in common. */
import { describe, expect, test } from "vitest";
import { checkSchedule, learningRateAt, type Schedule } from "../../src/training/learning-rate.js";

const ratesOf = (schedule: Schedule, count = schedule.steps): number[] =>
  Array.from({ length: count }, (_, step) => Number(learningRateAt(schedule, step).toFixed(9)));

describe("learningRateAt", () => {
  test("rises in equal parts, then falls as asked", () => {
    expect(ratesOf({ peak: 1, warmUp: 4, steps: 8, decay: "linear" })).toEqual([0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25]);
    expect(ratesOf({ peak: 1, warmUp: 2, steps: 6 }, 8)).toEqual([0.5, 1, 1, 0.853553391, 0.5, 0.146446609, 0, 0]);
    expect(ratesOf({ peak: 2, warmUp: 2, steps: 4, decay: "constant" }, 6)).toEqual([1, 2, 2, 2, 2, 2]);
  });

  test("ends at the floor, a share of the peak, and stays there", () => {
    for (const decay of ["linear", "cosine"] as const) {
      const schedule = { peak: 3, steps: 10, floor: 0.1, decay };
      expect(learningRateAt(schedule, 10)).toBeCloseTo(0.3, 12);
      expect(learningRateAt(schedule, 1e6)).toBeCloseTo(0.3, 12);
      expect(learningRateAt(schedule, 5)).toBeCloseTo((3 + 0.3) / 2, 12);
    }
  });

  test("is the peak throughout where all is warm-up's end", () => {
    expect(ratesOf({ peak: 1, warmUp: 3, steps: 3 })).toEqual([0.333333333, 0.666666667, 1]);
  });
});

test.each([
  [{ peak: 0, steps: 1 }, "peak must be a number above 0, got 0"],
  [{ peak: Infinity, steps: 1 }, "peak must be a number above 0, got Infinity"],
  [{ peak: 1, steps: 0.5 }, "steps must be a whole number above 0, got 0.5"],
  [{ peak: 1, steps: 5, warmUp: 6 }, "warmUp must be a whole number from 0 to 5, got 6"],
  [{ peak: 1, steps: 5, floor: 2 }, "floor must be a share of the peak, 0 to 1, got 2"],
  [{ peak: 1, steps: 5, decay: "stairs" as "linear" }, "decay must be one of constant, linear, cosine, got stairs"],
])("%o is refused", (schedule, message) => {
  expect(() => checkSchedule(schedule)).toThrow(`schedule: ${message}`);
});
