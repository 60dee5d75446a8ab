/** @file A temporary folder for the tests of one file, and error messages without its path. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll } from "vitest";
import { isSextantError, type ErrorKind } from "../../src/base/errors.js";

/** A folder that is gone after the tests of this file. */
export function temporaryFolder(): TemporaryFolder {
  const root = mkdtempSync(join(tmpdir(), "sextant-"));
  afterAll(() => rmSync(root, { recursive: true, force: true }));
  const path = (name: string): string => join(root, name);
  const write = (name: string, content: string | Uint8Array): string => {
    mkdirSync(dirname(path(name)), { recursive: true });
    writeFileSync(path(name), content);
    return path(name);
  };
  const refusal = (action: () => unknown): string => {
    const error = thrownBy(action);
    return `${error.kind}: ${error.message.replaceAll(root, "TMP")}`;
  };
  return { root, path, write, refusal };
}

export interface TemporaryFolder {
  readonly root: string;
  readonly path: (name: string) => string;
  /** Writes a file, with the folders on the way, and returns its path. */
  readonly write: (name: string, content: string | Uint8Array) => string;
  /** `kind: message` of the error that the action must throw. */
  readonly refusal: (action: () => unknown) => string;
}

/** The `SextantError` that the action throws; any other error is passed on, none is an error. */
export function thrownBy(action: () => unknown): { kind: ErrorKind; message: string } {
  try {
    action();
  } catch (error) {
    if (isSextantError(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
