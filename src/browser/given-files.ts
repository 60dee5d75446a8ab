/**
 * @file The files that a page was given, by name, as something whose ranges can be read. Blobs (dropped or fetched files) stay where the browser
 * keeps them when this runs in a worker, which may read them piece by piece; on a page's own thread, where nothing reads a Blob at once, they are
 * taken into memory whole.
 */
import { SextantError } from "../base/errors.js";
import type { FileRanges } from "../formats/checkpoint.js";
import { quote } from "../formats/json.js";
import type { ReadableFile } from "../formats/safetensors-header.js";

/** Contents of a file: of a drop (`File` is a `Blob`), a fetch, or the page's own. */
export type GivenFile = Blob | ArrayBuffer | Uint8Array;

/** Files by name, without folders: `config.json`, `model.safetensors`. */
export type GivenFiles = ReadonlyMap<string, GivenFile>;

interface SyncReader {
  readAsArrayBuffer(blob: Blob): ArrayBuffer;
}

/** Dropped or chosen files by name; those of one name, as from two folders, are refused. */
export function filesByName(files: Iterable<Blob & { readonly name: string }>): Map<string, Blob> {
  const named = new Map<string, Blob>();
  for (const file of files) {
    if (named.has(file.name))
      throw new SextantError("usage", `two of the files are called ${quote(file.name)}: give the files of one model`);
    named.set(file.name, file);
  }
  return named;
}

/** How many bytes the file has. */
export function bytesOf(file: GivenFile): number {
  return file instanceof Blob ? file.size : file.byteLength;
}

/** The whole file, which may have `maxBytes` at most. */
export async function readWhole(name: string, file: GivenFile, maxBytes: number): Promise<Uint8Array> {
  if (bytesOf(file) > maxBytes)
    throw new SextantError("file", `${name} is too large: ${bytesOf(file)} bytes, read are files up to ${maxBytes}`);
  return file instanceof Blob ? takeIn(name, file) : viewOf(file);
}

/** The file as ranges that can be read at once. */
export async function openGiven(name: string, file: GivenFile): Promise<ReadableFile> {
  const place = { path: name, file: name, size: bytesOf(file) };
  const reader = file instanceof Blob ? syncReader() : undefined;
  if (file instanceof Blob && reader) return { ...place, read: (from, length) => readBlob(reader, name, file, [from, from + length]) };
  const bytes = file instanceof Blob ? await takeIn(name, file) : viewOf(file);
  return { ...place, read: (from, length) => bytes.slice(from, from + length) };
}

/** Opened files as a checkpoint reads them. */
export function givenRanges(files: ReadonlyMap<string, ReadableFile>): FileRanges {
  return {
    fill(name, from, out) {
      const file = files.get(name);
      if (!file) throw new SextantError("file", `cannot read ${name}: it was not given`);
      const bytes = file.read(from, out.length);
      if (bytes.length !== out.length)
        throw new SextantError("file", `${name} ends at byte ${from + bytes.length}: it was shortened meanwhile`);
      out.set(bytes);
    },
    close: () => undefined,
  };
}

function viewOf(bytes: ArrayBuffer | Uint8Array): Uint8Array {
  return bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
}

async function takeIn(name: string, blob: Blob): Promise<Uint8Array> {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch (error) {
    throw unreadable(name, error);
  }
}

function readBlob(reader: SyncReader, name: string, blob: Blob, [from, to]: readonly [number, number]): Uint8Array {
  try {
    return new Uint8Array(reader.readAsArrayBuffer(blob.slice(from, to)));
  } catch (error) {
    throw unreadable(name, error);
  }
}

/** What a browser says of a file that was moved or changed since it was given, or that does not fit into memory. */
function unreadable(name: string, error: unknown): SextantError {
  const said = error instanceof Error ? error.message : String(error);
  return new SextantError("file", `cannot read ${name}: ${said}`, { cause: error });
}

/** What reads Blobs at once, which only workers have. */
function syncReader(): SyncReader | undefined {
  const { FileReaderSync: Reader } = globalThis as { readonly FileReaderSync?: new () => SyncReader };
  return Reader && new Reader();
}
