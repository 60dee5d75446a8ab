/**
 * @file The front of a GGUF file, number by number. Only a window of it is in memory; whatever would reach beyond the file, or beyond what a
 * header may take, is refused before it is read.
 */
import { SextantError } from "../../base/errors.js";
import { readRange } from "../files.js";
import { quote } from "../json.js";

const WINDOW = 1 << 20;
/** Far above the largest vocabularies with their merges (some 15 MB). */
const MOST_BYTES = 256 << 20;
const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** An open file, and what errors call it. */
export interface OpenFile {
  readonly path: string;
  readonly descriptor: number;
  readonly size: number;
}

export class HeaderReader {
  readonly #file: OpenFile;
  #at = 0;
  #window: Uint8Array = new Uint8Array(0);
  #windowAt = 0;

  constructor(file: OpenFile) {
    this.#file = file;
  }

  /** The byte that is read next. */
  get position(): number {
    return this.#at;
  }

  /** Throws unless `count` things of at least `bytes` each may still come. */
  demand(count: number, bytes: number, what: string): void {
    const end = this.#at + count * bytes;
    if (end > this.#file.size) throw this.error(`${what} would end at byte ${end} or later, the file has ${this.#file.size}`);
    if (end > MOST_BYTES) throw this.error(`${what} would end at byte ${end} or later, a header has at most ${MOST_BYTES}`);
  }

  /** The next `length` bytes, valid until the next call. */
  take(length: number, what: string): DataView {
    this.demand(length, 1, what);
    const from = this.#at - this.#windowAt;
    if (from + length > this.#window.length) {
      const count = Math.min(Math.max(length, WINDOW), this.#file.size - this.#at);
      this.#window = readRange(this.#file.descriptor, this.#file.path, this.#at, count);
      this.#windowAt = this.#at;
    }
    const view = new DataView(this.#window.buffer, this.#window.byteOffset + this.#at - this.#windowAt, length);
    this.#at += length;
    return view;
  }

  uint32(what: string): number {
    return this.take(4, what).getUint32(0, true);
  }

  /** A count, length or offset of 64 bits, which must be a number that can be counted with. */
  count(what: string): number {
    const value = this.take(8, what).getBigUint64(0, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.error(`${what} is ${value}`);
    return Number(value);
  }

  /** A text with its length in front of it. */
  text(what: string): string {
    const length = this.count(`the length of ${what}`);
    const view = this.take(length, what);
    try {
      return STRICT.decode(view);
    } catch {
      throw this.error(`${what} is not UTF-8`);
    }
  }

  /** A name of a key or tensor. */
  name(what: string, longest: number): string {
    const name = this.text(what);
    if (name.length > longest) throw this.error(`${what} ${quote(name)} has ${name.length} characters, allowed are ${longest}`);
    return name;
  }

  /** A `format` error about the file. */
  error(what: string): SextantError {
    return new SextantError("format", `${this.#file.path}: ${what}`);
  }
}
