/** @file The words of CountDown: Sextant's own reading, the tokenizer file's and transformers' are one. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { loadTokenizer } from "../../../src/formats/tokenizer.js";
import { rowAt } from "../../../src/tasks/countdown/rows.js";
import { decodeIds, encodeText, idOf, TOKENS, tokenizerFiles, VOCABULARY } from "../../../src/tasks/countdown/vocabulary.js";
import { temporaryFolder } from "../../formats/folder.js";

const { root, write, refusal } = temporaryFolder();
for (const [name, content] of Object.entries(tokenizerFiles())) write(name, JSON.stringify(content));
const tokenizer = loadTokenizer(root);

/** What `PreTrainedTokenizerFast.from_pretrained(FOLDER)` of transformers 5.23.0 made of these, the beginning included; its `decode` gave each text back. */
// oxfmt-ignore
const THEIRS: readonly (readonly [text: string, ids: readonly number[]])[] = [
  [
    "numbers 13 29 25 21 target 46\n- 29 + 13 + 21 + 25 = 88 (not 46)\n- 25 + 21 * 29 + 13 = 647 (not 46)\n- 29 + 13 - 21 + 25 = 46 (this works)\nanswer 29 + 13 - 21 + 25\n",
    [1, 15, 29, 21, 30, 27, 30, 23, 30, 19, 16, 32, 24, 3, 4, 30, 27, 6, 29, 21, 6, 30, 19, 6, 30, 23, 9, 36, 26, 10, 11, 32, 24, 14, 3, 4, 30, 23, 6, 30, 19, 7, 30, 27, 6, 29, 21, 9, 34, 22, 25, 10, 11, 32, 24, 14, 3, 4, 30, 27, 6, 29, 21, 5, 30, 19, 6, 30, 23, 9, 32, 24, 10, 12, 13, 14, 3, 17, 30, 27, 6, 29, 21, 5, 30, 19, 6, 30, 23, 3],
  ],
  ["answer 3 - 12\n", [1, 17, 31, 5, 29, 20, 3]],
  ["- 5 - 7 = -2 (not 24)\n", [1, 4, 33, 5, 35, 9, 5, 20, 10, 11, 30, 22, 14, 3]],
];

describe("the ids of a text", () => {
  test.each(THEIRS)("%j are those of transformers", (text, ids) => {
    expect([TOKENS.bos, ...encodeText(text)]).toEqual(ids);
    expect(tokenizer.encode(text).ids).toEqual(ids);
    expect(decodeIds(ids)).toBe(text);
  });

  test("are those of the tokenizer's file, on 200 rows, and give the text back", () => {
    for (let index = 0; index < 200; index++) {
      const { tokens } = rowAt(4, index, { largestNumber: 999, largestTarget: 9999, mostWrong: 6 });
      const text = decodeIds(tokens);
      expect([...tokenizer.encode(text).ids, TOKENS.eos]).toEqual(tokens);
      expect(encodeText(text)).toEqual(tokens.slice(1, -1));
      expect(tokenizer.decode(tokens, { skipSpecialTokens: true })).toBe(text);
    }
  });

  test("are the file's for any words in any order", () => {
    const words = fc.array(fc.constantFrom(...VOCABULARY.slice(3)), { minLength: 1, maxLength: 30 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(words, (text) => {
        const ids = encodeText(text);
        expect(tokenizer.encode(text, { addSpecialTokens: false }).ids).toEqual(ids);
        expect(decodeIds(ids)).toBe(text);
      }),
      { seed: 21, numRuns: 500 },
    );
  });

  test("do not exist for other texts, which are refused and never cut", () => {
    expect(refusal(() => encodeText("numbers 1, 2"))).toBe('request: countdown: ", 2" cannot be written in these tokens');
    expect(refusal(() => encodeText("<s>"))).toContain("cannot be written");
    expect(refusal(() => encodeText("1  2"))).toContain("cannot be written");
    expect(refusal(() => encodeText("Answer"))).toContain("cannot be written");
    expect(refusal(() => idOf("answers"))).toBe('request: countdown: "answers" is no token');
    expect(encodeText("")).toEqual([]);
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          expect(decodeIds(encodeText(text))).toBe(text);
        } catch (error) {
          expect(String(error)).toContain("cannot be written in these tokens");
        }
      }),
      { seed: 22 },
    );
  });
});

describe("the vocabulary", () => {
  test("has each word once, special ones first, and the file says the same", () => {
    expect(new Set(VOCABULARY).size).toBe(VOCABULARY.length);
    for (const [id, word] of VOCABULARY.entries()) {
      expect(idOf(word)).toBe(id);
      if (id >= 3) expect(encodeText(word)).toEqual([id]);
    }
    expect(tokenizer.vocabSize).toBe(VOCABULARY.length);
    expect([tokenizer.padId, tokenizer.bosId, tokenizer.eosIds]).toEqual([TOKENS.pad, TOKENS.bos, [TOKENS.eos]]);
  });

  test("has the bracket in front of a verdict as one token", () => {
    expect(tokenizer.singleToken(" (")).toBe(idOf(" ("));
  });

  test("leaves special tokens and ids that there are not out of texts", () => {
    expect(decodeIds([TOKENS.bos, idOf("answer"), TOKENS.pad, 999, idOf(" 7"), TOKENS.eos])).toBe("answer 7");
  });
});
