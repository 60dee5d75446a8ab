"""Files of `torch.save` for the tests of src/formats/torch-file.ts, and what is in them.

Writes into test/fixtures/torch:

    NAME.pt          whole files: every kind of storage; strides and offsets (in protocol 4); nesting and parameters; a probe
    expected.json    for each of these, by name of tensor: shape and values
    refused/NAME.pt  files that must be refused; `call.pt` would run a command if it were unpickled

Usage (needs torch; nothing in `npm test` needs it):

    python test/oracle/torch_files.py
"""

from __future__ import annotations

import collections
import json
import os
from pathlib import Path

import torch
from torch import nn

FOLDER = Path(__file__).resolve().parent.parent / "fixtures" / "torch"


class Call:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple:
        return (os.system, ("echo this must never run",))


def whole() -> dict[str, object]:
    torch.manual_seed(1)
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 8
    linear = nn.Linear(3, 2)
    return {
        "kinds": {
            "double": torch.tensor([0.1, 1e300, -2.5], dtype=torch.float64),
            "half": torch.tensor([0.1, 65504.0, 6e-8, float("inf")], dtype=torch.float16),
            "bfloat16": torch.tensor([0.1, 3e38, -1.0], dtype=torch.bfloat16),
            "long": torch.tensor([-(2**31), 2**31 - 1]),
            "int": torch.tensor([1, -2], dtype=torch.int32),
            "short": torch.tensor([-300, 300], dtype=torch.int16),
            "char": torch.tensor([-128, 127], dtype=torch.int8),
            "byte": torch.tensor([0, 255], dtype=torch.uint8),
            "bool": torch.tensor([True, False]),
            "empty": torch.zeros(0, 3),
            "scalar": torch.tensor(3.5),
        },
        "views": {
            "whole": base,
            "transposed": base.T,
            "column": base[:, 2],
            "block": base[1:3, 1:4],
            "every_other": base[::2, ::3],
            "permuted": base.reshape(2, 2, 6).permute(2, 0, 1),
            "half_transposed": base.to(torch.float16).T,
            "long_row": base.to(torch.int64)[3],
        },
        "nested": collections.OrderedDict(
            layers=[{"w": torch.ones(1)}, (torch.zeros(1), 2.5, 7, True)],
            model=linear.state_dict(),
            parameter=nn.Parameter(torch.tensor([1.0, 2.0])),
            size=torch.zeros(2, 3).size(),
        ),
        "probe": torch.randn(3, 4, 2),
    }


def flat(value: object, name: str = "") -> dict[str, dict]:
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    else:
        tensor = value.detach() if isinstance(value, torch.Tensor) else torch.tensor(value)
        numbers = tensor.to(torch.float32) if tensor.is_floating_point() else tensor.to(torch.int64)
        return {name: {"shape": list(tensor.shape), "values": [str(x) for x in numbers.flatten().tolist()]}}
    return {key: leaf for k, item in items for key, leaf in flat(item, f"{name}.{k}" if name else str(k)).items()}


def main() -> None:
    (FOLDER / "refused").mkdir(parents=True, exist_ok=True)
    made = whole()
    for name, value in made.items():
        torch.save(value, FOLDER / f"{name}.pt", pickle_protocol=4 if name == "views" else 2)
    expected = {name: flat(value) for name, value in made.items()}
    (FOLDER / "expected.json").write_text(json.dumps(expected) + "\n")
    refused = FOLDER / "refused"
    torch.save({"w": torch.ones(2)}, refused / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({"w": torch.ones(3).expand(4, 3)}, refused / "expanded.pt")
    torch.save({"w": torch.ones(1), "x": Call()}, refused / "call.pt")
    torch.save({"w": torch.tensor([2**31])}, refused / "too-large.pt")


if __name__ == "__main__":
    main()
