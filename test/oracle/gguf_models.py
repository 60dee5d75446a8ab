"""Tiny models as GGUF files, for the tests of src/models/gguf-*.ts and of running such files.

Each is a random model of `transformers`, converted by the rules of llama.cpp's convert_hf_to_gguf.py (rows of q and k of Llama
reordered, 1 added to the norms of Gemma, GPT-2's maps transposed) with the names of `gguf.get_tensor_name_map`, and quantised by
the `gguf` package. Where `transformers` reads such files itself, it is asked, too, and must agree.

Writes into test/fixtures/gguf:

    NAME.gguf              the file
    models.json            by NAME: the config.json of the model, and how far `transformers` reading the file was off, if it can
    models.safetensors     NAME.input_ids, and NAME.logits of the last two positions, of the model with dequantised weights

Usage (needs gguf, torch, transformers; nothing in `npm test` needs it):

    python test/oracle/gguf_models.py
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from gguf import GGMLQuantizationType as T
from gguf import GGUFWriter
from gguf_tokenizers import add_bpe, add_spm
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

FOLDER = Path(__file__).resolve().parent.parent / "fixtures" / "gguf"
ROPE = {"rope_theta": 10000.0, "rope_scaling": None}


@dataclass
class Case:
    arch: str
    config: dict
    types: dict[str, T]
    reads_itself: bool = True
    tokenizer: str | None = None
    keys: dict[str, object] = field(default_factory=dict)


def llama_like(model_type: str, **extra: object) -> dict:
    return {
        "model_type": model_type, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 64, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "hidden_act": "silu",
        "bos_token_id": 1, "eos_token_id": 2, **ROPE, **extra,
    }  # fmt: skip


def gemma_like(model_type: str, **extra: object) -> dict:
    return llama_like(
        model_type, head_dim=16, hidden_act="gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh", tie_word_embeddings=True, **extra
    )


LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
CASES = {
    "llama": Case(
        "llama", llama_like("llama", vocab_size=288, head_dim=8, tie_word_embeddings=False),
        {"token_embd": T.Q4_0, "output": T.Q4_1, "attn": T.Q5_0, "ffn": T.Q4_0}, tokenizer="spm",
    ),
    "llama3": Case(
        "llama", llama_like("llama", num_hidden_layers=1, head_dim=8, num_key_value_heads=4, attention_bias=True, tie_word_embeddings=True,
                            rope_theta=500000.0, rope_scaling=LLAMA3, max_position_embeddings=131072),
        {"token_embd": T.F16, "attn": T.Q5_1, "ffn": T.Q5_0}, reads_itself=False,
    ),
    "qwen2": Case(
        "qwen2", llama_like("qwen2", vocab_size=300, tie_word_embeddings=True, rope_theta=1000000.0, use_sliding_window=False),
        {"token_embd": T.Q8_0, "attn": T.Q4_1, "ffn": T.Q4_0}, tokenizer="bpe",
    ),
    "qwen3": Case(
        "qwen3", llama_like("qwen3", head_dim=16, tie_word_embeddings=False, rope_theta=1000000.0),
        {"token_embd": T.BF16, "output": T.F16, "attn": T.Q4_1, "ffn": T.Q5_1}, reads_itself=False,
    ),
    "gemma": Case("gemma", gemma_like("gemma", num_hidden_layers=1, num_key_value_heads=1), {"token_embd": T.Q5_0, "attn": T.Q4_0, "ffn": T.Q4_0}, reads_itself=False),
    "gemma2": Case(
        "gemma2", gemma_like("gemma2", query_pre_attn_scalar=16, attn_logit_softcapping=3.0, final_logit_softcapping=4.0, sliding_window=5,
                             layer_types=["sliding_attention", "full_attention"]),
        {"token_embd": T.Q8_0, "attn": T.Q4_0, "ffn": T.Q4_0}, reads_itself=False,
        keys={"attn_logit_softcapping": 3.0, "final_logit_softcapping": 4.0, "attention.sliding_window": 5},
    ),
    "gemma3": Case(
        "gemma3", gemma_like("gemma3_text", query_pre_attn_scalar=16, sliding_window=5, rope_local_base_freq=10000.0,
                             rope_scaling={"rope_type": "linear", "factor": 8.0}, layer_types=["sliding_attention", "full_attention"])
        | {"rope_theta": 1000000.0},
        {"token_embd": T.Q8_0, "attn": T.Q4_0, "ffn": T.Q4_0}, reads_itself=False,
        keys={"attention.sliding_window": 5, "attention.sliding_window_pattern": 2},
    ),
    "gpt2": Case(
        "gpt2",
        {"model_type": "gpt2", "n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 16, "n_inner": 64, "vocab_size": 64,
         "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": True},
        {"token_embd": T.Q8_0, "position_embd": T.F32, "attn": T.Q4_0, "ffn": T.Q4_0}, reads_itself=False,
    ),
}  # fmt: skip


def build(case: Case) -> torch.nn.Module:
    torch.manual_seed(7)
    config = AutoConfig.for_model(**case.config)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            is_norm = "norm" in name or "ln_" in name
            plain = 1.0 if is_norm and name.endswith("weight") and "gemma" not in case.arch else 0.0
            weight.copy_(plain + torch.randn_like(weight) * (0.2 if is_norm or name.endswith("bias") else 0.3))
    return model


def permute(weight: np.ndarray, heads: int) -> np.ndarray:
    """LlamaModel.permute of convert_hf_to_gguf.py."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def unpermute(weight: np.ndarray, heads: int) -> np.ndarray:
    return weight.reshape(heads, weight.shape[0] // heads // 2, 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def changes(case: Case, name: str):
    """What the converter does to a tensor, and the way back."""
    heads, kv_heads = case.config.get("num_attention_heads"), case.config.get("num_key_value_heads")
    if case.arch == "llama" and ".q_proj." in name:
        return lambda w: permute(w, heads), lambda w: unpermute(w, heads)
    if case.arch == "llama" and ".k_proj." in name:
        return lambda w: permute(w, kv_heads), lambda w: unpermute(w, kv_heads)
    if case.arch.startswith("gemma") and name.endswith("norm.weight"):
        return lambda w: w + np.float32(1), lambda w: w - np.float32(1)
    if case.arch == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
        return lambda w: np.ascontiguousarray(w.T), lambda w: np.ascontiguousarray(w.T)
    return lambda w: w, lambda w: w


def type_of(case: Case, name: str, weight: np.ndarray) -> T:
    if weight.ndim == 1 or "norm" in name:
        return T.F32
    part = name.split(".")[-2]
    return next(kind for prefix, kind in case.types.items() if part.startswith(prefix))


def write(name: str, case: Case, model: torch.nn.Module, path: Path) -> dict[str, torch.Tensor]:
    """The file; gives the weights that are left of the model's after quantising."""
    arch = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == case.arch)
    names = gguf.get_tensor_name_map(arch, model.config.num_hidden_layers)
    writer = GGUFWriter(path, case.arch)
    add_keys(writer, case, model.config)
    {"spm": add_spm, "bpe": add_bpe, None: lambda writer: None}[case.tokenizer](writer)
    left = {}
    if case.config.get("rope_scaling") == LLAMA3:
        writer.add_tensor("rope_freqs.weight", llama3_factors(8, 500000.0))
    for hf_name, weight in model.state_dict().items():
        if hf_name == "lm_head.weight" and case.config["tie_word_embeddings"]:
            continue
        gguf_name = names.get_name(hf_name, try_suffixes=(".weight", ".bias"))
        assert gguf_name is not None, hf_name
        there, back = changes(case, hf_name)
        changed = there(weight.numpy().astype(np.float32))
        kind = type_of(case, gguf_name, changed)
        raw = gguf.quants.quantize(np.ascontiguousarray(changed), kind)
        writer.add_tensor(gguf_name, raw, raw_dtype=kind)
        left[hf_name] = torch.from_numpy(np.ascontiguousarray(back(gguf.quants.dequantize(raw, kind).reshape(changed.shape))))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return left


