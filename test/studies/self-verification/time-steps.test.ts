/** @file Moments of judgement: planted positions in three tokenizers, and the same judgements in tokens as in the text. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { seededRandom } from "../../../src/base/random.js";
import { loadTokenizer, type Tokenizer } from "../../../src/formats/tokenizer.js";
import { findTimeSteps, wordIds } from "../../../src/studies/self-verification/time-steps.js";
import { verdictsOf } from "../../../src/studies/self-verification/verdicts.js";
import { makeTask } from "../../../src/tasks/countdown/task.js";
import { promptOf, writeDrill, writeSearch } from "../../../src/tasks/countdown/trace.js";
import { tokenizerFiles } from "../../../src/tasks/countdown/vocabulary.js";
import { temporaryFolder } from "../../formats/folder.js";
import { hasShared, sharedPath } from "../../shared.js";
import { TINY } from "./tiny.js";

const { path, write, refusal } = temporaryFolder();
for (const [name, content] of Object.entries(tokenizerFiles())) write(`own/${name}`, JSON.stringify(content));

const WORDS = { open: " (", valid: "this", invalid: "not" };
const own = loadTokenizer(path("own"));
const tiny = loadTokenizer(TINY);

const SEARCH = "- 90 - 67 + 12 = -15 (not 49)\n- 67 + 60 - 78 = 49 (this works)\n";

function encode(tokenizer: Tokenizer, text: string): number[] {
  return tokenizer.encode(text, { addSpecialTokens: false }).ids;
}

/** The tokens at the positions of each step, by text. */
function shown(tokenizer: Tokenizer, text: string): unknown[] {
  const tokens = encode(tokenizer, text);
  const at = (position: number): string => tokenizer.decode([tokens[position]!]);
  return findTimeSteps(tokens, wordIds(tokenizer, WORDS), { tokenizer }).map(({ label, attempt, open, lastDigit, equals, start }) => ({
    label,
    attempt,
    open: at(open) + at(open + 1),
    lastDigit: at(lastDigit),
    equals: at(equals),
    start: tokenizer.decode(tokens.slice(start, open)),
  }));
}

const EXPECTED = [
  { label: 0, attempt: 0, open: " (not", lastDigit: "5", equals: " =", start: "- 90 - 67 + 12 = -15" },
  { label: 1, attempt: 1, open: " (this", lastDigit: "9", equals: " =", start: "- 67 + 60 - 78 = 49" },
];

