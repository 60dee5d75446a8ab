/** @file Tokenizers of real models: llama.cpp's test strings, the goldens' prompts, offsets, streams and refusals. */
import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeChat } from "../../src/formats/chat.js";
import { checkVocabulary, loadTokenizer, type Tokenizer } from "../../src/formats/tokenizer.js";
import { hasShared, sharedPath } from "../shared.js";
import { temporaryFolder } from "./folder.js";

const { path, write, refusal, root } = temporaryFolder();

const loaded = new Map<string, Tokenizer>();

function shared(name: string): Tokenizer {
  const tokenizer = loaded.get(name) ?? loadTokenizer(sharedPath(name));
  loaded.set(name, tokenizer);
  return tokenizer;
}

function vectors(name: string): { text: string; ids: number[] }[] {
  const read = (ending: string): string => readFileSync(sharedPath("tokenizers/vectors", name + ending), "utf8");
  const lines = read(".out").split("\n");
  const idsOf = (line = ""): number[] => line.split(" ").filter(Boolean).map(Number);
  return read(".inp")
    .split("\n__ggml_vocab_test__\n")
    .map((text, i) => ({ text, ids: idsOf(lines[i]) }));
}

describe.skipIf(!hasShared)("llama.cpp's test strings", () => {
  test.each([
    ["gpt-2", "tokenizers/gpt2"],
    ["llama-bpe", "tokenizers/llama3"],
    ["qwen2", "tokenizers/qwen2_5"],
    ["llama-spm", "models/stories15M"],
    ["phi-3", "models/stories15M"],
  ])("%s", (name, folder) => {
    const tokenizer = shared(folder);
    for (const { text, ids } of vectors(name)) {
      expect(tokenizer.encode(text, { addSpecialTokens: false }).ids, JSON.stringify(text)).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(text);
    }
  });

  test("gemma-4 is not checked: it is another vocabulary than Gemma 2's, and its tokenizer.json is not here", () => {
    const { model } = JSON.parse(readFileSync(sharedPath("tokenizers/gemma2/tokenizer.json"), "utf8")) as {
      model: { vocab: Record<string, number> };
    };
    const [first] = vectors("gemma-4");
    expect(first!.text).toMatch(/^ied /);
    expect(model.vocab["ied"]).toBeDefined();
    expect(model.vocab["ied"]).not.toBe(first!.ids[0]);
  });
});

describe.skipIf(!hasShared)("prompts of the goldens", () => {
  test.each(["minimind2-small", "shakespeare-char-gpt2-4l128", "stories15M", "stories260K"])("%s", (name) => {
    const golden = JSON.parse(readFileSync(sharedPath("goldens/real", name, "golden.json"), "utf8")) as {
      prompts: { prompt: string; text: string; tokens: number[]; greedy: number[]; greedy_text: string }[];
    };
    const tokenizer = shared(`models/${name}`);
    for (const { prompt, text, tokens, greedy, greedy_text } of golden.prompts) {
      if (prompt.startsWith("CHAT:")) {
        const chat = encodeChat(tokenizer, [{ role: "user", content: prompt.slice(5) }]);
        expect(chat).toMatchObject({ text, ids: tokens });
      } else expect(tokenizer.encode(text).ids).toEqual(tokens);
      expect(tokenizer.decode(greedy)).toBe(greedy_text);
    }
  });
});

describe.skipIf(!hasShared)("offsets", () => {
  const alphabet = fc.constantFrom(
    ..."ab \n\tȩ́한ᄒ你好😀𝕏▁Ġ<>'".split(""),
    "e\u0301",
    "<s>",
    "<|endoftext|>",
    "👨‍👩‍👧",
    "\u0085",
    "\ud800",
    "Once upon",
  );
  const texts = fc.array(alphabet, { maxLength: 20 }).map((parts) => parts.join(""));

  test.each([
    "tokenizers/gpt2",
    "tokenizers/qwen2_5",
    "tokenizers/llama3",
    "tokenizers/pythia",
    "models/stories15M",
    "models/minimind2-small",
  ])("of %s cover the text without a gap, and decoding gives it back", (name) => {
    const tokenizer = shared(name);
    const normalizes = /qwen|pythia/.test(name);
    const property = fc.property(texts, (text) => {
      const { ids, offsets } = tokenizer.encode(text, { addSpecialTokens: false });
      let covered = 0;
      for (const [start, end] of offsets) {
        expect(start).toBeLessThanOrEqual(covered);
        expect(end).toBeGreaterThanOrEqual(start);
        covered = Math.max(covered, end);
      }
      expect(covered).toBe(text.length);
      const whole = text.replace(/\p{Surrogate}/gu, "\ufffd");
      const spaced = /stories/.test(name) ? whole.replaceAll("▁", " ") : whole;
      if (!(/stories/.test(name) && text.includes("<s>")))
        expect(tokenizer.decode(ids)).toBe(normalizes ? spaced.normalize("NFC") : spaced);
    });
    fc.assert(property, { numRuns: 300 });
  });

  test("are those of the text as given, special tokens empty at the ends", () => {
    const { tokens, offsets } = shared("models/stories15M").encode("Once upon 㐀");
    expect(tokens).toEqual(["<s>", " Once", " upon", " ", "<0xE3>", "<0x90>", "<0x80>"]);
    expect(offsets).toEqual([
      [0, 0],
      [0, 4],
      [4, 9],
      [9, 10],
      [10, 11],
      [10, 11],
      [10, 11],
    ]);
  });

  test("cover both halves of what NFC composes", () => {
    const { tokens, offsets } = shared("tokenizers/qwen2_5").encode("cafe\u0301 x");
    expect(tokens).toEqual(["ca", "fé", " x"]);
    expect(offsets).toEqual([
      [0, 2],
      [2, 5],
      [5, 7],
    ]);
  });
});

