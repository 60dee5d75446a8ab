/** @file A tokenizer that is not the model's: refused where a text is to be encoded, of no matter where token ids are given. */
import { describe, expect, test } from "vitest";
import { checkVocabulary, loadTokenizer } from "../../src/formats/tokenizer.js";
import { sextant } from "../cli/sextant.js";
import { workshop } from "./damaged.js";

const { complaint, copy, root, write } = workshop();

/** A folder with the small Llama (61 ids) and a tokenizer of as many words as there are. */
function modelWithWords(name: string, words: number, more: object = {}): string {
  const folder = copy("llama-longrope-crossing", {}, name);
  const vocab = Object.fromEntries(Array.from({ length: words }, (_, id) => [`w${id}`, id]));
  const tokenizer = {
    version: "1.0",
    added_tokens: [],
    pre_tokenizer: { type: "Whitespace" },
    model: { type: "WordLevel", vocab, unk_token: "w0" },
    ...more,
  };
  write(`${name}/tokenizer.json`, JSON.stringify(tokenizer));
  return folder;
}

describe("a tokenizer", () => {
  test("with more ids than the model has embeddings is refused", async () => {
    const { code, err } = await sextant(["generate", modelWithWords("more", 70), "--text", "w1 w2", "--max-new", "1"]);
    expect(code).toBe(1);
    expect(err.replaceAll(root, "TMP")).toMatchInlineSnapshot(`
      "sextant generate: cannot use the tokenizer of TMP/more with this model: its token "w69" has the id 69, the model has embeddings for 61 ids. Instead: use the tokenizer that the model was trained with, or give token ids with --tokens
      "
    `);
  });

  test("whose added tokens lie beyond the embeddings is refused", async () => {
    const added_tokens = [
      { id: 61, content: "<chat>", special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
    ];
    const tokenizer = loadTokenizer(modelWithWords("added", 61, { added_tokens }));
    expect(await complaint(() => checkVocabulary(tokenizer, 61))).toMatchInlineSnapshot(
      `"request: cannot use the tokenizer of TMP/added with this model: its token "<chat>" has the id 61, the model has embeddings for 61 ids. Instead: use the tokenizer that the model was trained with, or give token ids with --tokens"`,
    );
  });

  test("that is wrong does not matter to token ids", async () => {
    const { code, out } = await sextant(["generate", modelWithWords("ids", 70), "--tokens", "[1,2]", "--max-new", "1", "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ tokens: [[expect.any(Number)]] });
  });

  test("of exactly or fewer than the model's ids is taken", async () => {
    for (const words of [61, 40]) {
      const { code, err } = await sextant(["generate", modelWithWords(`of-${words}`, words), "--text", "w1 w2", "--max-new", "1"]);
      expect([code, err]).toEqual([0, ""]);
    }
  });

  test("that is missing or broken is named where a text is given", async () => {
    const without = await sextant(["generate", copy("llama-longrope-crossing", {}, "none"), "--text", "w1", "--max-new", "1"]);
    expect([without.code, without.err.replaceAll(root, "TMP")]).toMatchInlineSnapshot(`
      [
        1,
        "sextant generate: cannot load a tokenizer from TMP/none: it has no tokenizer.json. Instead: give token ids with --tokens
      ",
      ]
    `);
    const folder = modelWithWords("broken", 3);
    write("broken/tokenizer.json", "");
    const broken = await sextant(["generate", folder, "--text", "w1", "--max-new", "1"]);
    expect([broken.code, broken.err.replaceAll(root, "TMP")]).toMatchInlineSnapshot(`
      [
        1,
        "sextant generate: TMP/broken/tokenizer.json is not JSON: Unexpected end of JSON input
      ",
      ]
    `);
  });
});