describe("the judgements of a search", () => {
  test.each([
    ["the repository's tokenizer", own],
    ["the tiny Qwen 2's", tiny],
  ])("lie where they were written: %s", (_, tokenizer) => {
    expect(shown(tokenizer, SEARCH)).toEqual(EXPECTED);
  });

  test("are counted from where one begins to look", () => {
    const asked = encode(tiny, SEARCH);
    const tokens = [...asked, ...encode(tiny, "- 3 + 4 = 7 (this")];
    const words = wordIds(tiny, WORDS);
    const steps = findTimeSteps(tokens, words, { from: asked.length, tokenizer: tiny });
    expect(steps.map(({ attempt, label, start }) => ({ attempt, label, start }))).toEqual([{ attempt: 0, label: 1, start: asked.length }]);
    expect(steps[0]!.open).toBe(tokens.length - 2);
    expect(steps[0]!.lastDigit).toBe(tokens.length - 3);
    expect(findTimeSteps([], words, { tokenizer: tiny })).toEqual([]);
    expect(findTimeSteps([words.open, words.valid], words, { tokenizer: tiny })).toEqual([]);
  });

  test("are only those of a result: a bracket elsewhere is none, and one that was not decided is none", () => {
    expect(shown(tiny, "We add (not multiply): 3 + 4 (this is 7)\n- 3 + 4 = 7 (")).toEqual([]);
    expect(shown(tiny, "= 7 so (this works), 3 + 4 = 7 (not 8)")).toMatchObject([{ attempt: 0, label: 0, lastDigit: "7" }]);
  });

  test.each([
    ["the repository's tokenizer", own],
    ["the tiny Qwen 2's", tiny],
  ])("are those of the text, one by one: %s", (_, tokenizer) => {
    const words = wordIds(tokenizer, WORDS);
    for (let i = 0; i < 60; i++) {
      const random = seededRandom(3, i);
      const task = makeTask(random, { largestNumber: 12 });
      const text = promptOf(task) + writeSearch(random, task, { mostWrong: 6 }) + writeDrill(random, task);
      const verdicts = verdictsOf(text, task);
      const steps = findTimeSteps(encode(tokenizer, text), words, { tokenizer });
      expect(steps.map(({ label }) => label)).toEqual(verdicts.map(({ verdict }) => Number(verdict === "works")));
      expect(verdicts.length).toBeGreaterThan(1);
      for (const { isRight, verdict, claimIsTarget } of verdicts) {
        expect(isRight).toBe(verdict === "works");
        expect(claimIsTarget).toBe(verdict === "works");
      }
    }
  });

  test("are those of any text made of such words", () => {
    const piece = fc.constantFrom("- ", "3", "49", " + ", " =", " ", " (", "not", "this", " works", ")", "\n", "-", "4.5", "x", "(");
    const words = wordIds(tiny, WORDS);
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 25 }), (pieces) => {
        // Where words run together the token behind the bracket is another one.
        const text = pieces.join("").replaceAll(/(not|this)(?=\w)/g, "$1 ");
        const tokens = encode(tiny, text);
        const steps = findTimeSteps(tokens, words, { tokenizer: tiny });
        expect(steps.map(({ label }) => label)).toEqual(
          verdictsOf(text, { numbers: [], target: 1 }).map(({ verdict }) => Number(verdict === "works")),
        );
        for (const { open, lastDigit, equals, start } of steps) {
          expect(start).toBeLessThanOrEqual(equals);
          expect(equals).toBeLessThan(lastDigit);
          expect(lastDigit).toBe(open - 1);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("verdicts", () => {
  const task = { numbers: [12, 90, 60, 67], target: 49 };

  test.each([
    ["- 67 + 60 + 12 - 90 = 49 (this works)", { verdict: "works", claimed: 49, claimIsTarget: true, value: 49, isRight: true }],
    ["- 67 + 60 - 12 - 90 = 49 (this works)", { verdict: "works", claimed: 49, claimIsTarget: true, value: 25, isRight: false }],
    ["- 67 + 60 + 12 - 90 = 48 (not 49)", { verdict: "not", claimed: 48, claimIsTarget: false, value: 49, isRight: true }],
    ["- 90 - 67 = 23 (not 49)", { verdict: "not", claimed: 23, claimIsTarget: false, value: 23, isRight: false }],
    ["- 40 + 9 = 49 (this works)", { verdict: "works", claimed: 49, claimIsTarget: true, value: 49, isRight: false }],
    ["- (67 + 60) * 12 / 90 = 16.9 (not 49)", { claimed: 16.9, value: 1524 / 90, isRight: false }],
    ["- -12 + 90 = 78 (not 49)", { expression: "-12 + 90", value: 78 }],
    ["- 90 - 67 = 23 + 12 = 35 (not 49)", { expression: "90 - 67 = 23 + 12", claimed: 35, value: undefined, isRight: undefined }],
    ["- 90 / (60 - 60) = 0 (not 49)", { value: undefined, isRight: undefined }],
    ["- something = 49 (this works)", { claimIsTarget: true, isRight: undefined }],
  ])("%s", (line, verdict) => {
    expect(verdictsOf(`We begin:\n${line}\nSo`, task)).toMatchObject([verdict]);
  });

  test("are read of anything without harm", () => {
    for (const text of [
      "(".repeat(50_000),
      "=".repeat(50_000),
      "- = 1 (not".repeat(2000),
      "-".repeat(300) + "3 = 4 (not",
      `${"(".repeat(190)} = 1 (not`,
    ])
      expect(verdictsOf(text, task).every(({ isRight }) => isRight === undefined)).toBe(true);
    fc.assert(fc.property(fc.string(), (text) => void verdictsOf(text, task)));
  });
});

describe("words", () => {
  test("that take several tokens are refused", () => {
    expect(refusal(() => wordIds(tiny, { ...WORDS, valid: "zebra" }))).toMatch(
      /^request: cannot find judgements by "zebra": it is \d tokens, .*\. Instead: study a model whose tokenizer has it as one token, or give the format other words$/,
    );
  });

  test("that are other tokens behind a bracket are refused", () => {
    expect(refusal(() => wordIds(tiny, { open: ")", valid: "\n", invalid: "not" }))).toBe(
      String.raw`request: cannot find judgements by "\n": in " = 12)\n" the tokens are " =" " " "1" "2" ")\n". Instead: study a model whose tokenizer has it as one token, or give the format other words`,
    );
  });
});

describe.skipIf(!hasShared)("Qwen2.5's tokenizer", () => {
  test("has the ids that the released code names, and the same positions", () => {
    const tokenizer = loadTokenizer(sharedPath("tokenizers/qwen2_5"));
    expect(wordIds(tokenizer, WORDS)).toEqual({ open: 320, invalid: 1921, valid: 574 });
    expect(shown(tokenizer, SEARCH)).toEqual(EXPECTED);
  });
});
