/**
 * @file Folders of weights that were made from a model's files, since ONNX Runtime reads files of plain numbers and of its own blocks: float32 of GGUF files, and quantised
 * ones of any. A file is named by the SHA-256 of what it was made from, so a changed model is made anew, and one that was moved is not. Files appear whole
 * or not at all. Beyond 64 GiB in one folder, those go that were not used for a day, the longest unused first.
 */
import { createHash } from "node:crypto";
import { closeSync, mkdirSync, readdirSync, rmSync, statfsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { describeBytes } from "../base/bytes.js";
import { isSextantError, refuse } from "../base/errors.js";
import { writeAtomic, writeAtomicSteps } from "./atomic.js";
import { fileError, fillFrom, isThere, openFile, readFileBounded, statOf } from "./files.js";
import type { PrepareStep } from "./checkpoint.js";

const MOST_BYTES = 64 * 2 ** 30;
const DAY = 24 * 3600 * 1000;
const CHUNK = 1 << 24;
const ENDING = ".safetensors";
const MARK = ".used";
/** How the names end that `writeAtomic` gives files before they are whole. */
const HALF_WRITTEN = ".tmp";
/** A file younger than this when it is hashed may change once more within one tick of its clock; its hash is not kept. */
const SETTLED_MS = 3000;
const HASH_DIGITS = 64;
/** Files from this size on: others are hashed in less time than a disk may take to keep it. */
const WORTH_KEEPING = 64 * 2 ** 20;

/** The file in `folder` for what is made of sources with these hashes; `recipe` says what that is, and counts up when the same sources would become other bytes. */
export function madePath(folder: string, hashes: readonly string[], recipe: string): string {
  const [only = ""] = hashes;
  const name = hashes.length === 1 ? only : sha256(hashes.join(" "));
  return join(folder, `${name}-${recipe}${ENDING}`);
}

/** SHA-256 of some text, in hexadecimal digits. */
export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/**
 * SHA-256 of a file's bytes, all of which are read: about a second a GB. That of a large file is kept in `folder` and given from there while the file's size, times and place
 * on the disk stay as they were.
 */
export function contentHash(file: string, folder: string): string {
  if (statOf(file).size < WORTH_KEEPING) return hashOf(file);
  const before = identityOf(file);
  const record = join(folder, sha256(before.key));
  const known = knownHash(record);
  if (known !== undefined) return known;
  const hash = hashOf(file);
  const isSettled = before.changedMs + SETTLED_MS < nowOf(folder);
  if (isSettled && identityOf(file).key === before.key) ifWritable(() => writeAtomic(record, [hash]));
  return hash;
}

function knownHash(record: string): string | undefined {
  if (!isThere(record) || statOf(record).size !== HASH_DIGITS) return undefined;
  const text = new TextDecoder().decode(readFileBounded(record, HASH_DIGITS));
  return /^[0-9a-f]+$/.test(text) ? text : undefined;
}

function identityOf(file: string): { readonly key: string; readonly changedMs: number } {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    const changed = ctimeNs > mtimeNs ? ctimeNs : mtimeNs;
    return { key: [file, dev, ino, size, mtimeNs, ctimeNs].join(" "), changedMs: Number(changed / 1_000_000n) };
  } catch (error) {
    throw fileError("cannot open", file, error);
  }
}

function hashOf(file: string): string {
  const hash = createHash("sha256");
  const { size } = statOf(file);
  const descriptor = openFile(file);
  try {
    const buffer = new Uint8Array(Math.min(CHUNK, size));
    for (let at = 0; at < size; at += buffer.length) {
      const piece = buffer.subarray(0, Math.min(buffer.length, size - at));
      fillFrom(descriptor, file, at, piece);
      hash.update(piece);
    }
  } finally {
    closeSync(descriptor);
  }
  return hash.digest("hex");
}

/** Makes the file at `path`, of so many bytes, unless it is there. */
export function* fillCache({ path, bytes }: { path: string; bytes: number }, content: () => Iterable<Uint8Array>): Generator<PrepareStep> {
  if (!isThere(path) || statOf(path).size !== bytes) {
    makeRoom(dirname(path), bytes);
    for (const done of writeAtomicSteps(path, content())) yield { done, total: bytes };
  }
  markUsed(path);
}

/** A file beside it whose time says when it was last used. A folder that cannot be written to is used as it is. */
function markUsed(path: string): void {
  ifWritable(() => writeAtomic(path + MARK, []));
}

function ifWritable(write: () => void): void {
  try {
    write();
  } catch (error) {
    if (!isSextantError(error, "file")) throw error;
  }
}

/** What the clock of the folder's disk says; without a folder to write to, no time at all. */
function nowOf(folder: string): number {
  const clock = join(folder, ".now");
  ifWritable(() => writeAtomic(clock, []));
  return isThere(clock) ? statOf(clock).mtimeMs : -Infinity;
}

function makeRoom(folder: string, bytes: number): void {
  const { kept, now, free } = lookInto(folder);
  let total = kept.reduce((sum, file) => sum + file.bytes, bytes);
  let left = free;
  for (const file of kept.toSorted((a, b) => a.used - b.used)) {
    if (total <= MOST_BYTES || now - file.used < DAY) break;
    for (const path of [file.path, file.path + MARK]) rmSync(path, { force: true });
    total -= file.bytes;
    left += file.bytes;
  }
  if (bytes < left) return;
  throw refuse(
    {
      what: `cannot write the weights to ${folder}`,
      why: `they take ${describeBytes(bytes)} there, the disk has ${describeBytes(left)} left`,
      instead: "make room, or name a folder on another disk in the environment variable SEXTANT_CACHE",
    },
    "file",
  );
}

interface Kept {
  readonly path: string;
  readonly bytes: number;
  readonly used: number;
}

/** The files of the folder, which is made if it is not there; the time is what the disk calls now. What dead processes left half written goes after a day. */
function lookInto(folder: string): { kept: readonly Kept[]; now: number; free: number } {
  try {
    mkdirSync(folder, { recursive: true });
    const clock = join(folder, ".now");
    writeAtomic(clock, []);
    const now = statOf(clock).mtimeMs;
    const names = readdirSync(folder);
    for (const name of names.filter((other) => other.endsWith(HALF_WRITTEN))) dropStale(join(folder, name), now);
    const kept = names.filter((name) => name.endsWith(ENDING)).flatMap((name) => keptAt(join(folder, name)));
    const { bavail, bsize } = statfsSync(folder);
    return { kept, now, free: bavail * bsize };
  } catch (error) {
    throw fileError("cannot use the folder", folder, error);
  }
}

/** Nothing where another process has deleted the file meanwhile. */
function keptAt(path: string): Kept[] {
  const file = statSync(path, { throwIfNoEntry: false });
  if (!file) return [];
  const mark = statSync(path + MARK, { throwIfNoEntry: false });
  return [{ path, bytes: file.size, used: (mark ?? file).mtimeMs }];
}

function dropStale(path: string, now: number): void {
  const file = statSync(path, { throwIfNoEntry: false });
  if (file && now - file.mtimeMs > DAY) rmSync(path, { force: true });
}
