/**
 * @file A JSONL file → samples: each line `{"tokens": [ids], "mask": [1 and 0]}`, the mask if need be, or `{"text": "…"}` where there is a
 * tokenizer. A line that cannot be trained on is refused with its number; none is left out or cut.
 */
import { SextantError } from "../base/errors.js";
import { describeJson, isJsonObject, parseJson, quote, type JsonObject } from "../formats/json.js";
import { readText } from "../formats/json-file.js";
import type { Tokenizer } from "../formats/tokenizer.js";
import type { Sample } from "./token-source.js";

export interface SampleOptions {
  /** Ids that the model has embeddings for: 0 up to this number, itself excluded. */
  readonly vocab: number;
  /** For lines of text; with the special tokens that it adds itself. */
  readonly tokenizer?: Pick<Tokenizer, "encode">;
  /** The most tokens that a sample may have, such as the model's context. */
  readonly longest?: number;
}

const MOST_BYTES = 500 << 20;
const KEYS = ["tokens", "mask", "text"];

/** All samples of the file, which may have 500 MiB, in its order. */
export function readSamples(path: string, options: SampleOptions): Sample[] {
  const lines = readText(path, { maxBytes: MOST_BYTES }).split("\n");
  if (lines.at(-1)?.trim() === "") lines.pop();
  if (lines.length === 0) throw new SextantError("format", `${path} has no samples: it is empty`);
  return lines.map((line, index) => sampleOf(line, `${path}:${index + 1}`, options));
}

function sampleOf(line: string, where: string, options: SampleOptions): Sample {
  if (line.trim() === "") throw new SextantError("format", `${where} is empty: each line must hold a sample`);
  const value = parseJson(line, where);
  if (!isJsonObject(value)) throw new SextantError("format", `${where} must hold a JSON object, got ${describeJson(value)}`);
  const stray = Object.keys(value).find((key) => !KEYS.includes(key));
  if (stray !== undefined) throw new SextantError("format", `${where}: nothing is known of ${quote(stray)}, only of ${KEYS.join(", ")}`);
  const sample = "text" in value ? ofText(value, where, options) : ofTokens(value, where);
  check(sample, where, options);
  return sample;
}

function ofText(value: JsonObject, where: string, { tokenizer }: SampleOptions): Sample {
  const { text } = value;
  if ("tokens" in value || "mask" in value)
    throw new SextantError(
      "format",
      `${where} has both text and ${"tokens" in value ? "tokens" : "a mask"}: it must have one or the other`,
    );
  if (typeof text !== "string") throw new SextantError("format", `${where}: text must be a string, got ${describeJson(text)}`);
  if (tokenizer) return { tokens: tokenizer.encode(text).ids };
  throw new SextantError("request", `${where} has text, but there is no tokenizer: give a model folder with one, or lines of tokens`);
}

function ofTokens({ tokens, mask }: JsonObject, where: string): Sample {
  if (!isNumbers(tokens)) throw new SextantError("format", `${where}: tokens must be a list of ids, got ${describeJson(tokens)}`);
  if (mask === undefined) return { tokens };
  if (!isNumbers(mask)) throw new SextantError("format", `${where}: mask must be a list of 1 and 0, got ${describeJson(mask)}`);
  return { tokens, mask };
}

function isNumbers(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => typeof item === "number");
}

function check({ tokens, mask }: Sample, where: string, { vocab, longest = Infinity }: SampleOptions): void {
  const wrong = (what: string): SextantError => new SextantError("format", `${where}: ${what}`);
  if (tokens.length < 2) throw wrong(`a sample needs two tokens at least, one to predict from and one to predict, got ${tokens.length}`);
  if (tokens.length > longest) throw wrong(`it has ${tokens.length} tokens, a sample may have ${longest}; divide it`);
  const place = tokens.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocab);
  if (place >= 0) throw wrong(`token ${place} is ${tokens[place]}, ids are whole numbers from 0 to ${vocab - 1}`);
  if (!mask) return;
  if (mask.length !== tokens.length) throw wrong(`there are ${tokens.length} tokens, but a mask for ${mask.length}`);
  const odd = mask.findIndex((value) => value !== 0 && value !== 1);
  if (odd >= 0) throw wrong(`mask ${odd} is ${mask[odd]}, it must be 1 or 0`);
  if (!mask.includes(1, 1)) throw wrong("no token behind the first counts, so there is nothing to learn from it");
}
