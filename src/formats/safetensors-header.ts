/**
 * @file The header of a safetensors file: names, dtypes, shapes and byte ranges. Headers come from strangers, so each count,
 * length and offset is checked against the file before it is used, and what the reference implementation refuses (gaps,
 * overlaps, trailing bytes) is refused here.
 */
import { refuse, SextantError } from "../base/errors.js";
import { sizeOf } from "../base/tensor.js";
import { DTYPES, isDtype, type Dtype } from "./dtype.js";
import { describeJson, duplicateKey, isJsonObject, parseJson, quote } from "./json.js";

/** Where the values of one named tensor lie. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: Dtype;
  /** The type that the values were dequantised from, as a GGUF file names it. */
  readonly storedAs?: string;
  readonly shape: readonly number[];
  /** Absolute path, symbolic links resolved; in a browser the file's name. */
  readonly file: string;
  /** From the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

/** What the header of one file says. */
export interface SafetensorsHeader {
  readonly file: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

const MAX_HEADER = 100_000_000;
const MAX_RANK = 32;

/** A file whose ranges can be read: `path` is what an error calls it, `file` what its tensors say they lie in. */
export interface ReadableFile {
  readonly path: string;
  readonly file: string;
  readonly size: number;
  /** The `length` bytes from byte `from` on. */
  readonly read: (from: number, length: number) => Uint8Array;
}

/** The tensors of one `.safetensors` file and its metadata; every violation of the format is named with file and tensor. */
export function parseSafetensorsHeader({ path, file, size, read }: ReadableFile): SafetensorsHeader {
  const length = headerLength(path, read(0, Math.min(size, 64)), size);
  const text = headerText(path, read(8, length));
  const header = parseJson(text, `the header of ${path}`);
  if (!isJsonObject(header)) throw violation(path, `the header must be a JSON object, got ${describeJson(header)}`);
  const twice = duplicateKey(text);
  if (twice !== undefined) throw violation(path, `the header has the key ${quote(twice)} twice`);
  const tensors = Object.entries(header).filter(([name]) => name !== "__metadata__");
  const stored = tensors.map(([name, entry]) => readEntry(path, name, entry, { file, start: 8 + length, size }));
  checkCoverage(path, stored, 8 + length, size);
  return { file, tensors: new Map(stored.map((t) => [t.name, t])), metadata: readMetadata(path, header["__metadata__"]) };
}

/** A `format` error about the file. */
export function violation(path: string, what: string): SextantError {
  return new SextantError("format", `${path}: ${what}`);
}

function headerLength(path: string, first: Uint8Array, size: number): number {
  if (new TextDecoder("latin1").decode(first).startsWith("version https://git-lfs")) {
    throw refuse(
      { what: `cannot read ${path}`, why: "it is a git-lfs pointer, not the weights", instead: "fetch the weights with `git lfs pull`" },
      "format",
    );
  }
  if (size < 8) throw violation(path, `a safetensors file has at least 8 bytes, this one has ${size}`);
  const length = new DataView(first.buffer, first.byteOffset).getBigUint64(0, true);
  if (length > MAX_HEADER) throw violation(path, `the header claims ${length} bytes, allowed are ${MAX_HEADER}`);
  if (8n + length > size) throw violation(path, `the header ends at byte ${8n + length}, the file has ${size}`);
  return Number(length);
}

function headerText(path: string, bytes: Uint8Array): string {
  if (bytes[0] !== 0x7b) throw violation(path, 'the header must begin with "{"; this is not a safetensors file');
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw violation(path, "the header is not UTF-8");
  }
}

function readMetadata(path: string, value: unknown): Map<string, string> {
  if (value === undefined || value === null) return new Map();
  if (!isJsonObject(value)) throw violation(path, `__metadata__ must be an object, got ${describeJson(value)}`);
  const entries = Object.entries(value).map(([key, text]): [string, string] => {
    if (typeof text !== "string") throw violation(path, `__metadata__ ${quote(key)} must be a string, got ${describeJson(text)}`);
    return [key, text];
  });
  return new Map(entries);
}

function readEntry(path: string, name: string, entry: unknown, place: { file: string; start: number; size: number }): StoredTensor {
  const where = `tensor ${quote(name)}`;
  if (!isJsonObject(entry)) throw violation(path, `${where} must be an object, got ${describeJson(entry)}`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (!isDtype(dtype)) throw violation(path, `${where} has an unknown dtype: ${describeJson(dtype)}`);
  if (!isCounts(shape) || shape.length > MAX_RANK) throw violation(path, `${where} has no valid shape: ${describeJson(shape)}`);
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw violation(path, `${where} has no valid data_offsets: ${describeJson(offsets)}`);
  }
  const [from, to] = offsets as [number, number];
  const bytes = sizeOf(shape) * DTYPES[dtype].bytes;
  if (bytes !== to - from)
    throw violation(
      path,
      `${where} of shape ${describeShape(shape)} and ${dtype} needs ${bytes} bytes, its data_offsets hold ${to - from}`,
    );
  const end = place.start + to;
  if (end > place.size) throw violation(path, `${where} ends at byte ${end}, the file has ${place.size}`);
  return { name, dtype, shape, file: place.file, offset: place.start + from, bytes };
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && (n as number) >= 0);
}

/** Throws unless the tensors, in the order of their offsets, cover the file from `start` to its end exactly once. */
function checkCoverage(path: string, tensors: readonly StoredTensor[], start: number, size: number): void {
  let at = start;
  let previous = "the header";
  for (const { name, offset, bytes } of tensors.toSorted((a, b) => a.offset - b.offset || a.bytes - b.bytes)) {
    if (offset < at) throw violation(path, `tensor ${quote(name)} begins at byte ${offset}, inside ${previous}, which ends at ${at}`);
    if (offset > at)
      throw violation(path, `the bytes ${at} to ${offset}, between ${previous} and tensor ${quote(name)}, belong to no tensor`);
    at = offset + bytes;
    previous = `tensor ${quote(name)}`;
  }
  if (at !== size) throw violation(path, `the last tensor ends at byte ${at}, the file has ${size}`);
}

/** A shape as people write it: `[2, 3]`. */
export function describeShape(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}
