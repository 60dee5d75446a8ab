/** @file Files that a page was given → a model ready to run in it, and its tokenizer. Names are those of a folder in Hugging Face layout. */
import { refuse, SextantError } from "../base/errors.js";
import { heed } from "../base/interruption.js";
import { Checkpoint } from "../formats/checkpoint.js";
import { decodeText, parseJsonObject, type JsonObject } from "../formats/json.js";
import { makeTokenizer, type Tokenizer } from "../formats/make-tokenizer.js";
import { parseSafetensorsHeader, type ReadableFile, type SafetensorsHeader } from "../formats/safetensors-header.js";
import { INDEX, joinShards, readWeightMap, WHOLE } from "../formats/shards.js";
import { readModelSpec } from "../models/read-spec.js";
import type { Model } from "../runtime/model.js";
import { refuseTooLarge, startModel, type StartOptions } from "../runtime/start-model.js";
import { givenRanges, openGiven, readWhole, type GivenFiles } from "./given-files.js";
import { webHost, type WebDevice, type WebRuntime } from "./web-host.js";

export interface BrowserLoadOptions extends StartOptions {
  /** ONNX Runtime for the web, as the page imports it: `import * as runtime from "onnxruntime-web/wasm"`. */
  readonly runtime: WebRuntime;
  /** Default: `wasm`. */
  readonly device?: WebDevice;
  /** Most bytes that weights, at four bytes each, or results may take. Default 2 GiB: WebAssembly has 4 GiB for all that it does. */
  readonly memoryLimit?: number;
}

const GIBIBYTE = 2 ** 30;
const MOST_JSON = 64 << 20;
const MOST_TOKENIZER = 256 << 20;

/** What an error calls the files together. */
const WHERE = "these files";

/**
 * The model of `config.json` and `model.safetensors`, or shards with their index, ready to run. Files that are not needed are left alone; where
 * one is missing, the error says which.
 */
export async function loadModelFromFiles(files: GivenFiles, options: BrowserLoadOptions): Promise<Model> {
  const { runtime, device = "wasm", memoryLimit = 2 * GIBIBYTE, signal } = options;
  if (!(memoryLimit > 0)) throw new SextantError("usage", `memoryLimit must be a number of bytes above 0, got ${memoryLimit}`);
  heed(signal, "loading");
  refuseIncomplete(files);
  const config = await readObject(files, "config.json");
  const checkpoint = await openCheckpoint(files);
  try {
    const shapes = new Map([...checkpoint.tensors].map(([name, { shape }]) => [name, shape]));
    const spec = readModelSpec(config, shapes, "config.json");
    refuseTooLarge(spec, WHERE, memoryLimit);
    return await startModel({ spec, checkpoint, host: webHost(runtime, checkpoint, device), memoryLeft: () => memoryLimit }, options);
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}

/** The tokenizer of `tokenizer.json` and what lies beside it. */
export async function loadTokenizerFromFiles(files: GivenFiles): Promise<Tokenizer> {
  if (!files.has("tokenizer.json")) {
    const why = `tokenizer.json is not among ${listed(files)}`;
    throw refuse({ what: "cannot load a tokenizer from these files", why, instead: "add it, or give token ids" }, "file");
  }
  const optional = async (name: string): Promise<JsonObject> => (files.has(name) ? readObject(files, name) : {});
  const parts = {
    file: await readObject(files, "tokenizer.json", MOST_TOKENIZER),
    config: await optional("tokenizer_config.json"),
    generation: await optional("generation_config.json"),
    specialTokens: await optional("special_tokens_map.json"),
    chatTemplate: files.has("chat_template.jinja") ? await readTextOf(files, "chat_template.jinja") : undefined,
  };
  return makeTokenizer(parts, WHERE, "tokenizer.json");
}

/** Says all that a model lacks at once. */
function refuseIncomplete(files: GivenFiles): void {
  const what = "cannot load a model from these files";
  const names = [...files.keys()];
  const hasWeights = files.has(WHOLE) || files.has(INDEX);
  const found = (pattern: RegExp): string | undefined => names.find((name) => pattern.test(name));
  const gguf = found(/\.gguf$/i);
  const pickle = found(/\.(bin|pt|pth|ckpt|pkl)$/i);
  const other = found(/\.safetensors$/i);
  if (!hasWeights && gguf) {
    const why = `${gguf} is a GGUF file, whose weights are made in a cache on the disk`;
    throw refuse({ what, why, instead: "give the model in Hugging Face's layout, or load it under Node" }, "file");
  }
  if (!hasWeights && other) {
    const why = `${other} is called neither ${WHOLE} nor listed in ${INDEX}`;
    throw refuse({ what, why, instead: `rename it to ${WHOLE}, or add ${INDEX} and all that it lists` }, "file");
  }
  if (!hasWeights && pickle) {
    const instead = "convert it where you trust it: AutoModelForCausalLM.from_pretrained(…).save_pretrained(…, safe_serialization=True)";
    throw refuse({ what, why: `${pickle} is a Python pickle, which runs code when it is loaded`, instead }, "file");
  }
  const missing = [...(files.has("config.json") ? [] : ["config.json"]), ...(hasWeights ? [] : [WHOLE])];
  if (missing.length === 0) return;
  const why = `${missing.join(" and ")} ${missing.length > 1 ? "are" : "is"} not among ${listed(files)}`;
  throw refuse({ what, why, instead: `give config.json, ${WHOLE} (or ${INDEX} and its files) and tokenizer.json` }, "file");
}

async function openCheckpoint(files: GivenFiles): Promise<Checkpoint> {
  const isWhole = files.has(WHOLE);
  const index = isWhole ? {} : await readObject(files, INDEX);
  const shards = isWhole ? [WHOLE] : [...new Set(readWeightMap(index, INDEX).values())];
  const missing = shards.filter((shard) => !files.has(shard));
  if (missing.length > 0) {
    const what = "cannot open these files as a checkpoint";
    const [some, more] = [missing.slice(0, 4).join(", "), missing.length > 4 ? ` and ${missing.length - 4} more` : ""];
    throw refuse(
      { what, why: `${INDEX} lists ${some}${more}, which ${missing.length > 1 ? "are" : "is"} not among them`, instead: "add them" },
      "file",
    );
  }
  const opened = new Map<string, ReadableFile>();
  for (const shard of shards) opened.set(shard, await openGiven(shard, given(files, shard)));
  const header = (name: string): SafetensorsHeader => parseSafetensorsHeader(opened.get(name)!);
  return new Checkpoint(WHERE, [isWhole ? header(WHOLE) : joinShards(index, INDEX, header)], givenRanges(opened));
}

async function readObject(files: GivenFiles, name: string, maxBytes?: number): Promise<JsonObject> {
  return parseJsonObject(await readTextOf(files, name, maxBytes), name);
}

async function readTextOf(files: GivenFiles, name: string, maxBytes = MOST_JSON): Promise<string> {
  return decodeText(await readWhole(name, given(files, name), maxBytes), name);
}

function given(files: GivenFiles, name: string): Blob | ArrayBuffer | Uint8Array {
  const file = files.get(name);
  if (file) return file;
  throw new SextantError("file", `cannot open ${name}: it was not given`);
}

/** The names of the files, cut off where there are many. */
function listed(files: GivenFiles): string {
  const names = [...files.keys()];
  if (names.length === 0) return "them: there are none";
  return `the ${names.length} given (${names.slice(0, 6).join(", ")}${names.length > 6 ? ", …" : ""})`;
}
