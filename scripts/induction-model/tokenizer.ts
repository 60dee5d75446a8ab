/**
 * @file The tokenizer's two files: one token a word. It is a WordPiece model without continuation pieces, which is a word-level
 * one that every tokenizer library reads: a word is in the vocabulary as a whole, or it is `<unk>`.
 */
import { SIZES } from "./layout.js";
import { BOS, UNKNOWN, VOCABULARY } from "./words.js";

/** What `tokenizer.json` says. */
export function tokenizerJson(): object {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [addedToken(BOS), addedToken(UNKNOWN)],
    normalizer: null,
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "TemplateProcessing",
      single: [special(BOS), { Sequence: { id: "A", type_id: 0 } }],
      pair: [special(BOS), { Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 0 } }],
      special_tokens: { [BOS]: { id: BOS, ids: [idOf(BOS)], tokens: [BOS] } },
    },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: UNKNOWN,
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(VOCABULARY.map((token, id) => [token, id])),
    },
  };
}

/** What `tokenizer_config.json` says. */
export function tokenizerConfig(): object {
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: BOS,
    unk_token: UNKNOWN,
    clean_up_tokenization_spaces: false,
    model_input_names: ["input_ids", "attention_mask"],
    model_max_length: SIZES.context,
  };
}

/** The id of a token. */
export function idOf(token: string): number {
  return VOCABULARY.indexOf(token);
}

function addedToken(content: string): object {
  return { id: idOf(content), content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
}

function special(id: string): object {
  return { SpecialToken: { id, type_id: 0 } };
}
