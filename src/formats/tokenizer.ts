/** @file The tokenizer of a model's folder, or of a GGUF file. */
import { existsSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { refuse, SextantError } from "../base/errors.js";
import { isGguf, readGgufHeader } from "./gguf/header.js";
import { tokenizerFiles } from "./gguf/tokenizer.js";
import { statOf } from "./files.js";
import { quote, type JsonObject } from "./json.js";
import { readJsonObject, readText } from "./json-file.js";
import { checkVocabulary, makeTokenizer, type Encoding, type Tokenizer } from "./make-tokenizer.js";

export { checkVocabulary, type Encoding, type Tokenizer };

const MAX_TOKENIZER_BYTES = 256 << 20;

/** The tokenizer of a folder with a `tokenizer.json`, or of a GGUF file. */
export function loadTokenizer(path: string): Tokenizer {
  if (isGguf(path)) return makeTokenizer(tokenizerFiles(readGgufHeader(path).metadata, path), path, path);
  const source = join(path, "tokenizer.json");
  if (!existsSync(source)) throw noTokenizer(path);
  const template = join(path, "chat_template.jinja");
  const parts = {
    file: readJsonObject(source, { maxBytes: MAX_TOKENIZER_BYTES }),
    config: readOptional(path, "tokenizer_config.json"),
    generation: readOptional(path, "generation_config.json"),
    specialTokens: readOptional(path, "special_tokens_map.json"),
    chatTemplate: existsSync(template) ? readText(template) : undefined,
  };
  return makeTokenizer(parts, path, source);
}

function readOptional(folder: string, name: string): JsonObject {
  const path = join(folder, name);
  return existsSync(path) ? readJsonObject(path) : {};
}

function noTokenizer(folder: string): SextantError {
  if (!statOf(folder).isDirectory()) throw new SextantError("file", `cannot load a tokenizer from ${folder}: it is not a folder`);
  const other = readdirSync(folder).find((name) => /^(tokenizer\.model|vocab\.(json|txt)|merges\.txt|tekken\.json)$/.test(name));
  const convert = `turn ${other} into one with AutoTokenizer.from_pretrained(${quote(basename(folder))}).save_pretrained(…), or `;
  return refuse(
    {
      what: `cannot load a tokenizer from ${folder}`,
      why: `it has no tokenizer.json${other ? `, only ${other}` : ""}`,
      instead: `${other ? convert : ""}give token ids with --tokens`,
    },
    "file",
  );
}
