/** @file What a model's folder holds beside its weights: carried over to another folder, which must be free. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { refuse } from "../base/errors.js";
import { writeAtomic } from "./atomic.js";
import { isThere, readFileBounded, statOf } from "./files.js";
import { isGguf, readGgufHeader } from "./gguf/header.js";
import { tokenizerFiles } from "./gguf/tokenizer.js";

const MOST_BYTES = 256 << 20;

/** Files of tokenizers, chat templates and generation settings. */
const BESIDE =
  /^(tokenizer.*|special_tokens_map\.json|added_tokens\.json|vocab\.(json|txt)|merges\.txt|spiece\.model|sentencepiece.*|chat_template.*|generation_config\.json|LICENSE.*)$/;

/** Throws unless `folder` is empty or not there; `what` is to be written to it. */
export function refuseOccupied(folder: string, what: string): void {
  if (!isThere(folder)) return;
  const why = !statOf(folder).isDirectory() ? "it is a file" : readdirSync(folder).length > 0 ? "there are files in it" : undefined;
  if (why) throw refuse({ what: `cannot write ${what} to ${folder}`, why, instead: "name a new folder" }, "file");
}

/** The tokenizer's files, chat template, generation settings and licence of a model's folder, by name; of a GGUF file what its keys say of these. */
export function besideWeights(folder: string): Record<string, Uint8Array> {
  if (isGguf(folder)) return insideGguf(folder);
  const names = readdirSync(folder).filter((name) => BESIDE.test(name) && statOf(join(folder, name)).isFile());
  return Object.fromEntries(names.map((name) => [name, readFileBounded(join(folder, name), MOST_BYTES)]));
}

function insideGguf(path: string): Record<string, Uint8Array> {
  const { metadata } = readGgufHeader(path);
  if (!metadata.has("tokenizer.ggml.model")) return {};
  const { file, config, generation } = tokenizerFiles(metadata, path);
  const files = { "tokenizer.json": file, "tokenizer_config.json": config, "generation_config.json": generation };
  return Object.fromEntries(
    Object.entries(files).map(([name, content]) => [name, new TextEncoder().encode(`${JSON.stringify(content)}\n`)]),
  );
}

/** Copies them to another folder. */
export function copyBesideWeights(from: string, to: string): void {
  for (const [name, bytes] of Object.entries(besideWeights(from))) writeAtomic(join(to, name), [bytes]);
}
