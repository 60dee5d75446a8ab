/**
 * @file The worker's side: hears calls, runs them on a model that it loads, and posts what comes out. Functions among the options are stand-ins
 * that post what they are given; signals are aborted by messages, which are heard between two blocks.
 */
import { internal, must } from "../../base/errors.js";
import type { Model } from "../model.js";
import { givenAway, withCopies } from "./packing.js";
import { FUNCTIONS, type CallMessage, type CallOptions, type FunctionName, type ToCaller, type ToWorker } from "./protocol.js";
import { sentError } from "./sent-error.js";

/** The way back to the caller. */
export type Post = (message: ToCaller, transfer: readonly ArrayBuffer[]) => void;

/** Somebody who waits for what a function of the caller's says. */
interface Asking {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class Host {
  readonly #load: (path: string, options: CallOptions) => Promise<Model>;
  readonly #post: Post;
  readonly #signals = new Map<number, AbortController>();
  readonly #asking = new Map<number, Asking>();
  #questions = 0;
  #model: Model | undefined;

  constructor(load: (path: string, options: CallOptions) => Promise<Model>, post: Post) {
    this.#load = load;
    this.#post = post;
  }

  /** Takes a message of the caller's. */
  hear(message: ToWorker): void {
    if (message.is === "call") void this.#answer(message);
    else if (message.is === "abort") this.#signals.get(message.id)?.abort();
    else {
      const asking = this.#asking.get(message.question);
      this.#asking.delete(message.question);
      if (message.hasFailed) asking?.reject(internal("a function of the caller's failed"));
      else asking?.resolve(message.value);
    }
  }

  async #answer(call: CallMessage): Promise<void> {
    const { id } = call;
    const controller = new AbortController();
    this.#signals.set(id, controller);
    if (call.isAborted) controller.abort();
    try {
      const { value, transfer } = givenAway(await this.#run(call, controller.signal));
      this.#post({ is: "done", id, value }, transfer);
    } catch (error) {
      this.#post({ is: "failed", id, error: sentError(error) }, []);
    } finally {
      this.#signals.delete(id);
    }
  }

  async #run(call: CallMessage, signal: AbortSignal): Promise<unknown> {
    const { method, args } = call;
    const options: CallOptions = { ...call.options, ...this.#functions(call), signal };
    if (method === "load") {
      this.#model = await this.#load(args[0] as string, options);
      return this.#model.spec;
    }
    const model = must(this.#model, "the model");
    return (model[method] as (...given: readonly unknown[]) => Promise<unknown>).call(model, ...args, options);
  }

  /** Stand-ins for the functions among the caller's options. */
  #functions({ id, functions }: CallMessage): CallOptions {
    const standIn = (name: FunctionName): ((...args: readonly unknown[]) => unknown) =>
      FUNCTIONS[name.option] === "told"
        ? (...args) => this.#post({ is: "function", id, name, args }, [])
        : (...args) => this.#ask(id, name, args);
    const options: Record<string, unknown> = {};
    for (const name of functions) {
      const { option, key } = name;
      options[option] = key === undefined ? standIn(name) : { ...(options[option] as object | undefined), [key]: standIn(name) };
    }
    return options;
  }

  /** Arguments are copied: the run goes on with them. */
  #ask(id: number, name: FunctionName, given: readonly unknown[]): Promise<unknown> {
    const question = this.#questions++;
    const { value: args, transfer } = withCopies(given);
    return new Promise((resolve, reject) => {
      this.#asking.set(question, { resolve, reject });
      this.#post({ is: "function", id, name, args, question }, transfer);
    });
  }
}
