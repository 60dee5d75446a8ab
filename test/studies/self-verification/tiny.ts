/** @file The tiny Qwen 2 that searches in the paper's format (`test/oracle/tiny_qwen2.py` made it), and what `transformers` says of it. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const TINY = fileURLToPath(new URL("../../fixtures/tiny-qwen2-countdown", import.meta.url));

/** A prompt, its tokens, and the greedy continuation without its end token. */
export interface TinyGolden {
  readonly prompt: string;
  readonly ids: readonly number[];
  readonly greedy: readonly number[];
  readonly text: string;
}

/** The golden of the tiny model. */
export function goldenOf(): TinyGolden {
  return JSON.parse(readFileSync(`${TINY}/golden.json`, "utf8")) as TinyGolden;
}
