/** @file Numbers as readers see them. */
import { expect, test } from "vitest";
import { shownNumber } from "../../src/charts/numbers.js";

test.each([
  [0.9533333, "share", "95.3 %"],
  [0.57, "share", "57.0 %"],
  [0, "share", "0 %"],
  [1, "share", "100 %"],
  [0.9999, "share", "99.99 %"],
  [0.0002, "share", "0.02 %"],
  [1e-9, "share", "1e-7 %"],
  [1 - 1e-10, "share", "> 99.99999 %"],
  [-0.031, "share", "-3.1 %"],
  [0.23456, "cosine", "0.235"],
  [1e-5, "cosine", "0.00001"],
  [0, "cosine", "0"],
  [0.9, "AUROC", "0.900"],
  [33, "heads", "33"],
  [3085938688, "parameters", "3,085,938,688"],
  [-1234, "", "-1,234"],
  [1.23456, "nats", "1.235"],
  [12345.6, "logits", "12,346"],
  [0.000123456, "nats", "1.23e-4"],
  [1e20, "", "1e20"],
  [NaN, "share", "NaN"],
  [-Infinity, "", "-Infinity"],
])("%d %s is %s", (value, unit, text) => {
  expect(shownNumber(value, unit)).toBe(text);
});
