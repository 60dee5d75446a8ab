/**
 * @file The only door to ONNX Runtime: makes sessions from graph bytes and runs them. Spinning is off, since many sessions
 * whose threads spin fight for the cores (measured: 121 ms instead of 17 for one token of a 12-block model).
 */
import type * as Ort from "onnxruntime-node";
import { SextantError } from "../base/errors.js";
import type { TensorData } from "../base/tensor.js";
import { throughGate } from "./gate.js";

/** A value inside or between sessions. `release` gives its memory back; do so as soon as it is consumed. */
export interface Held {
  readonly data: TensorData;
  readonly dims: readonly number[];
  release(): void;
}

/** A value to be fed: float32, int32 or int64. */
export type Feed = Held | { readonly data: Float32Array | Int32Array | BigInt64Array; readonly dims: readonly number[] };

export interface Session {
  /** `into`: arrays that results are to be written to, by id, with the dims that they will have. */
  run(
    feeds: Readonly<Record<string, Feed>>,
    fetches: readonly string[],
    into?: Readonly<Record<string, Place>>,
  ): Promise<Record<string, Held>>;
  close(): Promise<void>;
}

/** Where a float32 result is to be written. */
export interface Place {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

export interface SessionOptions {
  /** Folder that the graph's external data is relative to. */
  readonly folder: string;
  readonly threads?: number;
}

let library: Promise<typeof Ort> | undefined;

function ort(): Promise<typeof Ort> {
  library ??= throughGate(() => import("onnxruntime-node"));
  return library;
}

/** The version of ONNX Runtime. */
export async function runtimeVersion(): Promise<string> {
  const { env } = await ort();
  return env.versions.node ?? env.versions.common;
}

/** A session for the graph. */
export async function openSession(graph: Uint8Array, options: SessionOptions): Promise<Session> {
  const { InferenceSession, Tensor } = await ort();
  const session = await guarded("making a session", () =>
    InferenceSession.create(graph, {
      executionProviders: ["cpu"],
      graphOptimizationLevel: "all",
      logSeverityLevel: 3,
      ...(options.threads !== undefined && { intraOpNumThreads: options.threads }),
      extra: {
        session: { intra_op: { allow_spinning: "0" }, model_external_initializers_file_folder_path: options.folder },
      },
    }),
  );
  return {
    async run(feeds, fetches, into = {}) {
      const inputs: Record<string, Ort.Tensor> = {};
      for (const [id, { data, dims }] of Object.entries(feeds)) inputs[id] = tensorOf(Tensor, data, dims);
      const wanted: Record<string, Ort.Tensor | null> = {};
      for (const id of fetches) wanted[id] = into[id] ? tensorOf(Tensor, into[id].data, into[id].dims) : null;
      const results = await guarded("computing", () => session.run(inputs, wanted));
      return Object.fromEntries(fetches.map((id) => [id, into[id] ? { ...into[id], release: () => undefined } : held(results[id]!)]));
    },
    close: () => session.release(),
  };
}

function tensorOf(Tensor: typeof Ort.Tensor, given: Feed["data"], dims: readonly number[]): Ort.Tensor {
  // Arrays on shared memory are "Invalid argument" to it.
  const data = given.buffer instanceof SharedArrayBuffer ? given.slice() : given;
  if (data instanceof Float32Array) return new Tensor("float32", data, dims);
  if (data instanceof Int32Array) return new Tensor("int32", data, dims);
  return new Tensor("int64", data, dims);
}

function held(result: Ort.Tensor): Held {
  return { data: result.data as TensorData, dims: result.dims, release: () => result.dispose() };
}

/** Failures of the library as our own: out of memory is told apart. */
async function guarded<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await throughGate(work);
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const isMemory = /bad_alloc|Failed to allocate memory|out of memory|array buffer allocation/i.test(said);
    if (isMemory)
      throw new SextantError("memory", `not enough memory while ${doing}: use fewer rows, shorter rows, or read fewer points`, {
        cause: error,
      });
    throw new SextantError("internal", `internal: ONNX Runtime failed while ${doing}: ${said}`, { cause: error });
  }
}
