"""What the Rust `tokenizers` say, for test/formats/tokenizer-oracle.test.ts.

    python test/oracle/tokenizer_oracle.py ../shared > test/fixtures/tokenizers.json

`real`: tokenizers of the shared folder; `made`: small ones, whole, each with one feature that the real ones lack.
Offsets count code points here. Pythia's file lacks its special tokens in `model.vocab` (Rust then renumbers them): added.
`decoded` is left out where Rust spells an added token otherwise than its content: `▁<s>` for a normalized `<s>`.
"""
import json
import random
import sys

import tokenizers
from tokenizers import Tokenizer

REAL = ["tokenizers/gpt2", "tokenizers/llama3", "tokenizers/qwen2_5", "tokenizers/gemma2", "tokenizers/pythia",
        "models/stories15M", "models/stories260K", "models/minimind2-small"]
TEXTS = ["", " ", "  ", "Hello world", " Hello", "Hello ", "  two  spaces ", "The capital of France is Paris.", "e\u0301a", "\u212b \u1112\u1161\u11ab",
         "<s>x", "a<s>b</s>", "<|im_start|>user\nhi<|im_end|>\n", "<bos>hi<eos>", "a<|endoftext|> b", "x  \u0085y \ufeff z\ufeff's", "\u00a0\u3000\u2028\n\n\t\r\n",
         "你好, 세계! مرحبا", "👨‍👩‍👧 🏳️‍🌈 𝕏", "㐀𠀀", "It's we'LL 1234567 3.14", "▁Ġ<0x41>$1", "ﬁ½Ⅷ²", "\u0000\x7f\u001c", "क्षत्रिय", "def f(x):\n    return x\n"]


def byte_alphabet():
    printable = list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    others = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(0x100 + i) for i in range(len(others))]


def added(id, content, **flags):
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True, **flags}
    return {"id": id, "content": content, **flags}


def made(model, vocab, merges=(), tokens=(), **parts):
    empty = {"normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None}
    ids = {token: i for i, token in enumerate(vocab)}
    specials = [added(len(ids) + i, content, **flags) for i, (content, flags) in enumerate(tokens)]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": specials, **empty, **parts,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, **model, "vocab": ids, "merges": list(merges)}}


def byte_level(prefix, **parts):
    step = {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": False, "use_regex": True}
    return made({}, byte_alphabet() + ["he", "ll", "Ġhe"], ["h e", "l l", "Ġ he"], pre_tokenizer=step, decoder={**step}, **parts)


LETTERS = ["▁"] + list("abcdefghijklmnopqrstuvwxyz")
CHAIN = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                                          {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
BYTES = [f"<0x{b:02X}>" for b in range(256)]
BOS = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
       "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
       "special_tokens": {s: {"id": s, "ids": [i], "tokens": [s]} for i, s in [(284, "<s>"), (285, "</s>")]}}
MADE = {
    "prefix space": (byte_level(True), ["", "hello", " hello", "\nhe", "he<x>he"]),
    "stripping and whole words": (byte_level(False, tokens=[("<l>", {"lstrip": True}), ("<r>", {"rstrip": True}), ("hey", {"single_word": True}), ("<lr>", {"lstrip": True, "rstrip": True})]),
                                  ["a <l> b", "a <r> b", "a  <lr>  <lr> b", "hey heyo they hey", "<r> <l>", "<l>", " <lr> "]),
    "metaspace before the first": (made({"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}, ["<unk>"] + LETTERS + BYTES + ["he", "▁he"], ["h e", "▁ he"], tokens=[],
                                        pre_tokenizer=METASPACE, decoder=CHAIN), ["he he", " he", "", "▁he", "he你 x"]),
    "metaspace, special tokens around": (made({"byte_fallback": True}, LETTERS + BYTES + ["he"], ["h e"], tokens=[("<s>", {}), ("</s>", {"rstrip": True})],
                                              pre_tokenizer=METASPACE, decoder=CHAIN, post_processor=BOS), ["he<s>he", "<s>he", "<s> he", "he</s>  he </s>", ""]),
    "one unknown a character": (made({"unk_token": "<unk>"}, ["<unk>"] + LETTERS + ["he"], ["h e"], decoder={"type": "Fuse"}), ["he", "h你好e", "你", "A▁b😀c"]),
    "one unknown a run": (made({"unk_token": "<unk>", "fuse_unk": True}, ["<unk>"] + LETTERS + ["he"], ["h e"], decoder={"type": "Fuse"}), ["he", "h你好e", "你", "A▁b😀😀c"]),
    "no decoder": (made({}, LETTERS + ["he"], ["h e"]), ["he", "hehe▁x"]),
    "replaced, stripped and folded": (made({"unk_token": "<unk>"}, ["<unk>"] + LETTERS + ["he"], ["h e"], decoder={"type": "Fuse"}, normalizer={"type": "Sequence", "normalizers": [
        {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "NFKC"}, {"type": "Lowercase"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": "▁"}]}), [" He  HE ", "ﬁ", "\n", "Ａ\u3000b"]),
}


def decode(tokenizer, ids):
    odd = any(token.normalized and token.special and i in ids for i, token in tokenizer.get_added_tokens_decoder().items())
    return None if odd else tokenizer.decode(ids, skip_special_tokens=False)


def answers(tokenizer, texts):
    encoded = [(tokenizer.encode(text), tokenizer.encode(text, add_special_tokens=False)) for text in texts]
    return [{"text": text, "full": full.ids, "ids": plain.ids, "offsets": plain.offsets, "decoded": decode(tokenizer, plain.ids)}
            for text, (full, plain) in zip(texts, encoded)]


def decoded(tokenizer, seed):
    pick = random.Random(seed)
    size = tokenizer.get_vocab_size()
    bytes_at = tokenizer.token_to_id("<0x00>")
    low = bytes_at if bytes_at is not None else 0
    rows = [[pick.randrange(low, low + 256) if pick.random() < 0.7 else pick.randrange(size) for _ in range(pick.randint(1, 8))] for _ in range(20)]
    return [{"ids": ids, "decoded": decode(tokenizer, ids)} for ids in rows]


def load_real(path):
    with open(f"{path}/tokenizer.json", encoding="utf-8") as file:
        content = json.load(file)
    for token in content["added_tokens"]:
        if content["model"]["vocab"].get(token["content"]) is None and path.endswith("pythia"):
            content["model"]["vocab"][token["content"]] = token["id"]
    return Tokenizer.from_str(json.dumps(content))


def main(shared):
    real = {}
    for name in REAL:
        tokenizer = load_real(f"{shared}/{name}")
        real[name] = {"texts": answers(tokenizer, TEXTS), "decoded": decoded(tokenizer, name)}
    small = {}
    for name, (file, texts) in MADE.items():
        small[name] = {"file": file, "texts": answers(Tokenizer.from_str(json.dumps(file)), texts)}
    print(json.dumps({"tokenizers": tokenizers.__version__, "real": real, "made": small}, ensure_ascii=True, separators=(",", ":")))


main(sys.argv[1])
