/** @file Written searches: every attempt is reckoned right, none comes twice, the last one works. */
import { describe, expect, test } from "vitest";
import { seededRandom } from "../../../src/base/random.js";
import { sameNumbers } from "../../../src/tasks/countdown/expression.js";
import { rowAt } from "../../../src/tasks/countdown/rows.js";
import { reward } from "../../../src/tasks/countdown/parse.js";
import { makeSample, promptOf, writeSearch, type Sample } from "../../../src/tasks/countdown/trace.js";
import { decodeIds, encodeText, TOKENS } from "../../../src/tasks/countdown/vocabulary.js";
import { thrownBy } from "../../formats/folder.js";
import { exactValue } from "./exact.js";

interface Line {
  readonly expression: string;
  readonly value: string;
  readonly verdict: string;
}

/** The attempts of a search, and what stands behind them. */
function linesOf(response: string): { attempts: Line[]; rest: string[] } {
  const lines = response.split("\n");
  const read = lines.map((line) => /^- (.+) = (-?\d+) \((.+)\)$/.exec(line));
  const attempts = read.flatMap((match) => (match ? [{ expression: match[1]!, value: match[2]!, verdict: match[3]! }] : []));
  return { attempts, rest: lines.slice(attempts.length) };
}

const samples: readonly Sample[] = Array.from({ length: 300 }, (_, i) => makeSample(seededRandom(2, i), { mostWrong: 5 }));

describe("a search", () => {
  test("reckons every attempt right, with the task's numbers, and says of it what is so", () => {
    for (const { task, response } of samples) {
      for (const { expression, value, verdict } of linesOf(response).attempts) {
        const numbers = expression.split(" ").filter((_, i) => i % 2 === 0);
        expect(sameNumbers(numbers.map(Number), task.numbers)).toBe(true);
        expect(exactValue(expression)).toBe(BigInt(value));
        expect(verdict).toBe(value === String(task.target) ? "this works" : `not ${task.target}`);
      }
    }
  });

  test("has no attempt twice, and ends with the one that works and the answer", () => {
    for (const { task, response } of samples) {
      const { attempts, rest } = linesOf(response);
      expect(new Set(attempts.map(({ expression }) => expression)).size).toBe(attempts.length);
      expect(attempts.map(({ verdict }) => verdict === "this works")).toEqual(attempts.map((_, i) => i === attempts.length - 1));
      expect(rest).toEqual([`answer ${attempts.at(-1)!.expression}`, ""]);
      expect(reward(task, response)).toBe(1);
    }
  });

  test("has 0 to so many wrong attempts, all counts about as often", () => {
    const wrong = samples.map(({ response }) => linesOf(response).attempts.length - 1);
    const counts = Array.from({ length: 6 }, (_, count) => wrong.filter((own) => own === count).length);
    // 50 expected of each; binomial, standard deviation 6.5.
    for (const count of counts) expect(Math.abs(count - 50)).toBeLessThan(30);
    const none = makeSample(seededRandom(2, 1), { mostWrong: 0 });
    expect(linesOf(none.response).attempts).toHaveLength(1);
  });

  test("with `hit` stops after each attempt by the same chance, at the latest after so many", () => {
    const options = { counts: [4], mostWrong: 3, hit: 0.4 };
    const wrong = Array.from({ length: 1000 }, (_, i) => linesOf(makeSample(seededRandom(6, i), options).response).attempts.length - 1);
    const counts = Array.from({ length: 5 }, (_, count) => wrong.filter((own) => own === count).length);
    // Geometric, the rest of it at the bound: 0.4, 0.6 × 0.4, 0.6² × 0.4, 0.6³ of 1000. Binomial: the largest standard deviation is √(1000 × 0.4 × 0.6) = 15.5,
    // four of them are 62; counts that were all as likely would give 250 each.
    for (const [count, expected] of [400, 240, 144, 216].entries()) expect(Math.abs(counts[count]! - expected)).toBeLessThan(62);
    expect(counts[4]).toBe(0);
    const sure = makeSample(seededRandom(6, 3), { ...options, hit: 1 });
    expect(linesOf(sure.response).attempts).toHaveLength(1);
  });

  test("with `givesUp` ends without a solution where none came in so many attempts, and only there", () => {
    const options = { counts: [4], mostWrong: 3, hit: 0.4, givesUp: true };
    const found = Array.from({ length: 1000 }, (_, i) => linesOf(makeSample(seededRandom(6, i), options).response));
    const givenUp = found.filter(({ rest }) => rest[0] === "answer none");
    // 0.6³ of 1000 as above.
    expect(Math.abs(givenUp.length - 216)).toBeLessThan(62);
    for (const { attempts, rest } of givenUp) {
      expect(attempts.map(({ verdict }) => verdict.slice(0, 3))).toEqual(attempts.map(() => "not"));
      expect(attempts).toHaveLength(3);
      expect(rest).toEqual(["answer none", ""]);
    }
    for (const { attempts } of found.filter((one) => !givenUp.includes(one))) expect(attempts.at(-1)!.verdict).toBe("this works");
  });

  test.each([0, -0.1, 1.01, Number.NaN])("refuses a chance of %d that the next attempt works", (hit) => {
    expect(thrownBy(() => makeSample(seededRandom(1), { hit })).message).toBe(`countdown: hit must be above 0 and at most 1, got ${hit}`);
  });

  test("ends even where no attempt can be wrong", () => {
    const solution = { numbers: [1, 2], operators: ["+" as const] };
    const task = { numbers: [2, 1], target: 3, solution };
    expect(writeSearch(seededRandom(1), task, { operators: ["+"], mostWrong: 4 })).toBe("- 1 + 2 = 3 (this works)\nanswer 1 + 2\n");
  });

  test("only uses operators that are allowed", () => {
    for (let i = 0; i < 100; i++)
      expect(makeSample(seededRandom(3, i), { operators: ["+", "-"], mostWrong: 4 }).response).not.toMatch(/[*/]/);
  });
});

describe("a row", () => {
  test("is what is asked, then the search, which alone counts", () => {
    for (let index = 0; index < 50; index++) {
      const { tokens, mask } = rowAt(2, index, { mostWrong: 5 });
      const { prompt, response } = samples[index]!;
      expect(tokens).toEqual([TOKENS.bos, ...encodeText(prompt + response), TOKENS.eos]);
      expect(decodeIds(tokens)).toBe(prompt + response);
      expect(decodeIds(tokens.filter((_, i) => mask[i] === 0))).toBe(prompt);
      expect(mask).toHaveLength(tokens.length);
      expect(new Set(mask)).toEqual(new Set([0, 1]));
    }
    expect(promptOf({ numbers: [3, 12], target: 15 })).toBe("numbers 3 12 target 15\n");
  });
});
