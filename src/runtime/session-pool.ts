/**
 * @file The open sessions of a model and the memory that their weights take. A weight is held by each session that computes with it:
 * by the whole block, and once more by a segment of it. Where they no longer fit together, those least recently used are closed.
 */
import type { Session } from "./session.js";

/** A session that is wanted: whose it is, which of the owner's, how many bytes its weights take, and how it is made. */
export interface Wanted {
  readonly owner: object;
  readonly key: string;
  readonly bytes: number;
  readonly make: () => Promise<Session>;
}

interface Entry extends Pick<Wanted, "owner" | "key" | "bytes"> {
  readonly session: Promise<Session>;
}

export class SessionPool {
  readonly #limit: number;
  /** Least recently used first. */
  #entries: Entry[] = [];

  /** `limit`: most bytes of weights held at once; a single session may exceed it. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes of weights that open sessions hold. */
  get bytes(): number {
    return this.#entries.reduce((total, { bytes }) => total + bytes, 0);
  }

  /** The session, made where it is not open; others are closed first where there is no room for it. */
  async open({ owner, key, bytes, make }: Wanted): Promise<Session> {
    const known = this.#entries.find((entry) => entry.owner === owner && entry.key === key);
    if (known) {
      this.#entries = [...this.#entries.filter((entry) => entry !== known), known];
      return known.session;
    }
    // Entered before anything is awaited, so that whoever wants it or its room meanwhile knows of it.
    const session = this.#makeRoom(bytes).then(make);
    const entry = { owner, key, bytes, session };
    this.#entries.push(entry);
    session.catch(() => this.#forget([entry]));
    return session;
  }

  /** Closes the sessions of one owner. */
  async close(owner: object): Promise<void> {
    await this.#end(this.#entries.filter((entry) => entry.owner === owner));
  }

  async #makeRoom(bytes: number): Promise<void> {
    const leaving: Entry[] = [];
    // What has no weights takes no room, also beside a session that alone exceeds the limit.
    let left = bytes === 0 ? 0 : this.bytes + bytes - this.#limit;
    for (const entry of this.#entries) {
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
