/** @file Which judgements are looked at where there are more than are asked for. */
import { expect, test } from "vitest";
import { evenly, stepsToProbe } from "../../../src/studies/self-verification/judged.js";
import type { SearchesState, StepState } from "../../../src/studies/self-verification/state.js";

/** A judgement a character: the search, and its verdict in capitals where it is `this`. */
function stepsOf(text: string): StepState[] {
  return Array.from(text, (one, open) => {
    const label = one === one.toUpperCase() ? 1 : 0;
    return {
      search: one.toLowerCase().charCodeAt(0) - 97,
      label,
      attempt: 0,
      open,
      lastDigit: 0,
      equals: 0,
      start: 0,
      claimIsTarget: false,
      isRight: null,
    };
  });
}

test("the first of each search come before the second of any, whatever their order", () => {
  expect(evenly(stepsOf("aaaabbc"), 3)).toEqual([0, 4, 6]);
  expect(evenly(stepsOf("aaaabbc"), 5)).toEqual([0, 1, 4, 5, 6]);
  expect(evenly(stepsOf("aaaabbc"), 100)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(evenly([], 3)).toEqual([]);
});

test("searches with one verdict only are left out where both are demanded", () => {
  const state = { steps: stepsOf("aaabBccCC"), searches: Array.from({ length: 3 }) } as unknown as SearchesState;
  expect(stepsToProbe(state, { most: 3, bothVerdicts: true })).toEqual([3, 4, 5]);
  expect(stepsToProbe(state, { most: 4, bothVerdicts: false })).toEqual([0, 1, 3, 5]);
  expect(stepsToProbe({ ...state, steps: stepsOf("aabb") }, { most: 3, bothVerdicts: true })).toEqual([]);
});
