/**
 * @file A GGUF file as a model: its keys become a configuration, its tensors those of a checkpoint. Weights are made as float32 (float16 and
 * bfloat16 stay as they are) in a file of the cache folder when they are first needed, since graphs point at files. That costs the disk 4 bytes a
 * weight, once a file.
 */
import { homedir } from "node:os";
import { join } from "node:path";
import { env } from "node:process";
import { must, refuse, SextantError } from "../base/errors.js";
import { sizeOf } from "../base/tensor.js";
import { DTYPES, type Dtype } from "../formats/dtype.js";
import { resolveFuture } from "../formats/files.js";
import { cachePath, fillCache } from "../formats/gguf/cache.js";
import { isGguf, readGgufHeader, type GgufHeader } from "../formats/gguf/header.js";
import { READABLE_TYPES, type GgufType } from "../formats/gguf/block-types.js";
import { GgufWeights } from "../formats/gguf/weights.js";
import { quote } from "../formats/json.js";
import { readText } from "../formats/json-file.js";
import { Checkpoint, DiskRanges, openCheckpoint, type StoredTensor } from "../formats/safetensors.js";
import { streamedBytes, streamedLayout } from "../formats/safetensors-writer.js";
import type { Json } from "../models/config.js";
import { ggufConfig } from "../models/gguf-config.js";
import { ggufWeights, ROPE_FACTORS, type GgufWeight } from "../models/gguf-names.js";
import { readModelSpec } from "../models/read-spec.js";
import type { ModelOnDisk } from "./join-adapter.js";

/** More rotary factors than any head has. */
const MOST_FACTORS = 4096;

/** A GGUF file's model. */
export interface GgufModel extends ModelOnDisk {
  /** What would stand in its `config.json`. */
  readonly config: Json;
}

/** The model that a GGUF file describes; its weights are made when they are first read. The caller closes the checkpoint. */
export function openGgufModel(path: string): GgufModel {
  const header = readGgufHeader(path);
  const config = configOf(header, path);
  const weights = ggufWeights(header.tensors, config);
  checkWeights(weights, header, path);
  const spec = readModelSpec(config, new Map(weights.map(({ name, shape }) => [name, shape])), path);
  return { spec, config, checkpoint: checkpointOf(weights, header, path) };
}

/** The checkpoint of a model's folder, of one safetensors file, or of a GGUF file; who opens it closes it. */
export function openModelCheckpoint(path: string): Checkpoint {
  return isGguf(path) ? openGgufModel(path).checkpoint : openCheckpoint(path);
}

/** The text of a model's `config.json`, or what would stand there of a GGUF file. */
export function modelConfigText(path: string): string {
  if (!isGguf(path)) return readText(join(path, "config.json"));
  return `${JSON.stringify(configOf(readGgufHeader(path), path), null, 2)}\n`;
}

function configOf(header: GgufHeader, path: string): Json {
  const { metadata, tensors } = header;
  const stored = tensors.get(ROPE_FACTORS);
  if (!stored) return ggufConfig({ metadata, tensors }, path);
  if (sizeOf(stored.shape) > MOST_FACTORS)
    throw new SextantError("weights", `${path}: ${ROPE_FACTORS} has ${sizeOf(stored.shape)} factors`);
  const weights = new GgufWeights(header);
  try {
    return ggufConfig({ metadata, tensors, ropeFactors: [...weights.floats(ROPE_FACTORS)] }, path);
  } finally {
    weights.close();
  }
}

/** Throws where a tensor's type is not read, or where two would have one name. */
function checkWeights(weights: readonly GgufWeight[], { tensors }: GgufHeader, path: string): void {
  const unread = [...tensors.values()].find(({ type }) => !READABLE_TYPES.includes(type));
  if (unread) {
    const why = `its tensor ${quote(unread.name)} is stored as ${unread.type}; read are ${READABLE_TYPES.join(", ")}`;
    throw refuse({ what: `cannot load ${path}`, why, instead: "use the model in another quantisation" }, "weights");
  }
  const names = new Set<string>();
  for (const { name } of weights) {
    if (names.has(name)) throw new SextantError("format", `${path}: two of its tensors are ${quote(name)}`);
    names.add(name);
  }
}

function checkpointOf(weights: readonly GgufWeight[], header: GgufHeader, path: string): Checkpoint {
  const made = weights.map((weight) => {
    const stored = must(header.tensors.get(weight.from), weight.from);
    return { ...weight, type: stored.type, dtype: dtypeOf(weight, stored.type) };
  });
  const { offsets, bytes } = streamedLayout(made);
  const file = cachePath(resolveFuture(cacheFolder()), header);
  const tensors = made.map(({ name, shape, dtype, type }): [string, StoredTensor] => {
    const place = { file, offset: must(offsets.get(name), name), bytes: sizeOf(shape) * DTYPES[dtype].bytes };
    return [name, { name, dtype, ...(type !== dtype && { storedAs: type }), shape, ...place }];
  });
  const prepare = () => fillCache({ path: file, bytes }, () => contentOf(made, header));
  return new Checkpoint(path, [{ tensors: new Map(tensors), metadata: new Map(), prepare }], new DiskRanges());
}

/** Half precision stays as it is where nothing has to be undone. */
function dtypeOf({ change }: GgufWeight, type: GgufType): Dtype {
  return change.kind === "none" && (type === "F16" || type === "BF16") ? type : "F32";
}

function* contentOf(made: readonly (GgufWeight & { readonly dtype: Dtype })[], header: GgufHeader): Generator<Uint8Array> {
  const weights = new GgufWeights(header);
  try {
    const piecesOf = ({ from, change, dtype }: (typeof made)[number]) =>
      dtype === "F32" ? weights.floatPieces(from, change) : weights.storedPieces(from);
    yield* streamedBytes(made.map((weight) => ({ ...weight, pieces: () => piecesOf(weight) })));
  } finally {
    weights.close();
  }
}

/** `SEXTANT_CACHE`, or `sextant` in the user's folder for caches; `gguf` below it. */
function cacheFolder(): string {
  const own = env["SEXTANT_CACHE"] || join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "sextant");
  return join(own, "gguf");
}
