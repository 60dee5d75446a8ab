/** @file Where the command line writes: standard output for results, standard error for progress and errors. */
import type { Progress } from "../runtime/model.js";

/** A stream that may be a terminal; `process.stdout` is one. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** The surroundings of a run. */
export interface Terminal {
  readonly out: Sink;
  readonly err: Sink;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

/** Columns where nobody says how many there are. */
const COLUMNS = 100;

/** Columns that output may take: the terminal's, else `COLUMNS`, else 100. */
export function columnsOf({ out, env }: Terminal): number {
  const named = Number(env["COLUMNS"]);
  const count = out.columns ?? named;
  return Number.isInteger(count) && count > 0 ? count : COLUMNS;
}

/** Whether to colour: as `--color` says, and for `auto` on a terminal that did not ask for none (https://no-color.org). */
export function usesColour(when: string, { out, env }: Terminal): boolean {
  if (when !== "auto") return when === "always";
  return out.isTTY === true && !env["NO_COLOR"] && env["TERM"] !== "dumb";
}

const INTERVAL_MS = 80;

/** A single line on standard error that is overwritten as work goes on; silent when that is no terminal. */
export class ProgressLine {
  readonly #err: Sink;
  #shown = false;
  #last = -Infinity;

  constructor(err: Sink) {
    this.#err = err;
  }

  /** Shows the state, at most every 80 ms. */
  update({ stage, done, total }: Progress): void {
    const now = performance.now();
    if (!this.#err.isTTY || now - this.#last < INTERVAL_MS) return;
    this.#last = now;
    this.#shown = true;
    this.#err.write(`\r\x1b[2K${stage} ${done}${total > 0 ? `/${total}` : ""}`);
  }

  /** Wipes the line, so that something else can be printed. */
  clear(): void {
    if (this.#shown) this.#err.write("\r\x1b[2K");
    this.#shown = false;
  }
}
