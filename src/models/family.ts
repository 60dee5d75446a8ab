/** @file What a family file exports: the `model_type`s it reads, and how their configurations become a spec. */
import type { Source } from "./source.js";
import type { ModelSpec } from "./spec.js";

export interface Family {
  readonly modelTypes: readonly string[];
  readonly spec: (source: Source) => ModelSpec;
}
