/** @file Keys of attention: the last token of each mention of the target in front of the attempts, and those of the task's other numbers. */
import { expect, test } from "vitest";
import { loadTokenizer } from "../../../src/formats/tokenizer.js";
import { attentionCase } from "../../../src/studies/self-verification/attention-case.js";
import { formatNamed } from "../../../src/studies/self-verification/formats/table.js";
import { TINY } from "./tiny.js";

const tokenizer = loadTokenizer(TINY);
const format = "qwen-countdown";
const encode = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false }).ids;

/** The case of a task whose search restates it and makes one attempt, and what stands in front of and at each key, in digits. */
function caseOf(numbers: readonly number[], target: number) {
  const { text } = formatNamed(format, { rows: [{ numbers, target }] }).prompts(1, 1)[0]!;
  const restated = `We have the numbers ${numbers.join(", ")}. We need to make an equation that equals ${target}. Let's try different combinations:\n- 1 + 2 = `;
  const asked = encode(text);
  const tokens = [...asked, ...encode(`${restated}${target}`)];
  const searches = { searches: [{ tokens, asked: asked.length, target, numbers }], words: { open: 7, valid: 8, invalid: 9 } };
  const found = attentionCase({ tokenizer, format }, searches, { search: 0, tokens });
  const shown = (keys: readonly number[]): string[] =>
    keys.map((key) => /\d*$/.exec(tokenizer.decode(tokens.slice(0, key + 1)))![0]).toSorted();
  return { ...found, tokens, keys: shown(found.result.keys), others: shown(found.result.controls!["others"]!) };
}

test("keys are whole mentions of the target in the prompt and where it is restated, not in attempts", () => {
  const { keys, result, open, tokens } = caseOf([11, 5, 68], 62);
  expect(keys).toEqual(["62", "62"]);
  expect(result.query).toBe(tokens.length - 1);
  expect([open.tokens.at(-1), open.query, open.keys]).toEqual([7, tokens.length, result.keys]);
});

test("the other numbers are those of the task alone: no digit of the target, none of the prompt's own example", () => {
  // The prompt's example is (1 + 2) / 3.
  expect(caseOf([11, 5, 68], 62).others).toEqual(["11", "11", "5", "5", "68", "68"]);
  expect(caseOf([6, 2, 62], 2).others).toEqual(["6", "6", "62", "62"]);
  expect(caseOf([6, 26, 62], 62).keys).toHaveLength(4);
});

test("a target that what was asked does not mention is refused", () => {
  const { text } = formatNamed(format, { rows: [{ numbers: [11, 5, 68], target: 62 }] }).prompts(1, 1)[0]!;
  const tokens = encode(text);
  const searches = { searches: [{ tokens, asked: tokens.length, target: 99, numbers: [11] }], words: { open: 7, valid: 8, invalid: 9 } };
  expect(() => attentionCase({ tokenizer, format }, searches, { search: 0, tokens })).toThrow("does not mention its target 99");
});