describe.skipIf(!hasShared)("streams", () => {
  test("join to the decoded text, whatever the ids", () => {
    for (const name of ["tokenizers/gpt2", "models/stories15M"]) {
      const tokenizer = shared(name);
      const ids = fc.array(fc.oneof(fc.nat(260), fc.nat(tokenizer.vocabSize + 5)));
      fc.assert(
        fc.property(ids, fc.boolean(), (all, skipSpecialTokens) => {
          const stream = tokenizer.streamDecoder({ skipSpecialTokens });
          const pieces = all.map((id) => stream.push(id));
          expect(pieces.join("") + stream.end()).toBe(tokenizer.decode(all, { skipSpecialTokens }));
        }),
      );
    }
  });

  test("hold back a character until it is whole", () => {
    const tokenizer = shared("tokenizers/gpt2");
    const stream = tokenizer.streamDecoder();
    expect(tokenizer.encode("你😀").ids.map((id) => stream.push(id))).toEqual(["", "你", "", "😀"]);
    expect(stream.end()).toBe("");
  });

  test("keep the space of a continuation after a prompt", () => {
    const tokenizer = shared("models/stories15M");
    const { ids } = tokenizer.encode("Once upon a");
    const [pieces, after] = [tokenizer.streamDecoder(), tokenizer.streamDecoder({ after: ids.slice(0, 2) })];
    expect(ids.slice(2).map((id) => pieces.push(id))).toEqual(["upon", " a"]);
    expect(ids.slice(2).map((id) => after.push(id))).toEqual([" upon", " a"]);
  });

  test("no ids are no text, and an id without a token adds none", () => {
    const tokenizer = shared("tokenizers/gpt2");
    expect(tokenizer.decode([])).toBe("");
    expect(tokenizer.decode([15496, 50257, 99999])).toBe("Hello");
  });
});

describe.skipIf(!hasShared)("single tokens and special ids", () => {
  test("singleToken finds the id, with or without a space where the model prepends one", () => {
    const [gpt2, llama] = [shared("tokenizers/gpt2"), shared("models/stories15M")];
    expect(gpt2.token(gpt2.singleToken(" Paris"))).toBe(" Paris");
    expect(gpt2.singleToken("Paris")).not.toBe(gpt2.singleToken(" Paris"));
    expect(llama.singleToken("Paris")).toBe(llama.singleToken(" Paris"));
  });

  test("singleToken shows the pieces", () => {
    expect(refusal(() => shared("tokenizers/gpt2").singleToken(" Reykjavik"))).toMatchInlineSnapshot(
      `"request: cannot take " Reykjavik" as one token: it is 4 tokens, " Rey" "kj" "av" "ik". Instead: use a text that is one token, or a token id"`,
    );
    expect(refusal(() => shared("tokenizers/gpt2").singleToken(""))).toMatchInlineSnapshot(
      `"request: cannot take "" as one token: it has no tokens. Instead: use a text that is one token, or a token id"`,
    );
  });

  test("the named ids", () => {
    const { bosId, eosIds, padId, vocabSize } = shared("models/minimind2-small");
    expect({ bosId, eosIds, padId, vocabSize }).toEqual({ bosId: 1, eosIds: [2], padId: 0, vocabSize: 6400 });
    expect([...shared("models/stories15M").specialIds]).toEqual([0, 1, 2]);
    expect(shared("models/stories15M").decode([1, 9038], { skipSpecialTokens: true })).toBe("Once");
    expect(shared("models/shakespeare-char-gpt2-4l128").bosId).toBeUndefined();
  });

  test("a character that would be dropped is refused", () => {
    expect(refusal(() => shared("models/shakespeare-char-gpt2-4l128").encode("Romeo <3"))).toMatchInlineSnapshot(
      `"request: the tokenizer has no token for "<", at 6 of the text, and no unknown token to stand for it"`,
    );
  });

  test("a tokenizer that is larger than the model is refused", () => {
    const tokenizer = shared("models/minimind2-small");
    checkVocabulary(tokenizer, 6400);
    const message = refusal(() => checkVocabulary(tokenizer, 6000)).replace(tokenizer.folder, "FOLDER");
    expect(message).toMatchInlineSnapshot(
      `"request: cannot use the tokenizer of FOLDER with this model: its token " networks" has the id 6399, the model has embeddings for 6000 ids. Instead: use the tokenizer that the model was trained with, or give token ids with --tokens"`,
    );
  });
});

