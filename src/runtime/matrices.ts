/** @file The matrices of a checkpoint as rows of floats, output by output: what quantised weights are made from. */
import type { BlockForm, RowPiece } from "../formats/quantise.js";
import { Checkpoint, DiskRanges } from "../formats/safetensors.js";
import type { DescribedTensor } from "../formats/safetensors-writer.js";
import type { LinearSpec } from "../models/spec.js";
import { readPart } from "./weights-part.js";

/** Where matrices come from. */
export interface MatrixSource {
  /** How a matrix is to be stored with at most so many bits. */
  readonly formOf: (name: string, most: 4 | 8) => BlockForm;
  /** A tensor that graphs cannot read where it is, as it is to be stored. */
  readonly loose: (name: string) => DescribedTensor | undefined;
  /** The files that hold these tensors. */
  readonly files: (names: readonly string[]) => readonly string[];
  readonly open: () => OpenMatrices;
}

/** A source whose files are open. */
export interface OpenMatrices {
  /** The rows of a map's matrix, without its adapter. */
  rows(linear: LinearSpec, form: BlockForm): Iterable<RowPiece>;
  /** The bytes of a loose tensor. */
  bytes(name: string): Iterable<Uint8Array>;
  close(): void;
}

/** Numbers that are read at a time. */
const PIECE = 1 << 20;
const BLOCK = 32;

/** The matrices of files that graphs can read: none of their tensors is loose. */
export function storedMatrices(checkpoint: Checkpoint): MatrixSource {
  return {
    formOf: (_, most) => ({ bits: most, block: BLOCK }),
    loose: () => undefined,
    files: (names) => [...new Set(names.map((name) => checkpoint.stored(name).file))].sort(),
    open: () => {
      const opened = new Checkpoint(checkpoint.folder, [checkpoint], new DiskRanges());
      return { rows: (linear) => rowsOf(opened, linear), bytes: () => [], close: () => opened.close() };
    },
  };
}

/** A few rows at a time where outputs come first, a head at a time where heads do; else all at once, since they are turned. */
function* rowsOf(checkpoint: Checkpoint, { layout, weight, in: input, out }: LinearSpec): Generator<RowPiece> {
  const bare = { layout, weight, in: input, out };
  const step = layout === "out_in" ? Math.max(1, Math.floor(PIECE / input)) : layout === "in_out" ? out : (weight.shape.at(-1) ?? out);
  for (let from = 0; from < out; from += step) {
    const outputs = { from, count: Math.min(step, out - from) };
    yield { values: readPart(checkpoint, bare, { outputs, first: "out" }) };
  }
}
