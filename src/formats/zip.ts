/**
 * @file Reading zip archives from strangers: the directory's counts, sizes and offsets are checked against the file, what is
 * unpacked is bounded before it is made, and length and checksum are compared after. (`fflate`, which writes our archives,
 * cuts off what exceeds the declared size and does not look at checksums.)
 */
import { crc32, inflateRawSync } from "node:zlib";
import { SextantError } from "../base/errors.js";
import { quote } from "./json.js";

/** What an archive may unpack to. */
export interface ZipLimits {
  /** The largest entry, in bytes. */
  readonly maxEntryBytes: number;
  /** All entries together, in bytes. */
  readonly maxTotalBytes: number;
}

interface Entry {
  readonly name: string;
  readonly method: number;
  readonly checksum: number;
  readonly packed: number;
  readonly size: number;
  readonly header: number;
}

const END = 0x06054b50;
const DIRECTORY = 0x02014b50;
const LOCAL = 0x04034b50;
const UNKNOWN = 0xffffffff;
/** No deflate stream unpacks to more than this many times its length. */
const MAX_RATIO = 1032;

/** The unpacked entries by name, in the archive's order; `source` is what an error calls the archive. */
export function readZip(bytes: Uint8Array, source: string, limits: ZipLimits): Map<string, Uint8Array> {
  const fail = (what: string): SextantError => new SextantError("format", `${source}: ${what}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries = readDirectory(view, fail);
  checkLimits(entries, bytes.length, limits, fail);
  return new Map(entries.map((entry) => [entry.name, unpack(view, entry, fail)]));
}

/** The names of an archive's entries, in its order; nothing is unpacked. */
export function zipNames(bytes: Uint8Array, source: string): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return readDirectory(view, (what) => new SextantError("format", `${source}: ${what}`)).map(({ name }) => name);
}

type Fail = (what: string) => SextantError;

function readDirectory(view: DataView, fail: Fail): Entry[] {
  const end = findEnd(view, fail);
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  if (count === 0xffff || at === UNKNOWN) throw fail("zip64 archives (over 4 GiB or 65 534 entries) are not read");
  const entries = new Map<string, Entry>();
  for (let i = 0; i < count; i++) {
    if (at + 46 > end || view.getUint32(at, true) !== DIRECTORY) throw fail(`the directory is damaged at its entry ${i + 1} of ${count}`);
    const [nameLength, extra, comment] = [28, 30, 32].map((field) => view.getUint16(at + field, true)) as [number, number, number];
    const next = at + 46 + nameLength + extra + comment;
    if (next > end) throw fail(`the directory is damaged at its entry ${i + 1} of ${count}`);
    const entry = readEntry(view, at, nameLength, fail);
    if (entries.has(entry.name)) throw fail(`the entry ${quote(entry.name)} is there twice`);
    entries.set(entry.name, entry);
    at = next;
  }
  return [...entries.values()];
}

function findEnd(view: DataView, fail: Fail): number {
  const last = view.byteLength - 22;
  for (let at = last; at >= 0 && at >= last - 0xffff; at--) {
    if (view.getUint32(at, true) === END && at + 22 + view.getUint16(at + 20, true) === view.byteLength) return at;
  }
  throw fail("not a zip archive, or cut off: it has no directory at its end");
}

function readEntry(view: DataView, at: number, nameLength: number, fail: Fail): Entry {
  const name = new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + at + 46, nameLength));
  const [checksum, packed, size, header] = [16, 20, 24, 42].map((field) => view.getUint32(at + field, true)) as [
    number,
    number,
    number,
    number,
  ];
  if (view.getUint16(at + 8, true) & 1) throw fail(`the entry ${quote(name)} is encrypted`);
  if ([packed, size, header].includes(UNKNOWN)) throw fail(`the entry ${quote(name)} is a zip64 entry, which is not read`);
  return { name, method: view.getUint16(at + 10, true), checksum, packed, size, header };
}

function checkLimits(entries: readonly Entry[], bytes: number, { maxEntryBytes, maxTotalBytes }: ZipLimits, fail: Fail): void {
  let total = 0;
  for (const { name, size, packed } of entries) {
    total += size;
    if (size > maxEntryBytes) throw fail(`the entry ${quote(name)} unpacks to ${size} bytes, allowed are ${maxEntryBytes}`);
    if (size > packed * MAX_RATIO)
      throw fail(`the entry ${quote(name)} claims to unpack from ${packed} to ${size} bytes, which deflate cannot`);
  }
  if (total > maxTotalBytes) throw fail(`the entries unpack to ${total} bytes, allowed are ${maxTotalBytes}`);
  if (total > bytes * MAX_RATIO) throw fail(`${bytes} bytes claim to unpack to ${total}: entries overlap`);
}

function unpack(view: DataView, entry: Entry, fail: Fail): Uint8Array {
  const { name, header, packed, size, checksum } = entry;
  const damaged = (why: string): SextantError => fail(`the entry ${quote(name)} is damaged: ${why}`);
  if (header + 30 > view.byteLength || view.getUint32(header, true) !== LOCAL) throw damaged(`nothing begins at byte ${header}`);
  const start = header + 30 + view.getUint16(header + 26, true) + view.getUint16(header + 28, true);
  if (start + packed > view.byteLength) throw damaged(`it ends at byte ${start + packed}, the file has ${view.byteLength}`);
  const out = inflate(new Uint8Array(view.buffer, view.byteOffset + start, packed), entry, damaged);
  if (out.length !== size) throw damaged(`it unpacks to ${out.length} bytes, declared are ${size}`);
  if (crc32(out) !== checksum) throw damaged("its checksum does not match");
  return out;
}

function inflate(packed: Uint8Array, { method, size, name }: Entry, damaged: Fail): Uint8Array {
  if (method === 0) return packed;
  if (method !== 8) throw damaged(`method ${method} of packing is not known`);
  try {
    return inflateRawSync(packed, { maxOutputLength: Math.max(size, 1) });
  } catch (error) {
    const tooLong = (error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE";
    throw damaged(
      tooLong ? `it unpacks to more than the declared ${size} bytes` : `${name} cannot be inflated (${(error as Error).message})`,
    );
  }
}
