/**
 * @file Folders that appear whole or not at all. A system has no single step that puts a folder in the place of another, so there are
 * names for what is in between, beside the folder `x`:
 *
 *     .x.<random>.tmp   being written; worth nothing
 *     .x.new            whole, about to take the place of x
 *     .x.old            what was in that place
 *
 * Whoever dies between the steps leaves a whole folder under one of the names, and `settleFolder` takes the steps that were left.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, renameSync, rmSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { basename, dirname, join, resolve } from "node:path";
import { fileError } from "./files.js";

/**
 * Puts a folder in the place of `path`, with what `write` has put into the folder that it is given. Files and folders directly in the old
 * one that the new one lacks are kept. One process at a time may do so.
 */
export function writeFolderAtomic(path: string, write: (temporary: string) => void): void {
  settleFolder(path);
  const names = namesOf(path);
  const temporary = names.temporary(randomBytes(6).toString("hex"));
  try {
    mkdirSync(temporary, { recursive: true });
    write(temporary);
    sync(temporary);
    renameSync(temporary, names.next);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw fileError("cannot write", path, error);
  }
  settleFolder(path);
}

/** Ends what a process that died has begun, so that `path` is the last folder that was written whole; without that, nothing. */
export function settleFolder(path: string): void {
  const { place, next, old, parent, isTemporary } = namesOf(path);
  try {
    if (existsSync(next)) {
      if (existsSync(place)) {
        // The name has to be free: a folder is not renamed over another.
        clearOld(place, old);
        renameSync(place, old);
      }
      renameSync(next, place);
      sync(parent);
    } else if (!existsSync(place) && existsSync(old)) renameSync(old, place);
    clearOld(place, old);
    if (existsSync(parent)) for (const name of readdirSync(parent).filter(isTemporary)) remove(join(parent, name));
  } catch (error) {
    throw fileError("cannot write", path, error);
  }
}

interface Names {
  readonly parent: string;
  readonly place: string;
  readonly next: string;
  readonly old: string;
  readonly temporary: (random: string) => string;
  readonly isTemporary: (name: string) => boolean;
}

function namesOf(path: string): Names {
  const place = resolve(path);
  const [parent, hidden] = [dirname(place), `.${basename(place)}.`];
  return {
    parent,
    place,
    next: join(parent, `${hidden}new`),
    old: join(parent, `${hidden}old`),
    temporary: (random) => join(parent, `${hidden}${random}.tmp`),
    isTemporary: (name) => name.startsWith(hidden) && /^[0-9a-f]{12}\.tmp$/.test(name.slice(hidden.length)),
  };
}

/** Moves out of the old folder what others have put there, then removes it. Stopped anywhere, it can be done again. */
function clearOld(place: string, old: string): void {
  if (!existsSync(old) || !existsSync(place)) return;
  const own = new Set(readdirSync(place));
  for (const name of readdirSync(old)) if (!own.has(name)) renameSync(join(old, name), join(place, name));
  remove(old);
}

function remove(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

/** Makes the names in a folder last; a system that cannot do so for folders (Windows) is left to itself. */
function sync(folder: string): void {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(folder, "r");
    fsyncSync(descriptor);
  } catch (error) {
    if (!["EISDIR", "EPERM", "EACCES", "EINVAL"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
