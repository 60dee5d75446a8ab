/**
 * @file `--to`: who is told in path patching. `q.1.2` is the query of head 2 in layer 1, and so are `k.1.2` and `v.1.2` its key and value;
 * `k.1.g0` is key head 0 with the whole group of heads that share it; `mlp.1` an MLP; `end` what the last norm gets.
 */
import { isHeardBy, type Receiver } from "../analyses/sweeps/path.js";
import { parseAddress } from "../models/address.js";
import type { PointName } from "../models/points.js";
import { absenceInLayer } from "../models/presence.js";
import type { ModelSpec } from "../models/spec.js";
import { usage } from "./parse.js";

/** The receivers of a list such as `q.1.2,k.1.g0`. */
export function parseReceivers(text: string): Receiver[] {
  const words = text.split(",").map((part) => part.trim());
  const twice = words.find((word, at) => words.indexOf(word) !== at);
  if (twice !== undefined) throw usage(`--to: ${JSON.stringify(twice)} is there twice`);
  if (words.length > 1 && words.includes("end")) throw usage(`--to: end stands alone, got ${JSON.stringify(text)}`);
  return words.map((word) => receiverOf(word, text));
}

function receiverOf(word: string, text: string): Receiver {
  if (word === "end") return { into: "end" };
  const [, mlp] = /^mlp\.(\d+)$/.exec(word) ?? [];
  if (mlp !== undefined) return { into: "mlp", layer: Number(mlp) };
  const [, into, layer, group, head] = /^([qkv])\.(\d+)\.(g?)(\d+)$/.exec(word) ?? [];
  if (into === undefined || (into === "q" && group === "g"))
    throw usage(
      `--to must be q.LAYER.HEAD, k.LAYER.HEAD, v.LAYER.HEAD, k.LAYER.gGROUP, v.LAYER.gGROUP, mlp.LAYER or end, got ${JSON.stringify(text)}`,
    );
  const place = { into: into as "k" | "v", layer: Number(layer) };
  return group === "g" ? { ...place, kvHead: Number(head) } : { ...place, into: into as "q" | "k" | "v", head: Number(head) };
}

/** The layers in which a sender stands in front of every receiver, and those in which it does not. */
export function layersInFront(
  spec: ModelSpec,
  { point, receivers }: { point: PointName; receivers: readonly Receiver[] },
): { inFront: number[]; behind: number[] } {
  const having = spec.layers.flatMap((layer, index) => (absenceInLayer(layer, point) ? [] : [index]));
  const isInFront = (layer: number): boolean => isHeardBy(spec, parseAddress(spec, `${point}.${layer}`), receivers);
  return { inFront: having.filter(isInFront), behind: having.filter((layer) => !isInFront(layer)) };
}
