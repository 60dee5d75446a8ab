/**
 * @file The browser's door to ONNX Runtime, which the page imports itself and hands over. WebAssembly has no files: the bytes of a graph's weights go
 * in as data, only those of that graph, and are given up as soon as its session is made.
 */
import type * as Ort from "onnxruntime-node";
import { internal, SextantError } from "../base/errors.js";
import type { TensorData } from "../base/tensor.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import type { WeightLocation } from "../graph/emit.js";
import type { Weight } from "../graph/graph.js";
import type { GraphHost } from "../runtime/graph-host.js";
import { locateWeight } from "../runtime/locate-weight.js";
import type { Feed, Held, Resident, Session } from "../runtime/session.js";

/** What of ONNX Runtime is used: `import * as runtime from "onnxruntime-web/wasm"`, or another of its builds. */
export type WebRuntime = Pick<typeof Ort, "InferenceSession" | "Tensor">;

/** Where a browser computes. `webgpu` needs the build `onnxruntime-web/webgpu`. */
export type WebDevice = "wasm" | "webgpu";

/** How long the thread may compute, in milliseconds, until it rests so that messages, aborts and pictures get their turn. */
const BREATH = 50;

/** Runs graphs by the given ONNX Runtime on weights of the checkpoint. */
export function webHost(runtime: WebRuntime, checkpoint: Checkpoint, device: WebDevice): GraphHost {
  const numbers = new Map([...checkpoint.tensors.keys()].map((name, index) => [name, index]));
  const locate = (weight: Weight): WeightLocation => {
    const { offset, length, dtype } = locateWeight(checkpoint, weight);
    // A name of our own: that of a tensor is a stranger's, and ONNX Runtime takes this for a path.
    return { file: `weight-${numbers.get(weight.name)}-${offset}`, offset: 0, length, dtype };
  };
  const bytesOf = (weight: Weight): Uint8Array => {
    const { offset, length } = locateWeight(checkpoint, weight);
    return checkpoint.readBytes(weight.name, offset - checkpoint.stored(weight.name).offset, length);
  };
  return {
    device: device === "webgpu" ? "webgpu" : "cpu",
    locate,
    async open(graph, weights) {
      const data = new Map(weights.map((weight) => [locate(weight).file, weight]));
      const session = await guarded("making a session", () =>
        runtime.InferenceSession.create(graph, {
          executionProviders: [device],
          graphOptimizationLevel: "all",
          logSeverityLevel: 3,
          externalData: [...data].map(([path, weight]) => ({ path, data: bytesOf(weight) })),
        }),
      );
      return sessionOf(runtime, session);
    },
  };
}

function sessionOf({ Tensor }: WebRuntime, session: Ort.InferenceSession): Session {
  return {
    async run(feeds, fetches, into = {}) {
      const inputs = Object.fromEntries(Object.entries(feeds).map(([id, feed]) => [id, tensorOf(Tensor, feed)]));
      const results = await guarded("computing", () => session.run(inputs, fetches));
      await breathe();
      // Given a tensor to write to, the web's runtime gives it back as it was (1.30), so results are copied there.
      const placed = ([id, result]: [string, Ort.Tensor]): [string, Held] => {
        const place = into[id];
        if (!place) return [id, heldBy(result)];
        place.data.set(result.data as Float32Array);
        result.dispose();
        return [id, { ...place, release: () => undefined }];
      };
      return Object.fromEntries(fetches.map((id) => placed([id, results[id]!])));
    },
    close: () => session.release(),
  };
}

function tensorOf(Tensor: typeof Ort.Tensor, feed: Feed | Resident): Ort.Tensor {
  if ("resident" in feed) throw internal("this host leaves no values on the device");
  const { data, dims } = feed;
  if (data instanceof Float32Array) return new Tensor("float32", data, dims);
  if (data instanceof Int32Array) return new Tensor("int32", data, dims);
  return new Tensor("int64", data, dims);
}

function heldBy(result: Ort.Tensor): Held {
  return { data: result.data as TensorData, dims: result.dims, release: () => result.dispose() };
}

let rested = 0;

/** Rests where the thread has computed for long. */
async function breathe(): Promise<void> {
  if (performance.now() - rested < BREATH) return;
  await new Promise((resolve) => setTimeout(resolve));
  rested = performance.now();
}

/** Failures of the library as our own: out of memory is told apart. */
async function guarded<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    if (/bad_alloc|Failed to allocate memory|out of memory|memory allocation|Aborted\(OOM\)|array buffer allocation/i.test(said))
      throw new SextantError(
        "memory",
        `not enough memory while ${doing}: use a smaller model, fewer or shorter rows, or read fewer points`,
        {
          cause: error,
        },
      );
    throw new SextantError("internal", `internal: ONNX Runtime failed while ${doing}: ${said}`, { cause: error });
  }
}