def llama3_factors(dim: int, base: float) -> np.ndarray:
    """As convert_hf_to_gguf.py makes them."""
    freqs = 1.0 / (base ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim))
    factors = []
    for freq in freqs:
        wavelength = 2 * np.pi / freq
        if wavelength < 8192 / 4:
            factors.append(1)
        elif wavelength > 8192 / 1:
            factors.append(8)
        else:
            smooth = (8192 / wavelength - 1) / (4 - 1)
            factors.append(1 / ((1 - smooth) / 8 + smooth))
    return np.array(factors, dtype=np.float32)


def add_keys(writer: GGUFWriter, case: Case, config) -> None:
    writer.add_vocab_size(config.vocab_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(32)
    writer.add_head_count(4)
    if case.arch == "gpt2":
        writer.add_context_length(config.n_positions)
        writer.add_feed_forward_length(config.n_inner)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
    else:
        writer.add_context_length(config.max_position_embeddings)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_rope_freq_base(case.config["rope_theta"])
        if case.arch == "llama":
            writer.add_rope_dimension_count(config.head_dim)
        elif case.config.get("head_dim"):
            writer.add_key_length(config.head_dim)
            writer.add_value_length(config.head_dim)
        if (scaling := case.config["rope_scaling"]) and scaling["rope_type"] == "linear":
            writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(scaling["factor"])
    for key, value in case.keys.items():
        (writer.add_float32 if isinstance(value, float) else writer.add_uint32)(f"{case.arch}.{key}", value)
    if case.tokenizer is None:
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    tensors, about = {}, {}
    for name, case in CASES.items():
        path = FOLDER / f"{name}.gguf"
        model = build(case)
        left = write(name, case, model, path)
        with torch.no_grad():
            missing = model.load_state_dict(left, strict=False)
            assert not missing.unexpected_keys and set(missing.missing_keys) <= {"lm_head.weight"}, missing
            ids = torch.randint(3, case.config["vocab_size"], (1, 12), generator=torch.Generator().manual_seed(1))
            logits = model(ids).logits
            assert logits.std() > 0.1 and not torch.isnan(logits).any(), name
            about[name] = {"config": case.config}
            if case.reads_itself:
                itself = AutoModelForCausalLM.from_pretrained(
                    FOLDER, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager"
                ).eval()
                off = float((itself(ids).logits - logits).abs().max())
                print(name, "as transformers reads it: off by", off)
                assert off < 1e-4, name
                about[name]["off"] = off
        tensors[f"{name}.input_ids"] = ids.to(torch.int32)
        tensors[f"{name}.logits"] = logits[0, -2:].contiguous()
        print(name, path.stat().st_size, "spread of logits", float(logits.std()))
    save_file(tensors, FOLDER / "models.safetensors")
    (FOLDER / "models.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    main()
