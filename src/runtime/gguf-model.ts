/**
 * @file A GGUF file as a model: its keys become a configuration, its tensors those of a checkpoint. Weights are made as float32 (float16 and
 * bfloat16 stay as they are) in a file of the cache folder when they are first needed, since graphs point at files. That costs the disk 4 bytes a
 * weight, once a file.
 */
import { join } from "node:path";
import { must, refuse, SextantError } from "../base/errors.js";
import { sizeOf } from "../base/tensor.js";
import { DTYPES, type Dtype } from "../formats/dtype.js";
import { isGguf, readGgufHeader, type GgufHeader } from "../formats/gguf/header.js";
import { exactForm, READABLE_TYPES, type GgufType } from "../formats/gguf/block-types.js";
import { GgufWeights } from "../formats/gguf/weights.js";
import { quote } from "../formats/json.js";
import { readText } from "../formats/json-file.js";
import { contentHash, fillCache, madePath } from "../formats/made-files.js";
import { Checkpoint, DiskRanges, openCheckpoint, type StoredTensor } from "../formats/safetensors.js";
import { inFileOrder, streamedBytes, streamedLayout } from "../formats/safetensors-writer.js";
import type { Json } from "../models/config.js";
import { ggufConfig } from "../models/gguf-config.js";
import { ggufWeights, ROPE_FACTORS, type GgufWeight } from "../models/gguf-names.js";
import { readModelSpec } from "../models/read-spec.js";
import { cacheFolder } from "./cache-folder.js";
import type { ModelOnDisk } from "./join-adapter.js";
import type { MatrixSource } from "./matrices.js";

/** More rotary factors than any head has. */
const MOST_FACTORS = 4096;

/** Counts up when the same bytes would become other numbers, or the same numbers lie elsewhere. */
const VERSION = 1;

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
  const made = weights.map((weight) => madeOf(weight, header));
  return { spec, config, checkpoint: checkpointOf(made, header, path), matrices: matricesOf(made, header) };
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

/** A weight, and how it is stored once it is made. */
interface MadeWeight extends GgufWeight {
  readonly type: GgufType;
  readonly dtype: Dtype;
}

function madeOf(weight: GgufWeight, { tensors }: GgufHeader): MadeWeight {
  const { type } = must(tensors.get(weight.from), weight.from);
  return { ...weight, type, dtype: dtypeOf(weight, type) };
}

function checkpointOf(weights: readonly MadeWeight[], header: GgufHeader, path: string): Checkpoint {
  const made = inFileOrder(weights);
  const { offsets, bytes } = streamedLayout(made);
  const file = madePath(cacheFolder("gguf"), [contentHash(header.file, cacheFolder("hashes"))], String(VERSION));
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

function* contentOf(made: readonly MadeWeight[], header: GgufHeader): Generator<Uint8Array> {
  const weights = new GgufWeights(header);
  try {
    yield* streamedBytes(made.map((weight) => ({ ...weight, pieces: () => bytesOf(weight, weights) })));
  } finally {
    weights.close();
  }
}

function bytesOf({ from, change, dtype }: MadeWeight, weights: GgufWeights): Iterable<Uint8Array> {
  return dtype === "F32" ? weights.floatPieces(from, change) : weights.storedPieces(from);
}

/** The file's own matrices: blocks as they are where that many bits hold them, none by way of the float32 cache. */
function matricesOf(made: readonly MadeWeight[], header: GgufHeader): MatrixSource {
  const byName = new Map(made.map((weight) => [weight.name, weight] as const));
  const weightOf = (name: string): MadeWeight => must(byName.get(name), name);
  const exactOf = (name: string): ReturnType<typeof exactForm> => exactForm(weightOf(name).type);
  return {
    formOf(name, most) {
      const exact = exactOf(name);
      return exact && exact.bits <= most ? { bits: exact.bits, block: exact.block } : { bits: most, block: 32 };
    },
    loose: (name) => byName.get(name),
    files: () => [header.file],
    open() {
      const weights = new GgufWeights(header);
      return {
        rows({ weight: { name } }, form) {
          const { from, change } = weightOf(name);
          const exact = exactOf(name);
          return weights.rowPieces(from, change, { exact: exact?.bits === form.bits && exact.block === form.block });
        },
        bytes: (name) => bytesOf(weightOf(name), weights),
        close: () => weights.close(),
      };
    },
  };
}
