/**
 * @file Checkpoints of training: an ordinary Hugging Face folder, which any tool loads, with what training needs to go on in `training`
 * inside it. The folder is replaced whole, so that the last good one outlives a process that is killed at any moment.
 *
 *     config.json  generation_config.json  model.safetensors  tokenizer.json …
 *     training/state.safetensors   the optimiser's moments: `m.NAME`, `v.NAME`
 *     training/state.json          step, settings, history, best
 */
import { refuse } from "../base/errors.js";
import { tensor, type Tensor } from "../base/tensor.js";
import { settleFolder, writeFolderAtomic } from "../formats/atomic-folder.js";
import { writeAtomic } from "../formats/atomic.js";
import { isThere } from "../formats/files.js";
import { quote, type JsonObject } from "../formats/json.js";
import { readJsonObject, writeJson } from "../formats/json-file.js";
import { besideWeights } from "../formats/model-folder.js";
import { writeSafetensors } from "../formats/safetensors-writer.js";
import { openCheckpoint } from "../formats/safetensors.js";
import type { AdamW } from "./optimiser.js";
import { progressOfJson, progressToJson, type Progress } from "./history.js";
import { checkSettings, type Settings } from "./settings.js";
import type { Parameters } from "./step-types.js";

/** What training changes: the model, and what the optimiser remembers. */
export interface Trained {
  readonly parameters: Parameters;
  readonly optimiser: AdamW;
}

/** Everything that a checkpoint is made of. */
export interface TrainingCheckpoint extends Trained {
  readonly progress: Progress;
  /** What the course of training depends on. */
  readonly settings: Settings;
  readonly model: ModelFiles;
}

