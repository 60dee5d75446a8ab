/**
 * @file The hub's cache on the disk, in the layout of Python's `huggingface_hub`, so that either finds what the other has downloaded:
 *
 *     models--ORG--NAME/refs/REVISION              the commit that a branch or tag was of when it was last asked for
 *     models--ORG--NAME/blobs/HASH                 the bytes of a file
 *     models--ORG--NAME/snapshots/COMMIT/PATH      a symbolic link to its blob, or the file itself
 */
import { copyFileSync, linkSync, mkdirSync, readdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { basename, dirname, join, relative } from "node:path";
import { isSextantError } from "../../base/errors.js";
import { writeAtomic } from "../atomic.js";
import { fileError, isThere } from "../files.js";
import { isJsonObject } from "../json.js";
import { readJson, readText } from "../json-file.js";
import { cacheFolderName, isCommit, nameOfCacheFolder, parseModelId, type ModelId } from "./model-id.js";
import { WEIGHTS, WEIGHTS_INDEX } from "./needed-files.js";
import { statsIfThere } from "./stats.js";

/** A commit of a model in the cache. */
export interface CachedModel {
  /** `ORG/NAME`. */
  readonly name: string;
  readonly commit: string;
  /** Branches and tags that were of this commit when they were last asked for. */
  readonly revisions: readonly string[];
  /** The snapshot's folder. */
  readonly folder: string;
  /** Of all its files. */
  readonly bytes: number;
  /** Whether configuration and all weights are there. */
  readonly isWhole: boolean;
}

/** Where the parts of a model lie in the cache. */
export interface ModelPlaces {
  readonly blob: (hash: string) => string;
  readonly snapshot: (commit: string) => string;
  readonly ref: (revision: string) => string;
}

/** The places of a model in the cache. */
export function placesOf(cache: string, name: string): ModelPlaces {
  const folder = join(cache, cacheFolderName(name));
  return {
    blob: (hash) => join(folder, "blobs", hash),
    snapshot: (commit) => join(folder, "snapshots", commit),
    ref: (revision) => join(folder, "refs", ...revision.split("/")),
  };
}

/** The folder of the model's snapshot, if configuration and all weights are in it. */
export function cachedSnapshot(cache: string, id: ModelId): string | undefined {
  const places = placesOf(cache, id.name);
  const commit = isCommit(id.revision) ? id.revision : readRef(places.ref(id.revision));
  if (commit === undefined) return undefined;
  const folder = places.snapshot(commit);
  return isWholeSnapshot(folder) ? folder : undefined;
}

/** Every commit of every model in the cache, by name. */
export function cachedModels(cache: string): CachedModel[] {
  const folders = namesIn(cache).toSorted();
  return folders.flatMap((folder) => {
    const name = nameOfCacheFolder(folder);
    if (name === undefined) return [];
    const revisions = refsIn(join(cache, folder, "refs"));
    return namesIn(join(cache, folder, "snapshots"))
      .filter(isCommit)
      .map((commit): CachedModel => {
        const snapshot = placesOf(cache, name).snapshot(commit);
        const own = revisions.filter(([, of]) => of === commit).map(([revision]) => revision);
        return { name, commit, revisions: own, folder: snapshot, bytes: bytesIn(snapshot), isWhole: isWholeSnapshot(snapshot) };
      });
  });
}

/** Notes which commit the revision is of; a commit needs no note. */
export function writeRef(cache: string, { name, revision }: ModelId, commit: string): void {
  const path = placesOf(cache, name).ref(revision);
  if (!isCommit(revision) && readRef(path) !== commit) writeAtomic(path, [commit]);
}

/** Puts the blob at `path` of a snapshot: a symbolic link, else a second name for the file, else a copy of it. It appears whole. */
export function placeInSnapshot(blob: string, path: string, symlinks: boolean): void {
  const target = relative(dirname(path), blob);
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  try {
    if (linkAt(path) === target) return;
    mkdirSync(dirname(path), { recursive: true });
    makeOneOf([
      ...(symlinks ? [() => symlinkSync(target, temporary)] : []),
      () => linkSync(blob, temporary),
      () => copyFileSync(blob, temporary),
    ]);
    renameSync(temporary, path);
  } catch (error) {
    throw fileError("cannot write", path, error);
  } finally {
    // Two names of one file are not renamed over each other: the system leaves both.
    rmSync(temporary, { force: true });
  }
}

/** The first of the ways that the system allows. */
function makeOneOf(ways: readonly (() => void)[]): void {
  for (const [index, way] of ways.entries()) {
    try {
      return way();
    } catch (error) {
      if (index === ways.length - 1) throw error;
    }
  }
}

function linkAt(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function isWholeSnapshot(folder: string): boolean {
  const has = (name: string): boolean => isThere(join(folder, name));
  if (!has("config.json")) return false;
  if (has(WEIGHTS)) return true;
  if (!has(WEIGHTS_INDEX)) return false;
  const shards = shardNames(join(folder, WEIGHTS_INDEX));
  return shards.length > 0 && shards.every(has);
}

/** The files that an index names; none where it cannot be read. */
function shardNames(path: string): string[] {
  try {
    const index = readJson(path);
    const map = isJsonObject(index) ? index["weight_map"] : undefined;
    return isJsonObject(map) ? [...new Set(Object.values(map).map(String))] : [];
  } catch (error) {
    if (isSextantError(error)) return [];
    throw error;
  }
}

function readRef(path: string): string | undefined {
  if (!statsIfThere(path)?.isFile()) return undefined;
  const commit = readText(path, { maxBytes: 4096 }).trim();
  return isCommit(commit) ? commit : undefined;
}

/** Pairs of a revision and its commit. */
function refsIn(folder: string, prefix = ""): [revision: string, commit: string][] {
  return namesIn(folder)
    .toSorted()
    .flatMap((name) => {
      const [path, revision] = [join(folder, name), prefix + name];
      if (statsIfThere(path)?.isDirectory()) return refsIn(path, `${revision}/`);
      const commit = parseModelId(`x/y@${revision}`) && readRef(path);
      return commit === undefined ? [] : [[revision, commit] as [string, string]];
    });
}

function bytesIn(folder: string): number {
  const sizes = namesIn(folder).map((name) => {
    const stats = statsIfThere(join(folder, name));
    return stats?.isDirectory() ? bytesIn(join(folder, name)) : (stats?.size ?? 0);
  });
  return sizes.reduce((sum, size) => sum + size, 0);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return [];
    throw fileError("cannot read", folder, error);
  }
}
