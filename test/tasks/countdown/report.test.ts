/** @file Reports on searches: planted shares, and intervals as others compute them. */
import { expect, test } from "vitest";
import { reportTraces } from "../../../src/tasks/countdown/report.js";
import { thrownBy } from "../../formats/folder.js";
import { samples } from "./samples.js";

const TASK = { numbers: [1, 2, 3], target: 6 };
const TEXTS = [
  "- 3 - 2 - 1 = 0 (not 6)\n- 1 + 2 + 3 = 6 (this works)\nanswer 1 + 2 + 3\n",
  // True 5, written 6 and called right: verified by what is written, not by what is true.
  "- 3 * 2 - 1 = 6 (this works)\nanswer 3 * 2 - 1\n",
  // True 6, written 60: the first digit is right, the value is not, and "not" follows from what is written.
  "- 1 * 2 * 3 = 60 (not 6)\n",
  // No value at all, and a sign that is wrong.
  "- 3 + 3 = 6 (not 6)\n- 1 - 2 - 3 = 4 (not 6)\n",
  // Gives up, after an attempt that was right.
  "- 1 + 2 + 3 = 6 (not 6)\nanswer none\n",
];
const report = reportTraces(
  TEXTS.map(() => TASK),
  TEXTS,
);

test("planted errors are counted where they belong", () => {
  const counts = (share: { share: number; n: number } | undefined): readonly number[] => [share!.share * share!.n, share!.n];
  expect(counts(report.solved)).toEqual([1, 5]);
  expect(counts(report.givenUp)).toEqual([1, 5]);
  expect(counts(report.inFormat)).toEqual([3, 5]);
  expect(counts(report.arithmetic)).toEqual([3, 7]);
  expect(counts(report.firstDigit)).toEqual([4, 7]);
  expect([report.byClaimed.hits, report.byClaimed.misses].map(counts)).toEqual([
    [2, 4],
    [3, 3],
  ]);
  expect([report.byTrue.hits, report.byTrue.misses].map(counts)).toEqual([
    [1, 3],
    [3, 4],
  ]);
  expect(report.byClaimed.balanced!.share).toBeCloseTo((2 / 4 + 1) / 2, 15);
  expect(report.byTrue.balanced!.share).toBeCloseTo((1 / 3 + 3 / 4) / 2, 15);
});

test("intervals are Wilson's, as scipy gives them", () => {
  // scipy 1.17.1: binomtest(3, 4).proportion_ci(method="wilson")
  expect(report.byTrue.misses!.low).toBeCloseTo(0.30064184258240184, 7);
  expect(report.byTrue.misses!.high).toBeCloseTo(0.9544127391902995, 7);
});

test("the interval of a balanced accuracy is narrower than the mean of both, and holds the share", () => {
  const { hits, misses, balanced } = report.byTrue;
  expect(balanced!.low).toBeGreaterThan((hits!.low + misses!.low) / 2);
  expect(balanced!.high).toBeLessThan((hits!.high + misses!.high) / 2);
  expect(balanced!.low).toBeLessThan(balanced!.share);
  expect(balanced!.n).toBe(7);
});

test("a share of nothing is undefined, and a class that is missing leaves no balance", () => {
  expect(reportTraces([], []).solved).toBeUndefined();
  const { arithmetic, byClaimed } = reportTraces([TASK], ["- 1 + 2 + 3 = 6 (this works)\n"]);
  expect(arithmetic!.share).toBe(1);
  expect([byClaimed.misses, byClaimed.balanced]).toEqual([undefined, undefined]);
});

test("as many responses as tasks are needed", () => {
  expect(thrownBy(() => reportTraces([TASK, TASK], TEXTS.slice(0, 1))).message).toBe("countdown: 2 tasks need as many responses, got 1");
});

test("written searches are right in every respect", () => {
  const made = samples(200);
  const { solved, inFormat, arithmetic, firstDigit, byClaimed, byTrue } = reportTraces(
    made.map(({ task }) => task),
    made.map(({ response }) => response),
  );
  for (const share of [solved, inFormat, arithmetic, firstDigit, byClaimed.balanced, byTrue.balanced]) expect(share!.share).toBe(1);
});
