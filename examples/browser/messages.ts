/** @file What the page and its worker say to each other: tasks with their answers, and what happens on the way. All of it is plain data. */
import type { ErrorKind } from "sextant/browser";

/** Where a model comes from: files by name, or the address of a folder. */
export type Source = { readonly files: ReadonlyMap<string, Blob> } | { readonly url: string };

/** What there is to know of a loaded model. */
export interface ModelFacts {
  readonly layers: number;
  readonly heads: number;
  readonly dModel: number;
  readonly vocabulary: number;
  /** Tokens that the model was made for, where it says so. */
  readonly context: number | undefined;
  /** Of the weights that one token passes, as float32. */
  readonly bytes: number;
  readonly ms: number;
}

/** A direction and how strongly it is added: the residual stream behind `layer` at the end of `towards`, less that at the end of `from`. */
export interface Steering {
  readonly towards: string;
  readonly from: string;
  readonly layer: number;
  readonly strength: number;
}

export interface Generation {
  readonly text: string;
  readonly maxNew: number;
  readonly steering?: Steering;
}

/** Each task: what is asked, and what is answered. */
export interface Tasks {
  readonly load: { readonly asked: Source; readonly answer: ModelFacts };
  /** The logit lens of a text as an SVG document. */
  readonly lens: { readonly asked: { readonly text: string }; readonly answer: { readonly svg: string } };
  readonly generate: { readonly asked: Generation; readonly answer: { readonly tokens: readonly number[]; readonly text: string } };
}

export type TaskName = keyof Tasks;

/** What happens while a task runs. */
export type Event =
  | { readonly kind: "progress"; readonly stage: string; readonly done: number; readonly total: number }
  | { readonly kind: "text"; readonly text: string };

/** From the page. `stop` ends the task that runs. */
export type ToWorker =
  | { [N in TaskName]: { readonly id: number; readonly task: N; readonly asked: Tasks[N]["asked"] } }[TaskName]
  | { readonly task: "stop" };

/** From the worker. */
export type FromWorker =
  | { readonly id: number; readonly event: Event }
  | { readonly id: number; readonly answer: Tasks[TaskName]["answer"] }
  | { readonly id: number; readonly failure: { readonly kind: ErrorKind; readonly message: string } };
