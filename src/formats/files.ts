/** @file Opening files and reading ranges of them, with errors that name the path and say in words what the system said. */
import { closeSync, existsSync, fstatSync, openSync, read, readSync, realpathSync, statSync, type Stats } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { SextantError } from "../base/errors.js";

/** A `file` error for what the operating system said about `path`; a `SextantError` is passed on. */
export function fileError(what: string, path: string, error: unknown): SextantError {
  if (error instanceof SextantError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  const why = (code && REASONS[code]) ?? (error instanceof Error ? error.message : String(error));
  return new SextantError("file", `${what} ${path}: ${why}`, { cause: error });
}

const REASONS: { readonly [code: string]: string } = {
  ENOENT: "it does not exist",
  ENOTDIR: "a part of the path is a file, not a folder",
  EISDIR: "it is a folder",
  EACCES: "no permission",
  EPERM: "no permission",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk's quota is used up",
  EFBIG: "the file would be larger than the system allows (ulimit -f)",
  EROFS: "the disk is read-only",
  EMFILE: "too many open files",
  ELOOP: "its symbolic links go round in a circle",
};

/** What the system knows of the file or folder; a missing one is a `file` error, with `role` as what it is to us. */
export function statOf(path: string, role = ""): Stats {
  try {
    return statSync(path);
  } catch (error) {
    throw fileError(role ? `cannot open ${role},` : "cannot open", path, error);
  }
}

/** Whether there is a file or folder at the path, links followed. */
export function isThere(path: string): boolean {
  return existsSync(path);
}

/** The absolute path with symbolic links resolved. */
export function resolveReal(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    throw fileError("cannot open", path, error);
  }
}

/** As `resolveReal`, for a path whose last parts may not be there yet. */
export function resolveFuture(path: string): string {
  const whole = resolve(path);
  if (existsSync(whole) || dirname(whole) === whole) return resolveReal(whole);
  return join(resolveFuture(dirname(whole)), basename(whole));
}

/** A descriptor of the file, for reading; the caller closes it. */
export function openFile(path: string): number {
  if (!statOf(path).isFile()) throw new SextantError("file", `cannot open ${path}: it is not a file`);
  try {
    return openSync(path, "r");
  } catch (error) {
    throw fileError("cannot open", path, error);
  }
}

/** The `length` bytes from byte `from` on. */
export function readRange(descriptor: number, path: string, from: number, length: number): Uint8Array {
  const out = new Uint8Array(length);
  fillFrom(descriptor, path, from, out);
  return out;
}

/** Fills `out` with the bytes from byte `from` on; a file that ends before is an error. */
export function fillFrom(descriptor: number, path: string, from: number, out: Uint8Array): void {
  for (let at = 0; at < out.length;) {
    const got = readOnce(descriptor, path, out.subarray(at, at + (1 << 30)), from + at);
    if (got === 0) throw ended(path, from + at);
    at += got;
  }
}

/** How much is read at a time by those who only pass over a file. */
const PIECE = 1 << 20;
let nowhere: Buffer | undefined;

/**
 * Reads a range and throws it away, which leaves it in the system's cache of files. Every read is handed to the system at once, and all
 * write to the same memory, made once, which nobody reads. A file that ends before is an error.
 */
export async function passOver(
  descriptor: number,
  path: string,
  range: { readonly offset: number; readonly length: number },
): Promise<void> {
  const end = range.offset + range.length;
  const into = (nowhere ??= Buffer.allocUnsafeSlow(PIECE));
  const pieces = Array.from({ length: Math.ceil(range.length / PIECE) }, (_, i) => range.offset + i * PIECE);
  const readPiece = async (from: number): Promise<void> => {
    const length = Math.min(PIECE, end - from);
    if ((await readInto(into.subarray(0, length), descriptor, path, from)) === 0) throw ended(path, from);
  };
  await allDone(pieces.map(readPiece));
}

/** Waits for all of them, also where one fails, whose error it throws. */
export async function allDone(works: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(works)).find(({ status }) => status === "rejected");
  if (failed) throw (failed as PromiseRejectedResult).reason;
}

function readInto(into: Uint8Array, descriptor: number, path: string, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(descriptor, into, 0, into.length, position, (error, got) =>
      error ? reject(fileError("cannot read", path, error)) : resolve(got),
    );
  });
}

function ended(path: string, at: number): SextantError {
  return new SextantError("file", `${path} ended at byte ${at} while being read: it was shortened meanwhile`);
}

/** The whole file, which may have `maxBytes` at most. */
export function readFileBounded(path: string, maxBytes: number): Uint8Array {
  const descriptor = openFile(path);
  try {
    const { size } = fstatSync(descriptor);
    if (size > maxBytes) throw new SextantError("file", `${path} is too large: ${size} bytes, read are files up to ${maxBytes}`);
    return readRange(descriptor, path, 0, size);
  } finally {
    closeSync(descriptor);
  }
}

function readOnce(descriptor: number, path: string, into: Uint8Array, position: number): number {
  try {
    return readSync(descriptor, into, 0, into.length, position);
  } catch (error) {
    throw fileError("cannot read", path, error);
  }
}
