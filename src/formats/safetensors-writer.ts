/**
 * @file Writing safetensors. The same tensors give the same bytes: wide dtypes come first (so that each tensor is aligned to its
 * element), then names in code-unit order, and the header is padded to a multiple of eight. Values go to the file tensor by
 * tensor, without a second copy of them all.
 */
import { internal, SextantError } from "../base/errors.js";
import { sizeOf, type Tensor } from "../base/tensor.js";
import { writeAtomic } from "./atomic.js";
import { DTYPES, narrowToHalf, type Dtype } from "./dtype.js";
import { quote } from "./json.js";

/** The dtypes that can be written: float32 as F32, F16 or BF16, int32 as I32 or I64. */
type WritableDtype = "F32" | "F16" | "BF16" | "I32" | "I64";

/** How values are stored; float32 as F32 and int32 as I32 unless `dtypeOf` says otherwise. */
export interface WriteOptions {
  readonly dtypeOf?: (name: string, tensor: Tensor) => WritableDtype;
}

/** A tensor whose bytes are made when they are written. */
export interface StreamedTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** The values' bytes, row-major, in pieces of any length. */
  readonly pieces: () => Iterable<Uint8Array>;
}

const PIECE = 1 << 20;

/** Writes the tensors to `path`, whole or not at all. Axis names are not part of the format. */
export function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>> = {},
  { dtypeOf = plainDtype }: WriteOptions = {},
): void {
  const entries = Object.entries(tensors).map(([name, tensor]) => entryOf(name, tensor, dtypeOf(name, tensor)));
  writeStreamed(path, entries, metadata);
}

/** As `writeSafetensors`, for tensors that are not all in memory at once; names must differ. */
export function writeStreamed(path: string, tensors: readonly StreamedTensor[], metadata: Readonly<Record<string, string>> = {}): void {
  writeAtomic(path, streamedBytes(inFileOrder(tensors), metadata));
}

/** A tensor of which only the place in a file matters. */
export type DescribedTensor = Pick<StreamedTensor, "name" | "dtype" | "shape">;

/** Where each tensor's bytes begin in the file that `streamedBytes` gives, by name, and how many bytes that file has. `entries` are in the order of the file. */
export function streamedLayout(entries: readonly DescribedTensor[]): {
  readonly offsets: ReadonlyMap<string, number>;
  readonly bytes: number;
} {
  let at = 8 + headerBytes(entries, {}).length;
  const offsets = new Map(entries.map((entry) => [entry.name, (at += bytesOf(entry)) - bytesOf(entry)]));
  return { offsets, bytes: at };
}

/** The bytes of a file with the tensors in the order given, in pieces. */
export function* streamedBytes(entries: readonly StreamedTensor[], metadata: Readonly<Record<string, string>> = {}): Generator<Uint8Array> {
  const header = headerBytes(entries, metadata);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(header.length), true);
  yield length;
  yield header;
  for (const entry of entries) yield* counted(entry);
}

/** Wide dtypes first, so that each tensor is aligned to its element, then by name. */
export function inFileOrder<T extends DescribedTensor>(tensors: readonly T[]): T[] {
  return tensors.toSorted((a, b) => DTYPES[b.dtype].bytes - DTYPES[a.dtype].bytes || compare(a.name, b.name));
}

/** The pieces of a tensor; too few or too many bytes would shift all that follow. */
function* counted(entry: StreamedTensor): Generator<Uint8Array> {
  let left = bytesOf(entry);
  for (const piece of entry.pieces()) {
    left -= piece.length;
    yield piece;
  }
  if (left !== 0) throw internal(`tensor ${quote(entry.name)} was given with ${-left} bytes more than its shape has`);
}

function bytesOf({ dtype, shape }: DescribedTensor): number {
  return sizeOf(shape) * DTYPES[dtype].bytes;
}

function headerBytes(entries: readonly DescribedTensor[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const members: string[] = [];
  const notes = Object.entries(metadata).sort(([a], [b]) => compare(a, b));
  if (notes.length > 0)
    members.push(`"__metadata__":{${notes.map((note) => note.map((part) => JSON.stringify(part)).join(":")).join(",")}}`);
  let at = 0;
  for (const entry of entries) {
    const { name, dtype, shape } = entry;
    const stored = { dtype, shape, data_offsets: [at, (at += bytesOf(entry))] };
    members.push(`${JSON.stringify(name)}:${JSON.stringify(stored)}`);
  }
  const text = new TextEncoder().encode(`{${members.join(",")}}`);
  const padded = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(0x20);
  padded.set(text);
  return padded;
}

function entryOf(name: string, tensor: Tensor, dtype: WritableDtype): StreamedTensor {
  const wrong = (why: string): SextantError => new SextantError("usage", `writeSafetensors: tensor ${quote(name)} ${why}`);
  if (name === "__metadata__") throw wrong("has the name that the format keeps for itself");
  const { data, shape } = tensor;
  if (sizeOf(shape) !== data.length) throw wrong(`of shape [${shape.join(", ")}] needs ${sizeOf(shape)} elements, got ${data.length}`);
  if (data instanceof Float32Array !== FLOATS.has(dtype)) {
    throw wrong(`holds ${data instanceof Float32Array ? "float32" : "int32"} values, which are not written as ${dtype}`);
  }
  return { name, dtype, shape, pieces: () => valueBytes(tensor, dtype) };
}

const FLOATS: ReadonlySet<WritableDtype> = new Set(["F32", "F16", "BF16"]);

function* valueBytes({ data }: Tensor, dtype: WritableDtype): Generator<Uint8Array> {
  if (dtype === "F32" || dtype === "I32") yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  else for (let at = 0; at < data.length; at += PIECE) yield converted(data.subarray(at, at + PIECE), dtype);
}

function converted(data: Tensor["data"], dtype: Exclude<Dtype & WritableDtype, "F32" | "I32">): Uint8Array {
  const values = data instanceof Float32Array ? narrowToHalf(data, dtype as "F16" | "BF16") : BigInt64Array.from(data, BigInt);
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function plainDtype(_name: string, { data }: Tensor): WritableDtype {
  return data instanceof Float32Array ? "F32" : "I32";
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
