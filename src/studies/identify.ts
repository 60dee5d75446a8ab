/** @file Which model lies in a folder or a GGUF file: names, hashes. A folder of the hub's cache says its id and commit by its path. */
import { join } from "node:path";
import { isThere, resolveReal } from "../formats/files.js";
import { isGguf } from "../formats/gguf/header.js";
import type { ModelSpec } from "../models/spec.js";
import { openModelCheckpoint } from "../runtime/gguf-model.js";
import { sizeOf } from "../base/tensor.js";
import { fileRecord } from "../store/file-record.js";
import type { ModelRecord } from "../store/manifest.js";

/** The record of the model in a folder. Every file of weights is read once for its hash. */
export function identifyModel(path: string, spec: Pick<ModelSpec, "family">): ModelRecord {
  const checkpoint = openModelCheckpoint(path);
  try {
    const stored = [...checkpoint.tensors.values()];
    const files = isGguf(path)
      ? [fileRecord(path, nameOf(path))]
      : ["config.json", ...new Set(stored.map(({ file }) => nameOf(file)))].map((name) => fileRecord(join(path, name), name));
    return {
      path,
      ...hubName(path),
      family: spec.family,
      parameters: stored.reduce((total, { shape }) => total + sizeOf(shape), 0),
      files,
    };
  } finally {
    checkpoint.close();
  }
}

/** SHA-256 of `tokenizer.json`, or of the GGUF file that the tokenizer is in; undefined where there is none. */
export function identifyTokenizer(path: string): string | undefined {
  if (isGguf(path)) return fileRecord(path, nameOf(path)).sha256;
  const file = join(path, "tokenizer.json");
  return isThere(file) ? fileRecord(file, "tokenizer.json").sha256 : undefined;
}

function nameOf(file: string): string {
  return file.slice(Math.max(file.lastIndexOf("/"), file.lastIndexOf("\\")) + 1);
}

/** `…/models--ORG--NAME/snapshots/COMMIT` is the hub's cache; any other folder goes by its own name. */
function hubName(path: string): Pick<ModelRecord, "id" | "revision"> {
  const parts = resolveReal(path).split(/[/\\]/);
  const [cache, snapshots, commit] = parts.slice(-3);
  if (snapshots === "snapshots" && cache?.startsWith("models--") && commit !== undefined)
    return { id: cache.slice("models--".length).replace("--", "/"), revision: commit };
  return { id: parts.at(-1) ?? path, revision: null };
}
