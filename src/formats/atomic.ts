/**
 * @file Files that appear whole or not at all: the bytes go to a temporary file beside the target, which is then renamed over
 * it. A process that dies half-way leaves the old file as it was.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { fileError } from "./files.js";

/** Writes the chunks, one after another, as the whole content of `path`; folders on the way are made. */
export function writeAtomic(path: string, chunks: Iterable<Uint8Array | string>): void {
  const steps = writeAtomicSteps(path, chunks);
  while (!steps.next().done);
}

/** As `writeAtomic`, chunk by chunk: gives the bytes written so far. Who stops half-way leaves the old file as it was. */
export function* writeAtomicSteps(path: string, chunks: Iterable<Uint8Array | string>): Generator<number> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  try {
    mkdirSync(dirname(path), { recursive: true });
    yield* writeNew(temporary, chunks);
    renameSync(temporary, path);
  } catch (error) {
    throw fileError("cannot write", path, error);
  } finally {
    removeIfThere(temporary);
  }
}

function removeIfThere(path: string): void {
  if (existsSync(path)) rmSync(path);
}

function* writeNew(path: string, chunks: Iterable<Uint8Array | string>): Generator<number> {
  const file = openSync(path, "wx");
  let written = 0;
  try {
    for (const chunk of chunks) {
      const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
      writeAll(file, bytes);
      yield (written += bytes.length);
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at, Math.min(bytes.length - at, 1 << 30));
}
