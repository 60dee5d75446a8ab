"""Tiny tokenizers in the keys of GGUF files, for test/oracle/gguf_models.py, and what they make of texts.

A SentencePiece model (BPE with byte fallback, as Llama 2's) trained by `sentencepiece`, and a byte-level BPE with Qwen 2's pattern
trained by `tokenizers`. Run as a program, it writes test/fixtures/gguf/tokenizers.json: by file, texts and the ids that these
packages give, with the beginning-of-text token in front where the file asks for it.

Usage (needs gguf, sentencepiece, tokenizers; nothing in `npm test` needs it):

    python test/oracle/gguf_tokenizers.py
"""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path

import sentencepiece
from gguf import GGUFWriter
from gguf.constants import TokenType
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

FOLDER = Path(__file__).resolve().parent.parent / "fixtures" / "gguf"
CORPUS = [
    "The cat sat on the mat and the dog sat on the log.",
    "She said that the cat and the other cat had eaten 12 of the 345 fish, and that was that.",
    "Then there was the thing that the others had thought of: a hat, a bat, and a rat in the house.",
] * 40
TEXTS = [
    "", " ", "   ", "\n", "\t\n  ", "the cat", " the cat", "The cat sat on the mat.", "Thethethe", "12345 and 9",
    "it's she'll WE'VE", "naïve café – “quoted”", "日本語とEnglish", "🙂👩‍👩‍👧 ok", "a\u0301 e\u0301", "a  b   c", " trailing  ", "line\n\nline\r\nend",
    "\u0000 control \u0007", "▁under▁score", "<s>in</s> text", "x = [1, 2];  # done", "<|im_start|>user\nhi<|im_end|>",
]  # fmt: skip
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@cache
def spm() -> sentencepiece.SentencePieceProcessor:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=model, vocab_size=288, model_type="bpe", byte_fallback=True, pad_id=-1,
        normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=True, minloglevel=2,
        character_coverage=0.98, num_threads=1,
    )  # fmt: skip
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


@cache
def bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=297, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")])
    return tokenizer


def add_spm(writer: GGUFWriter) -> None:
    model = spm()
    kinds = []
    for i in range(model.vocab_size()):
        kind = TokenType.NORMAL
        if model.is_unknown(i):
            kind = TokenType.UNKNOWN
        elif model.is_control(i):
            kind = TokenType.CONTROL
        elif model.is_byte(i):
            kind = TokenType.BYTE
        kinds.append(kind)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([model.id_to_piece(i) for i in range(model.vocab_size())])
    writer.add_token_scores([model.get_score(i) for i in range(model.vocab_size())])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")


def add_bpe(writer: GGUFWriter) -> None:
    tokenizer = bpe()
    size = tokenizer.get_vocab_size()
    saved = json.loads(tokenizer.to_str())
    special = {token["id"] for token in saved["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([tokenizer.id_to_token(i) for i in range(size)])
    writer.add_token_types([TokenType.CONTROL if i in special else TokenType.NORMAL for i in range(size)])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in saved["model"]["merges"]])
    writer.add_eos_token_id(tokenizer.token_to_id("<|im_end|>"))
    writer.add_bos_token_id(tokenizer.token_to_id("<|endoftext|>"))
    writer.add_add_bos_token(False)


def spm_ids(text: str) -> list[int]:
    """`encode` of SentencePiece does not look for control tokens; texts that name them are cut by hand."""
    model = spm()
    assert "<s>" not in text
    return [1, *model.encode(text)]


def main() -> None:
    assert bpe().get_vocab_size() == 300 and spm().vocab_size() == 288
    plain = [text for text in TEXTS if "<s>" not in text]
    expected = {
        "llama": [{"text": text, "ids": spm_ids(text), "decoded": spm().decode(spm_ids(text)[1:])} for text in plain],
        "qwen2": [{"text": text, "ids": bpe().encode(text).ids, "decoded": bpe().decode(bpe().encode(text).ids, skip_special_tokens=False)} for text in TEXTS],
    }
    (FOLDER / "tokenizers.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
