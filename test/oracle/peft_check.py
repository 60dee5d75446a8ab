"""LoRA adapters: what Hugging Face `peft` computes with them, and whether it reads ours.

    python test/oracle/peft_check.py --fixtures     writes test/fixtures/adapters/NAME for some models of test/fixtures/variants
    python test/oracle/peft_check.py --check        has `write-adapter.ts` write an adapter for each, and loads it with peft

A fixture is an adapter as `save_pretrained` writes it (random A and B) and `expected.safetensors`: input_ids, and the logits of the adapted model
in float32 on the CPU. Needs torch, transformers, safetensors, peft; nothing in `npm test` needs it. Written with peft 0.21.2.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "critical")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

HERE = Path(__file__).resolve().parent
VARIANTS = HERE.parent / "fixtures" / "variants"
OUT = HERE.parent / "fixtures" / "adapters"
IDS = [7, 23, 49, 3, 38, 32, 46, 19, 12, 25, 60, 1]

FIXTURES = {
    "gpt2-hub-names": {"target_modules": ["c_attn", "c_proj", "c_fc"], "r": 2, "lora_alpha": 6, "fan_in_fan_out": True},
    "phi3-longrope-crossing": {"target_modules": "all-linear", "r": 3, "lora_alpha": 4, "use_rslora": True},
    "gpt-neox-v5-yarn": {"target_modules": ["query_key_value", "mlp.dense_4h_to_h"], "r": 2, "lora_alpha": 5},
    "qwen3-moe-dense-first": {"target_modules": ["q_proj", "v_proj", "o_proj"], "r": 2, "lora_alpha": 8},
}
CHECKED = [*FIXTURES, "opt-pre-projected-untied", "bloom-five-heads-untied", "gptj-rotary-six", "gemma3-old-style", "gpt-neo-mixed-untied",
           "phi-qk-layernorm-gqa", "llama-longrope-crossing"]


def load(path: Path):
    model = AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager", dtype=torch.float32)
    return model.eval()


@torch.no_grad()
def logits(model) -> torch.Tensor:
    return model(torch.tensor([IDS]), use_cache=False).logits.float()


def write_fixture(name: str, settings: dict) -> None:
    torch.manual_seed(5)
    model = get_peft_model(load(VARIANTS / name), LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, **settings)).eval()
    for key, value in model.named_parameters():
        if ".lora_B." in key:
            torch.nn.init.normal_(value, std=0.2)
    model.base_model.config._name_or_path = name
    for config in model.peft_config.values():
        config.base_model_name_or_path = name
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    path.write_text(json.dumps(config, indent=2) + "\n")
    save_file({"input_ids": torch.tensor([IDS], dtype=torch.int32), "logits": logits(model).contiguous()}, folder / "expected.safetensors")
    apart = (logits(model) - logits(load(VARIANTS / name))).abs().max().item()
    print(f"{name}: the adapter moves logits by {apart:.3f}")


def check(name: str) -> None:
    with tempfile.TemporaryDirectory() as out:
        command = ["npx", "tsx", str(HERE / "write-adapter.ts"), str(VARIANTS / name), out, json.dumps(IDS)]
        subprocess.run(command, check=True, cwd=HERE.parent.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ours = load_file(Path(out) / "ours.safetensors")
        model = PeftModel.from_pretrained(load(VARIANTS / name), Path(out) / "adapter").eval()
        theirs = logits(model)
        stored = set(load_file(Path(out) / "adapter" / "adapter_model.safetensors"))
        known = {key.replace(".default.", ".") for key in model.state_dict() if ".lora_" in key}
        merged = logits(load(Path(out) / "merged"))
        gap = {
            "peft, our adapter": (ours["adapted"] - theirs).abs().max().item(),
            "transformers, our merged": (ours["merged"] - merged).abs().max().item(),
            "ours, merged": (ours["adapted"] - ours["merged"]).abs().max().item(),
            "moved": (ours["adapted"] - ours["base"]).abs().max().item(),
        }
        print(f"{name}: keys {'equal' if stored == known else sorted(stored ^ known)}", {what: f"{value:.1e}" for what, value in gap.items()})
        assert stored == known and gap["moved"] > 0.1 and max(list(gap.values())[:3]) < 1e-4, name


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fixtures", action="store_true")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if arguments.fixtures:
        for name, settings in FIXTURES.items():
            write_fixture(name, settings)
    if arguments.check:
        for name in CHECKED:
            check(name)
