/**
 * @file The caller's side: numbers the calls, posts them, and settles their promises when the worker answers, or all of them when it is lost. The
 * caller's functions run here; when one throws, its call is aborted and ends with what was thrown.
 */
import { SextantError } from "../../base/errors.js";
import { withCopies } from "./packing.js";
import {
  FUNCTIONS,
  type CallMessage,
  type CallOptions,
  type FunctionMessage,
  type FunctionName,
  type ToCaller,
  type ToWorker,
} from "./protocol.js";
import { receivedError } from "./sent-error.js";

/** The way to a worker, of whatever kind. */
export interface Line {
  readonly post: (message: ToWorker, transfer: readonly ArrayBuffer[]) => void;
  /** Told whether the process must go on for the worker's sake. */
  readonly hold: (isAwaited: boolean) => void;
  /** Ends the worker at once, whatever it is doing. */
  readonly cut: () => Promise<unknown>;
}

/** A call that the worker has not answered yet. */
interface Waiting {
  readonly options: CallOptions;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly abort: () => void;
  /** What a function of the caller's threw. */
  thrown?: { readonly error: unknown };
}

type SomeFunction = (...args: readonly unknown[]) => unknown;

export class Caller {
  readonly #line: Line;
  readonly #waiting = new Map<number, Waiting>();
  #calls = 0;
  #lost: (() => SextantError) | undefined;

  constructor(line: Line) {
    this.#line = line;
  }

  /** Whether the worker is no more. */
  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /** What the worker gives for a call. Arrays in `args` are copied before this returns. */
  call(method: CallMessage["method"], args: readonly unknown[], options: CallOptions = {}): Promise<unknown> {
    if (this.#lost) return Promise.reject(this.#lost());
    const { signal } = options;
    const id = this.#calls++;
    return new Promise((resolve, reject) => {
      const abort = (): void => this.#line.post({ is: "abort", id }, []);
      this.#post({ is: "call", id, method, args, ...sentOptions(options), isAborted: signal?.aborted ?? false });
      signal?.addEventListener("abort", abort);
      this.#waiting.set(id, { options, resolve, reject, abort });
      if (this.#waiting.size === 1) this.#line.hold(true);
    });
  }

  /** Takes a message of the worker's. */
  hear(message: ToCaller): void {
    const waiting = this.#waiting.get(message.id);
    if (!waiting) return;
    if (message.is === "function") {
      void this.#callFunction(waiting, message);
      return;
    }
    this.#settled(message.id, waiting);
    if (waiting.thrown) waiting.reject(waiting.thrown.error);
    else if (message.is === "done") waiting.resolve(message.value);
    else waiting.reject(withReason(receivedError(message.error), waiting.options.signal));
  }

  /** Fails all calls, those under way and those to come. */
  lose(error: () => SextantError): void {
    this.#lost ??= error;
    for (const [id, waiting] of this.#waiting) {
      this.#settled(id, waiting);
      waiting.reject(this.#lost());
    }
  }

  async cut(): Promise<void> {
    await this.#line.cut();
  }

  #post(message: ToWorker): void {
    const { value, transfer } = withCopies(message);
    try {
      this.#line.post(value, transfer);
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      throw new SextantError("request", `only plain data and typed arrays can be sent to a worker: ${said}`, { cause: error });
    }
  }

  #settled(id: number, { options, abort }: Waiting): void {
    options.signal?.removeEventListener("abort", abort);
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#line.hold(false);
  }

  /** Calls one of the caller's functions, unless one of them threw before. */
  async #callFunction(waiting: Waiting, { name, args, question }: FunctionMessage): Promise<void> {
    const answer = (said: { value?: unknown; hasFailed: boolean }): void => {
      if (question !== undefined && !this.#lost) this.#post({ is: "answer", question, ...said });
    };
    if (waiting.thrown) return answer({ hasFailed: true });
    try {
      const value = functionNamed(waiting.options, name)(...args);
      if (question !== undefined) answer({ value: await value, hasFailed: false });
    } catch (error) {
      waiting.thrown ??= { error };
      waiting.abort();
      answer({ hasFailed: true });
    }
  }
}

/** The options that are data, and the names of those that are functions. */
function sentOptions(options: CallOptions): Pick<CallMessage, "options" | "functions"> {
  const given = Object.entries(options).filter(([option, value]) => value !== undefined && option !== "signal");
  const isFunction = (option: string): option is FunctionName["option"] => Object.hasOwn(FUNCTIONS, option);
  const functions = given.flatMap(([option, value]): FunctionName[] => {
    if (!isFunction(option)) return [];
    return FUNCTIONS[option] === "asked by name" ? Object.keys(value as object).map((key) => ({ option, key })) : [{ option }];
  });
  return { options: Object.fromEntries(given.filter(([option]) => !isFunction(option))), functions };
}

function functionNamed(options: CallOptions, { option, key }: FunctionName): SomeFunction {
  const found: unknown = options[option];
  return (key === undefined ? found : (found as Readonly<Record<string, unknown>>)[key]) as SomeFunction;
}

/** An interruption with the caller's own reason: the worker does not know it. */
function withReason(error: Error, signal: AbortSignal | undefined): Error {
  const isOurs = error instanceof SextantError && error.kind === "interrupted" && signal?.aborted;
  return isOurs ? new SextantError("interrupted", error.message, { cause: signal.reason }) : error;
}
