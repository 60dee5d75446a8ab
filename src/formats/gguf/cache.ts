/**
 * @file The folder of weights that were made from GGUF files: float32 where they were quantised, for ONNX Runtime reads files of plain numbers. A
 * file is named by the SHA-256 of what it was made from, so a changed GGUF file is made anew, and one that was moved is not. Files appear whole
 * or not at all. Beyond 64 GiB, those go that were not used for a day, the longest unused first.
 */
import { createHash } from "node:crypto";
import { closeSync, mkdirSync, readdirSync, rmSync, statfsSync } from "node:fs";
import { dirname, join } from "node:path";
import { describeBytes } from "../../base/bytes.js";
import { isSextantError, refuse } from "../../base/errors.js";
import { writeAtomic, writeAtomicSteps } from "../atomic.js";
import { fileError, fillFrom, isThere, openFile, statOf } from "../files.js";
import type { PrepareStep } from "../checkpoint.js";
import type { GgufHeader } from "./header.js";

const MOST_BYTES = 64 * 2 ** 30;
const DAY = 24 * 3600 * 1000;
const CHUNK = 1 << 24;
/** Counts up when the same bytes would become other numbers, or the same numbers lie elsewhere. */
const VERSION = 1;
const ENDING = ".safetensors";
const MARK = ".used";

/** The file in `folder` for the weights of a GGUF file, all of which is read once for its hash: about a second a GB. */
export function cachePath(folder: string, { file, size }: GgufHeader): string {
  const hash = createHash("sha256");
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
  return join(folder, `${hash.digest("hex")}-${VERSION}${ENDING}`);
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
  try {
    writeAtomic(path + MARK, []);
  } catch (error) {
    if (!isSextantError(error, "file")) throw error;
  }
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

/** The files of the folder, which is made if it is not there; the time is what the disk calls now. */
function lookInto(folder: string): { kept: readonly Kept[]; now: number; free: number } {
  try {
    mkdirSync(folder, { recursive: true });
    const clock = join(folder, ".now");
    writeAtomic(clock, []);
    const kept = readdirSync(folder)
      .filter((name) => name.endsWith(ENDING))
      .map((name): Kept => {
        const path = join(folder, name);
        const { size, mtimeMs } = statOf(path);
        return { path, bytes: size, used: isThere(path + MARK) ? statOf(path + MARK).mtimeMs : mtimeMs };
      });
    const { bavail, bsize } = statfsSync(folder);
    return { kept, now: statOf(clock).mtimeMs, free: bavail * bsize };
  } catch (error) {
    throw fileError("cannot use the folder", folder, error);
  }
}
