/**
 * @file The header of a GGUF file (ggml's format, versions 2 and 3): key-value pairs, and of each tensor name, type, shape and place. Files come
 * from strangers: counts, lengths and offsets are held against the file before they are used, and what ggml refuses (offsets that
 * leave gaps, overlap or are not aligned, names twice) is refused here. Read by our own code, not by a package: those at hand read only
 * asynchronously, and trust counts.
 */
import { closeSync, fstatSync } from "node:fs";
import { refuse, type SextantError } from "../../base/errors.js";
import { sizeOf } from "../../base/tensor.js";
import { isThere, openFile, readRange, resolveReal, statOf } from "../files.js";
import { quote } from "../json.js";
import { describeShape } from "../safetensors-header.js";
import { HeaderReader } from "./header-reader.js";
import { readMetadata, type GgufMetadata } from "./metadata.js";
import { GGUF_TYPES, ggufTypeOf, type GgufType } from "./block-types.js";

/** Where the weights of one named tensor lie. */
export interface GgufTensor {
  readonly name: string;
  readonly type: GgufType;
  /** As elsewhere, the last axis' elements lie side by side: the reverse of ggml's order. */
  readonly shape: readonly number[];
  /** From the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

/** What a file says of itself. */
export interface GgufHeader {
  /** Absolute, symbolic links resolved. */
  readonly file: string;
  /** Bytes of the file. */
  readonly size: number;
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

const MAGIC = 0x46554747;
const ALIGNMENT = 32;
const LARGEST_ALIGNMENT = 1 << 20;
const MAX_RANK = 4;
/** ggml has 64; some writers went beyond it. */
const LONGEST_NAME = 255;
/** A name of no letters, a rank of 1, a length, a type, an offset. */
const LEAST_TENSOR = 32;

/** Whether the path is a file in GGUF: by its name, or by how it begins. */
export function isGguf(path: string): boolean {
  if (!isThere(path) || !statOf(path).isFile()) return false;
  if (/\.gguf$/i.test(path)) return true;
  const descriptor = openFile(path);
  try {
    return fstatSync(descriptor).size >= 4 && new DataView(readRange(descriptor, path, 0, 4).buffer).getUint32(0, true) === MAGIC;
  } finally {
    closeSync(descriptor);
  }
}

/** What the header of the file says; every violation of the format is named with file and tensor. */
export function readGgufHeader(path: string): GgufHeader {
  const file = resolveReal(path);
  const descriptor = openFile(file);
  try {
    const { size } = fstatSync(descriptor);
    const reader = new HeaderReader({ path, descriptor, size });
    checkBeginning(reader, path);
    const tensorCount = reader.count("the count of tensors");
    const pairCount = reader.count("the count of keys");
    const metadata = readMetadata(reader, pairCount);
    refuseSplit(metadata, path);
    const alignment = alignmentOf(metadata, reader);
    const claims = readClaims(reader, tensorCount);
    const start = padded(reader.position, alignment);
    return { file, size, metadata, tensors: placed(claims, { start, alignment, size }, reader) };
  } finally {
    closeSync(descriptor);
  }
}

function checkBeginning(reader: HeaderReader, path: string): void {
  const magic = reader.take(4, "the four letters GGUF").getUint32(0, true);
  if (magic !== MAGIC) throw reader.error('a GGUF file begins with "GGUF", this one does not');
  const version = reader.uint32("the version");
  if (version === 2 || version === 3) return;
  const isSwapped = version === 0x03000000 || version === 0x02000000;
  const why = isSwapped ? "its numbers are big-endian" : `it is of version ${version}, read are 2 and 3`;
  throw refuse({ what: `cannot read ${path}`, why, instead: "convert the model anew with llama.cpp's convert_hf_to_gguf.py" }, "format");
}

/** A file cut in several has only some of the tensors. */
function refuseSplit(metadata: GgufMetadata, path: string): void {
  const count = metadata.get("split.count");
  if (count === undefined || count === 0 || count === 1) return;
  const why = `it is one of ${String(count)} pieces of a model`;
  throw refuse({ what: `cannot read ${path}`, why, instead: "join them with llama.cpp's llama-gguf-split --merge" }, "format");
}

function alignmentOf(metadata: GgufMetadata, reader: HeaderReader): number {
  const value = metadata.get("general.alignment") ?? ALIGNMENT;
  const isPower = typeof value === "number" && Number.isInteger(value) && value >= 1 && (value & (value - 1)) === 0;
  if (isPower && value <= LARGEST_ALIGNMENT) return value;
  throw reader.error(`general.alignment must be a power of two, at most ${LARGEST_ALIGNMENT}, got ${String(value)}`);
}

type Claim = Omit<GgufTensor, "bytes">;

/** What the file says of its tensors; offsets count from where the weights begin. */
function readClaims(reader: HeaderReader, count: number): Claim[] {
  reader.demand(count, LEAST_TENSOR, `the list of ${count} tensors`);
  const names = new Set<string>();
  return Array.from({ length: count }, (_, i) => {
    const name = reader.name(`the name of tensor ${i}`, LONGEST_NAME);
    if (names.has(name)) throw reader.error(`it has the tensor ${quote(name)} twice`);
    names.add(name);
    return readClaim(reader, name);
  });
}

function readClaim(reader: HeaderReader, name: string): Claim {
  const where = `tensor ${quote(name)}`;
  const rank = reader.uint32(`the rank of ${where}`);
  if (rank < 1 || rank > MAX_RANK) throw reader.error(`${where} has ${rank} axes, allowed are 1 to ${MAX_RANK}`);
  const lengths = Array.from({ length: rank }, () => reader.count(`the shape of ${where}`));
  const shape = lengths.toReversed();
  if (lengths.includes(0) || sizeOf(shape) > Number.MAX_SAFE_INTEGER) throw reader.error(`${where} has the shape ${describeShape(shape)}`);
  const id = reader.uint32(`the type of ${where}`);
  const type = ggufTypeOf(id);
  if (!type) throw reader.error(`${where} is of type ${id}, which is not known`);
  const { block } = GGUF_TYPES[type];
  if (lengths[0]! % block !== 0) throw reader.error(`${where} has rows of ${lengths[0]}, which are not whole blocks of ${block} (${type})`);
  return { name, type, shape, offset: reader.count(`the offset of ${where}`) };
}

interface Place {
  readonly start: number;
  readonly alignment: number;
  readonly size: number;
}

/** The tensors at their places in the file; each must begin where the one before it ends, but for padding, as ggml demands. */
function placed(claims: readonly Claim[], { start, alignment, size }: Place, reader: HeaderReader): Map<string, GgufTensor> {
  let next = 0;
  let previous = "the header";
  const tensors = claims.map((claim): [string, GgufTensor] => {
    const where = `tensor ${quote(claim.name)}`;
    const { block, bytes: perBlock } = GGUF_TYPES[claim.type];
    const bytes = (sizeOf(claim.shape) / block) * perBlock;
    const offset = start + claim.offset;
    if (claim.offset !== next)
      throw misplaced(reader, `${where} begins at byte ${offset}`, { found: claim.offset, next, start, alignment, previous });
    if (offset + bytes > size) throw reader.error(`${where} ends at byte ${offset + bytes}, the file has ${size}`);
    next = padded(claim.offset + bytes, alignment);
    previous = where;
    return [claim.name, { ...claim, offset, bytes }];
  });
  return new Map(tensors);
}

function misplaced(
  reader: HeaderReader,
  what: string,
  { found, next, start, alignment, previous }: { found: number; next: number; start: number; alignment: number; previous: string },
): SextantError {
  if (found % alignment !== 0) return reader.error(`${what}, which is not aligned to ${alignment}`);
  if (found < next) return reader.error(`${what}, inside ${previous}, which ends at ${start + next}`);
  return reader.error(`${what}, but ${previous} ends at ${start + next}: the bytes between belong to no tensor`);
}

function padded(at: number, alignment: number): number {
  return Math.ceil(at / alignment) * alignment;
}
