/**
 * @file The only door to ONNX Runtime: makes sessions from graph bytes and runs them. On WebGPU some values may stay in the device's
 * memory between sessions.
 */
import type * as Ort from "onnxruntime-node";
import { internal, must, SextantError } from "../base/errors.js";
import { sizeOf, type TensorData } from "../base/tensor.js";
import { GraphBuilder } from "../graph/builder.js";
import { emitOnnx } from "../graph/emit.js";
import { unary } from "../graph/ops.js";
import { deviceError, type Device } from "./device.js";
import { throughGate } from "./gate.js";
import { demandFloat32, isInstalled, PLATFORM } from "./provider-files.js";

/** A value inside or between sessions. `release` gives its memory back; do so as soon as it is consumed. */
export interface Held {
  readonly data: TensorData;
  readonly dims: readonly number[];
  release(): void;
}

/** A value to be fed: float32, int32 or int64. */
export type Feed = Held | { readonly data: Float32Array | Int32Array | BigInt64Array; readonly dims: readonly number[] };

/** A value in the memory of the device, to be fed to sessions of the same device. `release` gives that memory back; so does `bring`, which brings it here. */
export interface Resident {
  readonly resident: Ort.Tensor;
  readonly dims: readonly number[];
  bring(): Promise<Held>;
  release(): void;
}

/** What a session is fed, by id. */
export type Feeds = Readonly<Record<string, Feed | Resident>>;

export interface Session {
  /** `into`: arrays that results are to be written to, by id, with the dims that they will have. */
  run(feeds: Feeds, fetches: readonly string[], into?: Readonly<Record<string, Place>>): Promise<Record<string, Held>>;
  /** As `run`, of a session that `leaves` its results on the device; `fetches` must be the same each time. Other sessions have it not. */
  readonly runLeaving?: (feeds: Feeds, fetches: readonly string[]) => Promise<Record<string, Held | Resident>>;
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
  /** Where it computes; by default the CPU. */
  readonly device?: Device;
  /** Whether float32 results are left on the device, which must be WebGPU: then it is run by `runLeaving`. */
  readonly leaves?: true;
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

/** A session for the graph. A device that cannot be used is refused, with what to install. */
export async function openSession(graph: Uint8Array, options: SessionOptions): Promise<Session> {
  const { Tensor } = await ort();
  const session = await create(graph, options);
  const compute = (feeds: Feeds, wanted: Record<string, Ort.Tensor | null>): Promise<Ort.InferenceSession.ReturnType> => {
    const inputs = Object.fromEntries(Object.entries(feeds).map(([id, feed]) => [id, tensorOf(Tensor, feed)]));
    return guarded("computing", () => session.run(inputs, wanted));
  };
  return {
    async run(feeds, fetches, into = {}) {
      const place = (id: string): Ort.Tensor | null => (into[id] ? tensorOf(Tensor, into[id]) : null);
      const results = await compute(feeds, Object.fromEntries(fetches.map((id) => [id, place(id)])));
      return Object.fromEntries(fetches.map((id) => [id, into[id] ? { ...into[id], release: () => undefined } : held(results[id]!)]));
    },
    async runLeaving(feeds, fetches) {
      const results = await compute(feeds, Object.fromEntries(fetches.map((id) => [id, null])));
      return Object.fromEntries(fetches.map((id) => [id, results[id]!.location === "cpu" ? held(results[id]!) : residentOf(results[id]!)]));
    },
    close: () => session.release(),
  };
}

async function create(graph: Uint8Array, { folder, threads, device = "cpu", leaves }: SessionOptions): Promise<Ort.InferenceSession> {
  const { InferenceSession, listSupportedBackends } = await ort();
  const failure = (said: string, cause?: unknown): SextantError => {
    const isKnown = listSupportedBackends().some(({ name }) => name === device);
    return deviceError({ device, isKnown, isInstalled: isInstalled(device), platform: PLATFORM, said }, cause);
  };
  if (!isInstalled(device)) throw failure("");
  demandFloat32(device);
  try {
    return await guarded("making a session", () =>
      InferenceSession.create(graph, {
        executionProviders: [device],
        graphOptimizationLevel: "all",
        logSeverityLevel: 3,
        ...(threads !== undefined && { intraOpNumThreads: threads }),
        ...(leaves && device === "webgpu" && { preferredOutputLocation: "gpu-buffer" }),
        extra: { session: { ...SPINNING, model_external_initializers_file_folder_path: folder } },
      }),
    );
  } catch (error) {
    const said = error instanceof Error ? error.message : "";
    if (device !== "cpu" && NO_DEVICE.test(said)) throw failure(said.replace(/^internal: .*? a session: /, ""), error);
    throw error;
  }
}

/**
 * A thread that waits for its share of the next op spins while its session computes, and no longer: a token of GPT-2 small's shape takes 21 ms instead of 22.5,
 * and 160 where the threads of all twelve blocks go on spinning against each other.
 */
const SPINNING = { intra_op: { allow_spinning: "1" }, force_spinning_stop: "1" };

/** What ONNX Runtime says where it is the device that cannot be used, not the graph. */
const NO_DEVICE =
  /no available backend|failed to get a webgpu|webgpu device|couldn't load vulkan|AppendExecutionProvider|(CUDA|CUDNN) failure/i;

let copying: Promise<{ readonly session: Session; readonly id: string }> | undefined;

/**
 * The elements of a value that lies on the device; its memory there is given back. The binding's own download is not implemented and ends the
 * process (1.30), so a session copies it. That session stays for the life of the process.
 */
async function download(value: Omit<Resident, "bring">): Promise<Held> {
  copying ??= openCopy();
  const { session, id } = await copying;
  const made = await session.run({ x: { ...residentOf(value.resident), dims: [sizeOf(value.dims)] } }, [id]);
  value.release();
  return { ...must(made[id], "the copy"), dims: value.dims };
}

async function openCopy(): Promise<{ session: Session; id: string }> {
  const builder = new GraphBuilder();
  const copy = unary(builder, "Identity", builder.input("x", ["unit"]));
  const noWeight = (id: string): never => {
    throw internal(`a copy has no weight ${id}`);
  };
  return { session: await openSession(emitOnnx(builder.finish(), [copy.id], noWeight), { folder: "", device: "webgpu" }), id: copy.id };
}

function tensorOf(Tensor: typeof Ort.Tensor, feed: Feed | Resident): Ort.Tensor {
  const { dims } = feed;
  if ("resident" in feed) {
    const gpuBuffer = feed.resident.gpuBuffer as Parameters<typeof Ort.Tensor.fromGpuBuffer>[0];
    return Tensor.fromGpuBuffer(gpuBuffer, { dataType: "float32", dims });
  }
  // Arrays on shared memory are "Invalid argument" to it.
  const data = feed.data.buffer instanceof SharedArrayBuffer ? feed.data.slice() : feed.data;
  if (data instanceof Float32Array) return new Tensor("float32", data, dims);
  if (data instanceof Int32Array) return new Tensor("int32", data, dims);
  return new Tensor("int64", data, dims);
}

function held(result: Ort.Tensor): Held {
  return { data: result.data as TensorData, dims: result.dims, release: () => result.dispose() };
}

function residentOf(result: Ort.Tensor): Resident {
  const value = { resident: result, dims: result.dims, release: () => result.dispose() };
  return { ...value, bring: () => download(value) };
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
