/** @file The weights of a GGUF file as float32, in pieces, in the order in which safetensors checkpoints have them. */
import { closeSync } from "node:fs";
import { must, SextantError } from "../../base/errors.js";
import { sizeOf } from "../../base/tensor.js";
import { openFile, readRange } from "../files.js";
import { quote } from "../json.js";
import type { RowPiece } from "../quantise.js";
import type { GgufHeader, GgufTensor } from "./header.js";
import { exactForm, GGUF_TYPES, widenBlocks, type GgufType } from "./block-types.js";

/** What llama.cpp's converter did to a tensor, to be undone. */
export type GgufChange =
  | { readonly kind: "none" }
  /** 1 was added: the norms of Gemma. Exact for weights of at least 0.5; others are rounded to multiples of 2⁻²⁴, as by transformers. */
  | { readonly kind: "minus_one" }
  /** Rows of a head were reordered from halves to neighbours: q and k of Llama. */
  | { readonly kind: "heads"; readonly heads: number }
  /** Rows and columns were swapped: the maps of GPT-2. */
  | { readonly kind: "turned" };

/** Weights that are read and widened at a time. */
const PIECE = 1 << 20;

/** The weights of a file, read range by range; whoever opens it closes it. */
export class GgufWeights {
  readonly #header: GgufHeader;
  readonly #descriptor: number;

  constructor(header: GgufHeader) {
    this.#header = header;
    this.#descriptor = openFile(header.file);
  }

  /** The tensor of that name. */
  tensor(name: string): GgufTensor {
    const found = this.#header.tensors.get(name);
    if (found) return found;
    throw new SextantError("weights", `${this.#header.file} has no tensor ${quote(name)}`);
  }

  /** `count` weights from the `first` on, both whole blocks; all by default. */
  floats(name: string, first = 0, count?: number): Float32Array {
    const { type, shape } = this.tensor(name);
    const out = allocate(name, count ?? sizeOf(shape) - first);
    const { block, bytes } = GGUF_TYPES[type];
    widenBlocks(this.#bytes(name, (first / block) * bytes, (out.length / block) * bytes), type, out, `tensor ${quote(name)}`);
    return out;
  }

  /**
   * The rows of a matrix, output by output as files have them, reordered where they were; with the scales that make whole numbers of them where `exact` is asked for, which the
   * type must allow.
   */
  *rowPieces(name: string, change: GgufChange, { exact }: { readonly exact: boolean }): Generator<RowPiece> {
    const { shape, type } = this.tensor(name);
    const [rows = 0, width = 1] = shape;
    const perHead = change.kind === "heads" ? rowsOfHead(name, rows, change.heads) : undefined;
    const step = perHead ?? Math.max(1, Math.floor(PIECE / width));
    for (let row = 0; row < rows; row += step) {
      const [first, count] = [row * width, Math.min(step, rows - row) * width];
      const values = this.floats(name, first, count);
      const scales = exact ? this.#scales(name, type, { first, count }) : undefined;
      if (perHead === undefined) yield { values, ...(scales && { scales }) };
      else {
        const ordered = (some: Float32Array): Float32Array => inHalves(some, { perHead, width: some.length / perHead });
        yield { values: ordered(values), ...(scales && { scales: ordered(scales) }) };
      }
    }
  }

  #scales(name: string, type: GgufType, { first, count }: { first: number; count: number }): Float32Array {
    const { block, bytes } = GGUF_TYPES[type];
    const form = must(exactForm(type), `exact blocks of ${type}`);
    const out = new Float32Array(count / form.block);
    form.scales(this.#bytes(name, (first / block) * bytes, (count / block) * bytes), out);
    return out;
  }

  /** The stored bytes, in pieces. */
  *storedPieces(name: string): Generator<Uint8Array> {
    const { bytes } = this.tensor(name);
    for (let at = 0; at < bytes; at += 4 * PIECE) yield this.#bytes(name, at, Math.min(4 * PIECE, bytes - at));
  }

  /** All weights, row-major, with the change undone, as bytes of float32 in pieces. */
  *floatPieces(name: string, change: GgufChange): Generator<Uint8Array> {
    for (const piece of this.#changed(name, change)) yield new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  *#changed(name: string, change: GgufChange): Generator<Float32Array> {
    const { shape } = this.tensor(name);
    if (change.kind === "heads") return yield* this.#headsInHalves(name, change.heads);
    if (change.kind === "turned") return yield transposed(this.floats(name), shape.at(-1) ?? 1);
    const total = sizeOf(shape);
    for (let at = 0; at < total; at += PIECE) {
      const piece = this.floats(name, at, Math.min(PIECE, total - at));
      yield change.kind === "none" ? piece : piece.map((value) => value - 1);
    }
  }

  /** Head by head, rows 0, 2, 4, … and then 1, 3, 5, …; a bias has rows of one. */
  *#headsInHalves(name: string, heads: number): Generator<Float32Array> {
    const { shape } = this.tensor(name);
    const [rows = 0, width = 1] = shape;
    const perHead = rowsOfHead(name, rows, heads);
    if (shape.length === 1) return yield inHalves(this.floats(name), { perHead, width: 1 });
    for (let head = 0; head < heads; head++) {
      const size = perHead * width;
      yield inHalves(this.floats(name, head * size, size), { perHead, width });
    }
  }

  #bytes(name: string, from: number, length: number): Uint8Array {
    return readRange(this.#descriptor, this.#header.file, this.tensor(name).offset + from, length);
  }
}

function rowsOfHead(name: string, rows: number, heads: number): number {
  const perHead = rows / heads;
  if (Number.isInteger(perHead) && perHead % 2 === 0) return perHead;
  throw new SextantError("weights", `tensor ${quote(name)} has ${rows} rows, which are not ${heads} heads of an even size`);
}

/** Of each `perHead` rows, the even ones before the odd ones. */
function inHalves(values: Float32Array, { perHead, width }: { perHead: number; width: number }): Float32Array {
  const out = new Float32Array(values.length);
  const half = perHead / 2;
  for (let row = 0; row < values.length / width; row++) {
    const [head, place] = [Math.floor(row / perHead), row % perHead];
    const from = head * perHead + (place < half ? 2 * place : 2 * (place - half) + 1);
    out.set(values.subarray(from * width, (from + 1) * width), row * width);
  }
  return out;
}

function transposed(values: Float32Array, width: number): Float32Array {
  const rows = values.length / width;
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < width; column++) out[column * rows + row] = values[row * width + column]!;
  return out;
}

function allocate(name: string, count: number): Float32Array {
  try {
    return new Float32Array(count);
  } catch (error) {
    throw new SextantError("memory", `not enough memory for ${count} weights of tensor ${quote(name)}`, { cause: error });
  }
}
