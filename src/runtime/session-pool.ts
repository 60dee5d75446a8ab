/**
 * @file The open sessions of a model and the memory that their weights take. A weight is held by each session that computes with it:
 * by the whole block, and once more by a segment of it. Where they no longer fit together, those least recently used are closed, and
 * last those that are to stay.
 */
import { describeBytes } from "../base/bytes.js";
import { refuse } from "../base/errors.js";
import type { Session } from "./session.js";
import type { SessionBytes } from "./weight-bytes.js";

/** A session that is wanted: whose it is, which of the owner's, how many bytes its weights take, and how it is made. */
export interface Wanted {
  readonly owner: object;
  readonly key: string;
  readonly bytes: SessionBytes;
  /** Whether it is closed only where closing all others is not enough. */
  readonly stays: boolean;
  readonly make: () => Promise<Session>;
}

interface Entry extends Pick<Wanted, "owner" | "key" | "stays"> {
  readonly bytes: number;
  readonly session: Promise<Session>;
}

export class SessionPool {
  readonly #limit: number;
  readonly #isStrict: boolean;
  /** Least recently used first. */
  #entries: Entry[] = [];

  /**
   * `limit`: most bytes of weights held at once; a single session may exceed it. Where `isStrict`, none may, and what making a session takes
   * counts as well.
   */
  constructor(limit: number, { isStrict = false } = {}) {
    this.#limit = limit;
    this.#isStrict = isStrict;
  }

  /** Bytes of weights that open sessions hold. */
  get bytes(): number {
    return this.#entries.reduce((total, { bytes }) => total + bytes, 0);
  }

  /** The session, made where it is not open; others are closed first where there is no room for it. */
  async open({ owner, key, bytes, stays, make }: Wanted): Promise<Session> {
    const known = this.#find(owner, key);
    if (known) {
      this.#entries = [...this.#entries.filter((entry) => entry !== known), known];
      return known.session;
    }
    // Entered before anything is awaited, so that whoever wants it or its room meanwhile knows of it.
    const session = this.#makeRoom(bytes).then(make);
    const entry = { owner, key, bytes: bytes.held, stays, session };
    this.#entries.push(entry);
    session.catch(() => this.#forget([entry]));
    return session;
  }

  /** Whether a session is open, or being made. */
  has(owner: object, key: string): boolean {
    return this.#find(owner, key) !== undefined;
  }

  /** Closes the sessions of one owner. */
  async close(owner: object): Promise<void> {
    await this.#end(this.#entries.filter((entry) => entry.owner === owner));
  }

  #find(owner: object, key: string): Entry | undefined {
    return this.#entries.find((entry) => entry.owner === owner && entry.key === key);
  }

  async #makeRoom({ held, making }: SessionBytes): Promise<void> {
    const bytes = this.#isStrict ? making : held;
    if (this.#isStrict && bytes > this.#limit) throw tooLarge(bytes, this.#limit);
    const leaving: Entry[] = [];
    // What has no weights takes no room, also beside a session that alone exceeds the limit.
    let left = bytes === 0 ? 0 : this.bytes + bytes - this.#limit;
    const order = [...this.#entries.filter(({ stays }) => !stays), ...this.#entries.filter(({ stays }) => stays)];
    for (const entry of order) {
      if (left <= 0) break;
      if (entry.bytes === 0) continue;
      leaving.push(entry);
      left -= entry.bytes;
    }
    await this.#end(leaving);
  }

  async #end(entries: readonly Entry[]): Promise<void> {
    this.#forget(entries);
    const open = await Promise.allSettled(entries.map(({ session }) => session));
    for (const result of open) if (result.status === "fulfilled") await result.value.close();
  }

  #forget(entries: readonly Entry[]): void {
    this.#entries = this.#entries.filter((entry) => !entries.includes(entry));
  }
}

function tooLarge(bytes: number, limit: number): Error {
  const what = `cannot make a session whose weights take ${describeBytes(bytes)} while it is made`;
  const why = `the model is larger than the memory that it may take, and of that there are ${describeBytes(limit)} for weights`;
  return refuse({ what, why, instead: "give it more memory (memoryLimit, --memory)" }, "memory");
}
