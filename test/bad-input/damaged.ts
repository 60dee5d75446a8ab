/** @file Small checkpoints in a temporary folder, made to be damaged, and the sentences that come of it. */
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { isSextantError } from "../../src/base/errors.js";
import { tensor, type Tensor } from "../../src/base/tensor.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { writeSafetensors, type WriteOptions } from "../../src/formats/safetensors-writer.js";
import { loadModel, type LoadOptions } from "../../src/runtime/load.js";
import type { Model } from "../../src/runtime/model.js";
import { temporaryFolder, type TemporaryFolder } from "../formats/folder.js";

/** A checkpoint of `test/fixtures/variants`. */
export type Variant = "gpt2-hub-names" | "llama-longrope-crossing" | "gemma3-old-style" | "qwen3-moe-dense-first" | "gpt-neo-mixed-untied";

/** What is changed in a copy: fields of its `config.json` (undefined takes one away), its tensors by name, how they are stored. */
export interface Damage {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly tensors?: (all: Map<string, Tensor>) => void;
  readonly dtypeOf?: WriteOptions["dtypeOf"];
}

export interface Workshop extends TemporaryFolder {
  /** A copy of a checkpoint with some damage; its folder. */
  readonly copy: (variant: Variant, damage?: Damage, name?: string) => string;
  /** `kind: message` of the error that the work must end in, the temporary folder written as TMP. */
  readonly complaint: (work: () => unknown) => Promise<string>;
  /** The complaint of loading a damaged checkpoint, its folder written as MODEL. */
  readonly loading: (variant: Variant, damage?: Damage, options?: LoadOptions) => Promise<string>;
}

/** The folder of a fixture. */
export function variantFolder(variant: Variant): string {
  return fileURLToPath(new URL(`../fixtures/variants/${variant}`, import.meta.url));
}

/** A place to damage checkpoints in; gone after the tests of this file. */
export function workshop(): Workshop {
  const folder = temporaryFolder();
  let made = 0;
  const copy: Workshop["copy"] = (variant, { config = {}, tensors, dtypeOf } = {}, name = `m${made++}`) => {
    const [from, to] = [variantFolder(variant), folder.path(name)];
    mkdirSync(to, { recursive: true });
    folder.write(`${name}/config.json`, changedConfig(from, config));
    if (!tensors && !dtypeOf) copyFileSync(join(from, "model.safetensors"), join(to, "model.safetensors"));
    else {
      const all = readSafetensors(from);
      tensors?.(all);
      writeSafetensors(join(to, "model.safetensors"), Object.fromEntries(all), {}, dtypeOf ? { dtypeOf } : {});
    }
    return to;
  };
  const complaint: Workshop["complaint"] = async (work) => (await complaintOf(work)).replaceAll(folder.root, "TMP");
  const loading: Workshop["loading"] = async (variant, damage, options) => {
    const at = copy(variant, damage);
    const said = await complaintOf(() => using(at, () => undefined, options));
    return said.replaceAll(at, "MODEL");
  };
  return { ...folder, copy, complaint, loading };
}

function changedConfig(from: string, change: Readonly<Record<string, unknown>>): string {
  const config = JSON.parse(readFileSync(join(from, "config.json"), "utf8")) as Record<string, unknown>;
  return JSON.stringify({ ...config, ...change });
}

/** Loads a model, hands it to `use`, and closes it. */
export async function using<T>(folder: string, use: (model: Model) => T | Promise<T>, options: LoadOptions = {}): Promise<T> {
  const model = await loadModel(folder, { threads: 1, ...options });
  try {
    return await use(model);
  } finally {
    await model.close();
  }
}

async function complaintOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (isSextantError(error)) return `${error.kind}: ${error.message}`;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** A tensor of the given shape with one value everywhere. */
export function filled(shape: readonly number[], value = 0.1): Tensor {
  return tensor(new Float32Array(shape.reduce((product, length) => product * length, 1)).fill(value), shape);
}
