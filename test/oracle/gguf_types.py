"""A GGUF file with blocks of every type that src/formats/gguf reads, for its tests.

Writes test/fixtures/gguf/types.gguf, which holds, for each type T, a tensor `blocks.T` of random bytes (their float16 scales
finite: normal, subnormal, zero, negative) and a float32 tensor `expected.T` with what `gguf.quants.dequantize` makes of it;
and keys of each of the thirteen kinds of values.

Usage (needs gguf and numpy; nothing in `npm test` needs it):

    python test/oracle/gguf_types.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter, quants
from gguf.constants import GGUFValueType

PATH = Path(__file__).resolve().parent.parent / "fixtures" / "gguf" / "types.gguf"

#: By type, where the float16 numbers of a block lie.
HALVES = {
    "F16": [0], "BF16": [], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0], "IQ2_XXS": [0],
}  # fmt: skip


def blocks(rng: np.random.Generator, name: str) -> np.ndarray:
    """A row of random blocks whose scales are finite."""
    weights, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    count = max(2, 256 // weights)
    made = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for at in HALVES[name]:
        halves = rng.integers(0, 0x7C00, count, dtype=np.uint16)
        halves[0] = 0x0001 + int(rng.integers(0x3FF))
        if count > 2:
            halves[1] = 0
        signs = rng.integers(0, 2, count, dtype=np.uint16) << 15
        made[:, at : at + 2] = (halves | signs).view(np.uint8).reshape(-1, 2)
    if name == "BF16":
        made[:, 1] &= 0xBF
    return made.reshape(1, count * size)


def keys(writer: GGUFWriter) -> None:
    values = {
        "UINT8": 255, "INT8": -128, "UINT16": 65535, "INT16": -32768, "UINT32": 4294967295, "INT32": -2147483648,
        "FLOAT32": 0.1, "BOOL": True, "STRING": "naïve ▁ 🙂", "UINT64": 2**64 - 1, "INT64": -(2**53) + 1, "FLOAT64": 0.1,
    }  # fmt: skip
    for kind, value in values.items():
        writer.add_key_value(f"kind.{kind}", value, GGUFValueType[kind])
        if kind != "STRING":
            writer.add_key_value(f"list.{kind}", [value, value], GGUFValueType.ARRAY, sub_type=GGUFValueType[kind])
    writer.add_array("list.STRING", ["", "a", "▁"])
    writer.add_array("list.ARRAY", [[1, 2], [3]])


def main() -> None:
    rng = np.random.default_rng(1)
    PATH.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(PATH, "types")
    keys(writer)
    writer.add_tensor("blocks.F32", np.array([[0.1, -0.0, 1e-45, 3.4e38]], dtype=np.float32))
    for name in HALVES:
        kind = GGMLQuantizationType[name]
        raw = blocks(rng, name)
        writer.add_tensor(f"blocks.{name}", raw, raw_dtype=kind)
        stored = raw.view(np.float16) if name == "F16" else raw
        writer.add_tensor(f"expected.{name}", quants.dequantize(stored, kind).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
