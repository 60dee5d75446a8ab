/** @file Pieces of the steps under way, in the run's journal: each on the disk itself before the work goes on, gone when its step is whole. */
import { rmSync } from "node:fs";
import { internal, SextantError } from "../base/errors.js";
import { fileError, isThere } from "../formats/files.js";
import { openJournal, type Journal, type JournalHead } from "../formats/journal.js";
import { isJsonObject, parseJson, quote } from "../formats/json.js";
import { exactJson } from "./exact-json.js";

/** The pieces of one step, by key. What `get` gives has been through JSON, also of a piece that was put a moment ago. */
export interface StepPieces {
  get(key: string): unknown;
  put(key: string, value: unknown): void;
}

/** The pieces in the journal at `path`. The file is begun with the first piece, and is gone when no step has any. */
export class Pieces {
  readonly #path: string;
  readonly #head: JournalHead;
  /** JSON texts, by step and key. */
  readonly #texts = new Map<string, Map<string, string>>();
  #journal: Journal | undefined;

  constructor(path: string, head: JournalHead) {
    this.#path = path;
    this.#head = head;
    if (!isThere(path)) return;
    this.#journal = openJournal(path, head);
    try {
      this.#journal.entries.forEach((entry, index) => this.#remember(entry, index));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  of(step: string): StepPieces {
    return {
      get: (key) => {
        const text = this.#texts.get(step)?.get(key);
        return text === undefined ? undefined : parseJson(text, `piece ${key} of step ${step}`);
      },
      put: (key, value) => this.#put(step, key, value),
    };
  }

  /** Forgets the pieces of a step that is whole. */
  drop(step: string): void {
    this.#texts.delete(step);
    if (this.#texts.size > 0) return;
    this.close();
    try {
      rmSync(this.#path, { force: true });
    } catch (error) {
      throw fileError("cannot remove", this.#path, error);
    }
  }

  close(): void {
    this.#journal?.close();
    this.#journal = undefined;
  }

  #put(step: string, key: string, value: unknown): void {
    if (this.#texts.get(step)?.has(key)) throw internal(`step ${step} has the piece ${quote(key)} already`);
    // The text inside the text keeps −0, which the journal's own lines do not.
    const json = exactJson(value, `piece ${key} of step ${step}: value`);
    this.#journal ??= openJournal(this.#path, this.#head);
    this.#journal.append({ step, key, json });
    this.#keep(step, key, json);
  }

  #remember(entry: unknown, index: number): void {
    const { step, key, json } = isJsonObject(entry) ? entry : {};
    if (typeof step !== "string" || typeof key !== "string" || typeof json !== "string")
      throw new SextantError("format", `${this.#path}:${index + 2} is no piece of a step`);
    this.#keep(step, key, json);
  }

  #keep(step: string, key: string, json: string): void {
    const own = this.#texts.get(step) ?? new Map<string, string>();
    this.#texts.set(step, own.set(key, json));
  }
}
