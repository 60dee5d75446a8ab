/** @file Where weights lie in the checkpoint's files on the disk, as ONNX external data wants it: one folder, and paths below it. */
import { dirname, relative, sep } from "node:path";
import type { Checkpoint } from "../formats/checkpoint.js";
import type { WeightLocation } from "../graph/emit.js";
import type { Weight } from "../graph/graph.js";
import type { GraphHost } from "./graph-host.js";
import { locateWeight } from "./locate-weight.js";
import { openSession, type SessionOptions } from "./session.js";

export class WeightFiles {
  /** The folder that all files of the checkpoint are under, symbolic links resolved. */
  readonly folder: string;
  readonly #checkpoint: Checkpoint;

  /** `weights`: what will be located, whose files are made if they must be; all by default. */
  constructor(checkpoint: Checkpoint, weights?: readonly Pick<Weight, "name">[]) {
    checkpoint.makeFiles(weights?.map(({ name }) => name));
    this.#checkpoint = checkpoint;
    this.folder = commonFolder([...checkpoint.tensors.values()].map(({ file }) => file));
  }

  /** The file and byte range of a weight. */
  locate(weight: Weight): WeightLocation {
    const location = locateWeight(this.#checkpoint, weight);
    return { ...location, file: relative(this.folder, location.file) };
  }

  /** Reads the bytes of the weights so that the system has them at hand when a session maps them; nothing of them is kept here. */
  async readAhead(weights: readonly Weight[]): Promise<void> {
    await this.#checkpoint.readAhead(weights.map((weight) => locateWeight(this.#checkpoint, weight)));
  }
}

/** Runs graphs on the disk's files: ONNX Runtime reads the weights from there itself. */
export function diskHost(files: WeightFiles, options: Pick<SessionOptions, "threads" | "device"> = {}): GraphHost {
  return {
    device: options.device ?? "cpu",
    leaves: options.device === "webgpu",
    locate: (weight) => files.locate(weight),
    readAhead: (weights) => files.readAhead(weights),
    open: (graph, _, leaving) => openSession(graph, { folder: files.folder, ...options, ...leaving }),
  };
}

function commonFolder(files: readonly string[]): string {
  const folders = files.map((file) => dirname(file).split(sep));
  const [first = []] = folders;
  const shared = first.findIndex((part, depth) => !folders.every((folder) => folder[depth] === part));
  return (shared === -1 ? first : first.slice(0, shared)).join(sep) || sep;
}
