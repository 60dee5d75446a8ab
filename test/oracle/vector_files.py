"""Control vectors and files of vectors as other tools write them, and what those tools compute with them.

Writes into test/fixtures/vectors:

    MODEL.gguf             control vectors of two tiny models of test/fixtures/variants, written by repeng's `export_gguf`
    expected.safetensors   for each: `MODEL.tokens`; `MODEL.both`, `MODEL.one`, `MODEL.minus`, the logits that `transformers` gives while repeng's
                           `ControlModel` adds the vector at layers 1 and 2 (times 1.5), at layer 1 alone (times 2), at both (times −1)
    named.npz .safetensors .pt   the directions of gpt-neo-mixed-untied in three other formats (`.pt`: a dictionary by number, as repeng holds them)
    kinds.npz              arrays of every type that is read, in C and Fortran order, written by `numpy.savez_compressed`
    refused/NAME.npy .npz  arrays that must be refused: objects (a pickle that would run a command), big-endian, complex, structured, bfloat16

Usage (repeng 0.4.0 with its dependencies, torch, transformers, ml_dtypes; nothing in `npm test` needs it):

    python test/oracle/vector_files.py
"""

from __future__ import annotations

import os
from pathlib import Path

import ml_dtypes
import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM

np.float_ = np.float64  # repeng 0.4.0 names it, NumPy 2 has it no more
from repeng import ControlModel, ControlVector  # noqa: E402

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
FOLDER = FIXTURES / "vectors"
MODELS = ["gpt-neo-mixed-untied", "gemma3-old-style"]
TOKENS = [3, 1, 4, 15, 9, 2, 6, 5]


class Call:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple:
        return (os.system, ("echo this must never run",))


def controlled(name: str, vector: ControlVector, layers: list[int], strength: float) -> np.ndarray:
    model = AutoModelForCausalLM.from_pretrained(FIXTURES / "variants" / name, dtype=torch.float32, attn_implementation="eager")
    control = ControlModel(model, layers)
    control.set_control(vector, strength)
    with torch.no_grad():
        return control(torch.tensor([TOKENS])).logits.numpy()


def control_vectors() -> None:
    expected = {}
    for seed, name in enumerate(MODELS):
        random = np.random.default_rng(seed)
        # In repeng's order, from the last layer to the first.
        directions = {layer: random.standard_normal(32).astype(np.float32) for layer in (2, 1)}
        vector = ControlVector(model_type=name.split("-mixed")[0].split("-old")[0], directions=directions)
        vector.export_gguf(FOLDER / f"{name}.gguf")
        expected[f"{name}.tokens"] = np.array([TOKENS], dtype=np.int32)
        expected[f"{name}.both"] = controlled(name, vector, [1, 2], 1.5)
        expected[f"{name}.one"] = controlled(name, vector, [1], 2.0)
        expected[f"{name}.minus"] = controlled(name, vector, [-1, -2], -1.0)
        if seed == 0:
            np.savez(FOLDER / "named.npz", **{f"blocks.{layer}.hook_resid_post": value for layer, value in directions.items()})
            save_file({f"resid_post.{layer}": value for layer, value in directions.items()}, FOLDER / "named.safetensors")
            torch.save({layer: torch.from_numpy(value) for layer, value in directions.items()}, FOLDER / "named.pt")
    save_file(expected, FOLDER / "expected.safetensors")


def arrays() -> None:
    base = np.arange(24).reshape(2, 3, 4)
    kinds = {kind: (base - 7).astype(kind) for kind in ("f8", "f4", "f2", "i8", "i4", "i2", "i1")}
    kinds |= {kind: base.astype(kind) for kind in ("u8", "u4", "u2", "u1")}
    kinds |= {"bool": base % 3 == 0, "scalar": np.float32(3.5), "empty": np.zeros((0, 3), dtype="f4"), "with/slash": base.astype("f4")}
    kinds |= {"fortran": np.asfortranarray(base.astype("f4")), "strided": base.astype("f4")[:, ::2, 1:]}
    np.savez_compressed(FOLDER / "kinds.npz", **kinds)


def refused() -> None:
    folder = FOLDER / "refused"
    folder.mkdir(exist_ok=True)
    np.save(folder / "big-endian.npy", np.arange(3, dtype=">f4"))
    np.save(folder / "complex.npy", np.arange(3, dtype="c8"))
    np.save(folder / "structured.npy", np.zeros(3, dtype=[("a", "f4"), ("b", "i4")]))
    np.save(folder / "bfloat16.npy", np.arange(3).astype(ml_dtypes.bfloat16))
    np.save(folder / "text.npy", np.array(["a", "bc"]))
    np.save(folder / "objects.npy", np.array([Call()], dtype=object), allow_pickle=True)
    np.savez(folder / "objects.npz", fine=np.zeros(2, dtype="f4"), bad=np.array([{"a": 1}], dtype=object))


if __name__ == "__main__":
    control_vectors()
    arrays()
    refused()
