/**
 * @file The named tensors of a checkpoint, wherever its files are. Only the byte ranges that are asked for are read, and half precision is
 * widened in pieces.
 */
import { SextantError } from "../base/errors.js";
import { sizeOf } from "../base/tensor.js";
import { DTYPES, widenInto } from "./dtype.js";
import { quote } from "./json.js";
import { describeShape, type SafetensorsHeader, type StoredTensor } from "./safetensors-header.js";

const CHUNK = 16 << 20;

/** How far the files of a checkpoint are made, in bytes. */
export interface PrepareStep {
  readonly done: number;
  readonly total: number;
}

/** What some files of a checkpoint say; `prepare` makes those with some of its tensors that are not there before they are needed, step by step. */
export interface CheckpointPart extends Pick<SafetensorsHeader, "tensors" | "metadata"> {
  readonly prepare?: (names: readonly string[]) => Iterable<PrepareStep>;
}

/** A run of bytes in a file. */
export interface FileRange {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

/** Reads ranges of a checkpoint's files: of the disk (`DiskRanges`), or of what a browser was given. */
export interface FileRanges {
  /** Fills `out` with the bytes of the file from byte `from` on. */
  fill(file: string, from: number, out: Uint8Array): void;
  /**
   * Reads ranges and keeps nothing, so that the system has them in its cache. All reads are handed to the system before this returns: they go
   * on while JavaScript's thread is busy. The files must not be closed before the promise settles.
   */
  readAhead?(ranges: readonly FileRange[]): Promise<void>;
  close(): void;
}

/**
 * The named tensors of one checkpoint, read range by range; of two parts that have a tensor of one name, the later counts. Files are opened when first needed; `close`
 * closes them.
 */
export class Checkpoint {
  /** The path that was opened: a folder, or one file. */
  readonly folder: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: ReadonlyMap<string, string>;
  readonly #files: FileRanges;
  readonly #parts: readonly CheckpointPart[];
  readonly #prepared = new Set<string>();
  #closed = false;

  constructor(folder: string, headers: readonly CheckpointPart[], files: FileRanges) {
    this.folder = folder;
    this.#files = files;
    this.#parts = headers.filter((header) => header.prepare !== undefined);
    this.tensors = new Map(headers.flatMap((header) => [...header.tensors]));
    this.metadata = new Map(headers.flatMap((header) => [...header.metadata]));
  }

  /**
   * Makes the files with these tensors (all by default) that are made only when they are needed: those of a GGUF file, and quantised weights. Reading does so by itself;
   * this is for who has other things to do meanwhile.
   */
  *prepare(names: readonly string[] = [...this.tensors.keys()]): Generator<PrepareStep> {
    if (this.#parts.length === 0) return;
    const missing = names.filter((name) => !this.#prepared.has(name));
    for (const part of this.#parts) {
      const own = missing.filter((name) => this.tensors.has(name) && part.tensors.get(name) === this.tensors.get(name));
      if (own.length === 0) continue;
      yield* part.prepare?.(own) ?? [];
      // A checkpoint may have several files, any other part has one.
      for (const name of part instanceof Checkpoint ? own : part.tensors.keys()) this.#prepared.add(name);
    }
  }

  /** Makes them at once. */
  makeFiles(names?: readonly string[]): void {
    const steps = this.prepare(names);
    while (!steps.next().done);
  }

  /** Where the tensor lies; an unknown name is refused with those that resemble it. */
  stored(name: string): StoredTensor {
    const found = this.tensors.get(name);
    if (found) return found;
    const near = [...this.tensors.keys()].filter((other) => other.endsWith(`.${name}`) || name.endsWith(`.${other}`)).slice(0, 3);
    const hint = near.length > 0 ? `; it has ${near.join(", ")}` : ` among its ${this.tensors.size} tensors`;
    throw new SextantError("weights", `${this.folder} has no tensor ${quote(name)}${hint}`);
  }

  /** `length` bytes of the tensor from byte `from` on; all of them by default. */
  readBytes(name: string, from = 0, length?: number): Uint8Array {
    const stored = this.stored(name);
    const count = length ?? stored.bytes - from;
    checkRange(stored, from, count);
    const out = allocate(stored, () => new Uint8Array(count));
    this.#fill(stored, from, out);
    return out;
  }

  /** All values, row-major, widened to float32. */
  readFloat32(name: string): Float32Array {
    const stored = this.stored(name);
    const out = allocate(stored, () => new Float32Array(sizeOf(stored.shape)));
    this.#widen(stored, 0, out);
    return out;
  }

  /** The given rows of a matrix, one after another, widened to float32: `[row, column]`. */
  readRows(name: string, rows: readonly number[]): Float32Array {
    const stored = this.stored(name);
    const [count = 0, columns = 0] = stored.shape;
    if (stored.shape.length !== 2)
      throw new SextantError("request", `readRows ${name}: needs a matrix, its shape is ${describeShape(stored.shape)}`);
    const stray = rows.find((row) => !Number.isInteger(row) || row < 0 || row >= count);
    if (stray !== undefined) throw new SextantError("request", `readRows ${name}: row ${stray} is not one of its ${count}`);
    const out = allocate(stored, () => new Float32Array(rows.length * columns));
    rows.forEach((row, i) => this.#widen(stored, row * columns, out.subarray(i * columns, (i + 1) * columns)));
    return out;
  }

  /** As `readAhead` of the files; where those have none, nothing is done. */
  async readAhead(ranges: readonly FileRange[]): Promise<void> {
    await this.#files.readAhead?.(ranges);
  }

  /** Closes the files; reading afterwards is an error. */
  close(): void {
    this.#files.close();
    this.#closed = true;
  }

  /** Widens elements from `first` on over `out`, in pieces, so that the narrow bytes are never all in memory. */
  #widen(stored: StoredTensor, first: number, out: Float32Array): void {
    const size = DTYPES[stored.dtype].bytes;
    if (stored.dtype === "F32") return this.#fill(stored, first * size, new Uint8Array(out.buffer, out.byteOffset, out.byteLength));
    const step = CHUNK / 8;
    const buffer = new Uint8Array(Math.min(step, out.length) * size);
    for (let at = 0; at < out.length; at += step) {
      const target = out.subarray(at, at + step);
      const bytes = buffer.subarray(0, target.length * size);
      this.#fill(stored, (first + at) * size, bytes);
      widenInto(bytes, stored.dtype, target);
    }
  }

  #fill(stored: StoredTensor, from: number, out: Uint8Array): void {
    if (this.#closed) throw new SextantError("usage", `cannot read ${quote(stored.name)}: the checkpoint ${this.folder} is closed`);
    this.makeFiles([stored.name]);
    this.#files.fill(stored.file, stored.offset + from, out);
  }
}

function checkRange({ name, bytes }: StoredTensor, from: number, length: number): void {
  if (Number.isInteger(from) && Number.isInteger(length) && from >= 0 && length >= 0 && from + length <= bytes) return;
  throw new SextantError("request", `readBytes ${name}: bytes ${from} to ${from + length} are not within its ${bytes}`);
}

function allocate<T>({ name, shape, dtype }: StoredTensor, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new SextantError("memory", `not enough memory for tensor ${quote(name)} of shape ${describeShape(shape)} and ${dtype}`, {
      cause: error,
    });
  }
}
