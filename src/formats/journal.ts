/**
 * @file A journal: what a long piece of work has finished, one JSON value a line, so that it can be taken up after it was stopped. The first
 * line says which work it is of. A line counts once its newline is there; what a dying process left behind the last one is cut off. Lines
 * that count are never lost: a repair writes the whole file anew beside the old one and then renames it.
 */
import { createHash } from "node:crypto";
import { appendFileSync, closeSync, fsyncSync, openSync } from "node:fs";
import { refuse, SextantError } from "../base/errors.js";
import { writeAtomic } from "./atomic.js";
import { fileError, isThere, readFileBounded } from "./files.js";
import { isJsonObject, parseJson } from "./json.js";

/** Which work a journal is of. */
export interface JournalHead {
  /** What sort of work, in a word. */
  readonly kind: string;
  /** Equal for the same work only. */
  readonly fingerprint: string;
}

const FORMAT = "sextant journal";
const VERSION = 1;
const MOST_BYTES = 2 ** 30;
const NEWLINE = 0x0a;

/** The journal at `path`, begun where there is none. One of other work, and a file that is no journal, is refused and left as it is. */
export function openJournal(path: string, head: JournalHead): Journal {
  const first = JSON.stringify({ format: FORMAT, version: VERSION, ...head });
  const bytes = isThere(path) ? readFileBounded(path, MOST_BYTES) : new Uint8Array(0);
  const end = bytes.lastIndexOf(NEWLINE) + 1;
  if (end === 0) {
    if (!isStartOf(bytes, first)) throw noJournal(path);
    writeAtomic(path, [first, "\n"]);
    return new Journal(path, []);
  }
  const [own = "", ...lines] = linesOf(bytes.subarray(0, end), path);
  checkHead(path, own, head);
  const entries = lines.map((line, index) => parseJson(line, `${path}:${index + 2}`));
  if (end < bytes.length) writeAtomic(path, [bytes.subarray(0, end)]);
  return new Journal(path, entries);
}

/** A journal that is open for appending. Who opened it closes it. */
export class Journal {
  readonly path: string;
  /** What was there when it was opened, in its order. */
  readonly entries: readonly unknown[];
  readonly #file: number;

  constructor(path: string, entries: readonly unknown[]) {
    this.path = path;
    this.entries = entries;
    this.#file = this.#told(() => openSync(path, "a"));
  }

  /** Writes one more entry, a value with a JSON form, to the disk itself. */
  append(entry: unknown): void {
    const line = `${JSON.stringify(entry)}\n`;
    this.#told(() => {
      appendFileSync(this.#file, line);
      fsyncSync(this.#file);
    });
  }

  close(): void {
    closeSync(this.#file);
  }

  #told<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw fileError("cannot write", this.path, error);
    }
  }
}

/** SHA-256 over the value as JSON, in which the SHA-256 of its bytes stands for each typed array. Order of members counts. */
export function fingerprintOf(value: unknown): string {
  const known = new Map<object, string>();
  const digestOf = (array: ArrayBufferView): string => {
    const found = known.get(array) ?? sha256(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    known.set(array, found);
    return `${array.constructor.name} ${found}`;
  };
  return sha256(JSON.stringify(value, (_, item: unknown) => (ArrayBuffer.isView(item) ? digestOf(item) : item)));
}

function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

function isStartOf(bytes: Uint8Array, text: string): boolean {
  return Buffer.from(text).subarray(0, bytes.length).equals(bytes);
}

function linesOf(bytes: Uint8Array, path: string): string[] {
  const lines: string[] = [];
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for (let from = 0; from < bytes.length;) {
    const to = bytes.indexOf(NEWLINE, from);
    try {
      lines.push(decoder.decode(bytes.subarray(from, to)));
    } catch (error) {
      throw new SextantError("format", `${path}:${lines.length + 1} is not UTF-8 text`, { cause: error });
    }
    from = to + 1;
  }
  return lines;
}

function checkHead(path: string, line: string, { kind, fingerprint }: JournalHead): void {
  const found = headOf(line);
  if (found?.["format"] !== FORMAT) throw noJournal(path);
  if (found["version"] === VERSION && found["kind"] === kind && found["fingerprint"] === fingerprint) return;
  const instead = "repeat the command that it was begun with, or name another file";
  throw refuse(
    { what: `cannot go on from ${path}`, why: `it was kept by another ${kind}, or one with other settings`, instead },
    "request",
  );
}

function headOf(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value = JSON.parse(line) as unknown;
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function noJournal(path: string): SextantError {
  const instead = "name a file that is not there yet";
  return refuse({ what: `cannot keep a journal in ${path}`, why: "there is another file", instead }, "request");
}
