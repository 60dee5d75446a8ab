/** @file Tokens that two models share by text. */
import { expect, test } from "vitest";
import { loadTokenizer, type Tokenizer } from "../../../src/formats/tokenizer.js";
import { sharedTokens } from "../../../src/studies/self-verification/carried.js";
import type { Subject } from "../../../src/studies/study.js";
import { tokenizerFiles } from "../../../src/tasks/countdown/vocabulary.js";
import { temporaryFolder } from "../../formats/folder.js";
import { TINY } from "./tiny.js";

const { path, write } = temporaryFolder();
for (const [name, content] of Object.entries(tokenizerFiles())) write(`own/${name}`, JSON.stringify(content));

/** Of a subject only what the shared tokens are found by; rows behind the tokenizer's last token are padding. */
function subjectOf(tokenizer: Tokenizer): Subject {
  return { tokenizer, model: { spec: { vocab: tokenizer.vocabSize + 7 } } } as unknown as Subject;
}

const [own, tiny] = [subjectOf(loadTokenizer(path("own"))), subjectOf(loadTokenizer(TINY))];

test("of one tokenizer all are shared but special ones and pieces of characters, each with itself", () => {
  const { vocabSize, specialIds } = own.tokenizer;
  expect(sharedTokens(own, own)).toHaveLength(vocabSize - specialIds.size);
  for (const [a, b] of [...sharedTokens(own, own), ...sharedTokens(tiny, tiny)]) expect(a).toBe(b);
  // A tokenizer of bytes has a token for each; the 128 beyond ASCII are no text alone.
  expect(sharedTokens(tiny, tiny)).toHaveLength(tiny.tokenizer.vocabSize - tiny.tokenizer.specialIds.size - 128);
});

test("of two tokenizers those are shared that say the same, a space in front included", () => {
  const pairs = sharedTokens(own, tiny);
  expect(pairs.length).toBeGreaterThan(10);
  for (const [a, b] of pairs) expect(own.tokenizer.decode([a])).toBe(tiny.tokenizer.decode([b]));
  expect(new Set(pairs.map(([, b]) => b)).size).toBe(pairs.length);
});
