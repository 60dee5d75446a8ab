/**
 * @file Files of named tensors, whoever wrote them: safetensors, NumPy's `.npz` and `.npy`, PyTorch's `.pt`, control vectors in GGUF. What a file is
 * follows from its bytes, not from its name. Nothing in it is run.
 */
import { closeSync } from "node:fs";
import { basename, extname } from "node:path";
import { refuse, SextantError } from "../base/errors.js";
import type { Tensor } from "../base/tensor.js";
import { openFile, readFileBounded, readRange, statOf } from "./files.js";
import { readControlVector } from "./gguf/control-vector.js";
import { readNpy } from "./npy.js";
import { parseNpz, writeNpz } from "./npz.js";
import { readSafetensors } from "./safetensors.js";
import { writeSafetensors } from "./safetensors-writer.js";
import { parseTorchFile } from "./torch-file.js";
import { zipNames } from "./zip.js";

/** What wrote a file. */
export type TensorFormat = "safetensors" | "npz" | "npy" | "torch" | "control vector";

/** What a file holds. */
export interface TensorFile {
  readonly format: TensorFormat;
  /** In the file's order. One without a name is called as its file, without the ending. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** The model that a control vector says it belongs to. */
  readonly modelHint?: string;
}

const GIBIBYTE = 2 ** 30;
const HEAD = 32;
/** Endings of formats that `writeTensors` does not write. */
const OTHERS = [".npy", ".pt", ".pth", ".bin", ".pkl", ".gguf", ".json", ".csv", ".h5"];

/** The tensors of a file: floats as float32 (float64 is rounded), whole numbers and truth values as int32. */
export function readTensorFile(path: string): TensorFile {
  if (statOf(path).isDirectory()) return { format: "safetensors", tensors: readSafetensors(path) };
  const head = latin1Head(path);
  if (head.startsWith("GGUF")) return { format: "control vector", ...readControlVector(path) };
  if (head.startsWith("\x93NUMPY")) return { format: "npy", tensors: named(new Map([["", readNpy(path)]]), path) };
  if (head.startsWith("PK")) return readArchive(path);
  if (isLikeSafetensors(head, path)) return { format: "safetensors", tensors: readSafetensors(path) };
  if (head.startsWith("\x80")) return { format: "torch", tensors: parseTorchFile(readFileBounded(path, GIBIBYTE), path) };
  throw new SextantError("format", `${path}: neither safetensors, .npz, .npy, a .pt file of torch.save nor a control vector in GGUF`);
}

/** Writes the tensors: as NumPy's archive where the path ends in `.npz`, else as safetensors, which alone keeps `metadata`. */
export function writeTensors(
  path: string,
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  const ending = extname(path).toLowerCase();
  if (ending === ".npz") return writeNpz(path, tensors);
  checkWritable(path);
  writeSafetensors(path, tensors, metadata);
}

/** Throws where `writeTensors` would not write to that path: before a model runs for it. */
export function checkWritable(path: string): void {
  const ending = extname(path).toLowerCase();
  if (!OTHERS.includes(ending)) return;
  throw refuse(
    { what: `cannot write ${path}`, why: `tensors are not written as ${ending}`, instead: "name it .safetensors or .npz" },
    "usage",
  );
}

function latin1Head(path: string): string {
  const { size } = statOf(path);
  const descriptor = openFile(path);
  try {
    return Buffer.from(readRange(descriptor, path, 0, Math.min(size, HEAD))).toString("latin1");
  } finally {
    closeSync(descriptor);
  }
}

/** A zip archive: PyTorch's has a pickle, NumPy's has not. */
function readArchive(path: string): TensorFile {
  const bytes = readFileBounded(path, 2 * GIBIBYTE);
  const isTorch = zipNames(bytes, path).some((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (isTorch) return { format: "torch", tensors: named(parseTorchFile(bytes, path), path) };
  return { format: "npz", tensors: parseNpz(bytes, path) };
}

function named(tensors: ReadonlyMap<string, Tensor>, path: string): ReadonlyMap<string, Tensor> {
  const only = tensors.size === 1 ? tensors.get("") : undefined;
  return only ? new Map([[basename(path, extname(path)), only]]) : tensors;
}

/** The header of safetensors follows its length; what claims to be safetensors, or is a pointer to one, is told why it is not. */
function isLikeSafetensors(head: string, path: string): boolean {
  return head[8] === "{" || extname(path) === ".safetensors" || head.startsWith("version https://git-lfs");
}
