/** @file The gradients of a trial as ONNX Runtime computes them, in float32. */
import { tmpdir } from "node:os";
import { must } from "../../src/base/errors.js";
import { weightsAsInputs } from "../../src/graph/as-inputs.js";
import { emitOnnx } from "../../src/graph/emit.js";
import { forWebGpu } from "../../src/graph/for-webgpu.js";
import type { Graph } from "../../src/graph/graph.js";
import { differentiate, seedName } from "../../src/graph/vjp.js";
import type { Device } from "../../src/runtime/device.js";
import { openSession, type Feed } from "../../src/runtime/session.js";
import type { Trial } from "./gradient-trial.js";
import { ndArray, type NdArray } from "./nd-array.js";

/** By id of the target; targets without a gradient are missing. Weights are fed, so no file is needed. */
export async function runGradients(trial: Trial, targets: readonly string[], device: Device = "cpu"): Promise<Map<string, NdArray>> {
  const { graph, gradients } = differentiate(trial.graph, { seeds: [...trial.seeds.keys()], targets });
  const fed = [...trial.seeds].map(([id, seed]) => [seedName(id), seed] as const);
  const results = await run(graph, new Map([...trial.feeds, ...trial.weights, ...fed]), [...new Set(gradients.values())], device);
  return new Map([...gradients].map(([id, made]) => [id, must(results.get(made), made)] as const));
}

/** Values of a graph by id, computed by ONNX Runtime. */
export async function run(
  given: Graph,
  feeds: ReadonlyMap<string, NdArray>,
  fetches: readonly string[],
  device: Device = "cpu",
): Promise<Map<string, NdArray>> {
  const fed = weightsAsInputs(given, () => true);
  const graph = device === "webgpu" ? forWebGpu(fed, fetches) : fed;
  const inputs = new Map(graph.inputs.map(({ id, dtype }) => [id, dtype] as const));
  const computed = fetches.filter((id) => !inputs.has(id));
  const known = new Map([...feeds].filter(([id]) => fetches.includes(id)));
  if (computed.length === 0) return known;
  const bytes = emitOnnx(graph, computed, (id) => {
    throw new Error(`the weight ${id} is not fed`);
  });
  const session = await openSession(bytes, { folder: tmpdir(), threads: 1, device });
  try {
    const dressed = [...inputs].map(([id, dtype]) => [id, feedOf(must(feeds.get(id), id), dtype)] as const);
    const held = await session.run(Object.fromEntries(dressed), computed);
    const results = Object.entries(held).map(([id, { data, dims }]) => [id, ndArray([...dims], data)] as const);
    return new Map([...known, ...results]);
  } finally {
    await session.close();
  }
}

function feedOf({ data, shape }: NdArray, dtype: string): Feed {
  if (dtype === "int64") return { data: BigInt64Array.from(data, BigInt), dims: shape };
  return { data: dtype === "int32" ? Int32Array.from(data) : Float32Array.from(data), dims: shape };
}
