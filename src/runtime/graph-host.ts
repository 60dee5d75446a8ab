/** @file What an engine's graphs are run by: who says where weights lie, and who opens sessions. On the disk it is `diskHost`. */
import type { WeightLocation } from "../graph/emit.js";
import type { Weight } from "../graph/graph.js";
import type { Device } from "./device.js";
import type { Session } from "./session.js";

export interface GraphHost {
  /** Where a weight's bytes are, as the graph is to say it. */
  locate(weight: Weight): WeightLocation;
  /** Where its sessions compute. Default: the CPU. */
  readonly device?: Device;
  /** Whether it opens sessions that leave their results on the device. */
  readonly leaves?: boolean;
  /** A session for the ONNX bytes of a graph with these weights. */
  open(graph: Uint8Array, weights: readonly Weight[], options?: { readonly leaves?: true }): Promise<Session>;
  /** Starts to read the weights, so that a session for them is made sooner; there is nothing to gain where they are in memory. */
  readAhead?(weights: readonly Weight[]): Promise<void>;
}
