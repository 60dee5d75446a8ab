"""Activation dumps of other frameworks for the comparison of `sextant verify-model --dump`.

Writes into test/fixtures/vectors:

    hooked-plain.npz    gpt-neo-mixed-untied in TransformerLens's HookedTransformer, weights as they are; every tensor of `run_with_cache`, and `logits`, `tokens`
    hooked-folded.npz   the same with what `from_pretrained` does by default (fold_ln, center_writing_weights, center_unembed, fold_value_biases), without the batch axis
    nnsight.npz         llama-longrope-crossing in nnsight: inputs and outputs of modules, named by their paths; `input_ids`

Usage (transformer-lens 3.9.0, the last with HookedTransformer; nnsight 0.8.1; nothing in `npm test` needs it):

    python test/oracle/dump_files.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from nnsight import NNsight
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformer_lens.pretrained.weight_conversions import convert_neo_weights
from transformers import AutoModelForCausalLM

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
FOLDER = FIXTURES / "vectors"
TOKENS = torch.tensor([[3, 1, 4, 15, 9, 2], [6, 5, 35, 8, 58, 13]])


def load(name: str) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(FIXTURES / "variants" / name, dtype=torch.float32, attn_implementation="eager")


def write(name: str, tensors: dict[str, torch.Tensor]) -> None:
    np.savez_compressed(FOLDER / name, **{key: value.detach().numpy() for key, value in tensors.items()})


def hooked(model: torch.nn.Module, processed: bool) -> HookedTransformer:
    c = model.config
    cfg = HookedTransformerConfig(
        n_layers=c.num_layers,
        d_model=c.hidden_size,
        n_ctx=c.max_position_embeddings,
        d_head=c.hidden_size // c.num_heads,
        n_heads=c.num_heads,
        d_mlp=c.intermediate_size,
        d_vocab=c.vocab_size,
        act_fn=c.activation_function,
        eps=c.layer_norm_epsilon,
        normalization_type="LN",
        original_architecture="GPTNeoForCausalLM",
        use_attn_scale=False,
        use_local_attn=True,
        attn_types=c.attention_layers,
        window_size=c.window_size,
    )
    made = HookedTransformer(cfg)
    weights = convert_neo_weights(model, cfg)
    made.load_and_process_state_dict(
        weights, fold_ln=processed, center_writing_weights=processed, center_unembed=processed, fold_value_biases=processed
    )
    return made


def main() -> None:
    neo = load("gpt-neo-mixed-untied")
    with torch.no_grad():
        logits, cache = hooked(neo, False).run_with_cache(TOKENS)
        write("hooked-plain.npz", {**dict(cache.items()), "logits": logits, "tokens": TOKENS})
        logits, cache = hooked(neo, True).run_with_cache(TOKENS[:1], remove_batch_dim=True)
        write("hooked-folded.npz", {**dict(cache.items()), "logits": logits[0], "tokens": TOKENS[:1]})
    model = NNsight(load("llama-longrope-crossing"))
    found = {"input_ids": TOKENS}
    with torch.no_grad(), model.trace(TOKENS):
        found["model.embed_tokens.output"] = model.model.embed_tokens.output.save()
        for layer in range(2):
            path = f"model.layers.{layer}"
            block = model.model.layers[layer]
            found[f"{path}.input"] = block.input.save()
            found[f"{path}.self_attn.output"] = block.self_attn.output[0].save()
            found[f"{path}.mlp.input"] = block.mlp.input.save()
            found[f"{path}.mlp.output"] = block.mlp.output.save()
            found[f"{path}.output"] = block.output.save()
        found["model.norm.output"] = model.model.norm.output.save()
        found["lm_head.output"] = model.lm_head.output.save()
    write("nnsight.npz", found)


if __name__ == "__main__":
    main()
