/** @file Names of other frameworks, translated. */
import type { ModelSpec } from "./spec.js";

export function translateForeignName(name: string, _spec: ModelSpec): string {
  return name;
}