/** What a model folder has besides its weights. */
export interface ModelFiles {
  /** The content of `config.json`. Where it states a dtype, float32 is written. */
  readonly config: JsonObject;
  /** A folder to take the tokenizer's files from, and `generation_config.json`. */
  readonly tokenizerFrom?: string;
  /** Other files by name, such as a tokenizer's; before those of `tokenizerFrom`. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
}

const STATE = { json: "training/state.json", tensors: "training/state.safetensors" } as const;
const FORMAT = "sextant training";
const VERSION = 1;
const MOST_BYTES = 2 ** 30;

/** Whether there is a checkpoint of training in the folder. */
export function hasCheckpoint(folder: string): boolean {
  settleFolder(folder);
  return isThere(`${folder}/${STATE.json}`);
}

/** Puts the checkpoint in the folder's place. A folder that holds another thing than a checkpoint of training is refused. */
export function saveCheckpoint(folder: string, checkpoint: TrainingCheckpoint): void {
  if (!hasCheckpoint(folder) && isThere(`${folder}/model.safetensors`)) {
    const instead = "name a folder that is not there yet, or one that training has made";
    throw refuse({ what: `cannot save a checkpoint in ${folder}`, why: "there is a model that would be lost", instead }, "request");
  }
  writeFolderAtomic(folder, (temporary) => {
    writeModel(temporary, checkpoint.parameters, checkpoint.model);
    writeSafetensors(`${temporary}/${STATE.tensors}`, momentsOf(checkpoint.optimiser));
    const { optimiser, settings, progress } = checkpoint;
    const state = { format: FORMAT, version: VERSION, updates: optimiser.updates, settings, ...progressToJson(progress) };
    writeAtomic(`${temporary}/${STATE.json}`, [JSON.stringify(state), "\n"]);
  });
}

/**
 * Fills parameters and moments, in place, with what the folder holds, and gives the progress. A checkpoint with other tensors, or of other
 * settings where there are some to compare with, is refused, and then nothing is filled.
 */
export function resumeCheckpoint(folder: string, { parameters, optimiser }: Trained, settings?: Settings): Progress {
  settleFolder(folder);
  const path = `${folder}/${STATE.json}`;
  const state = readJsonObject(path, { maxBytes: MOST_BYTES });
  if (state["format"] !== FORMAT || state["version"] !== VERSION) {
    const why = `${STATE.json} does not say that it is version ${VERSION} of ${quote(FORMAT)}`;
    throw refuse({ what: `cannot go on from ${folder}`, why, instead: "use the version of Sextant that wrote it" }, "format");
  }
  if (settings) checkSettings(folder, state["settings"], settings);
  const progress = progressOfJson(state, path);
  const values = new Map([...parameters].map(([name, { data, shape }]) => [name, tensor(data, shape)]));
  const moments = new Map(Object.entries(momentsOf(optimiser)));
  const [fillValues, fillMoments] = [readerInto(folder, values), readerInto(`${folder}/${STATE.tensors}`, moments)];
  fillValues();
  fillMoments();
  optimiser.updates = typeof state["updates"] === "number" ? state["updates"] : progress.step;
  return progress;
}

/** Writes a model folder without anything of training. */
export function writeModel(folder: string, parameters: Parameters, { config, tokenizerFrom, files = {} }: ModelFiles): void {
  writeJson(`${folder}/config.json`, inFloat32(config));
  const all = { ...(tokenizerFrom !== undefined && besideWeights(tokenizerFrom)), ...files };
  for (const [name, content] of Object.entries(all)) writeAtomic(`${folder}/${name}`, [content]);
  if (!Object.hasOwn(all, "generation_config.json")) writeJson(`${folder}/generation_config.json`, generationOf(config));
  const tensors = [...parameters].map(([name, { data, shape }]) => [name, tensor(data, shape)] as const);
  // transformers refuses files that do not say which framework laid them out.
  writeSafetensors(`${folder}/model.safetensors`, Object.fromEntries(tensors), { format: "pt" });
}

function inFloat32(config: JsonObject): JsonObject {
  const stated = ["torch_dtype", "dtype"].filter((key) => Object.hasOwn(config, key));
  return { ...config, ...Object.fromEntries(stated.map((key) => [key, "float32"])) };
}

function generationOf(config: JsonObject): JsonObject {
  const ids = ["bos_token_id", "eos_token_id", "pad_token_id"].filter((key) => config[key] !== undefined && config[key] !== null);
  return { _from_model_config: true, ...Object.fromEntries(ids.map((key) => [key, config[key]])) };
}

/** Each moment as a vector, over the optimiser's own memory. */
function momentsOf({ moments }: AdamW): Record<string, Tensor<Float32Array>> {
  const entries = [...moments].flatMap(([name, { m, v }]) =>
    Object.entries({ [`m.${name}`]: m, [`v.${name}`]: v }).map(([key, data]) => [key, tensor(data, [data.length])] as const),
  );
  return Object.fromEntries(entries);
}

/** Checks the file's tensors against those wanted, by name and shape; what comes back reads them. */
function readerInto(path: string, wanted: ReadonlyMap<string, Tensor<Float32Array>>): () => void {
  const checkpoint = openCheckpoint(path);
  checkpoint.close();
  const { tensors } = checkpoint;
  const differ = [
    ...[...wanted.keys()].filter((name) => !tensors.has(name)).map((name) => `${quote(name)} is missing`),
    ...[...tensors.keys()].filter((name) => !wanted.has(name)).map((name) => `${quote(name)} has no place`),
    ...[...wanted].flatMap(([name, { shape }]) => {
      const there = tensors.get(name)?.shape;
      return !there || String(there) === String(shape) ? [] : [`${quote(name)} is [${there.join(", ")}] there, [${shape.join(", ")}] here`];
    }),
  ];
  if (differ.length > 0) {
    const why = `of its tensors, ${differ.slice(0, 4).join("; ")}${differ.length > 4 ? `; and ${differ.length - 4} more` : ""}`;
    throw refuse({ what: `cannot go on from ${path}`, why, instead: "give the configuration that it was begun with" }, "weights");
  }
  return () => {
    const reading = openCheckpoint(path);
    try {
      for (const [name, { data }] of wanted) data.set(reading.readFloat32(name));
    } finally {
      reading.close();
    }
  };
}
