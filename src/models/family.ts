/** @file What a family file exports: the `model_type`s it reads, and how their configurations become a spec. */
import type { Source } from "./source.js";
import type { ModelSpec } from "./spec.js";

export interface Family {
  readonly modelTypes: readonly string[];
  /** Values of `quant_method` whose tensors the family reads. */
  readonly quantised?: readonly string[];
  /** Key under which the file holds the configuration of the text model, where that is not the file's own. */
  readonly inside?: string;
  readonly spec: (source: Source) => ModelSpec;
}
