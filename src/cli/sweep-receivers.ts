/** @file The notation of `--to`: who is told what a sender says, such as `q.9.6,k.9.g1,mlp.10` or `end`. */
import type { PathRequest } from "../analyses/sweeps/path.js";
import { usage } from "./parse.js";

/** Who is told. */
export type Receiver = PathRequest["receivers"][number];

/** The receivers between commas. */
export function parseReceivers(text: string): Receiver[] {
  const receivers = text.split(",").map((part) => receiverOf(part.trim(), text));
  if (receivers.length > 1 && receivers.some(({ into }) => into === "end")) throw usage("--to: end stands alone");
  return receivers;
}

function receiverOf(part: string, whole: string): Receiver {
  if (part === "end") return { into: "end" };
  const mlp = /^mlp\.(\d+)$/.exec(part);
  if (mlp) return { into: "mlp", layer: Number(mlp[1]) };
  const [, into, layer, group, index] = /^([qkv])\.(\d+)\.(g?)(\d+)$/.exec(part) ?? [];
  if (into === "q" && group === "") return { into, layer: Number(layer), head: Number(index) };
  if (into === "k" || into === "v") {
    const own = { into, layer: Number(layer) } as const;
    return group ? { ...own, kvHead: Number(index) } : { ...own, head: Number(index) };
  }
  throw usage(`--to takes q.L.H, k.L.H, v.L.H, k.L.gN, v.L.gN, mlp.L with commas between, or end; got ${JSON.stringify(whole)}`);
}

/** The address at which a receiver's change shows; undefined for the end of the stream. */
export function receiverAddress(receiver: Receiver): string | undefined {
  if (receiver.into === "end") return undefined;
  return `${receiver.into === "mlp" ? "mlp_out" : receiver.into}.${receiver.layer}`;
}
