/** @file Where weights lie in the checkpoint's files, as ONNX external data wants it: one folder, and paths below it. */
import { dirname, relative, sep } from "node:path";
import { refuse } from "../base/errors.js";
import { sizeOf } from "../base/tensor.js";
import type { Checkpoint } from "../formats/safetensors.js";
import type { WeightLocation } from "../graph/emit.js";
import type { Weight } from "../graph/graph.js";

const BYTES = { F32: 4, F16: 2, BF16: 2, F64: 8, U8: 1 } as const;

export class WeightFiles {
  /** The folder that all files of the checkpoint are under, symbolic links resolved. */
  readonly folder: string;
  readonly #checkpoint: Checkpoint;

  constructor(checkpoint: Checkpoint) {
    checkpoint.makeFiles();
    this.#checkpoint = checkpoint;
    this.folder = commonFolder([...checkpoint.tensors.values()].map(({ file }) => file));
  }

  /** The file and byte range of a weight. */
  locate(weight: Weight): WeightLocation {
    const stored = this.#checkpoint.stored(weight.name);
    const { dtype } = stored;
    if (!isReadable(dtype) || (dtype === "U8") !== (weight.holds === "bytes")) {
      throw refuse({
        what: `cannot compute with tensor ${weight.name}`,
        why: `it is stored as ${dtype}, not as ${weight.holds === "bytes" ? "bytes" : "floating point"}`,
        instead: "use the float checkpoint",
      });
    }
    const size = BYTES[dtype];
    return {
      file: relative(this.folder, stored.file),
      offset: stored.offset + (weight.offset ?? 0) * size,
      length: sizeOf(weight.shape) * size,
      dtype,
    };
  }
}

function isReadable(dtype: string): dtype is keyof typeof BYTES {
  return Object.hasOwn(BYTES, dtype);
}

function commonFolder(files: readonly string[]): string {
  const folders = files.map((file) => dirname(file).split(sep));
  const [first = []] = folders;
  const shared = first.findIndex((part, depth) => !folders.every((folder) => folder[depth] === part));
  return (shared === -1 ? first : first.slice(0, shared)).join(sep) || sep;
}
