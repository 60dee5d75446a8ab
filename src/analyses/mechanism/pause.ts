/** @file Lets long sums be stopped: an abort is only heard when JavaScript's thread comes to rest for a moment. */
import { throwIfAborted } from "../../runtime/engine.js";

/** Rests until what is waiting has been heard; throws where the work was aborted. */
export async function pause(signal: AbortSignal | undefined): Promise<void> {
  throwIfAborted(signal);
  await new Promise((resolve) => setImmediate(resolve));
  throwIfAborted(signal);
}
