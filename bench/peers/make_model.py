"""Writes a GPT-2 of random float32 weights as a Hugging Face folder: config.json and model.safetensors.

usage: make_model.py DIR [--tiny] [--seed N]
"""
import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

SMALL = dict(n_layer=12, n_embd=768, n_head=12, vocab_size=50257, n_positions=1024)
TINY = dict(n_layer=2, n_embd=32, n_head=4, vocab_size=128, n_positions=64, bos_token_id=127, eos_token_id=127)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dir", type=Path)
    parser.add_argument("--tiny", action="store_true", help="2 layers of width 32, for smoke tests")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    config = GPT2Config(architectures=["GPT2LMHeadModel"], dtype="float32", **(TINY if args.tiny else SMALL))
    model = GPT2LMHeadModel(config)
    for parameter in model.parameters():
        if parameter.ndim == 1:  # biases and norm weights start at 0 and 1, which would hide mistakes
            parameter.data.add_(torch.randn_like(parameter) * 0.02)

    args.dir.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(args.dir)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    save_file(weights, args.dir / "model.safetensors", metadata={"format": "pt"})
    print(f"{args.dir}: {sum(t.numel() for t in weights.values()) / 1e6:.1f} M parameters")


main()
