"""Whether NumPy, the `gguf` package and repeng read what Sextant writes.

    node bin/sextant.js read models/induction --tokens '[[0,1,33,11,17],[0,2]]' --points all --out FOLDER/run.npz
    node bin/sextant.js read models/induction --tokens '[[0,1,33,11,17],[0,2]]' --points all --out FOLDER/run.safetensors
    node bin/sextant.js vectors test/fixtures/vectors/named.npz --out FOLDER/vector.gguf --model-hint gpt-neo
    python test/oracle/vector_check.py FOLDER

Compares the arrays of run.npz with those of run.safetensors, and the directions of vector.gguf with test/fixtures/vectors/named.npz, exactly.
Nothing in `npm test` needs it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file

np.float_ = np.float64  # repeng 0.4.0 names it, NumPy 2 has it no more
from repeng import ControlVector  # noqa: E402

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "vectors"


def check(folder: Path) -> None:
    archive = np.load(folder / "run.npz")
    expected = load_file(folder / "run.safetensors")
    assert set(archive.files) == set(expected), set(archive.files) ^ set(expected)
    for name, value in expected.items():
        found = archive[name]
        assert found.dtype == value.dtype and found.flags["C_CONTIGUOUS"], name
        np.testing.assert_array_equal(found, value)
    print(f"run.npz: {len(expected)} arrays, {sorted({str(value.dtype) for value in expected.values()})}")

    named = np.load(FIXTURES / "named.npz")
    wanted = {int(name.split(".")[1]): named[name] for name in named.files}
    reader = gguf.GGUFReader(folder / "vector.gguf")
    assert {tensor.name: tensor.data.shape for tensor in reader.tensors} == {f"direction.{n}": v.shape for n, v in wanted.items()}
    vector = ControlVector.import_gguf(folder / "vector.gguf")
    assert vector == ControlVector(model_type="gpt-neo", directions=wanted)
    print(f"vector.gguf: {len(wanted)} directions of {vector.model_type}, keys {list(reader.fields)[3:]}")


if __name__ == "__main__":
    check(Path(sys.argv[1]))
