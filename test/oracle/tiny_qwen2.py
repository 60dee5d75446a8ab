"""A tiny Qwen 2 that searches in the format of Lee et al. 2025 (arXiv 2504.14379), for tests of the self-verification study.

It has the shape of Qwen2.5-3B in small: grouped heads (4 query heads, 2 key/value heads), gated MLPs, biases on q, k and v,
a byte-level BPE with Qwen 2's pre-tokenizer, so that digits are single tokens and ` (`, `not` and `this` are one token each.

It cannot calculate. It was trained for some minutes on texts in which wrong attempts claim the first number of their
expression, and in which after two or three of them an attempt claims the target and is said to work. So its searches keep
to the format and hold both verdicts, and nothing can be learned from it about how models verify.

Writes into test/fixtures/tiny-qwen2-countdown:

    config.json, generation_config.json, model.safetensors, tokenizer.json, tokenizer_config.json
    golden.json    a prompt, its ids as `tokenizers` gives them, and the greedy continuation as `transformers` gives it

Usage (needs torch, transformers, tokenizers; nothing in `npm test` needs it):

    python test/oracle/tiny_qwen2.py [--steps N]
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import tokenizers
import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen2Config, Qwen2ForCausalLM

FOLDER = Path(__file__).resolve().parent.parent / "fixtures" / "tiny-qwen2-countdown"
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
END = "<|endoftext|>"
PROMPT = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant "
    "first thinks about the reasoning process in the mind and then provides the user with the answer.\n"
    "User: Using the numbers {numbers}, create an equation that equals {target}. You can use basic arithmetic operations "
    "(+, -, *, /) and each number can only be used once. Show your work in <think> </think> tags. And return the final "
    "answer in <answer> </answer> tags, for example <answer> (1 + 2) / 3 </answer>.\n"
    "Assistant: Let me solve this step by step.\n<think>"
)


def sample(draw: random.Random) -> tuple[str, str]:
    """A prompt and a search. Values are copied, not calculated."""
    numbers = [draw.randint(1, 99) for _ in range(draw.choice([3, 4]))]
    target = draw.randint(10, 100)
    listed = ", ".join(map(str, numbers[:-1])) + f", and {numbers[-1]}"
    text = (
        f"We have the numbers {listed}. We need to use all of them to make an equation that equals {target}. "
        "Let's try different combinations:\n"
    )
    wrong = len(numbers) - 1
    for attempt in range(wrong + 1):
        order = numbers[attempt:] + numbers[:attempt]
        operator = "+-*/"[attempt]
        expression = f" {operator} ".join(map(str, order))
        if attempt < wrong:
            claimed = order[0] if order[0] != target else target + 1
            text += f"- {expression} = {claimed} (not {target})\n"
        else:
            text += f"- {expression} = {target} (this works)\n"
    text += f"So, the equation that equals {target} is {expression}. </think>\n<answer> {expression} </answer>"
    return PROMPT.format(numbers=numbers, target=target), text


def make_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    draw = random.Random(1)
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        min_frequency=2,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["".join(sample(draw)) for _ in range(100)], trainer)
    for word in [" (", "not", "this", " works", ")\n", " =", " -", "\n"]:
        assert len(tokenizer.encode(word).ids) == 1, word
    return tokenizer


def make_model(tokenizer: Tokenizer) -> Qwen2ForCausalLM:
    torch.manual_seed(7)
    config = Qwen2Config(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        intermediate_size=56,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        rope_theta=10000.0,
        rms_norm_eps=1e-6,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(END),
        initializer_range=0.08,
    )
    return Qwen2ForCausalLM(config)


def train(model: Qwen2ForCausalLM, tokenizer: Tokenizer, steps: int) -> None:
    end = tokenizer.token_to_id(END)
    draw = random.Random(2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3, weight_decay=0.0, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        rows, labels = [], []
        for _ in range(16):
            prompt, text = sample(draw)
            asked, search = tokenizer.encode(prompt).ids, [*tokenizer.encode(text).ids, end]
            rows.append([*asked, *search])
            labels.append([-100] * len(asked) + search)
        longest = max(map(len, rows))
        ids = torch.tensor([row + [end] * (longest - len(row)) for row in rows])
        wanted = torch.tensor([row + [-100] * (longest - len(row)) for row in labels])
        loss = model(input_ids=ids, labels=wanted).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)


def write(model: Qwen2ForCausalLM, tokenizer: Tokenizer) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(FOLDER)
    tokenizer.save(str(FOLDER / "tokenizer.json"), pretty=False)
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "pad_token": END, "add_bos_token": False}
    (FOLDER / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    for path in FOLDER.glob("*.json"):
        path.write_text(path.read_text().rstrip("\n") + "\n")


def golden(tokenizer: Tokenizer) -> None:
    model = Qwen2ForCausalLM.from_pretrained(FOLDER, dtype=torch.float32, attn_implementation="eager").eval()
    draw = random.Random(3)
    prompt, _ = sample(draw)
    ids = tokenizer.encode(prompt).ids
    out = model.generate(torch.tensor([ids]), max_new_tokens=160, do_sample=False)[0, len(ids) :].tolist()
    out = [token for token in out if token != tokenizer.token_to_id(END)]
    record = {
        "versions": {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
        },
        "prompt": prompt,
        "ids": ids,
        "greedy": out,
        "text": tokenizer.decode(out),
    }
    (FOLDER / "golden.json").write_text(json.dumps(record) + "\n")
    print(record["text"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1500)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    print(f"{tokenizer.get_vocab_size()} tokens, {sum(p.numel() for p in model.parameters())} parameters")
    train(model, tokenizer, options.steps)
    write(model, tokenizer)
    golden(tokenizer)


if __name__ == "__main__":
    main()
