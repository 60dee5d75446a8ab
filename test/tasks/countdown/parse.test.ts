/** @file Searches judged: good ones, bad ones, and texts that were made to be counted as good. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseTrace, reward } from "../../../src/tasks/countdown/parse.js";

const TASK = { numbers: [3, 4, 6], target: 18 };
const GOOD = "- 3 + 4 + 6 = 13 (not 18)\n- 3 * 4 + 6 = 18 (this works)\nanswer 3 * 4 + 6\n";

describe("a search that is right", () => {
  test("is read line by line", () => {
    expect(parseTrace(TASK, GOOD)).toEqual({
      attempts: [
        { value: 13, claimed: 13, verdict: "not" },
        { value: 18, claimed: 18, verdict: "works" },
      ],
      answer: 18,
      isGivenUp: false,
      inFormat: true,
    });
    expect(reward(TASK, GOOD)).toBe(1);
  });

  test("may have one attempt, and its answer in another order than the attempt", () => {
    expect(reward(TASK, "- 3 * 4 + 6 = 18 (this works)\nanswer 6 + 4 * 3\n")).toBe(1);
  });
});

describe("a search in the format, but wrong, is worth a tenth", () => {
  // oxfmt-ignore
  test.each([
    ["another value",                 "- 3 + 4 + 6 = 18 (this works)\nanswer 3 + 4 + 6\n"],
    ["a number left out",             "- 3 * 6 = 18 (this works)\nanswer 3 * 6\n"],
    ["a number twice",                "- 6 + 6 + 6 = 18 (this works)\nanswer 6 + 6 + 6\n"],
    ["one number too many",           "- 3 * 4 + 6 + 0 = 18 (this works)\nanswer 3 * 4 + 6 + 0\n"],
    ["the target itself",             "- 18 = 18 (this works)\nanswer 18\n"],
    ["a division with a rest",        "- 4 / 3 * 6 = 18 (this works)\nanswer 4 / 3 * 6\n"],
    ["a right answer, but another attempt that is said to work", "- 3 + 4 + 6 = 18 (this works)\nanswer 3 * 4 + 6\n"],
    ["an equation as answer",         "- 3 * 4 + 6 = 18 (this works)\nanswer 3 * 4 + 6 = 18\n"],
    ["none found",                    "- 3 + 4 + 6 = 13 (not 18)\nanswer none\n"],
    ["code",                          "- 3 * 4 + 6 = 18 (this works)\nanswer eval(18)\n"],
  ])("%s", (_, text) => {
    expect(reward(TASK, text)).toBe(0.1);
  });
});

describe("a search out of the format is worth nothing", () => {
  // oxfmt-ignore
  test.each([
    ["nothing",                       ""],
    ["an empty line",                 "\n"],
    ["the answer alone",              "answer 3 * 4 + 6\n"],
    ["no end of line",                GOOD.trimEnd()],
    ["no answer",                     "- 3 * 4 + 6 = 18 (this works)\n"],
    ["something behind it",           `${GOOD}- 3 * 4 + 6 = 18 (this works)\n`],
    ["an empty line behind it",       `${GOOD}\n`],
    ["an empty line in it",           GOOD.replace("\n", "\n\n")],
    ["the answer twice",              `${GOOD}answer 3 * 4 + 6\n`],
    ["an answer in the middle",       `answer 3 * 4 + 6\n${GOOD}`],
    ["no attempt that works",         "- 3 + 4 + 6 = 13 (not 18)\nanswer 3 * 4 + 6\n"],
    ["none found, but one works",     "- 3 * 4 + 6 = 18 (this works)\nanswer none\n"],
    ["none found, nothing tried",     "answer none\n"],
    ["none found, the target called wrong", "- 3 * 4 + 6 = 18 (not 18)\nanswer none\n"],
    ["going on after it worked",      "- 3 * 4 + 6 = 18 (this works)\n- 3 + 4 + 6 = 13 (not 18)\nanswer 3 * 4 + 6\n"],
    ["two that work",                 "- 3 * 4 + 6 = 18 (this works)\n- 3 * 4 + 6 = 18 (this works)\nanswer 3 * 4 + 6\n"],
    ["another target in a verdict",   GOOD.replace("not 18", "not 17")],
    ["a verdict with a nought before", GOOD.replace("not 18", "not 018")],
    ["said to work, with another value", "- 3 * 4 + 6 = 17 (this works)\nanswer 3 * 4 + 6\n"],
    ["the target, said not to be it", `- 3 * 4 + 6 = 18 (not 18)\n${GOOD}`],
    ["carriage returns",              GOOD.replaceAll("\n", "\r\n")],
    ["a verdict of its own",          GOOD.replace("this works", "works")],
    ["an attempt that is too long",   GOOD.replace("3 + 4 + 6 =", `${"3 + ".repeat(30)}3 =`)],
    ["a value that is too long",      GOOD.replace("= 13", "= 131313")],
    ["spaces in front",               ` ${GOOD}`],
    ["capitals",                      GOOD.replace("answer", "Answer")],
  ])("%s", (_, text) => {
    expect(reward(TASK, text)).toBe(0);
  });
});

describe("any text", () => {
  const pieces = fc.constantFrom(
    "- ",
    " = ",
    "3",
    "4",
    "6",
    "18",
    " + ",
    " * ",
    " - ",
    " / ",
    "(this works)",
    "(not 18)",
    " ",
    "\n",
    "answer ",
    "-",
    "(",
    ")",
    "\r",
    "\u2028",
  );
  const texts = fc.oneof(
    fc.string(),
    fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join("")),
  );

  test("is worth 0, a tenth or 1, and no more than what is read in it", () => {
    fc.assert(
      fc.property(texts, (text) => {
        const worth = reward(TASK, text);
        const { attempts, answer, inFormat } = parseTrace(TASK, text);
        expect([0, 0.1, 1]).toContain(worth);
        if (worth > 0) expect(inFormat).toBe(true);
        if (worth === 1) expect([answer, attempts.at(-1)?.value]).toEqual([TASK.target, TASK.target]);
      }),
      { seed: 31, numRuns: 2000 },
    );
  });

  test("is read in time that grows with its length", () => {
    const long = `- ${"3 = 1 (".repeat(20_000)}\n`.repeat(3) + " + 1".repeat(100_000) + "\n- 1 = 1 (not 1)".repeat(20_000);
    expect(reward(TASK, long)).toBe(0);
  });
});
