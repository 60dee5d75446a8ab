/**
 * @file The part of a blob that is there so far, which survives whoever was writing it. Its name says who is at it:
 *
 *     HASH.sextant-HOST-PID-RANDOM.incomplete   a process of that host
 *     HASH.sextant-free-RANDOM.incomplete       nobody: it was put down in good order
 *
 * A file is taken up by renaming it, of which a system lets only one succeed. It may be taken from a process that is gone, or that has given
 * no sign of life for a minute. Files of Python's `huggingface_hub`, `HASH.RANDOM.incomplete`, are its own and left alone.
 */
import { randomBytes, createHash } from "node:crypto";
import { closeSync, fstatSync, fsyncSync, ftruncateSync, futimesSync, openSync, readdirSync, renameSync, rmSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { kill, pid } from "node:process";
import { SextantError } from "../../base/errors.js";
import { fileError, isThere, readRange } from "../files.js";
import { statsIfThere } from "./stats.js";

/** How often a process says that it is still at a file, and how long none may have said so before it counts as gone, in ms. */
const HEARTBEAT = 10_000;
const GONE_AFTER = 60_000;

const OURS = /\.sextant-(?:free|([0-9a-f]{8})-(\d{1,10}))-[0-9a-f]{8}\.incomplete$/;
const HOST = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);

/** The partial file of a blob, taken up or begun; undefined while another process, or another call in this one, is at it. */
export function claimPartial(blob: string): PartialFile | undefined {
  try {
    const found = partialsOf(blob);
    for (const { path } of found.filter(({ isFree }) => isFree)) {
      const own = ownName(blob);
      if (!renamed(path, own)) continue;
      return new PartialFile(blob, own, "r+");
    }
    return found.some(({ isFree }) => !isFree) ? undefined : new PartialFile(blob, ownName(blob), "wx+");
  } catch (error) {
    throw fileError("cannot write", blob, error);
  }
}

/** How many bytes of the blob are there already, in the largest partial file of any process. */
export function partialBytes(blob: string): number {
  return Math.max(0, ...partialsOf(blob).map(({ bytes }) => bytes));
}

/** A partial file that this process is at. `finish`, `release` or `discard` ends that. */
export class PartialFile {
  readonly #blob: string;
  readonly #path: string;
  readonly #file: number;
  readonly #heart: NodeJS.Timeout;
  #beat = Date.now();

  constructor(blob: string, path: string, flags: "r+" | "wx+") {
    this.#blob = blob;
    this.#path = path;
    this.#file = openSync(path, flags);
    this.#heart = setInterval(() => this.#giveSign(), HEARTBEAT).unref();
    this.#giveSign();
  }

  get bytes(): number {
    return fstatSync(this.#file).size;
  }

  read(from: number, length: number): Uint8Array {
    return readRange(this.#file, this.#path, from, length);
  }

  /** Writes the bytes at `position`. */
  write(bytes: Uint8Array, position: number): void {
    this.#told(() => {
      if (Date.now() - this.#beat > GONE_AFTER / 2) this.#refuseTaken();
      for (let at = 0; at < bytes.length;) at += writeSync(this.#file, bytes, at, bytes.length - at, position + at);
    });
  }

  /** Makes it empty again. */
  clear(): void {
    this.#told(() => ftruncateSync(this.#file));
  }

  /** Makes it the blob, and removes what others have left of it. */
  finish(): void {
    this.#told(() => {
      fsyncSync(this.#file);
      this.#close();
      renameSync(this.#path, this.#blob);
      for (const { path, isFree } of partialsOf(this.#blob)) if (isFree) rmSync(path, { force: true });
    });
  }

  /** Puts it down, for whoever goes on with it. */
  release(): void {
    this.#told(() => {
      this.#close();
      renamed(this.#path, nameOf(this.#blob, "free"));
    });
  }

  /** Removes it: its bytes are wrong. */
  discard(): void {
    this.#told(() => {
      this.#close();
      rmSync(this.#path, { force: true });
    });
  }

  #close(): void {
    clearInterval(this.#heart);
    closeSync(this.#file);
  }

  #giveSign(): void {
    this.#beat = Date.now();
    futimesSync(this.#file, this.#beat / 1000, this.#beat / 1000);
  }

  /** A process that was stopped may have been taken for dead; then the bytes are another's, and may already be a blob. */
  #refuseTaken(): void {
    if (statsIfThere(this.#path)?.ino !== fstatSync(this.#file).ino)
      throw new SextantError("file", `cannot write ${this.#blob}: another process goes on with it, since this one was stopped too long`);
    this.#giveSign();
  }

  #told<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw fileError("cannot write", this.#blob, error);
    }
  }
}

interface Found {
  readonly path: string;
  readonly bytes: number;
  readonly isFree: boolean;
}

/** Our partial files of the blob, the largest first. */
function partialsOf(blob: string): Found[] {
  const [folder, hash] = [dirname(blob), basename(blob)];
  if (!isThere(folder)) return [];
  const names = readdirSync(folder).filter((name) => name.startsWith(`${hash}.sextant-`));
  const found = names.flatMap((name): Found[] => {
    const match = OURS.exec(name);
    const path = join(folder, name);
    const stats = match ? statsIfThere(path) : undefined;
    if (!match || !stats) return [];
    const isHeld = match[1] !== undefined && Date.now() - stats.mtimeMs < GONE_AFTER && (match[1] !== HOST || isAlive(Number(match[2])));
    return [{ path, bytes: stats.size, isFree: !isHeld }];
  });
  return found.toSorted((a, b) => b.bytes - a.bytes);
}

function isAlive(id: number): boolean {
  try {
    return kill(id, 0);
  } catch (error) {
    // It is there, but not ours to signal.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Whether the rename was done; another process may have been faster, and some systems refuse it for open files. */
function renamed(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (["ENOENT", "EPERM", "EBUSY", "EACCES"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  }
}

function ownName(blob: string): string {
  return nameOf(blob, `${HOST}-${pid}`);
}

function nameOf(blob: string, who: string): string {
  return `${blob}.sextant-${who}-${randomBytes(4).toString("hex")}.incomplete`;
}
