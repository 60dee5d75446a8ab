"""One small configuration a family, with every field that its class in Hugging Face `transformers` has.

The engine claims that no setting of a `config.json` is ignored: each is honoured, refused by name, or known to have no
effect on the numbers. `test/models/spec.test.ts` holds that claim against the fields of the real classes, which this
script writes down, as `save_pretrained` of transformers 5 does; and against those of TransformerLens, whose
configurations have no file format of their own.

Usage (needs transformers and transformer_lens; nothing in `npm test` needs it):

    python test/oracle/configs.py        writes test/fixtures/configs.json
"""

from __future__ import annotations

import json
from pathlib import Path

from transformer_lens.config.transformer_bridge_config import TransformerBridgeConfig
from transformers import AutoConfig

SIZES = {
    "vocab_size": 19,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
}
WIDE = {**SIZES, "intermediate_size": 24}
GROUPED = {**WIDE, "num_key_value_heads": 2}
HEADED = {**GROUPED, "head_dim": 6}
GEMMA = {**HEADED, "query_pre_attn_scalar": 6, "sliding_window": 4}
EXPERTS = {**GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2}

FAMILIES: dict[str, dict] = {
    "gpt2": {**SIZES},
    "gpt_neo": {**WIDE, "attention_types": [[["global", "local"], 1]], "window_size": 4},
    "gptj": {**SIZES, "rotary_dim": 2},
    "gpt_neox": {**WIDE, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}},
    "opt": {**SIZES, "word_embed_proj_dim": 16, "ffn_dim": 24},
    "bloom": {k: v for k, v in SIZES.items() if k != "max_position_embeddings"},
    "phi": {**GROUPED},
    "llama": {**HEADED},
    "mistral": {**HEADED, "sliding_window": 4},
    "qwen2": {**GROUPED},
    "qwen3": {**HEADED},
    "gemma": {**HEADED},
    "gemma2": {**GEMMA},
    "gemma3_text": {**GEMMA},
    "gemma3": {"text_config": {**GEMMA}},
    "phi3": {**GROUPED, "pad_token_id": 0, "eos_token_id": 2},
    "olmo2": {**GROUPED},
    "smollm3": {**GROUPED, "no_rope_layer_interval": 2},
    "granite": {**GROUPED},
    "mixtral": {**EXPERTS},
    "qwen3_moe": {**EXPERTS, "moe_intermediate_size": 8, "mlp_only_layers": [0]},
    "gpt_oss": {**EXPERTS, "head_dim": 6, "sliding_window": 4},
}


def main() -> None:
    configs = {name: AutoConfig.for_model(name, **fields).to_dict() for name, fields in FAMILIES.items()}
    configs["gemma3"]["vision_config"] = {"hidden_size": 8}
    lens = TransformerBridgeConfig(d_model=16, d_head=4, n_layers=2, n_ctx=32, n_heads=4, d_vocab=19, d_vocab_out=19, d_mlp=24)
    configs["hooked_transformer"] = {"model_type": "hooked_transformer", **lens.to_dict(), "dtype": "float32"}
    lines = [f"  {json.dumps(name)}: {json.dumps(config, sort_keys=True)}" for name, config in configs.items()]
    path = Path(__file__).parents[1] / "fixtures" / "configs.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
