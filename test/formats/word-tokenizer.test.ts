/** Tokenizers of whole words: unknown words, and text that streams although no rule for it is known here. */
import { expect, it } from "vitest";
import { loadTokenizer } from "../../src/formats/tokenizer.js";

const tokenizer = loadTokenizer("models/induction");

it("gives an unknown word one unknown token, with the stretch of the whole word", () => {
  const text = "Mira saw a zebra, near";
  const { tokens, offsets } = tokenizer.encode(text, { addSpecialTokens: false });
  expect(tokens).toEqual(["Mira", "saw", "a", "<unk>", ",", "near"]);
  expect(offsets.map(([start, end]) => text.slice(start, end))).toEqual(["Mira", "saw", "a", "zebra", ",", "near"]);
});

it("streams word by word, and the pieces make up the decoded text", () => {
  const { ids } = tokenizer.encode("the fox, and the cat", { addSpecialTokens: false });
  const stream = tokenizer.streamDecoder();
  const pieces = [...ids.map((id) => stream.push(id)), stream.end()];
  expect(pieces.join("")).toBe(tokenizer.decode(ids));
  expect(pieces.slice(0, 3)).toEqual(["the", " fox", ","]);
});

it("gives only what is new behind a prompt", () => {
  const [prompt, rest] = ["the cat", "the cat sat"].map((text) => tokenizer.encode(text, { addSpecialTokens: false }).ids);
  const stream = tokenizer.streamDecoder({ after: prompt! });
  expect(
    rest!
      .slice(prompt!.length)
      .map((id) => stream.push(id))
      .join("") + stream.end(),
  ).toBe(" sat");
});
