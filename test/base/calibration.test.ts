/** @file Calibration: numbers of numpy and scipy, data that are calibrated by construction, and the ends of bins. */
import { expect, test } from "vitest";
import { calibrationOf, temperatureOf } from "../../src/base/calibration.js";
import { seededRandom } from "../../src/base/random.js";
import { normals } from "./samples.js";

const ITEMS = {
  scores: [2, 0, -1, 0.5, 1, 0, -1, 3, 0, 0, 0, 2.5, 1, 0.8, 0.9, 3, -1, 0],
  labels: [0, 1, 1, 2, 2, 1],
  classes: 3,
};

test("errors, Brier score, cross-entropy and temperature are those of numpy and scipy", () => {
  // numpy 2.4.6 in float64; scipy 1.17.1: optimize.minimize_scalar of the cross-entropy over 1 / temperature.
  const found = calibrationOf(ITEMS, { bins: 5 });
  expect(found.expectedError).toBeCloseTo(0.23932332116120208, 12);
  expect(found.brier).toBeCloseTo(0.494005043655067, 12);
  expect(found.crossEntropy).toBeCloseTo(1.0393057883888763, 12);
  expect(found.bins.map(({ count }) => count)).toEqual([0, 1, 1, 0, 4]);
  expect(found.bins[1]).toMatchObject({ from: 0.2, to: 0.4, accuracy: 0 });
  expect(found.bins[0]).toEqual({ from: 0, to: 0.2, count: 0 });
  // The cross-entropy is flat at its least, so that scipy knows half the digits.
  expect(temperatureOf(ITEMS)).toBeCloseTo(2.0049902100720876, 6);
});

test("labels drawn by their probabilities are calibrated, and scores times 3 have temperature 3", () => {
  const random = seededRandom(8);
  const count = 8000;
  const scores = normals(random, 2 * count).map((value) => 1.5 * value);
  const labels = Array.from({ length: count }, (_, i) => (random() < 1 / (1 + Math.exp(scores[2 * i]! - scores[2 * i + 1]!)) ? 1 : 0));
  // About 800 items a bin: an error of 0.015 each.
  expect(calibrationOf({ scores, labels, classes: 2 }).expectedError).toBeLessThan(0.025);
  const sharper = { scores: scores.map((score) => 3 * score), labels, classes: 2 };
  expect(calibrationOf(sharper).expectedError).toBeGreaterThan(0.08);
  const temperature = temperatureOf(sharper)!;
  expect(temperature).toBeCloseTo(3, 0);
  expect(calibrationOf(sharper, { temperature }).expectedError).toBeLessThan(0.025);
  expect(calibrationOf(sharper, { temperature }).crossEntropy).toBeLessThan(calibrationOf(sharper).crossEntropy);
});

test("there is no temperature where the classes are apart, or scores say nothing or the opposite", () => {
  const temperature = (scores: readonly number[]): number | undefined => temperatureOf({ scores, labels: [0, 1], classes: 2 });
  expect(temperature([1, 0, 0, 1])).toBeUndefined();
  expect(temperature([0, 0, 0, 0])).toBeUndefined();
  expect(temperature([1, 0, 1, 0])).toBeUndefined();
  expect(temperature([0, 1, 1, 0])).toBeUndefined();
});

test("what cannot be judged is refused", () => {
  expect(() => calibrationOf({ scores: [], labels: [], classes: 2 })).toThrow("at least one item");
  expect(() => calibrationOf({ scores: [1], labels: [0], classes: 2 })).toThrow("scores: 1 items of 2 classes need 2, got 1");
  expect(() => calibrationOf({ scores: [1, NaN], labels: [0], classes: 2 })).toThrow(
    "scores[1]: calibration needs finite numbers, got NaN",
  );
  expect(() => calibrationOf({ scores: [1, 2], labels: [2], classes: 2 })).toThrow("labels[0] must be a class of 0 … 1, got 2");
  expect(() => calibrationOf(ITEMS, { bins: 0 })).toThrow("bins must be a whole number of 1 or more, got 0");
});
