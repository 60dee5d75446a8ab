/**
 * @file One file of a repository → its blob in the cache. What a download that was broken off has left is gone on from; the blob appears
 * when its size and hash are those that the hub lists.
 */
import { createHash, type Hash } from "node:crypto";
import { SextantError } from "../../base/errors.js";
import { quote } from "../json.js";
import type { RemoteFile } from "./listing.js";
import type { ModelId } from "./model-id.js";
import { claimPartial, partialBytes, type PartialFile } from "./partial-file.js";
import { pause, throwIfAborted, Transient, tryAgain } from "./patience.js";
import { withAnswer, type Access, type Opened } from "./request.js";
import { statsIfThere } from "./stats.js";

/** A file to download, and where to. */
export interface Blob {
  readonly id: ModelId;
  readonly commit: string;
  readonly file: RemoteFile;
  /** The blob's path; its folder is there. */
  readonly path: string;
}

/** How often is looked how far another process is, in ms. */
const LOOK_EVERY = 250;
const PIECE = 16 << 20;

/** Whether the blob is there, in its full size. */
export function isWhole(path: string, bytes: number): boolean {
  const stats = statsIfThere(path);
  return stats?.isFile() === true && stats.size === bytes;
}

/**
 * Ends when the blob is there. Where another process is at it, its end is waited for, and if it goes, its part is gone on from. `onBytes`
 * gets the number of bytes that are there. What was downloaded stays when this fails, unless the bytes are wrong.
 */
export async function downloadBlob(blob: Blob, access: Access, onBytes: (bytes: number) => void): Promise<void> {
  while (!isWhole(blob.path, blob.file.bytes)) {
    throwIfAborted(access.signal);
    const partial = claimPartial(blob.path);
    if (partial === undefined) {
      onBytes(Math.min(partialBytes(blob.path), blob.file.bytes));
      await pause(LOOK_EVERY, access.signal);
    } else if (isWhole(blob.path, blob.file.bytes)) partial.discard();
    else await complete(partial, blob, access, onBytes);
  }
  onBytes(blob.file.bytes);
}

async function complete(partial: PartialFile, blob: Blob, access: Access, onBytes: (bytes: number) => void): Promise<void> {
  let end: "release" | "discard" | "finish" = "release";
  try {
    const filling = new Filling(partial, blob, onBytes);
    await filling.takeUp(access.signal);
    const hadBytes = filling.at > 0;
    await fill(filling, access);
    if (hadBytes && !filling.isRight()) {
      // What was there may be what is wrong.
      filling.clear();
      await fill(filling, access);
    }
    end = filling.isRight() ? "finish" : "discard";
  } finally {
    partial[end]();
  }
  if (end === "discard") throw wrongHash(blob);
}

/** Asks for the bytes from where the partial file ends, again and again while the connection breaks. */
async function fill(filling: Filling, access: Access): Promise<void> {
  const { id, commit, file } = filling.blob;
  const url = `${access.endpoint}/${id.name}/resolve/${commit}/${file.path.split("/").map(encodeURIComponent).join("/")}`;
  const subject = { id, endpoint: access.endpoint, file: file.path, hasToken: access.token !== undefined };
  const attempt = async (): Promise<void> => {
    if (filling.at === file.bytes) return;
    const headers = filling.at > 0 ? { range: `bytes=${filling.at}-` } : {};
    await withAnswer(access, { url, subject, headers }, (answer) => receive(answer, filling));
  };
  await tryAgain(attempt, { ...access, reached: () => filling.at });
}

async function receive(answer: Opened, filling: Filling): Promise<void> {
  const { file } = filling.blob;
  // Who does not know ranges sends all from the beginning.
  if (answer.status === 200) filling.clear();
  else if (!answer.headers.get("content-range")?.startsWith(`bytes ${filling.at}-`))
    throw wrongSize(filling.blob, `asked for those from byte ${filling.at} on, others came`);
  // Of a body that was compressed all the same, the length is another's.
  const length = Number((!answer.headers.has("content-encoding") && answer.headers.get("content-length")) || NaN);
  if (Number.isFinite(length) && filling.at + length !== file.bytes) throw wrongSize(filling.blob, `${filling.at + length} are there`);
  for await (const chunk of answer.chunks) filling.add(chunk);
  if (filling.at < file.bytes) throw new Transient(wrongSize(filling.blob, `it ends after ${filling.at}`));
}

/** The bytes of a partial file that are known to this process, with their hash so far. */
class Filling {
  readonly blob: Blob;
  readonly #partial: PartialFile;
  readonly #onBytes: (bytes: number) => void;
  #hash: Hash;
  #at = 0;

  constructor(partial: PartialFile, blob: Blob, onBytes: (bytes: number) => void) {
    this.blob = blob;
    this.#partial = partial;
    this.#onBytes = onBytes;
    this.#hash = hashOf(blob.file);
  }

  /** How many bytes are there and hashed. */
  get at(): number {
    return this.#at;
  }

  /** Hashes what was left of an earlier download; a part that is longer than the whole is no part of it. */
  async takeUp(signal: AbortSignal | undefined): Promise<void> {
    const { bytes } = this.#partial;
    if (bytes > this.blob.file.bytes) return this.clear();
    while (this.#at < bytes) {
      throwIfAborted(signal);
      const piece = this.#partial.read(this.#at, Math.min(PIECE, bytes - this.#at));
      this.#count(piece);
      // Gigabytes take seconds, in which a signal should get through.
      await new Promise(setImmediate);
    }
  }

  add(chunk: Uint8Array): void {
    if (this.#at + chunk.length > this.blob.file.bytes) throw wrongSize(this.blob, "more came");
    this.#partial.write(chunk, this.#at);
    this.#count(chunk);
  }

  clear(): void {
    this.#partial.clear();
    this.#hash = hashOf(this.blob.file);
    this.#at = 0;
    this.#onBytes(0);
  }

  /** Whether all bytes have the hash that the hub lists. */
  isRight(): boolean {
    return this.#hash.copy().digest("hex") === this.blob.file.hash;
  }

  #count(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#at += bytes.length;
    this.#onBytes(this.#at);
  }
}

/** The hash in front of the first byte; git's has a header with the size. */
function hashOf({ hashKind, bytes }: RemoteFile): Hash {
  return hashKind === "sha256" ? createHash("sha256") : createHash("sha1").update(`blob ${bytes}\0`);
}

function wrongHash({ id, file }: Blob): SextantError {
  const what = `the bytes of ${quote(file.path)} are not those that the hub lists, whose hash is ${file.hash}; they were removed`;
  return new SextantError("format", `cannot download ${id.name}: ${what}`);
}

function wrongSize({ id, file }: Blob, what: string): SextantError {
  return new SextantError("format", `cannot download ${id.name}: ${quote(file.path)} has ${file.bytes} bytes by the hub's list, ${what}`);
}
