/**
 * @file A checkpoint: one safetensors file, or shards with an index. Only the byte ranges that are asked for are read, and half
 * precision is widened in pieces. Symbolic links are followed, since the hub's cache is made of them; a name in an index that
 * would lead out of the folder is refused.
 */
import { closeSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { must, refuse, SextantError } from "../base/errors.js";
import { sizeOf, tensor, type Tensor } from "../base/tensor.js";
import { DTYPES, isIntegerDtype, toInt32, widenInto } from "./dtype.js";
import { fillFrom, openFile, statOf } from "./files.js";
import { describeJson, isJsonObject, quote, readJsonObject } from "./json.js";
import { describeShape, readSafetensorsHeader, violation, type SafetensorsHeader, type StoredTensor } from "./safetensors-header.js";

export { readSafetensorsHeader, type SafetensorsHeader, type StoredTensor };

const CHUNK = 16 << 20;
const INDEX = "model.safetensors.index.json";

/** The checkpoint in a folder (`model.safetensors`, or shards with their index), or in the one file that `path` names. */
export function openCheckpoint(path: string): Checkpoint {
  const isFolder = statOf(path).isDirectory();
  if (!isFolder) return new Checkpoint(path, [readSafetensorsHeader(refuseOtherFormats(path))]);
  const names = readdirSync(path);
  if (names.includes("model.safetensors")) return new Checkpoint(path, [readSafetensorsHeader(join(path, "model.safetensors"))]);
  if (names.includes(INDEX)) return openShards(path);
  throw noWeights(path, names);
}

/** The values of every tensor of a small file: float32 for floats, int32 for whole numbers and truth values. Axes have no names. */
export function readSafetensors(path: string): Map<string, Tensor> {
  const checkpoint = openCheckpoint(path);
  try {
    return new Map([...checkpoint.tensors.keys()].map((name) => [name, readTensor(checkpoint, name)]));
  } finally {
    checkpoint.close();
  }
}

/** How far the files of a checkpoint are made, in bytes. */
export interface PrepareStep {
  readonly done: number;
  readonly total: number;
}

/** What some files of a checkpoint say; `prepare` makes those that are not there before they are needed, step by step. */
export interface CheckpointPart extends Pick<SafetensorsHeader, "tensors" | "metadata"> {
  readonly prepare?: () => Iterable<PrepareStep>;
}

/** The named tensors of one checkpoint, read range by range. Files are opened when first needed; `close` closes them. */
export class Checkpoint {
  /** The path that was opened: a folder, or one file. */
  readonly folder: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: ReadonlyMap<string, string>;
  readonly #descriptors = new Map<string, number>();
  #unprepared: readonly CheckpointPart[];
  #closed = false;

  constructor(folder: string, headers: readonly CheckpointPart[]) {
    this.folder = folder;
    this.#unprepared = headers.filter((header) => header.prepare !== undefined);
    this.tensors = new Map(headers.flatMap((header) => [...header.tensors]));
    this.metadata = new Map(headers.flatMap((header) => [...header.metadata]));
  }

  /** Makes the files that are made only when they are needed: those of a GGUF file. Reading does so by itself; this is for who has other things to do meanwhile. */
  *prepare(): Generator<PrepareStep> {
    for (const header of this.#unprepared) yield* header.prepare?.() ?? [];
    this.#unprepared = [];
  }

  /** Makes them at once. */
  makeFiles(): void {
    const steps = this.prepare();
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

  /** Closes the files; reading afterwards is an error. */
  close(): void {
    for (const descriptor of this.#descriptors.values()) closeSync(descriptor);
    this.#descriptors.clear();
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
    if (this.#unprepared.length > 0) this.makeFiles();
    let descriptor = this.#descriptors.get(stored.file);
    if (descriptor === undefined) this.#descriptors.set(stored.file, (descriptor = openFile(stored.file)));
    fillFrom(descriptor, stored.file, stored.offset + from, out);
  }
}

function readTensor(checkpoint: Checkpoint, name: string): Tensor {
  const { dtype, shape } = checkpoint.stored(name);
  if (!isIntegerDtype(dtype)) return tensor(checkpoint.readFloat32(name), shape);
  try {
    return tensor(toInt32(checkpoint.readBytes(name), dtype), shape);
  } catch (error) {
    throw violation(checkpoint.folder, `tensor ${quote(name)}: ${(error as Error).message}`);
  }
}

function openShards(folder: string): Checkpoint {
  const path = join(folder, INDEX);
  const map = readWeightMap(path);
  const headers = new Map([...new Set(map.values())].sort().map((shard) => [shard, readShard(folder, shard)]));
  const tensors = [...map].map(([name, shard]): [string, StoredTensor] => {
    const stored = must(headers.get(shard), shard).tensors.get(name);
    if (!stored) throw violation(path, `tensor ${quote(name)} is said to be in ${shard}, which does not have it`);
    return [name, stored];
  });
  const metadata = [...headers.values()].flatMap((header) => [...header.metadata]);
  return new Checkpoint(folder, [{ tensors: new Map(tensors), metadata: new Map(metadata) }]);
}

function readShard(folder: string, shard: string): SafetensorsHeader {
  const path = join(folder, shard);
  statOf(path, `the shard that ${INDEX} names`);
  return readSafetensorsHeader(path);
}

function readWeightMap(path: string): Map<string, string> {
  const index = readJsonObject(path);
  const map = index["weight_map"];
  if (!isJsonObject(map)) throw violation(path, `weight_map must be an object, got ${describeJson(map)}`);
  const entries = Object.entries(map).map(([name, shard]): [string, string] => {
    if (typeof shard !== "string") throw violation(path, `weight_map ${quote(name)} must name a file, got ${describeJson(shard)}`);
    if (!isPlainFileName(shard))
      throw violation(path, `weight_map ${quote(name)} names ${quote(shard)}, which is not a file of this folder`);
    return [name, shard];
  });
  return new Map(entries);
}

function isPlainFileName(name: string): boolean {
  return /^[^/\\\0:]+$/.test(name) && name !== "." && name !== "..";
}

function refuseOtherFormats(path: string): string {
  if (/\.(bin|pt|pth|ckpt|pkl)$/i.test(path)) throw refusePickle(path, "it is a Python pickle");
  if (/\.gguf$/i.test(path))
    throw refuse({ what: `cannot open ${path} as safetensors`, why: "it is a GGUF file", instead: "read it as GGUF" }, "file");
  return path;
}

function refusePickle(path: string, why: string): SextantError {
  const instead = "convert it where you trust it: AutoModelForCausalLM.from_pretrained(…).save_pretrained(…, safe_serialization=True)";
  return refuse({ what: `cannot open ${path}`, why: `${why}, which runs code when it is loaded`, instead }, "file");
}

function noWeights(folder: string, names: readonly string[]): SextantError {
  const found = (pattern: RegExp): string | undefined => names.filter((name) => pattern.test(name)).sort()[0];
  const other = found(/\.safetensors$/i);
  const pickle = found(/\.(bin|pt|pth|ckpt)$/i);
  const gguf = found(/\.gguf$/i);
  const what = `cannot open ${folder} as a checkpoint`;
  if (other)
    return refuse(
      { what, why: `it has ${other}, but neither model.safetensors nor ${INDEX}`, instead: "give the path of the file itself" },
      "file",
    );
  if (gguf) return refuse({ what, why: `it has only ${gguf}, a GGUF file`, instead: "give the path of the GGUF file itself" }, "file");
  if (pickle) return refusePickle(folder, `it has only ${pickle}, a Python pickle`);
  return refuse({ what, why: `it has neither model.safetensors nor ${INDEX}`, instead: "download the model's weights into it" }, "file");
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
