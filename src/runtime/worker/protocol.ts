/**
 * @file What a caller and a model in a worker say to each other. All of it is data that can be cloned: arguments and results go as they are, errors
 * as `SentError`, and of the functions among the options only their names; what these are told or asked comes back as messages.
 */
import type { LoadOptions } from "../load.js";
import type { GenerateOptions, Model } from "../model.js";
import type { SweepOptions } from "../sweep/request.js";
import type { SentError } from "./sent-error.js";

/** The methods of a model that run where the model is. */
export type RemoteMethod = { [K in keyof Model]: Model[K] extends (...args: never[]) => Promise<unknown> ? K : never }[keyof Model];

/** What loading and the methods take as options, all together. */
export type CallOptions = Partial<Omit<LoadOptions, "worker"> & GenerateOptions & SweepOptions>;

type Call = (...args: never[]) => unknown;

/** The options that are functions, or records of them. */
type FunctionOption = {
  [K in keyof CallOptions]-?: NonNullable<CallOptions[K]> extends Call | Readonly<Record<string, Call>> ? K : never;
}[keyof CallOptions];

/**
 * The functions among the options. They run in the caller's thread. `told`: nobody waits for what they give. `asked`: the run goes on when the answer is
 * there. `asked by name`: several of them, in a record.
 */
export const FUNCTIONS = {
  onProgress: "told",
  onToken: "told",
  onPart: "told",
  decode: "asked",
  measures: "asked by name",
} as const satisfies { readonly [K in FunctionOption]: "told" | "asked" | "asked by name" };

/** One function among the options. */
export interface FunctionName {
  readonly option: FunctionOption;
  /** Its name in the record, where it stands in one. */
  readonly key?: string;
}

/** Asks for a method of the model, or for the model itself: `load` comes first, and gives the spec. */
export interface CallMessage {
  readonly is: "call";
  readonly id: number;
  readonly method: RemoteMethod | "load";
  readonly args: readonly unknown[];
  /** Options that are data. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly functions: readonly FunctionName[];
  /** Whether the caller's signal was aborted before. */
  readonly isAborted: boolean;
}

export interface AbortMessage {
  readonly is: "abort";
  readonly id: number;
}

export interface AnswerMessage {
  readonly is: "answer";
  readonly question: number;
  readonly value?: unknown;
  /** Whether the caller's function threw; what it threw stays with the caller. */
  readonly hasFailed: boolean;
}

/** From the caller to the worker. */
export type ToWorker = CallMessage | AbortMessage | AnswerMessage;

export interface DoneMessage {
  readonly is: "done";
  readonly id: number;
  readonly value: unknown;
}

export interface FailedMessage {
  readonly is: "failed";
  readonly id: number;
  readonly error: SentError;
}

/** A function is told something, or asked where there is a `question`. */
export interface FunctionMessage {
  readonly is: "function";
  readonly id: number;
  readonly name: FunctionName;
  readonly args: readonly unknown[];
  readonly question?: number;
}

/** From the worker to the caller. */
export type ToCaller = DoneMessage | FailedMessage | FunctionMessage;
