/** @file Hearing an AbortSignal between the steps of long work. */
import { SextantError } from "./errors.js";

/** Throws where the signal says to stop; `doing` names the work, such as "loading". */
export function heed(signal: AbortSignal | undefined, doing: string): void {
  if (signal?.aborted) throw new SextantError("interrupted", `${doing} was interrupted`, { cause: signal.reason });
}

/** Lets the program do other things, among them hear the signal, then heeds it. Browsers have no `setImmediate`. */
export async function breathe(signal: AbortSignal | undefined, doing: string): Promise<void> {
  await new Promise<void>((resolve) => setTimeout(resolve, 0));
  heed(signal, doing);
}
