/** @file Which bytes of a checkpoint a weight of a graph is. */
import { refuse } from "../base/errors.js";
import { sizeOf } from "../base/tensor.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import type { WeightLocation } from "../graph/emit.js";
import type { Weight } from "../graph/graph.js";

const BYTES = { F32: 4, F16: 2, BF16: 2, F64: 8, U8: 1 } as const;

/** The file, as the checkpoint names it, and byte range of a weight; what is stored in a way that graphs do not read is refused. */
export function locateWeight(checkpoint: Checkpoint, weight: Weight): WeightLocation {
  const stored = checkpoint.stored(weight.name);
  const { dtype, file } = stored;
  const isBytes = (weight.holds ?? "floats") !== "floats";
  if (!isReadable(dtype) || (dtype === "U8") !== isBytes) {
    throw refuse({
      what: `cannot compute with tensor ${weight.name}`,
      why: `it is stored as ${dtype}, not as ${isBytes ? "bytes" : "floating point"}`,
      instead: "use the float checkpoint",
    });
  }
  const size = BYTES[dtype];
  return { file, offset: stored.offset + (weight.offset ?? 0) * size, length: sizeOf(weight.shape) * size, dtype };
}

function isReadable(dtype: string): dtype is keyof typeof BYTES {
  return Object.hasOwn(BYTES, dtype);
}
