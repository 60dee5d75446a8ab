"""Writes a GGUF file again with its matrices as Q4_0 and its embedding and unembedding as Q8_0, with the gguf package alone.

python make_q4_0.py SOURCE.gguf OUT.gguf
"""

import sys

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, quants

ENDS = {"token_embd.weight", "output.weight"}


def main(source: str, out: str) -> None:
    reader = GGUFReader(source)
    writer = GGUFWriter(out, text_of(reader.fields["general.architecture"]))
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            add_key(writer, key, field)
    for tensor in reader.tensors:
        add_tensor(writer, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def text_of(field, index: int = -1) -> str:
    return bytes(field.parts[index]).decode("utf8")


def add_key(writer: GGUFWriter, key: str, field) -> None:
    kind = field.types[0]
    if kind == GGUFValueType.ARRAY and field.types[1] == GGUFValueType.STRING:
        writer.add_array(key, [text_of(field, index) for index in field.data])
    elif kind == GGUFValueType.ARRAY:
        writer.add_array(key, [field.parts[index][0].item() for index in field.data])
    elif kind == GGUFValueType.STRING:
        writer.add_string(key, text_of(field))
    elif key == "general.file_type":
        writer.add_uint32(key, 2)
    else:
        writer.add_key_value(key, field.parts[-1][0].item(), kind)


def add_tensor(writer: GGUFWriter, tensor) -> None:
    shape = [int(size) for size in reversed(tensor.shape)]
    values = quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(shape)
    if values.ndim < 2:
        writer.add_tensor(tensor.name, values)
        return
    kind = GGMLQuantizationType.Q8_0 if tensor.name in ENDS else GGMLQuantizationType.Q4_0
    writer.add_tensor(tensor.name, quants.quantize(values, kind), raw_dtype=kind)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
