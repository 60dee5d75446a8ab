/** @file The size and SHA-256 of files: what a run says of each file that it was made of or left. */
import { createHash } from "node:crypto";
import { closeSync, fstatSync } from "node:fs";
import { fillFrom, openFile } from "../formats/files.js";
import type { RunFile } from "./manifest.js";

const CHUNK = 1 << 22;

/** Size and SHA-256 of the file at `path`, which is read in pieces; the record calls it `name`. */
export function fileRecord(path: string, name: string): RunFile {
  const descriptor = openFile(path);
  try {
    const { size } = fstatSync(descriptor);
    const hash = createHash("sha256");
    const buffer = new Uint8Array(Math.min(CHUNK, size));
    for (let at = 0; at < size; at += buffer.length) {
      const piece = buffer.subarray(0, Math.min(buffer.length, size - at));
      fillFrom(descriptor, path, at, piece);
      hash.update(piece);
    }
    return { path: name, bytes: size, sha256: hash.digest("hex") };
  } finally {
    closeSync(descriptor);
  }
}
