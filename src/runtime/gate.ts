/**
 * @file A gate in front of ONNX Runtime, for threads that another may end. Its binding aborts the whole process when it comes back into a thread
 * that was told to end meanwhile (`FATAL ERROR: Error::Error napi_define_properties`, or an uncaught `Napi::Error`; seen with 1.30 in 11 of 12 programs that
 * ended during a run). So the other thread closes the gate first, and waits until nobody is inside.
 */

/** Shared memory: how many calls are inside, and whether the gate is closed. */
export type Gate = Int32Array;
const [INSIDE, CLOSED] = [0, 1];

let mine: Gate | undefined;

/** A gate that two threads can hold. */
export function newGate(): Gate {
  return new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
}

/** Makes the calls of this thread go through the gate. */
export function standBehind(gate: Gate): void {
  mine = gate;
}

/** What `work` gives. Behind a gate that is closed it is not begun, and the thread stands still until it is ended. */
export async function throughGate<T>(work: () => Promise<T>): Promise<T> {
  const gate = mine;
  if (!gate) return work();
  Atomics.add(gate, INSIDE, 1);
  try {
    if (Atomics.load(gate, CLOSED) === 1) {
      leave(gate);
      Atomics.wait(gate, CLOSED, 1);
    }
    return await work();
  } finally {
    leave(gate);
  }
}

function leave(gate: Gate): void {
  Atomics.sub(gate, INSIDE, 1);
  Atomics.notify(gate, INSIDE);
}

/** Lets nobody in any more, and comes back when nobody is inside, or after `most` milliseconds. */
export function closeGate(gate: Gate, most: number): void {
  Atomics.store(gate, CLOSED, 1);
  const end = performance.now() + most;
  for (let inside = Atomics.load(gate, INSIDE); inside > 0; inside = Atomics.load(gate, INSIDE)) {
    if (Atomics.wait(gate, INSIDE, inside, Math.max(0, end - performance.now())) === "timed-out") return;
  }
}
