/** @file Outcomes: what the released code's rules say, rule by rule, and ours. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { countdownOutcome, paperOutcome } from "../../../src/studies/self-verification/outcome.js";

test.each([
  ["this works)\nSo, the equation that equals 49 is 67 + 60 + 12 - 90. </think>\n<answer>", "verifies"],
  ["not 49)\n- 67 + 60 - 12 = 115 (this works)", "verifies"],
  ["not 49)\n- 90 - 67 / 60 = 23 (not 49)\n- 67 + 60 * 12", "disabled"],
  ["49)\n- 67 + 60 - 12 = 115", "disabled"],
  ["not 49)\nSo, the equation that equals 49 is 67 + 60", "partial"],
  ["not 49). </think>\n<answer> (67 + 60 + 12) - 90 </answer>", "partial"],
  ["which is correct)", "partial"],
  ["not 49). Wait, no", "partial"],
  ["not 49, too low)", "disabled"],
  ["too low)", "unknown"],
  ["notable)", "unknown"],
  ["", "unknown"],
  ["\n !", "unknown"],
] as const)("of the paper's format: %j is %s", (text, outcome) => {
  expect(paperOutcome(text)).toBe(outcome);
});

test.each([
  ["this works)\n", "verifies"],
  ["not 15)\n", "disabled"],
  ["not 15", "disabled"],
  ["not 15 answer", "unknown"],
  [")answer 3 + 5 + 7\n", "partial"],
  ["15)\nthis works", "unknown"],
  ["this this)\n", "unknown"],
  ["", "unknown"],
] as const)("of the repository's format: %j is %s", (text, outcome) => {
  expect(countdownOutcome(text)).toBe(outcome);
});

test("a bracket in front changes nothing", () => {
  const words = fc.constantFrom("not", "this works", "49", ")", "\n", "So", "answer", "- 3 + 4 = 7", "Wait", "correct", "low", "</think>");
  const texts = fc.array(words, { maxLength: 8 }).map((list) => list.join(" "));
  fc.assert(
    fc.property(
      texts.filter((text) => /\w/.test(text)),
      (text) => {
        expect(paperOutcome(` (${text}`)).toBe(paperOutcome(text));
        expect(countdownOutcome(` (${text}`)).toBe(countdownOutcome(text));
      },
    ),
  );
});
