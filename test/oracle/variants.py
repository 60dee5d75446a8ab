"""Tiny random models with unusual settings, and what Hugging Face `transformers` says about them.

The engine claims to compute what `transformers` computes, for every setting of a family's config.json that changes the
forward pass. This script puts that claim to the test where the released models never go: activations no checkpoint
uses, biases switched on or off, query groups of every size, each rope type in the older and the newer config style,
windows, soft caps, odd head counts, routers with other top-k, checkpoints with the tensor names of older files.

For each variant it writes one folder:

    config.json          as a file on the hub would have it (only the keys of interest; the defaults are part of the test)
    model.safetensors    random weights, large enough that attention is far from uniform
    golden.json          token ids, the edits as data, the versions used
    golden.safetensors   input_ids, logits, POINT.LAYER, generated.*, short.*, edited.CASE.logits, vectors.NAME

The reference is always loaded back from the written folder, so it reads exactly the files that the engine reads. It runs
in float32 on the CPU with eager attention, also where the weights are stored as bfloat16 or float16. Every run starts
from a model that has seen nothing: some rope types keep state between runs.

Points are read with hooks on the modules of `transformers`; scores and patterns by looking at the softmax inside its
attention. Two choices a reader should know of: `rot_q` of OPT includes the scale (there it is applied to the query), and
a family with ALiBi has no `attn_scores`, because its bias is defined only up to a constant a row.
`generated` is cached generation as `transformers` does it: where a rope type depends on the length so far (dynamic,
longrope), each step's frequencies are those of its own length and cached keys keep the rotation they were given; only
phi3 computes the whole sequence anew, once, when it grows past its original length.

Usage (needs torch, transformers, safetensors; nothing in `npm test` needs it):

    python test/oracle/variants.py --out DIR [--only NAME]     all variants, or those whose name contains NAME
    python test/oracle/variants.py --fixtures                  the dozen committed under test/fixtures/variants
    python test/oracle/variants.py --list                      names and configs
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "critical")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "variants"
VOCAB = 61
STEPS = 8

# Smallest gap we accept between the logits of a chosen token and the next best, and between the probabilities of the
# last expert chosen and the first left out: a model whose answer hangs on the last bits of a float is drawn again.
TOKEN_MARGIN = 5e-3
EXPERT_MARGIN = 5e-4


# --------------------------------------------------------------------------------------------------------------------
# Variants
# --------------------------------------------------------------------------------------------------------------------

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Variant:
    """One model: what config.json says, and how the weights are stored."""

    name: str
    config: dict
    length: int = 9
    """Tokens of each input row."""
    short: int = -3
    """Length of the `short` run; zero or negative counts from `length`."""
    stored: torch.dtype = torch.float32
    rename: Callable[[Tensors], Tensors] | None = None
    """Turns the saved tensors into those of another (older) checkpoint layout."""

    @property
    def family(self) -> str:
        return self.config["model_type"]


SPECIAL_TOKENS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}

# gpt2 and gptj spell their sizes differently from the rest.
GPT_SIZES = {"n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 64}
ROPE_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}

SIZES: dict[str, tuple[str, dict]] = {
    "gpt2": ("GPT2LMHeadModel", GPT_SIZES),
    "gptj": ("GPTJForCausalLM", GPT_SIZES),
    "gpt_neo": (
        "GPTNeoForCausalLM",
        {"hidden_size": 32, "num_heads": 4, "num_layers": 2, "max_position_embeddings": 64},
    ),
    "opt": (
        "OPTForCausalLM",
        {
            "hidden_size": 32,
            "ffn_dim": 40,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 64,
        },
    ),
    "bloom": ("BloomForCausalLM", {"hidden_size": 32, "n_head": 4, "n_layer": 2}),
    "gpt_neox": ("GPTNeoXForCausalLM", ROPE_SIZES),
    "phi": ("PhiForCausalLM", ROPE_SIZES),
    "llama": ("LlamaForCausalLM", ROPE_SIZES),
    "mistral": ("MistralForCausalLM", {**ROPE_SIZES, "num_key_value_heads": 2}),
    "qwen2": ("Qwen2ForCausalLM", {**ROPE_SIZES, "num_key_value_heads": 2}),
    "qwen3": ("Qwen3ForCausalLM", {**ROPE_SIZES, "num_key_value_heads": 2, "head_dim": 8}),
    "gemma": ("GemmaForCausalLM", {**ROPE_SIZES, "num_key_value_heads": 2, "head_dim": 8}),
    "gemma2": ("Gemma2ForCausalLM", {**ROPE_SIZES, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 4}),
    "gemma3_text": ("Gemma3ForCausalLM", {**ROPE_SIZES, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 4}),
    "phi3": ("Phi3ForCausalLM", ROPE_SIZES),
    "olmo2": ("Olmo2ForCausalLM", ROPE_SIZES),
    "smollm3": ("SmolLM3ForCausalLM", {**ROPE_SIZES, "num_key_value_heads": 2}),
    "granite": ("GraniteForCausalLM", ROPE_SIZES),
    "mixtral": ("MixtralForCausalLM", {**ROPE_SIZES, "num_key_value_heads": 2, "num_local_experts": 3}),
    "qwen3_moe": (
        "Qwen3MoeForCausalLM",
        {**ROPE_SIZES, "num_key_value_heads": 2, "moe_intermediate_size": 16, "num_experts": 4},
    ),
    "gpt_oss": (
        "GptOssForCausalLM",
        {**ROPE_SIZES, "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 24, "num_local_experts": 3},
    ),
}


def config(model_type: str, v5: bool = False, stored: str = "float32", **settings: object) -> dict:
    """A config.json of this family: tiny sizes, then the settings of the variant. A setting of `...` drops the key."""
    architecture, sizes = SIZES[model_type]
    merged = {
        "architectures": [architecture],
        "model_type": model_type,
        "vocab_size": VOCAB,
        **SPECIAL_TOKENS,
        **sizes,
        "dtype" if v5 else "torch_dtype": stored,
        **settings,
    }
    return {key: value for key, value in merged.items() if value is not ...}


def without_prefix(prefix: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name.removeprefix(prefix): value for name, value in tensors.items()}


def like_old_gpt2(tensors: Tensors) -> Tensors:
    """The hub's gpt2 files: no prefix, the causal masks saved as weights, the tied head saved as well."""
    bare = without_prefix("transformer.")(tensors)
    causal = torch.tril(torch.ones(64, 64)).view(1, 1, 64, 64)
    for layer in range(2):
        bare[f"h.{layer}.attn.bias"] = causal.clone()
        bare[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    bare["lm_head.weight"] = bare["wte.weight"].clone()
    return bare


def with_neox_buffers(tensors: Tensors) -> Tensors:
    """Pythia's files: masks and rotary frequencies (deliberately not those that the config gives) beside the weights."""
    grown = dict(tensors)
    for layer in range(2):
        base = f"gpt_neox.layers.{layer}.attention"
        grown[f"{base}.bias"] = torch.tril(torch.ones(64, 64, dtype=torch.uint8)).view(1, 1, 64, 64)
        grown[f"{base}.masked_bias"] = torch.tensor(-1e9)
        grown[f"{base}.rotary_emb.inv_freq"] = torch.full((1,), 0.123)
    return grown


def with_saved_head(tensors: Tensors) -> Tensors:
    """Older Llama files: the tied head again under its own name, and each layer's rotary frequencies."""
    grown = {**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"].clone()}
    for layer in range(2):
        grown[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = torch.full((4,), 0.123)
    return grown


def with_other_head(tensors: Tensors) -> Tensors:
    """The config says tied but the file holds a different head: `transformers` then believes the file."""
    generator = torch.Generator().manual_seed(5)
    head = 0.3 * torch.randn(VOCAB, 32, generator=generator)
    return {**tensors, "lm_head.weight": head}


def head_only(tensors: Tensors) -> Tensors:
    """A tied model saved with its head instead of its embedding."""
    renamed = dict(tensors)
    renamed["lm_head.weight"] = renamed.pop("model.embed_tokens.weight")
    return renamed


def with_mxfp4_experts(tensors: Tensors) -> Tensors:
    """gpt_oss as released: experts in blocks of 32 four-bit floats with one shared exponent, output rows first."""
    packed = dict(tensors)
    generator = torch.Generator().manual_seed(4)
    for name, value in tensors.items():
        if not name.endswith(("gate_up_proj", "down_proj")):
            continue
        experts, inputs, outputs = value.shape
        groups = (experts, outputs, inputs // 32)
        packed[f"{name}_blocks"] = torch.randint(0, 256, (*groups, 16), generator=generator, dtype=torch.uint8)
        packed[f"{name}_scales"] = torch.randint(122, 126, groups, generator=generator, dtype=torch.uint8)
        del packed[name]
    return packed


def with_fused_experts(tensors: Tensors) -> Tensors:
    """Mixtral under the names that its modules have today, experts in one tensor (gate above up)."""
    fused: Tensors = {}
    experts: dict[str, dict[int, Tensor]] = {}
    for name, value in tensors.items():
        name = name.replace(".block_sparse_moe.", ".mlp.")
        if ".experts." not in name:
            fused[name] = value
            continue
        before, after = name.split(".experts.")
        index, matrix, _ = after.split(".")
        experts.setdefault(f"{before}.experts/{matrix}", {})[int(index)] = value
    stacked = {key: torch.stack([many[index] for index in sorted(many)]) for key, many in experts.items()}
    for key in [key for key in stacked if key.endswith("/w1")]:
        base = key.removesuffix("/w1")
        fused[f"{base}.gate_up_proj"] = torch.cat([stacked[f"{base}/w1"], stacked[f"{base}/w3"]], dim=1)
        fused[f"{base}.down_proj"] = stacked[f"{base}/w2"]
    return fused


FOUR_SHORT = [1.0, 1.1, 1.3, 1.6]
FOUR_LONG = [1.5, 2.0, 3.5, 6.0]

VARIANTS = [
    # gpt2: scale and activation switches, names of the hub's own files
    Variant(
        "gpt2-inverse-layer-scale",
        config("gpt2", scale_attn_by_inverse_layer_idx=True, n_inner=40, activation_function="relu", n_layer=3),
    ),
    Variant(
        "gpt2-unscaled-untied",
        config(
            "gpt2",
            scale_attn_weights=False,
            tie_word_embeddings=False,
            activation_function="gelu",
            layer_norm_epsilon=0.05,
        ),
    ),
    Variant(
        "gpt2-unscaled-inverse",
        config(
            "gpt2",
            v5=True,
            scale_attn_weights=False,
            scale_attn_by_inverse_layer_idx=True,
            reorder_and_upcast_attn=True,
            n_inner=None,
            activation_function="gelu_fast",
        ),
    ),
    Variant("gpt2-hub-names", config("gpt2", activation_function="quick_gelu"), rename=like_old_gpt2),
    # gpt_neo: which layers are local
    Variant(
        "gpt-neo-all-local",
        config(
            "gpt_neo",
            attention_types=[[["local"], 2]],
            window_size=3,
            intermediate_size=None,
            activation_function="silu",
        ),
    ),
    Variant(
        "gpt-neo-mixed-untied",
        config(
            "gpt_neo",
            num_layers=3,
            attention_types=[[["global"], 1], [["local"], 2]],
            attention_layers=["global", "local", "local"],
            window_size=4,
            intermediate_size=40,
            tie_word_embeddings=False,
            activation_function="relu2",
        ),
        length=11,
    ),
    # gptj: how much of a head turns
    Variant("gptj-full-rotary-tied", config("gptj", rotary_dim=8, tie_word_embeddings=True, activation_function="tanh")),
    Variant("gptj-rotary-two", config("gptj", rotary_dim=2, n_inner=40, activation_function="gelu")),
    Variant("gptj-rotary-six", config("gptj", rotary_dim=6, n_head=2, n_inner=40, activation_function="mish")),
    # gpt_neox: partial rotary, biases, rope scaling
    Variant(
        "gpt-neox-full-rotary-no-bias",
        config(
            "gpt_neox",
            rotary_pct=1.0,
            attention_bias=False,
            use_parallel_residual=False,
            tie_word_embeddings=True,
            hidden_act="gelu_fast",
        ),
    ),
    Variant(
        "gpt-neox-default-pct-linear",
        config(
            "gpt_neox",
            num_attention_heads=2,
            rotary_emb_base=500,
            rope_scaling={"type": "linear", "factor": 2.0},
            hidden_act="laplace",
        ),
    ),
    Variant(
        "gpt-neox-v5-yarn",
        config(
            "gpt_neox",
            v5=True,
            num_attention_heads=2,
            rope_parameters={
                "rope_type": "yarn",
                "rope_theta": 1000.0,
                "partial_rotary_factor": 0.5,
                "factor": 4.0,
                "original_max_position_embeddings": 16,
            },
            hidden_act="gelu_new",
            layer_norm_eps=0.05,
        ),
    ),
    Variant("gpt-neox-hub-buffers", config("gpt_neox", rotary_pct=0.25, hidden_act="gelu"), rename=with_neox_buffers),
    # opt: norms before or after or gone, projections around the embedding
    Variant(
        "opt-no-bias-no-affine",
        config("opt", enable_bias=False, layer_norm_elementwise_affine=False, activation_function="gelu"),
    ),
    Variant("opt-post-norm", config("opt", do_layer_norm_before=False, activation_function="quick_gelu")),
    Variant(
        "opt-pre-projected-untied",
        config("opt", word_embed_proj_dim=16, tie_word_embeddings=False, activation_function="silu"),
    ),
    Variant("opt-removed-final-norm", config("opt", _remove_final_layer_norm=True, activation_function="gelu_new")),
    # bloom: residual after the norm, slopes of head counts that are no power of two
    Variant("bloom-residual-after-norm", config("bloom", apply_residual_connection_post_layernorm=True)),
    Variant(
        "bloom-six-heads-hub-names",
        config("bloom", hidden_size=..., n_embed=36, n_head=6, layer_norm_epsilon=0.05),
        rename=without_prefix("transformer."),
    ),
    Variant(
        "bloom-five-heads-untied",
        config(
            "bloom",
            hidden_size=40,
            n_head=5,
            apply_residual_connection_post_layernorm=True,
            tie_word_embeddings=False,
        ),
        length=11,
    ),
    # phi: norms on queries and keys, groups, partial rotary
    Variant(
        "phi-qk-layernorm-gqa",
        config(
            "phi",
            qk_layernorm=True,
            num_key_value_heads=2,
            partial_rotary_factor=0.25,
            hidden_act="gelu",
            layer_norm_eps=0.05,
        ),
    ),
    Variant(
        "phi-full-rotary-mqa-tied",
        config("phi", partial_rotary_factor=1.0, num_key_value_heads=1, tie_word_embeddings=True, hidden_act="relu"),
    ),
    Variant(
        "phi-v5-linear",
        config(
            "phi",
            v5=True,
            rope_parameters={
                "rope_type": "linear",
                "rope_theta": 10000.0,
                "factor": 3.0,
                "partial_rotary_factor": 0.75,
            },
            hidden_act="gelu_fast",
        ),
    ),
    # llama: biases, groups, head size, each rope type in both styles
    Variant(
        "llama-mqa-biases-tied",
        config(
            "llama",
            num_key_value_heads=1,
            attention_bias=True,
            mlp_bias=True,
            tie_word_embeddings=True,
            hidden_act="gelu",
            rms_norm_eps=0.05,
        ),
    ),
    Variant(
        "llama-wide-heads-v5-linear",
        config(
            "llama",
            v5=True,
            num_key_value_heads=2,
            head_dim=12,
            rope_parameters={"rope_type": "linear", "rope_theta": 5000.0, "factor": 2.5},
            hidden_act="relu",
        ),
    ),
    Variant(
        "llama-mha-gelu-10",
        config("llama", num_key_value_heads=None, hidden_act="gelu_10", rope_theta=300.0, mlp_bias=True),
    ),
    Variant(
        "llama-dynamic-past",
        config("llama", max_position_embeddings=8, rope_scaling={"type": "dynamic", "factor": 4.0}),
        length=13,
        short=0,
    ),
    Variant(
        "llama-v5-llama3",
        config(
            "llama",
            v5=True,
            num_key_value_heads=2,
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 200.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            },
        ),
    ),
    Variant(
        "llama-yarn-attention-factor",
        config(
            "llama",
            max_position_embeddings=240,
            rope_theta=100.0,
            rope_scaling={
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 60,
                "attention_factor": 0.8,
                "beta_fast": 2,
                "beta_slow": 0.3,
            },
        ),
    ),
    Variant(
        "llama-v5-yarn-mscale",
        config(
            "llama",
            v5=True,
            num_key_value_heads=2,
            head_dim=16,
            rope_parameters={
                "rope_type": "yarn",
                "rope_theta": 1000.0,
                "factor": 8.0,
                "original_max_position_embeddings": 16,
                "mscale": 1.4,
                "mscale_all_dim": 0.6,
                "beta_fast": 2.0,
                "beta_slow": 0.2,
                "truncate": False,
            },
            hidden_act="gelu_pytorch_tanh",
        ),
    ),
    Variant(
        "llama-longrope-long",
        config(
            "llama",
            original_max_position_embeddings=5,
            rope_scaling={
                "rope_type": "longrope",
                "original_max_position_embeddings": 50,
                "short_factor": FOUR_SHORT,
                "long_factor": FOUR_LONG,
            },
        ),
        length=13,
    ),
    Variant(
        "llama-v5-longrope-short",
        config(
            "llama",
            v5=True,
            rope_parameters={
                "rope_type": "longrope",
                "rope_theta": 100.0,
                "factor": 6.0,
                "original_max_position_embeddings": 32,
                "short_factor": FOUR_SHORT,
                "long_factor": FOUR_LONG,
            },
        ),
    ),
    Variant(
        "llama-longrope-crossing",
        config(
            "llama",
            rope_scaling={
                "type": "longrope",
                "original_max_position_embeddings": 11,
                "attention_factor": 1.25,
                "short_factor": FOUR_SHORT,
                "long_factor": FOUR_LONG,
            },
        ),
    ),
    Variant(
        "llama-v5-proportional",
        config(
            "llama",
            v5=True,
            head_dim=12,
            rope_parameters={
                "rope_type": "proportional",
                "rope_theta": 1000.0,
                "partial_rotary_factor": 0.5,
                "factor": 2.0,
            },
        ),
    ),
    Variant("llama-partial-rotary-ignored", config("llama", partial_rotary_factor=0.5, rope_theta=1000.0)),
    Variant(
        "llama-bf16-saved-head",
        config("llama", stored="bfloat16", tie_word_embeddings=True, num_key_value_heads=2),
        stored=torch.bfloat16,
        rename=with_saved_head,
    ),
    Variant("llama-tied-with-other-head", config("llama", tie_word_embeddings=True), rename=with_other_head),
    Variant("llama-tied-head-only", config("llama", tie_word_embeddings=True, hidden_act="swish"), rename=head_only),
    # mistral: window or none
    Variant(
        "mistral-no-window-linear",
        config(
            "mistral",
            sliding_window=None,
            head_dim=16,
            num_key_value_heads=1,
            rope_theta=1000.0,
            rope_scaling={"type": "linear", "factor": 3.0},
            hidden_act="gelu_new",
        ),
    ),
    Variant(
        "mistral-window-yarn-tied",
        config(
            "mistral",
            sliding_window=3,
            tie_word_embeddings=True,
            rope_theta=300.0,
            rope_scaling={"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32},
            hidden_act="relu6",
        ),
        length=11,
    ),
    Variant(
        "mistral-v5-dynamic-past",
        config(
            "mistral",
            v5=True,
            sliding_window=6,
            num_key_value_heads=4,
            max_position_embeddings=7,
            rope_parameters={"rope_type": "dynamic", "rope_theta": 1000.0, "factor": 2.0},
        ),
        length=11,
        short=0,
    ),
    Variant(
        "mistral-f16-longrope",
        config(
            "mistral",
            stored="float16",
            sliding_window=None,
            rope_scaling={
                "type": "longrope",
                "factor": 3.0,
                "original_max_position_embeddings": 4,
                "short_factor": FOUR_SHORT,
                "long_factor": FOUR_LONG,
            },
        ),
        stored=torch.float16,
    ),
    # qwen2: where the window starts
    Variant(
        "qwen2-window-from-layer-one",
        config(
            "qwen2",
            num_hidden_layers=3,
            use_sliding_window=True,
            sliding_window=4,
            max_window_layers=1,
            tie_word_embeddings=False,
            hidden_act="hardswish",
        ),
        length=11,
    ),
    Variant(
        "qwen2-v5-mha-yarn-tied",
        config(
            "qwen2",
            v5=True,
            num_key_value_heads=4,
            tie_word_embeddings=True,
            sliding_window=3,
            use_sliding_window=False,
            rope_parameters={
                "rope_type": "yarn",
                "rope_theta": 2000.0,
                "factor": 4.0,
                "original_max_position_embeddings": 16,
            },
        ),
    ),
    Variant(
        "qwen2-layer-types-dynamic",
        config(
            "qwen2",
            num_key_value_heads=1,
            use_sliding_window=True,
            sliding_window=4,
            layer_types=["sliding_attention", "full_attention"],
            max_position_embeddings=6,
            rope_theta=1000.0,
            rope_scaling={"rope_type": "dynamic", "factor": 3.0},
        ),
        short=0,
    ),
    Variant(
        "qwen2-longrope-wide-heads",
        config(
            "qwen2",
            head_dim=12,
            rope_scaling={
                "rope_type": "longrope",
                "original_max_position_embeddings": 24,
                "short_factor": [1.0, 1.1, 1.2, 1.4, 1.7, 2.0],
                "long_factor": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            },
            hidden_act="leaky_relu",
        ),
    ),
    # qwen3: norms on queries and keys with biases, windows
    Variant(
        "qwen3-biases-mqa-linear",
        config(
            "qwen3",
            attention_bias=True,
            num_key_value_heads=1,
            head_dim=16,
            tie_word_embeddings=True,
            rms_norm_eps=0.05,
            rope_theta=1000.0,
            rope_scaling={"rope_type": "linear", "factor": 2.0},
            hidden_act="gelu",
        ),
    ),
    Variant(
        "qwen3-window-llama3",
        config(
            "qwen3",
            num_hidden_layers=3,
            num_key_value_heads=4,
            use_sliding_window=True,
            sliding_window=3,
            max_window_layers=2,
            rope_theta=100.0,
            rope_scaling={
                "type": "llama3",
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 3.0,
                "original_max_position_embeddings": 20,
            },
            hidden_act="relu2",
        ),
    ),
    # gemma: odd head counts, the activation that is silently another one
    Variant(
        "gemma-three-heads-biases",
        config(
            "gemma",
            num_attention_heads=3,
            num_key_value_heads=1,
            head_dim=10,
            hidden_act="gelu",
            hidden_activation=None,
            attention_bias=True,
            rms_norm_eps=0.05,
        ),
    ),
    Variant(
        "gemma-bf16-five-heads-untied",
        config(
            "gemma",
            stored="bfloat16",
            num_attention_heads=5,
            num_key_value_heads=5,
            hidden_act="relu",
            hidden_activation="gelu_pytorch_tanh",
            tie_word_embeddings=False,
        ),
        stored=torch.bfloat16,
    ),
    # gemma2: caps off, caps by default
    Variant(
        "gemma2-no-caps",
        config(
            "gemma2",
            num_hidden_layers=3,
            query_pre_attn_scalar=5,
            attn_logit_softcapping=None,
            final_logit_softcapping=None,
            hidden_activation="silu",
        ),
        length=11,
    ),
    Variant(
        "gemma2-default-caps-linear",
        config(
            "gemma2",
            num_key_value_heads=4,
            query_pre_attn_scalar=1,
            layer_types=["full_attention", "sliding_attention"],
            attention_bias=True,
            tie_word_embeddings=False,
            rope_scaling={"type": "linear", "factor": 2.0},
            hidden_act="relu",
        ),
    ),
    # gemma3: two ropes, older and newer style, the wrapper with a vision tower
    Variant(
        "gemma3-old-style",
        config(
            "gemma3_text",
            num_hidden_layers=3,
            sliding_window_pattern=2,
            rope_theta=800.0,
            rope_local_base_freq=90.0,
            rope_scaling={"rope_type": "linear", "factor": 4.0},
            attn_logit_softcapping=1.5,
            final_logit_softcapping=3.0,
            query_pre_attn_scalar=6,
            rms_norm_eps=0.05,
        ),
        length=11,
    ),
    Variant(
        "gemma3-v5-mqa-biases",
        config(
            "gemma3_text",
            v5=True,
            num_key_value_heads=1,
            head_dim=12,
            layer_types=["full_attention", "sliding_attention"],
            rope_parameters={
                "full_attention": {
                    "rope_type": "yarn",
                    "rope_theta": 500.0,
                    "factor": 4.0,
                    "original_max_position_embeddings": 16,
                },
                "sliding_attention": {"rope_type": "linear", "rope_theta": 100.0, "factor": 2.0},
            },
            attention_bias=True,
            query_pre_attn_scalar=12,
            hidden_activation="gelu",
            tie_word_embeddings=False,
        ),
    ),
    Variant(
        "gemma3-wrapper",
        {
            "architectures": ["Gemma3ForConditionalGeneration"],
            "model_type": "gemma3",
            "torch_dtype": "float32",
            "eos_token_id": [1, 2],
            "boi_token_index": 58,
            "eoi_token_index": 59,
            "image_token_index": 60,
            "mm_tokens_per_image": 4,
            "text_config": {
                **config("gemma3_text", architectures=..., torch_dtype=...),
                "query_pre_attn_scalar": 8,
                "rope_scaling": {"rope_type": "linear", "factor": 8.0},
            },
            "vision_config": {
                "model_type": "siglip_vision_model",
                "hidden_size": 8,
                "intermediate_size": 8,
                "num_attention_heads": 2,
                "num_hidden_layers": 1,
                "image_size": 8,
                "patch_size": 4,
                "vision_use_head": False,
            },
        },
    ),
    # phi3: fused projections, partial rotary, both sides of the longrope boundary
    Variant(
        "phi3-partial-window-mqa-tied",
        config(
            "phi3",
            num_key_value_heads=1,
            partial_rotary_factor=0.75,
            sliding_window=4,
            tie_word_embeddings=True,
            hidden_act="gelu",
            rms_norm_eps=0.05,
        ),
    ),
    Variant(
        "phi3-v5-longrope-short",
        config(
            "phi3",
            v5=True,
            num_key_value_heads=2,
            original_max_position_embeddings=32,
            rope_parameters={
                "rope_type": "longrope",
                "rope_theta": 1000.0,
                "partial_rotary_factor": 1.0,
                "original_max_position_embeddings": 32,
                "short_factor": FOUR_SHORT,
                "long_factor": FOUR_LONG,
            },
        ),
    ),
    Variant(
        "phi3-longrope-long-partial",
        config(
            "phi3",
            original_max_position_embeddings=5,
            partial_rotary_factor=0.5,
            rope_scaling={"type": "longrope", "short_factor": [1.0, 1.2], "long_factor": [2.0, 5.0]},
        ),
        length=13,
    ),
    Variant(
        "phi3-longrope-crossing",
        config(
            "phi3",
            original_max_position_embeddings=11,
            num_key_value_heads=2,
            rope_scaling={"type": "longrope", "short_factor": FOUR_SHORT, "long_factor": FOUR_LONG},
        ),
    ),
    # olmo2: groups (its key norm spans all of them), biases
    Variant(
        "olmo2-mqa-biases-tied",
        config(
            "olmo2",
            num_key_value_heads=1,
            attention_bias=True,
            tie_word_embeddings=True,
            hidden_act="gelu",
            rms_norm_eps=0.05,
        ),
    ),
    Variant(
        "olmo2-mha-yarn",
        config(
            "olmo2",
            rope_theta=500.0,
            rope_scaling={"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 8},
            hidden_act="sigmoid",
        ),
    ),
    # smollm3: which layers have no rope
    Variant(
        "smollm3-interval-two-untied",
        config(
            "smollm3",
            num_hidden_layers=3,
            no_rope_layer_interval=2,
            attention_bias=True,
            mlp_bias=True,
            tie_word_embeddings=False,
            rope_theta=1000.0,
            hidden_act="mish",
        ),
    ),
    Variant(
        "smollm3-windowed-nope",
        config(
            "smollm3",
            num_hidden_layers=3,
            num_key_value_heads=4,
            no_rope_layers=[1, 0, 1],
            use_sliding_window=True,
            sliding_window=4,
            rope_theta=1000.0,
            rope_scaling={"type": "linear", "factor": 3.0},
        ),
    ),
    # granite: multipliers, and their defaults (a score scale of one)
    Variant(
        "granite-odd-multipliers",
        config(
            "granite",
            num_key_value_heads=2,
            embedding_multiplier=0.7,
            attention_multiplier=0.61,
            residual_multiplier=0.22,
            logits_scaling=0.37,
            attention_bias=True,
            mlp_bias=True,
            hidden_act="gelu",
        ),
    ),
    Variant(
        "granite-defaults-mqa-tied",
        config(
            "granite",
            v5=True,
            num_key_value_heads=1,
            tie_word_embeddings=True,
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 100.0,
                "factor": 2.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 2.0,
                "original_max_position_embeddings": 16,
            },
            hidden_act="sqrtsoftplus",
        ),
    ),
    # mixtral: other top-k
    Variant("mixtral-top-one-window", config("mixtral", num_experts_per_tok=1, sliding_window=4)),
    Variant(
        "mixtral-top-three-fused-names",
        config(
            "mixtral",
            num_local_experts=5,
            num_experts_per_tok=3,
            num_key_value_heads=4,
            head_dim=12,
            intermediate_size=16,
            tie_word_embeddings=True,
            rope_theta=500.0,
            rope_scaling={"type": "linear", "factor": 2.0},
            hidden_act="gelu",
        ),
        rename=with_fused_experts,
    ),
    # qwen3_moe: dense layers in between, weights not renormalised
    Variant(
        "qwen3-moe-dense-first",
        config("qwen3_moe", num_experts_per_tok=2, mlp_only_layers=[0], norm_topk_prob=False),
    ),
    Variant(
        "qwen3-moe-every-second",
        config(
            "qwen3_moe",
            num_hidden_layers=3,
            num_experts=...,
            num_local_experts=4,
            num_experts_per_tok=3,
            decoder_sparse_step=2,
            norm_topk_prob=True,
            head_dim=12,
            attention_bias=True,
            use_sliding_window=True,
            sliding_window=4,
            max_window_layers=2,
            tie_word_embeddings=True,
            hidden_act="gelu",
        ),
    ),
    # gpt_oss: limits that bite, other top-k, no yarn
    Variant(
        "gpt-oss-plain-rope",
        config(
            "gpt_oss",
            v5=True,
            num_experts_per_tok=1,
            swiglu_limit=0.5,
            swiglu_alpha=1.1,
            attention_bias=False,
            sliding_window=4,
            layer_types=["full_attention", "sliding_attention"],
            rope_parameters={"rope_type": "default", "rope_theta": 300.0},
        ),
    ),
    Variant(
        "gpt-oss-yarn-old-style",
        config(
            "gpt_oss",
            num_local_experts=4,
            num_experts_per_tok=3,
            experts_per_token=3,
            num_key_value_heads=4,
            swiglu_limit=1.0,
            sliding_window=3,
            tie_word_embeddings=True,
            rope_theta=100.0,
            rope_scaling={
                "rope_type": "yarn",
                "factor": 8.0,
                "beta_fast": 4.0,
                "beta_slow": 0.5,
                "truncate": False,
                "original_max_position_embeddings": 100,
            },
        ),
    ),
    Variant(
        "gpt-oss-mxfp4",
        config(
            "gpt_oss",
            hidden_size=64,
            intermediate_size=64,
            num_experts_per_tok=2,
            sliding_window=5,
            quantization_config={
                "quant_method": "mxfp4",
                "modules_to_not_convert": [
                    "model.layers.*.self_attn",
                    "model.layers.*.mlp.router",
                    "model.embed_tokens",
                    "lm_head",
                ],
            },
        ),
        rename=with_mxfp4_experts,
    ),
]

FIXTURE_NAMES = [
    "gpt2-hub-names",
    "gpt-neo-mixed-untied",
    "gptj-rotary-six",
    "gpt-neox-v5-yarn",
    "opt-pre-projected-untied",
    "bloom-five-heads-untied",
    "phi-qk-layernorm-gqa",
    "llama-longrope-crossing",
    "gemma3-old-style",
    "phi3-longrope-crossing",
    "qwen3-moe-dense-first",
    "gpt-oss-yarn-old-style",
]


# --------------------------------------------------------------------------------------------------------------------
# Where the points are
# --------------------------------------------------------------------------------------------------------------------

# Point -> which side of which module of a block ("" is the block itself). A module that a block lacks (an MLP's gate in
# a layer of experts) is skipped. `qkv`, `gate_up` and `router` stand for several points each.
Places = dict[str, tuple[str, str]]

BLOCK: Places = {"resid_pre": ("in", ""), "resid_post": ("out", "")}


def attention_places(base: str, out: str) -> Places:
    places: Places = {name: ("out", f"{base}.{name}_proj") for name in ("q", "k", "v")}
    return {**places, "z": ("in", f"{base}.{out}"), "attn_out": ("out", f"{base}.{out}")}


def plain_mlp_places(up: str, down: str) -> Places:
    return {"mlp_pre": ("out", up), "mlp_post": ("in", down), "mlp_out": ("out", down)}


def sequential_norms(first: str, second: str) -> Places:
    return {"ln1_normalized": ("out", first), "resid_mid": ("in", second), "ln2_normalized": ("out", second)}


GATED_MLP: Places = {
    "mlp_gate": ("out", "mlp.gate_proj"),
    "mlp_up": ("out", "mlp.up_proj"),
    "mlp_post": ("in", "mlp.down_proj"),
    "mlp_out": ("out", "mlp"),
}
LLAMA: Places = {
    **BLOCK,
    **sequential_norms("input_layernorm", "post_attention_layernorm"),
    **attention_places("self_attn", "o_proj"),
    **GATED_MLP,
}
# Norms behind attention and MLP: what is added to the stream is their output.
NORMED_AFTER: Places = {
    "attn_out": ("out", "post_attention_layernorm"),
    "attn_out_raw": ("out", "self_attn.o_proj"),
    "mlp_out": ("out", "post_feedforward_layernorm"),
    "mlp_out_raw": ("out", "mlp"),
}
GEMMA2: Places = {**LLAMA, **sequential_norms("input_layernorm", "pre_feedforward_layernorm"), **NORMED_AFTER}


def fused_places(base: str) -> Places:
    return {
        "qkv": ("out", f"{base}.query_key_value"),
        "z": ("in", f"{base}.dense"),
        "attn_out": ("out", f"{base}.dense"),
    }


PLACES: dict[str, Places] = {
    "gpt2": {
        **BLOCK,
        **sequential_norms("ln_1", "ln_2"),
        "qkv": ("out", "attn.c_attn"),
        "z": ("in", "attn.c_proj"),
        "attn_out": ("out", "attn.c_proj"),
        **plain_mlp_places("mlp.c_fc", "mlp.c_proj"),
    },
    "gpt_neo": {
        **BLOCK,
        **sequential_norms("ln_1", "ln_2"),
        **attention_places("attn.attention", "out_proj"),
        **plain_mlp_places("mlp.c_fc", "mlp.c_proj"),
    },
    "gptj": {
        **BLOCK,
        "ln1_normalized": ("out", "ln_1"),
        **attention_places("attn", "out_proj"),
        **plain_mlp_places("mlp.fc_in", "mlp.fc_out"),
    },
    "gpt_neox": {
        **BLOCK,
        **sequential_norms("input_layernorm", "post_attention_layernorm"),
        **fused_places("attention"),
        **plain_mlp_places("mlp.dense_h_to_4h", "mlp.dense_4h_to_h"),
    },
    "opt": {
        **BLOCK,
        **sequential_norms("self_attn_layer_norm", "final_layer_norm"),
        **attention_places("self_attn", "out_proj"),
        **plain_mlp_places("fc1", "fc2"),
    },
    "bloom": {
        **BLOCK,
        **sequential_norms("input_layernorm", "post_attention_layernorm"),
        **fused_places("self_attention"),
        **plain_mlp_places("mlp.dense_h_to_4h", "mlp.dense_4h_to_h"),
    },
    "phi": {
        **BLOCK,
        "ln1_normalized": ("out", "input_layernorm"),
        **attention_places("self_attn", "dense"),
        **plain_mlp_places("mlp.fc1", "mlp.fc2"),
    },
    "llama": LLAMA,
    "mistral": LLAMA,
    "qwen2": LLAMA,
    "qwen3": LLAMA,
    "gemma": LLAMA,
    "gemma2": GEMMA2,
    "gemma3_text": GEMMA2,
    "gemma3": GEMMA2,
    "phi3": {
        **LLAMA,
        "qkv": ("out", "self_attn.qkv_proj"),
        "gate_up": ("out", "mlp.gate_up_proj"),
    },
    "olmo2": {
        **BLOCK,
        "resid_mid": ("in", "mlp"),
        **attention_places("self_attn", "o_proj"),
        **GATED_MLP,
        **NORMED_AFTER,
    },
    "smollm3": LLAMA,
    "granite": {**LLAMA, "attn_out_raw": LLAMA["attn_out"], "mlp_out_raw": LLAMA["mlp_out"]},
    "mixtral": {**LLAMA, "router": ("out", "mlp.gate")},
    "qwen3_moe": {**LLAMA, "router": ("out", "mlp.gate")},
    "gpt_oss": {**LLAMA, "router": ("out", "mlp.router")},
}
QKV_ORDER = {"gpt2": "blocks", "phi3": "blocks", "gpt_neox": "by head", "bloom": "by head"}
ATTENTION = {"gpt2": "attn", "gptj": "attn", "gpt_neo": "attn.attention", "gpt_neox": "attention"}
STACKS = {
    "gpt_neox": ("gpt_neox.layers", "gpt_neox.final_layer_norm"),
    "opt": ("model.decoder.layers", "model.decoder.final_layer_norm"),
    "phi": ("model.layers", "model.final_layernorm"),
    "gemma3": ("model.language_model.layers", "model.language_model.norm"),
    **{family: ("transformer.h", "transformer.ln_f") for family in ("gpt2", "gpt_neo", "gptj", "bloom")},
}
HEADED = {"q": "query", "k": "key", "v": "key", "z": "query"}


def places_of(family: str, settings: dict) -> Places:
    """The family's places, less those points that this config doesn't have."""
    places = dict(PLACES[family])
    if family == "gpt_neox" and settings.get("use_parallel_residual", True):
        del places["resid_mid"]
    if family == "opt" and not settings.get("do_layer_norm_before", True):
        for point in ("ln1_normalized", "resid_mid", "ln2_normalized"):
            del places[point]
    return places


def submodule(parent: nn.Module, path: str) -> nn.Module | None:
    for part in filter(None, path.split(".")):
        child = getattr(parent, part, None)
        if child is None:
            return None
        parent = child
    return parent


# --------------------------------------------------------------------------------------------------------------------
# Reading and editing a run
# --------------------------------------------------------------------------------------------------------------------


def edited(x: Tensor, edit: dict, vectors: Tensors) -> Tensor:
    """`x` [row, position, (head,) element] after one edit."""
    wanted = torch.ones(x.shape, dtype=torch.bool)
    for axis, key in ((0, "rows"), (1, "positions"), (2, "heads"), (-1, "units")):
        if key in edit:
            chosen = torch.zeros(x.shape[axis], dtype=torch.bool)
            chosen[edit[key]] = True
            shape = [1] * x.ndim
            shape[axis] = -1
            wanted &= chosen.view(shape)
    match edit["op"]:
        case "set":
            changed = torch.zeros_like(x) if edit["value"] == 0 else vectors[edit["value"]]
        case "add":
            changed = x + edit["strength"] * vectors[edit["vector"]]
        case "scale":
            changed = edit["by"] * x
        case "interchange":
            basis = torch.linalg.qr(vectors[edit["basis"]].T).Q.T
            changed = x + (vectors[edit["value"]] - x) @ basis.T @ basis
        case op:
            raise ValueError(f"No such edit: {op}")
    return torch.where(wanted, changed, x)


class Tap:
    """Follows one run of a model: keeps the value of every point, applies edits on the way.

    `router_margin` becomes the smallest gap between the last expert chosen and the first one left out.
    """

    def __init__(self, variant: Variant, model: nn.Module, edits: list[dict] = (), vectors: Tensors | None = None):
        self.family = variant.family
        self.settings = variant.config
        self.model = model
        self.edits = edits
        self.vectors = vectors or {}
        self.values: Tensors = {}
        self.router_margin = math.inf
        self.rows = self.length = 0
        self.attending: int | None = None
        text = model.config.get_text_config()
        self.heads = text.num_attention_heads
        self.kv_heads = getattr(text, "num_key_value_heads", None) or self.heads
        self.residual_multiplier = getattr(text, "residual_multiplier", None)

    def __call__(self, *args: object, **kwargs: object) -> object:
        with self.watching(), torch.no_grad():
            return self.model(*args, **kwargs)

    @contextmanager
    def watching(self) -> Iterator[None]:
        with ExitStack() as stack:
            blocks_path, final_path = STACKS.get(self.family, ("model.layers", "model.norm"))
            blocks = submodule(self.model, blocks_path)
            for layer, block in enumerate(blocks):
                stack.callback(block.register_forward_pre_hook(self.measure).remove)
                for point, (side, path) in places_of(self.family, self.settings).items():
                    if (module := submodule(block, path)) is not None:
                        stack.callback(self.hook(module, side, point, layer).remove)
                attention = self.attention_of(block)
                stack.callback(attention.register_forward_pre_hook(self.entering(layer)).remove)
                stack.callback(attention.register_forward_hook(self.entering(None)).remove)
                if hasattr(attention, "_attn"):
                    stack.enter_context(mock.patch.object(attention, "_attn", self.seeing_rotated(attention._attn)))
            modeling = sys.modules[type(self.attention_of(blocks[0])).__module__]
            if hasattr(modeling, "eager_attention_forward"):
                original = modeling.eager_attention_forward
                wrapped = self.seeing_rotated(original, leading_module=True)
                stack.enter_context(mock.patch.object(modeling, "eager_attention_forward", wrapped))
            stack.enter_context(mock.patch("torch.nn.functional.softmax", self.seeing_softmax(blocks)))
            if (final := submodule(self.model, final_path)) is not None:
                stack.callback(self.hook(final, "out", "final_normalized", None).remove)
            yield

    def attention_of(self, block: nn.Module) -> nn.Module:
        path = "self_attention" if self.family == "bloom" else ATTENTION.get(self.family, "self_attn")
        return submodule(block, path)

    def entering(self, layer: int | None) -> Callable[..., None]:
        def hook(*_: object) -> None:
            self.attending = layer

        return hook

    def measure(self, _: nn.Module, args: tuple[Tensor, ...]) -> None:
        self.rows, self.length = args[0].shape[:2]

    def hook(self, module: nn.Module, side: str, point: str, layer: int | None) -> torch.utils.hooks.RemovableHandle:
        if side == "in":

            def before(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
                return (self.visit(point, layer, args[0]), *args[1:])

            return module.register_forward_pre_hook(before)

        def after(_: nn.Module, __: object, output: Tensor | tuple) -> Tensor | tuple | None:
            if point == "router":
                self.route(layer, *output)
                return None
            if isinstance(output, tuple):
                return (self.visit(point, layer, output[0]), *output[1:])
            return self.visit(point, layer, output)

        return module.register_forward_hook(after)

    def visit(self, point: str, layer: int | None, x: Tensor) -> Tensor:
        """Sees a value on its way through a module; returns what goes on."""
        flat = x.reshape(self.rows, self.length, -1)
        if point == "qkv":
            self.split_qkv(layer, flat)
            return x
        if point == "gate_up":
            for name, half in zip(("mlp_gate", "mlp_up"), flat.chunk(2, dim=-1), strict=True):
                self.keep(name, layer, half)
            return x
        if point in HEADED:
            flat = flat.unflatten(-1, (self.heads if HEADED[point] == "query" else self.kv_heads, -1))
        if self.residual_multiplier is not None and point in ("attn_out", "mlp_out"):
            self.keep(point, layer, flat * self.residual_multiplier)
            return x
        return self.keep(point, layer, flat).reshape(x.shape)

    def keep(self, point: str, layer: int | None, x: Tensor) -> Tensor:
        at = point if layer is None else f"{point}.{layer}"
        self.values[at] = x.detach().clone().contiguous()
        for edit in self.edits:
            if edit["at"] == at:
                x = edited(x, edit, self.vectors)
        return x

    def split_qkv(self, layer: int, x: Tensor) -> None:
        if QKV_ORDER[self.family] == "by head":
            parts = x.unflatten(-1, (self.heads, 3, -1)).unbind(-2)
        else:
            d_head = x.shape[-1] // (self.heads + 2 * self.kv_heads)
            heads = x.unflatten(-1, (-1, d_head))
            parts = heads.split([self.heads, self.kv_heads, self.kv_heads], dim=-2)
        for point, part in zip("qkv", parts, strict=True):
            self.keep(point, layer, part)

    def route(self, layer: int, logits: Tensor, weights: Tensor, experts: Tensor) -> None:
        ranked = logits.softmax(-1).sort(-1, descending=True).values
        chosen = experts.shape[-1]
        if chosen < ranked.shape[-1]:
            gap = (ranked[:, chosen - 1] - ranked[:, chosen]).min().item()
            self.router_margin = min(self.router_margin, gap)
        for point, value in (("router_logits", logits), ("experts", experts), ("expert_weights", weights)):
            self.keep(point, layer, value.reshape(self.rows, self.length, -1))

    def seeing_rotated(self, attend: Callable, leading_module: bool = False) -> Callable:
        """Queries and keys arrive as [row, head, position, element]."""

        def wrapped(*args: object, **kwargs: object) -> object:
            query, key = args[1:3] if leading_module else args[:2]
            for point, value in (("rot_q", query), ("rot_k", key)):
                self.keep(point, self.attending, value.transpose(1, 2))
            return attend(*args, **kwargs)

        return wrapped

    def seeing_softmax(self, blocks: nn.ModuleList) -> Callable[..., Tensor]:
        softmax = torch.nn.functional.softmax

        def wrapped(x: Tensor, *args: object, **kwargs: object) -> Tensor:
            layer = self.attending
            if layer is None:
                return softmax(x, *args, **kwargs)
            sinks = getattr(self.attention_of(blocks[layer]), "sinks", None)
            if sinks is None:
                scores = x
            else:  # the last column is the sink, and the row's maximum has been taken off
                scores = x[..., :-1] - x[..., -1:] + sinks.view(1, -1, 1, 1)
            if self.family != "bloom":
                self.values[f"attn_scores.{layer}"] = scores.masked_fill(scores < -1e30, -math.inf).contiguous()
            for edit in self.edits:
                if edit["at"] == f"attn_scores.{layer}":
                    heads, queries, keys = (torch.tensor(edit[name]) for name in ("heads", "queries", "keys"))
                    x = x.clone()
                    x[:, heads[:, None, None], queries[:, None], keys] = -math.inf
            pattern = softmax(x, *args, **kwargs)
            self.values[f"pattern.{layer}"] = pattern[..., : scores.shape[-1]].contiguous()
            return pattern

        return wrapped


# --------------------------------------------------------------------------------------------------------------------
# One variant
# --------------------------------------------------------------------------------------------------------------------


def randomise(model: nn.Module, family: str, generator: torch.Generator) -> None:
    """Fills every parameter: matrices so that a unit input gives outputs somewhat larger than one."""
    offset_norms = family.startswith("gemma")
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        is_norm = any(part.startswith(("ln_", "norm")) or "norm" in part for part in name.split(".")[-2:-1])
        if name.endswith("sinks"):
            value = noise
        elif is_norm and name.endswith("weight"):
            value = 0.3 * noise + (0 if offset_norms else 1)
        elif parameter.ndim == 1 or name.endswith("bias"):
            value = 0.3 * noise
        elif "embed" in name or ".wte." in name or ".wpe." in name:
            value = (0.3 if offset_norms else 0.5) * noise
        else:
            conv_like = family == "gpt2" and "lm_head" not in name
            fan_in = parameter.shape[-2 if conv_like or family == "gpt_oss" and "experts" in name else -1]
            value = 1.3 * noise / math.sqrt(fan_in)
        with torch.no_grad():
            parameter.copy_(value)


def write_model(variant: Variant, folder: Path, generator: torch.Generator) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config_text = json.dumps(variant.config, indent=2) + "\n"
    (folder / "config.json").write_text(config_text)
    settings = AutoConfig.from_pretrained(folder)
    if hasattr(settings, "quantization_config"):
        del settings.quantization_config
    model = AutoModelForCausalLM.from_config(settings)
    randomise(model, variant.family, generator)
    model.to(variant.stored).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "config.json").write_text(config_text)
    if variant.rename is not None:
        weights = folder / "model.safetensors"
        tensors = variant.rename(load_file(weights))
        save_file({name: value.contiguous() for name, value in tensors.items()}, weights, metadata={"format": "pt"})


def unpack_mxfp4(folder: Path, target: Path) -> None:
    """A plain copy of an MXFP4 model, unpacked by `transformers`' own function (loading it as such needs accelerate)."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    settings = json.loads((folder / "config.json").read_text())
    del settings["quantization_config"]
    (target / "config.json").write_text(json.dumps(settings))
    tensors = load_file(folder / "model.safetensors")
    for name in [name for name in tensors if name.endswith("_blocks")]:
        base = name.removesuffix("_blocks")
        blocks, scales = tensors.pop(name), tensors.pop(f"{base}_scales")
        tensors[base] = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})


def load_model(folder: Path) -> nn.Module:
    """The reference, from the written files; every tensor it needs must be there."""
    with tempfile.TemporaryDirectory() as scratch:
        source = folder
        if "quantization_config" in json.loads((folder / "config.json").read_text()):
            source = Path(scratch)
            unpack_mxfp4(folder, source)
        model, info = AutoModelForCausalLM.from_pretrained(
            source, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
        )
    if info["missing_keys"] or info["mismatched_keys"]:
        raise ValueError(f"{folder.name}: {info}")
    return model.eval()


def edit_cases(variant: Variant, points: Tensors) -> dict[str, list[dict]]:
    layers = sum(name.startswith("resid_post.") for name in points)
    heads = points["z.0"].shape[2]
    last, length = layers - 1, variant.length
    cases: dict[str, list[dict]] = {
        "steer": [{"at": "resid_post.0", "op": "add", "vector": "direction", "strength": 1.5, "positions": [1, -1]}],
        "zero_heads": [
            {"at": "z.0", "op": "set", "value": 0, "heads": [heads - 1]},
            {"at": f"z.{last}", "op": "set", "value": 0, "heads": [0], "rows": [1]},
        ],
        "knockout": [
            {
                "at": "attn_scores.1",
                "op": "knockout",
                "heads": [0, heads - 1],
                "queries": [length - 1, length - 3],
                "keys": [length - 2, length - 4, 0],
            }
        ],
        "interchange": [
            {
                "at": "resid_post.0",
                "op": "interchange",
                "value": "source_resid",
                "basis": "basis3",
                "positions": [2, -1],
            }
        ],
    }
    dense = [layer for layer in range(layers) if f"mlp_post.{layer}" in points]
    if dense:
        cases["scale_units"] = [{"at": f"mlp_post.{dense[-1]}", "op": "scale", "by": -0.5, "units": [0, 7, 20]}]
    return cases


def smallest_gap(logits: Tensor) -> float:
    best = logits.topk(2, dim=-1).values
    return (best[..., 0] - best[..., 1]).min().item()


def attempt(variant: Variant, folder: Path, seed: int) -> tuple[dict, Tensors]:
    """Writes the model drawn with `seed`; returns golden.json and golden.safetensors."""
    generator = torch.Generator().manual_seed(seed)
    write_model(variant, folder, generator)
    pristine = load_model(folder)
    width = pristine.config.get_text_config().hidden_size
    tokens = torch.randint(3, VOCAB - 3, (2, variant.length), generator=generator)
    vectors = {
        "direction": torch.randn(width, generator=generator),
        "basis3": torch.randn(3, width, generator=generator),
        "source_resid": torch.randn(2, variant.length, width, generator=generator),
    }
    taps: list[Tap] = []

    def fresh_tap(edits: list[dict] = ()) -> Tap:
        taps.append(Tap(variant, copy.deepcopy(pristine), edits, vectors))
        return taps[-1]

    tap = fresh_tap()
    tensors: Tensors = {"input_ids": tokens, "logits": tap(tokens).logits}
    tensors |= tap.values

    tap = fresh_tap()
    # On the model itself: handed to generate(), an end token of None would be filled in from the model's config.
    tap.model.generation_config = transformers.GenerationConfig(
        do_sample=False, max_new_tokens=STEPS, use_cache=True, pad_token_id=0, eos_token_id=None
    )
    with tap.watching():
        generated = tap.model.generate(
            tokens, attention_mask=torch.ones_like(tokens), return_dict_in_generate=True, output_logits=True
        )
    tensors["generated.tokens"] = generated.sequences[:, variant.length :]
    tensors["generated.logits"] = torch.stack(generated.logits, dim=1)
    if not torch.equal(tensors["generated.logits"].argmax(-1), tensors["generated.tokens"]):
        raise ValueError(f"{variant.name}: generation did not follow its own logits")

    short_length = variant.short if variant.short > 0 else variant.length + variant.short
    tensors["short.input_ids"] = tokens[1:, :short_length]
    tensors["short.logits"] = fresh_tap()(tensors["short.input_ids"]).logits

    cases = edit_cases(variant, tensors)
    for name, edits in cases.items():
        tensors[f"edited.{name}.logits"] = fresh_tap(edits)(tokens).logits
        if torch.equal(tensors[f"edited.{name}.logits"], tensors["logits"]):
            raise ValueError(f"{variant.name}: {name} changed nothing")
    tensors |= {f"vectors.{name}": value for name, value in vectors.items()}

    about = {
        "family": variant.family,
        "config_style": "v5" if "dtype" in variant.config else "v4",
        "tokens": tokens.tolist(),
        "edits": cases,
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "seed": seed,
        "max_abs_logit": round(tensors["logits"].abs().max().item(), 3),
        "token_gap": round(smallest_gap(tensors["generated.logits"]), 6),
    }
    if (gap := min(one.router_margin for one in taps)) < math.inf:
        about["expert_gap"] = round(gap, 6)
    return about, tensors


def make(variant: Variant, folder: Path) -> None:
    for seed in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        about, tensors = attempt(variant, folder, seed)
        if about["token_gap"] >= TOKEN_MARGIN and about.get("expert_gap", 1) >= EXPERT_MARGIN:
            break
    else:
        raise ValueError(f"{variant.name}: every seed leaves some choice open")
    (folder / "golden.json").write_text(json.dumps(about) + "\n")
    save_file({name: value.detach().clone() for name, value in tensors.items()}, folder / "golden.safetensors")
    check(folder)


def check(folder: Path) -> None:
    """Reads the written files back, and says in one line what is there."""
    golden = load_file(folder / "golden.safetensors")
    load_file(folder / "model.safetensors")
    about = json.loads((folder / "golden.json").read_text())
    for name, value in golden.items():
        if not name.startswith("attn_scores.") and not value.isfinite().all():
            raise ValueError(f"{folder.name}: {name} is not finite")
    # How far attention is from uniform: 1 minus the mean entropy over that of equal weights.
    pattern = golden["pattern.0"][:, :, -1]
    visible = (pattern > 0).sum(-1)
    entropy = -(pattern * pattern.clamp_min(1e-30).log()).sum(-1)[visible > 1] / visible[visible > 1].log()
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(
        f"{folder.name:34} {size // 1024:4} KiB  {len(golden):3} tensors"
        f"  focus {1 - entropy.mean():.2f}  gap {about['token_gap']:.3f} {about.get('expert_gap', '')}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, help="folder to write into, one subfolder a variant")
    parser.add_argument("--only", default="", help="only the variants whose name contains this")
    parser.add_argument("--fixtures", action="store_true", help=f"only the committed few, into {FIXTURES.name}/")
    parser.add_argument("--list", action="store_true", help="print names and configs, write nothing")
    options = parser.parse_args()

    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    variants = [variant for variant in VARIANTS if options.only in variant.name]
    if options.fixtures:
        variants = [variant for variant in variants if variant.name in FIXTURE_NAMES]
    if options.list:
        for variant in variants:
            print(variant.name, json.dumps(variant.config))
        return
    out = options.out or (FIXTURES if options.fixtures else None)
    if out is None:
        parser.error("--out or --fixtures is needed")
    for variant in variants:
        make(variant, out / variant.name)


if __name__ == "__main__":
    main()
