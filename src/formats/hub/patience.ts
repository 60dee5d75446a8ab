/** @file Waiting for others: a limit on silence, and trying again after what may pass by itself. Every wait ends when the caller aborts. */
import { SextantError } from "../../base/errors.js";

/** What may pass by itself: the connection broke, the server is busy. */
export class Transient extends Error {
  /** What is thrown when it does not pass. */
  readonly error: SextantError;
  /** How long the server asks to wait, in ms. */
  readonly wait: number | undefined;
  /** Whether nobody was reached at all, so that trying again at once is no use. */
  readonly unreached: boolean;

  constructor(error: SextantError, { wait, unreached = false }: { wait?: number; unreached?: boolean } = {}) {
    super(error.message, { cause: error });
    this.error = error;
    this.wait = wait;
    this.unreached = unreached;
  }
}

/** How often, and after how long, something is tried again. */
export interface Attempts {
  /** The first wait in ms; each next one is twice as long. */
  readonly firstWait: number;
  readonly signal?: AbortSignal | undefined;
  /** A number that grows when an attempt has got somewhere: then the count begins anew. */
  readonly reached?: () => number;
}

const MOST_ATTEMPTS = 6;
/** A server that asks for more is not waited for. */
const LONGEST_WAIT = 120_000;

/** The first result of `attempt` that is no `Transient`; after six attempts without progress, its error. */
export async function tryAgain<T>(attempt: () => Promise<T>, { firstWait, signal, reached = () => 0 }: Attempts): Promise<T> {
  const begun = reached();
  let [failures, last] = [0, begun];
  for (;;) {
    throwIfAborted(signal);
    try {
      return await attempt();
    } catch (thrown) {
      throwIfAborted(signal);
      if (!(thrown instanceof Transient)) throw thrown;
      const now = reached();
      failures = now > last ? 1 : failures + 1;
      last = now;
      const wait = thrown.wait ?? firstWait * 2 ** (failures - 1);
      if (failures >= MOST_ATTEMPTS || wait > LONGEST_WAIT || (thrown.unreached && now === begun)) throw thrown.error;
      await pause(wait, signal);
    }
  }
}

/** Ends after `ms`, or with an `interrupted` error when the caller aborts. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(interrupted(signal));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw interrupted(signal);
}

function interrupted(signal: AbortSignal | undefined): SextantError {
  return new SextantError("interrupted", "the download was interrupted; it goes on next time", { cause: signal?.reason });
}

/** A signal that fires when the caller aborts, or after `ms` without a call of `heard`. `end` must be called. */
export function patience(ms: number, signal: AbortSignal | undefined): { signal: AbortSignal; heard: () => void; end: () => void } {
  const silence = new AbortController();
  const give = (): NodeJS.Timeout => setTimeout(() => silence.abort(new Error(`nothing came for ${ms / 1000} s`)), ms);
  let timer = give();
  const heard = (): void => {
    clearTimeout(timer);
    timer = give();
  };
  return { signal: signal ? AbortSignal.any([signal, silence.signal]) : silence.signal, heard, end: () => clearTimeout(timer) };
}
