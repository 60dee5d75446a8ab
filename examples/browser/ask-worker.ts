/** @file Tasks for the worker, as promises: one at a time, each with what happens on the way. */
import type { Event, FromWorker, TaskName, Tasks, ToWorker } from "./messages.js";

/** Hands tasks to the worker. */
export interface Asker {
  readonly ask: <N extends TaskName>(task: N, asked: Tasks[N]["asked"], onEvent?: (event: Event) => void) => Promise<Tasks[N]["answer"]>;
  /** Ends the task that runs; its promise is rejected. */
  readonly stop: () => void;
}

interface Waiting {
  readonly resolve: (answer: never) => void;
  readonly reject: (error: Error) => void;
  readonly onEvent: (event: Event) => void;
}

export function askWorker(worker: Worker): Asker {
  const waiting = new Map<number, Waiting>();
  let last = 0;
  const send = (message: ToWorker): void => worker.postMessage(message);
  worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
    const task = waiting.get(data.id);
    if (!task) return;
    if ("event" in data) return task.onEvent(data.event);
    waiting.delete(data.id);
    if ("answer" in data) task.resolve(data.answer as never);
    else task.reject(new Error(data.failure.message, { cause: data.failure.kind }));
  });
  worker.addEventListener("error", ({ message }) => {
    for (const { reject } of waiting.values()) reject(new Error(message || "the worker could not be started"));
    waiting.clear();
  });
  return {
    ask: (task, asked, onEvent = () => undefined) =>
      new Promise((resolve, reject) => {
        last++;
        waiting.set(last, { resolve, reject, onEvent });
        send({ id: last, task, asked } as ToWorker);
      }),
    stop: () => send({ task: "stop" }),
  };
}
