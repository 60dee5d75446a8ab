/** @file Samples from JSONL, and the words of each refusal. */
import { expect, test } from "vitest";
import { readSamples } from "../../src/training/read-samples.js";
import { temporaryFolder } from "../formats/folder.js";

const { write, refusal } = temporaryFolder();
const options = { vocab: 10, longest: 4 };
const tokenizer = {
  encode: (text: string) => ({ ids: Array.from(text, Number), tokens: [], offsets: [] }),
};

test("reads tokens, masks and text", () => {
  const path = write("good.jsonl", '{"tokens":[1,2,9]}\r\n{"mask":[0,1],"tokens":[3,4]}\n{"text":"123"}\n');
  expect(readSamples(path, { ...options, tokenizer })).toEqual([
    { tokens: [1, 2, 9] },
    { tokens: [3, 4], mask: [0, 1] },
    { tokens: [1, 2, 3] },
  ]);
  expect(readSamples(write("one.jsonl", '{"tokens":[1,2]}'), options)).toHaveLength(1);
});

// oxfmt-ignore
test.each([
  ['{"tokens":[1,2}',                         'format: LINE is not JSON: '],
  ["",                                        "format: LINE is empty: each line must hold a sample"],
  ["[1,2]",                                   "format: LINE must hold a JSON object, got [1, 2]"],
  ['{"token":[1,2]}',                         'format: LINE: nothing is known of "token", only of tokens, mask, text'],
  ['{"tokens":[1,2],"text":"12"}',            "format: LINE has both text and tokens: it must have one or the other"],
  ['{"text":"12","mask":[0,1]}',              "format: LINE has both text and a mask: it must have one or the other"],
  ['{"text":12}',                             "format: LINE: text must be a string, got the number 12"],
  ['{"tokens":"12"}',                         'format: LINE: tokens must be a list of ids, got the string "12"'],
  ['{"tokens":[1,"2"]}',                      'format: LINE: tokens must be a list of ids, got [1, "2"]'],
  ['{}',                                      "format: LINE: tokens must be a list of ids, got undefined"],
  ['{"tokens":[1]}',                          "format: LINE: a sample needs two tokens at least, one to predict from and one to predict, got 1"],
  ['{"tokens":[1,2,3,4,5]}',                  "format: LINE: it has 5 tokens, a sample may have 4; divide it"],
  ['{"tokens":[1,10]}',                       "format: LINE: token 1 is 10, ids are whole numbers from 0 to 9"],
  ['{"tokens":[-1,2]}',                       "format: LINE: token 0 is -1, ids are whole numbers from 0 to 9"],
  ['{"tokens":[1,2.5]}',                      "format: LINE: token 1 is 2.5, ids are whole numbers from 0 to 9"],
  ['{"tokens":[1,2],"mask":[1]}',             "format: LINE: there are 2 tokens, but a mask for 1"],
  ['{"tokens":[1,2],"mask":[0,0.5]}',         "format: LINE: mask 1 is 0.5, it must be 1 or 0"],
  ['{"tokens":[1,2],"mask":[1,0]}',           "format: LINE: no token behind the first counts, so there is nothing to learn from it"],
  ['{"tokens":[1,2],"mask":true}',            "format: LINE: mask must be a list of 1 and 0, got the boolean true"],
])("refuses %s", (line, message) => {
  const path = write("bad.jsonl", `{"tokens":[1,2]}\n${line}\n{"tokens":[1,2]}\n`);
  expect(refusal(() => readSamples(path, { ...options, tokenizer }))).toContain(message.replace("LINE", "TMP/bad.jsonl:2"));
});

test("refuses text without a tokenizer, and a file without samples", () => {
  expect(refusal(() => readSamples(write("text.jsonl", '{"text":"12"}\n'), options))).toBe(
    "request: TMP/text.jsonl:1 has text, but there is no tokenizer: give a model folder with one, or lines of tokens",
  );
  expect(refusal(() => readSamples(write("empty.jsonl", ""), options))).toBe("format: TMP/empty.jsonl has no samples: it is empty");
});
