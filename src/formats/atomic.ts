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
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeNew(temporary, chunks);
    renameSync(temporary, path);
  } catch (error) {
    removeIfThere(temporary);
    throw fileError("cannot write", path, error);
  }
}

function removeIfThere(path: string): void {
  if (existsSync(path)) rmSync(path);
}

function writeNew(path: string, chunks: Iterable<Uint8Array | string>): void {
  const file = openSync(path, "wx");
  try {
    for (const chunk of chunks) writeAll(file, typeof chunk === "string" ? Buffer.from(chunk) : chunk);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at, Math.min(bytes.length - at, 1 << 30));
}
