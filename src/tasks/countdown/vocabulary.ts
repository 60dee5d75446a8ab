/**
 * @file The words of CountDown texts, one token each, digits one by one, and the tokenizer that says so in Hugging Face's format: a space belongs to the word
 * behind it, so ` (` is one token, the one in front of each verdict.
 */
import { SextantError } from "../../base/errors.js";
import { quote } from "../../formats/json.js";

const SPECIAL = ["<pad>", "<s>", "</s>"] as const;
const DIGITS = Array.from({ length: 10 }, (_, digit) => String(digit));
// oxfmt-ignore
const WORDS = [
  "\n", "-", " -", " +", " *", " /", " =", " (", "not", "this", " works", ")", "numbers", " target", "answer",
] as const;

/** All tokens in the order of their ids: special ones, words, digits, digits behind a space, and the answer of a search that found none. */
export const VOCABULARY: readonly string[] = [...SPECIAL, ...WORDS, ...DIGITS, ...DIGITS.map((digit) => ` ${digit}`), " none"];

/** Ids of the special tokens. */
export const TOKENS = { pad: 0, bos: 1, eos: 2 } as const;

/** The longest row in tokens that the tokenizer is made for. */
export const CONTEXT = 320;

const IDS: ReadonlyMap<string, number> = new Map(VOCABULARY.map((word, id) => [word, id] as const));

/** What one token is, longest first. */
const PIECE = /\n| ?\d| works| none| target|numbers|answer|this|not| \(|\)| [-+*/=]|-/y;

/** The id of a token; an unknown one is an error. */
export function idOf(token: string): number {
  const id = IDS.get(token);
  if (id === undefined) throw new SextantError("request", `countdown: ${quote(token)} is no token`);
  return id;
}

/** Ids of a text without special tokens; what cannot be written is refused. */
export function encodeText(text: string): number[] {
  const ids: number[] = [];
  PIECE.lastIndex = 0;
  while (PIECE.lastIndex < text.length) {
    const from = PIECE.lastIndex;
    const match = PIECE.exec(text);
    if (!match) throw new SextantError("request", `countdown: ${quote(text.slice(from, from + 20))} cannot be written in these tokens`);
    ids.push(idOf(match[0]));
  }
  return ids;
}

/** The text of ids; special tokens are left out. */
export function decodeIds(ids: readonly number[]): string {
  return ids.map((id) => (id < SPECIAL.length ? "" : (VOCABULARY[id] ?? ""))).join("");
}

/** `tokenizer.json` and `tokenizer_config.json`, by file name. */
export function tokenizerFiles(): Readonly<Record<string, object>> {
  const special = SPECIAL.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const pattern = { Regex: "\\n| ?[0-9]| works| none| target|numbers|answer|this|not| \\(|\\)| [-+*/=]|-" };
  return {
    "tokenizer.json": {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: special,
      normalizer: null,
      pre_tokenizer: { type: "Split", pattern, behavior: "Isolated", invert: false },
      post_processor: {
        type: "TemplateProcessing",
        single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
        pair: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 0 } }],
        special_tokens: { "<s>": { id: "<s>", ids: [TOKENS.bos], tokens: ["<s>"] } },
      },
      decoder: { type: "Fuse" },
      model: { type: "WordLevel", vocab: Object.fromEntries(IDS), unk_token: "<pad>" },
    },
    "tokenizer_config.json": {
      tokenizer_class: "PreTrainedTokenizerFast",
      bos_token: "<s>",
      eos_token: "</s>",
      pad_token: "<pad>",
      clean_up_tokenization_spaces: false,
      model_max_length: CONTEXT,
    },
  };
}
