/** @file Attempts explained: their text, and why an expression has no value. */
import { expect, test } from "vitest";
import { explainAttempts } from "../../../src/tasks/countdown/explain.js";
import { parseTrace } from "../../../src/tasks/countdown/parse.js";
import { samples } from "./samples.js";

const TASK = { numbers: [1, 2, 3], target: 6 };

test("each attempt has its text, and a reason where it has no value", () => {
  const lines = [
    "- 3 * 2 - 1 = 6 (this works)",
    "nonsense",
    "- 3 + 3 = 6 (not 6)",
    "- 3 / 2 + 1 = 2 (not 6)",
    "- 1 + + = -4 (not 6)",
    "answer 1",
  ];
  expect(explainAttempts(TASK, lines.join("\n"))).toEqual([
    { expression: "3 * 2 - 1", value: 5, problem: undefined, claimed: 6, verdict: "works" },
    { expression: "3 + 3", value: undefined, problem: "other numbers", claimed: 6, verdict: "not" },
    { expression: "3 / 2 + 1", value: undefined, problem: "not whole", claimed: 2, verdict: "not" },
    { expression: "1 + +", value: undefined, problem: "no expression", claimed: -4, verdict: "not" },
  ]);
});

test("the attempts are those that are scored", () => {
  for (const { task, response } of samples(100)) {
    const explained = explainAttempts(task, response);
    expect(explained.map(({ value, claimed, verdict }) => ({ value, claimed, verdict }))).toEqual(parseTrace(task, response).attempts);
    for (const { expression, claimed } of explained) expect(response).toContain(`- ${expression} = ${claimed} (`);
  }
});
