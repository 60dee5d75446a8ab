/** @file A checkpoint in several files: the index says which holds which tensor. A name in it that would lead out of the folder is refused. */
import { must } from "../base/errors.js";
import type { CheckpointPart } from "./checkpoint.js";
import { describeJson, isJsonObject, quote, type JsonObject } from "./json.js";
import { violation, type SafetensorsHeader, type StoredTensor } from "./safetensors-header.js";

/** What a checkpoint in one file is called. */
export const WHOLE = "model.safetensors";

/** What the index of a checkpoint in several files is called. */
export const INDEX = "model.safetensors.index.json";

/** The tensors that an index lists, each in the file that it names; `path` is what an error calls the index. Every file is read once. */
export function joinShards(index: JsonObject, path: string, readShard: (shard: string) => SafetensorsHeader): CheckpointPart {
  const map = readWeightMap(index, path);
  const headers = new Map([...new Set(map.values())].sort().map((shard) => [shard, readShard(shard)]));
  const tensors = [...map].map(([name, shard]): [string, StoredTensor] => {
    const stored = must(headers.get(shard), shard).tensors.get(name);
    if (!stored) throw violation(path, `tensor ${quote(name)} is said to be in ${shard}, which does not have it`);
    return [name, stored];
  });
  const metadata = [...headers.values()].flatMap((header) => [...header.metadata]);
  return { tensors: new Map(tensors), metadata: new Map(metadata) };
}

/** File by tensor; `path` is what an error calls the index. */
export function readWeightMap(index: JsonObject, path: string): Map<string, string> {
  const map = index["weight_map"];
  if (!isJsonObject(map)) throw violation(path, `weight_map must be an object, got ${describeJson(map)}`);
  const entries = Object.entries(map).map(([name, shard]): [string, string] => {
    if (typeof shard !== "string") throw violation(path, `weight_map ${quote(name)} must name a file, got ${describeJson(shard)}`);
    if (!isPlainFileName(shard))
      throw violation(path, `weight_map ${quote(name)} names ${quote(shard)}, which is not a file of this folder`);
    return [name, shard];
  });
  return new Map(entries);
}

function isPlainFileName(name: string): boolean {
  return /^[^/\\\0:]+$/.test(name) && name !== "." && name !== "..";
}
