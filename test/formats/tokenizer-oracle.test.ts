/** @file Ids, offsets and decoded text against the Rust `tokenizers`, whose answers are in test/fixtures/tokenizers.json. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadTokenizer, type Tokenizer } from "../../src/formats/tokenizer.js";
import { hasShared, sharedPath } from "../shared.js";

type Decoded = { ids: number[]; decoded: string | null };
type Answer = Decoded & { text: string; full: number[]; offsets: [number, number][] };
interface Oracle {
  real: Record<string, { texts: Answer[]; decoded: Decoded[] }>;
  made: Record<string, { file: object; texts: Answer[] }>;
}

const oracle = JSON.parse(readFileSync(new URL("../fixtures/tokenizers.json", import.meta.url), "utf8")) as Oracle;

/** Where Rust's offsets are not ours: NFC there names only the base letter, `trim_offsets` leaves spaces out, an inserted space is given a letter. */
const OTHER_OFFSETS = /qwen2_5|pythia|stories/;

describe.skipIf(!hasShared).each(Object.entries(oracle.real))("%s", (name, { texts, decoded }) => {
  let tokenizer: Tokenizer;
  beforeAll(() => {
    tokenizer = loadTokenizer(sharedPath(name));
  });

  test.each(texts)("$text", (answer) => checkAnswer(tokenizer, answer, { offsets: !OTHER_OFFSETS.test(name) }));

  test.each(decoded)("decodes $ids", (answer) => checkDecoded(tokenizer, answer));
});

describe.each(Object.entries(oracle.made))("%s", (name, { file, texts }) => {
  const folder = join(mkdtempSync(join(tmpdir(), "sextant-")), "model");
  afterAll(() => rmSync(join(folder, ".."), { recursive: true }));
  mkdirSync(folder);
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(file));
  const tokenizer = loadTokenizer(folder);

  test.each(texts)("$text", (answer) => checkAnswer(tokenizer, answer, { offsets: !/prefix|metaspace|folded/.test(name) }));
});

function checkAnswer(tokenizer: Tokenizer, answer: Answer, { offsets }: { offsets: boolean }): void {
  const encoding = tokenizer.encode(answer.text, { addSpecialTokens: false });
  expect(encoding.ids).toEqual(answer.ids);
  expect(tokenizer.encode(answer.text).ids).toEqual(answer.full);
  const unit = Array.from(answer.text).reduce((units, character) => [...units, units.at(-1)! + character.length], [0]);
  if (offsets) expect(encoding.offsets).toEqual(answer.offsets.map(([start, end]) => [unit[start], unit[end]]));
  checkDecoded(tokenizer, answer);
}

function checkDecoded(tokenizer: Tokenizer, { ids, decoded }: Decoded): void {
  const stream = tokenizer.streamDecoder();
  const streamed = ids.map((id) => stream.push(id)).join("") + stream.end();
  expect(tokenizer.decode(ids)).toBe(streamed);
  if (decoded !== null) expect(streamed).toBe(decoded);
}