describe("folders", () => {
  test("without tokenizer.json", () => {
    write("empty/config.json", "{}");
    write("slow/tokenizer.model", "");
    expect(refusal(() => loadTokenizer(path("empty")))).toMatchInlineSnapshot(
      `"file: cannot load a tokenizer from TMP/empty: it has no tokenizer.json. Instead: give token ids with --tokens"`,
    );
    expect(refusal(() => loadTokenizer(path("slow")))).toMatchInlineSnapshot(
      `"file: cannot load a tokenizer from TMP/slow: it has no tokenizer.json, only tokenizer.model. Instead: turn tokenizer.model into one with AutoTokenizer.from_pretrained("slow").save_pretrained(…), or give token ids with --tokens"`,
    );
    expect(refusal(() => loadTokenizer(path("nowhere")))).toMatchInlineSnapshot(`"file: cannot open TMP/nowhere: it does not exist"`);
    expect(existsSync(root)).toBe(true);
  });

  test("with one that cannot be used", () => {
    const load = (file: unknown): string => {
      write("odd/tokenizer.json", typeof file === "string" ? file : JSON.stringify(file));
      return refusal(() => loadTokenizer(path("odd")));
    };
    const model = { type: "BPE", vocab: { a: 0 }, merges: [] };
    expect(load({})).toMatchInlineSnapshot(`"format: TMP/odd/tokenizer.json has no model.vocab"`);
    expect(load([])).toMatchInlineSnapshot(`"format: TMP/odd/tokenizer.json must hold a JSON object, got []"`);
    expect(load({ model: { type: "BPE", vocab: { a: 1e12 } } })).toMatchInlineSnapshot(
      `"format: TMP/odd/tokenizer.json gives a token the id 1000000000000, which is not an index below 16777216"`,
    );
    expect(load({ model, normalizer: { type: "Nmt" } })).toMatchInlineSnapshot(
      `"unsupported: cannot use TMP/odd/tokenizer.json: Unknown Normalizer type: Nmt"`,
    );
    expect(load({ model, pre_tokenizer: { type: "Novel" } })).toMatchInlineSnapshot(
      `"unsupported: cannot use TMP/odd/tokenizer.json: Unknown PreTokenizer type: Novel"`,
    );
    const post = (single: unknown): object => ({
      model,
      post_processor: { type: "TemplateProcessing", single, pair: [], special_tokens: {} },
    });
    expect(load(post([]))).toMatchInlineSnapshot(`"format: TMP/odd/tokenizer.json: the post_processor leaves the text out"`);
    expect(load(post([{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }]))).toMatchInlineSnapshot(
      `"format: TMP/odd/tokenizer.json: the post_processor adds "<s>", which is no token"`,
    );
    expect(load({ model: { ...model, merges: undefined } })).toMatch(/^unsupported: cannot use TMP\/odd\/tokenizer.json: /);
  });

  test("an added token that only tokenizer_config.json has is known, and ids must be whole", () => {
    const decoder = { type: "ByteLevel" };
    write("more/tokenizer.json", JSON.stringify({ model: { type: "BPE", vocab: { a: 0 }, merges: [] }, decoder }));
    const added_tokens_decoder = { 7: { content: "<end>", special: true } };
    write("more/tokenizer_config.json", JSON.stringify({ added_tokens_decoder, eos_token: { content: "<end>" } }));
    write("more/generation_config.json", JSON.stringify({ eos_token_id: [7, 0, 99] }));
    const tokenizer = loadTokenizer(path("more"));
    expect(tokenizer.encode("a<end>").ids).toEqual([0, 7]);
    expect(tokenizer.eosIds).toEqual([7, 0]);
    expect(tokenizer.token(3)).toBe("<unused 3>");
    expect(refusal(() => tokenizer.decode([0.5]))).toMatchInlineSnapshot(`"request: a token id must be a whole number from 0 on, got 0.5"`);
  });
});
