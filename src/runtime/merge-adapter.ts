/**
 * @file A model with a LoRA adapter added to its weights, written as an ordinary folder. Tensors pass one by one, so no more than one is in
 * memory. Adapted matrices are written as float32, all others byte for byte as they were.
 */
import { join } from "node:path";
import { writeAtomic } from "../formats/atomic.js";
import { copyBesideWeights, refuseOccupied } from "../formats/model-folder.js";
import type { Checkpoint } from "../formats/safetensors.js";
import { writeStreamed, type StreamedTensor } from "../formats/safetensors-writer.js";
import { adaptersOf, type ModuleWithAdapter } from "../models/adapter-modules.js";
import { modelConfigText } from "./gguf-model.js";
import { joinAdapter } from "./join-adapter.js";
import { readSpec } from "./load.js";

/** Bytes that are copied at a time, and rows that are merged at a time. */
const PIECE = 1 << 24;
const ROWS = 64;

/**
 * Writes the model of `modelFolder` with the adapter of `adapterFolder` in its weights to `outFolder`, which must be new or empty:
 * W + scale · B A, summed in float64 and rounded once to float32. The tokenizer's files come along; `config.json` comes last, so that a
 * folder left half-way is no model. Gives the names of the tensors that were changed.
 */
export function mergeAdapter(modelFolder: string, adapterFolder: string, outFolder: string): string[] {
  refuseOccupied(outFolder, "the merged model");
  const { spec, checkpoint } = joinAdapter(readSpec(modelFolder), adapterFolder);
  try {
    const adapters = adaptersOf(spec);
    const adapterOf = new Map(adapters.map((adapter) => [adapter.module.weight, adapter] as const));
    const ofAdapter = new Set(adapters.flatMap(({ a, b }) => [a, b]));
    const names = [...checkpoint.tensors.keys()].filter((name) => !ofAdapter.has(name));
    const streamed = names.map((name) => {
      const adapter = adapterOf.get(name);
      return adapter ? merged(checkpoint, adapter) : copied(checkpoint, name);
    });
    writeStreamed(join(outFolder, "model.safetensors"), streamed, { format: "pt" });
    copyBesideWeights(modelFolder, outFolder);
    const isWidened = [...adapterOf.keys()].some((name) => checkpoint.stored(name).dtype !== "F32");
    const config = modelConfigText(modelFolder);
    writeAtomic(join(outFolder, "config.json"), [isWidened ? asFloat32(config) : config]);
    return [...adapterOf.keys()];
  } finally {
    checkpoint.close();
  }
}

function copied(checkpoint: Checkpoint, name: string): StreamedTensor {
  const { dtype, shape, bytes } = checkpoint.stored(name);
  return {
    name,
    dtype,
    shape,
    *pieces() {
      for (let at = 0; at < bytes; at += PIECE) yield checkpoint.readBytes(name, at, Math.min(PIECE, bytes - at));
    },
  };
}

/** The stored matrix plus `scale · L R`: B A where it is `[out, in]`, Aᵀ Bᵀ where it is `[in, out]`. */
function merged(checkpoint: Checkpoint, { module, a, b, scale }: ModuleWithAdapter): StreamedTensor {
  const isTurned = module.layout === "in_out";
  const [rows, columns] = isTurned ? [module.in, module.out] : [module.out, module.in];
  return {
    name: module.weight,
    dtype: "F32",
    shape: [rows, columns],
    *pieces() {
      const weight = checkpoint.readFloat32(module.weight);
      const [outer, inner] = [checkpoint.readFloat32(b), checkpoint.readFloat32(a)];
      const rank = inner.length / module.in;
      const left = isTurned ? transposed(inner, module.in) : outer;
      const right = isTurned ? transposed(outer, rank) : inner;
      for (let row = 0; row < rows; row += ROWS) {
        const part = weight.subarray(row * columns, (row + ROWS) * columns);
        addProduct(part, left.subarray(row * rank, (row + ROWS) * rank), right, { rank, columns, scale });
        yield new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
      }
    },
  };
}

/** Adds `scale · left right` to `into`: rows × rank times rank × columns. */
function addProduct(
  into: Float32Array,
  left: Float32Array,
  right: Float32Array,
  { rank, columns, scale }: { rank: number; columns: number; scale: number },
): void {
  const sums = new Float64Array(columns);
  for (let row = 0; row * columns < into.length; row++) {
    sums.fill(0);
    for (let k = 0; k < rank; k++) {
      const factor = left[row * rank + k]!;
      for (let column = 0; column < columns; column++) sums[column]! += factor * right[k * columns + column]!;
    }
    for (let column = 0; column < columns; column++) into[row * columns + column]! += scale * sums[column]!;
  }
}

/** A matrix with `columns` columns, turned. */
function transposed(matrix: Float32Array, columns: number): Float32Array {
  const rows = matrix.length / columns;
  return Float32Array.from(matrix, (_, i) => matrix[(i % rows) * columns + Math.floor(i / rows)]!);
}

/**
 * The text of a configuration whose weights are float32 now; readers would round them to the type it stated. All else stays as it is written,
 * since transformers tells 3.0 from 3.
 */
function asFloat32(config: string): string {
  return config.replaceAll(/("(?:torch_)?dtype"\s*:\s*)"[^"]*"/g, '$1"float32"');
}
