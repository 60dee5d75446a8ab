"""Makes, out of a Llama GGUF file, the folder that transformers.js generates from: 4 bits, by ONNX Runtime's model builder.

python make_onnx.py MODEL.gguf FOLDER

Needs transformers, gguf, onnxruntime-genai, onnx and onnx_ir, beside the pinned environment of the other peers.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import onnx
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def save_floats(loaded: torch.nn.Module, folder: Path) -> None:
    """Saves a model that was read from GGUF, which calls itself quantised and will not be saved, as an ordinary one."""
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    fresh = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    fresh.load_state_dict(loaded.state_dict())
    fresh.save_pretrained(folder)


def fix_head_size(source: Path, out: Path, size: int) -> None:
    """Copies a graph with the size of a head as a number: the builder leaves it open, and transformers.js takes what is open for 0."""
    model = onnx.load(source, load_external_data=False)
    for value in [*model.graph.input, *model.graph.output]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param == "kv_cache_dim":
                dim.dim_value = size
    onnx.save(model, out)


def main(source: Path, out: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        floats, made = Path(scratch, "floats"), Path(scratch, "made")
        where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
        save_floats(AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32), floats)
        AutoTokenizer.from_pretrained(**where).save_pretrained(floats)
        build = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", floats, "-o", made, "-c", Path(scratch, "cache")]
        subprocess.run([*build, "-p", "int4", "-e", "cpu", "--extra_options", "int4_accuracy_level=4"], check=True)
        (out / "onnx").mkdir(parents=True, exist_ok=True)
        # The graph names its data file, so both keep their names but for the one that transformers.js looks for.
        fix_head_size(made / "model.onnx", out / "onnx" / "model_q4.onnx", json.loads((floats / "config.json").read_text())["head_dim"])
        for file in made.glob("model.onnx*data"):
            shutil.copy(file, out / "onnx" / file.name)
        for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"):
            shutil.copy(floats / name, out / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
