/**
 * @file A checkpoint on the disk: one safetensors file, or shards with an index. Symbolic links are followed, since the hub's cache is made of
 * them; a name in an index that would lead out of the folder is refused.
 */
import { closeSync, fstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { refuse, type SextantError } from "../base/errors.js";
import { tensor, type Tensor } from "../base/tensor.js";
import { Checkpoint, type FileRange, type FileRanges } from "./checkpoint.js";
import { isIntegerDtype, toInt32 } from "./dtype.js";
import { allDone, fillFrom, openFile, passOver, readRange, resolveReal, statOf } from "./files.js";
import { quote } from "./json.js";
import { readJsonObject } from "./json-file.js";
import { parseSafetensorsHeader, violation, type SafetensorsHeader, type StoredTensor } from "./safetensors-header.js";
import { INDEX, joinShards, WHOLE } from "./shards.js";

export { Checkpoint, type SafetensorsHeader, type StoredTensor };

/** Ranges of files on the disk, which are opened when first needed. */
export class DiskRanges implements FileRanges {
  readonly #descriptors = new Map<string, number>();

  fill(file: string, from: number, out: Uint8Array): void {
    fillFrom(this.#descriptor(file), file, from, out);
  }

  async readAhead(ranges: readonly FileRange[]): Promise<void> {
    await allDone(ranges.map(({ file, ...range }) => passOver(this.#descriptor(file), file, range)));
  }

  close(): void {
    for (const descriptor of this.#descriptors.values()) closeSync(descriptor);
    this.#descriptors.clear();
  }

  #descriptor(file: string): number {
    let descriptor = this.#descriptors.get(file);
    if (descriptor === undefined) this.#descriptors.set(file, (descriptor = openFile(file)));
    return descriptor;
  }
}

/** What the header of a `.safetensors` file says; every violation of the format is named with file and tensor. */
export function readSafetensorsHeader(path: string): SafetensorsHeader {
  const file = resolveReal(path);
  const descriptor = openFile(file);
  try {
    const { size } = fstatSync(descriptor);
    return parseSafetensorsHeader({ path, file, size, read: (from, length) => readRange(descriptor, path, from, length) });
  } finally {
    closeSync(descriptor);
  }
}

/** The checkpoint in a folder (`model.safetensors`, or shards with their index), or in the one file that `path` names. */
export function openCheckpoint(path: string): Checkpoint {
  const isFolder = statOf(path).isDirectory();
  if (!isFolder) return new Checkpoint(path, [readSafetensorsHeader(refuseOtherFormats(path))], new DiskRanges());
  const names = readdirSync(path);
  if (names.includes(WHOLE)) return new Checkpoint(path, [readSafetensorsHeader(join(path, WHOLE))], new DiskRanges());
  if (names.includes(INDEX)) return openShards(path);
  throw noWeights(path, names);
}

/** The values of every tensor of a small file: float32 for floats, int32 for whole numbers and truth values. Axes have no names. */
export function readSafetensors(path: string): Map<string, Tensor> {
  const checkpoint = openCheckpoint(path);
  try {
    return new Map([...checkpoint.tensors.keys()].map((name) => [name, readTensor(checkpoint, name)]));
  } finally {
    checkpoint.close();
  }
}

function readTensor(checkpoint: Checkpoint, name: string): Tensor {
  const { dtype, shape } = checkpoint.stored(name);
  if (!isIntegerDtype(dtype)) return tensor(checkpoint.readFloat32(name), shape);
  try {
    return tensor(toInt32(checkpoint.readBytes(name), dtype), shape);
  } catch (error) {
    throw violation(checkpoint.folder, `tensor ${quote(name)}: ${(error as Error).message}`);
  }
}

function openShards(folder: string): Checkpoint {
  const path = join(folder, INDEX);
  return new Checkpoint(folder, [joinShards(readJsonObject(path), path, (shard) => readShard(folder, shard))], new DiskRanges());
}

function readShard(folder: string, shard: string): SafetensorsHeader {
  const path = join(folder, shard);
  statOf(path, `the shard that ${INDEX} names`);
  return readSafetensorsHeader(path);
}

function refuseOtherFormats(path: string): string {
  if (/\.(bin|pt|pth|ckpt|pkl)$/i.test(path)) throw refusePickle(path, "it is a Python pickle");
  if (/\.gguf$/i.test(path))
    throw refuse({ what: `cannot open ${path} as safetensors`, why: "it is a GGUF file", instead: "read it as GGUF" }, "file");
  return path;
}

function refusePickle(path: string, why: string): SextantError {
  const instead = "convert it where you trust it: AutoModelForCausalLM.from_pretrained(…).save_pretrained(…, safe_serialization=True)";
  return refuse({ what: `cannot open ${path}`, why: `${why}, which runs code when it is loaded`, instead }, "file");
}

function noWeights(folder: string, names: readonly string[]): SextantError {
  const found = (pattern: RegExp): string | undefined => names.filter((name) => pattern.test(name)).sort()[0];
  const other = found(/\.safetensors$/i);
  const pickle = found(/\.(bin|pt|pth|ckpt)$/i);
  const gguf = found(/\.gguf$/i);
  const what = `cannot open ${folder} as a checkpoint`;
  if (other)
    return refuse({ what, why: `it has ${other}, but neither ${WHOLE} nor ${INDEX}`, instead: "give the path of the file itself" }, "file");
  if (gguf) return refuse({ what, why: `it has only ${gguf}, a GGUF file`, instead: "give the path of the GGUF file itself" }, "file");
  if (pickle) return refusePickle(folder, `it has only ${pickle}, a Python pickle`);
  return refuse({ what, why: `it has neither ${WHOLE} nor ${INDEX}`, instead: "download the model's weights into it" }, "file");
}
