/** @file What tests of the commands that sweep share: two pairs for the induction model, documents, texts without what varies. */
import { expect } from "vitest";
import { MODEL, sextant, sextantJson } from "./sextant.js";

export const HILL = ["--clean", "the cat sat near Mira Hill while the dog saw Mira"] as const;
export const STONE = ["--corrupted", "the cat sat near Mira Stone while the dog saw Mira"] as const;
export const ANSWERS = ["--answer", "Hill", "--wrong", "Stone"] as const;
export const PAIR = [MODEL, ...HILL, ...STONE, ...ANSWERS] as const;

export type Nested = readonly (number | null | Nested)[];

/** What `--json` prints. */
export interface Document {
  readonly clean: number;
  readonly corrupted: number | null;
  readonly axes: readonly string[];
  readonly values: Nested;
  readonly normalised: Nested | null;
  readonly ticks: readonly (readonly (number | string)[])[];
  readonly [member: string]: unknown;
}

/** The document of a command. */
export async function sweep(...argv: readonly string[]): Promise<Document> {
  return sextantJson<Document>(...argv);
}

/** What a command prints, but for times and the work that its plan takes. */
export async function textOf(...argv: readonly string[]): Promise<string> {
  const { out, err } = await sextant(argv);
  expect(err).toBe("");
  return `\n${out.replace(/ \d+(?:\.\d+)? GFLOP instead of .*/, " …").replace(/done in .*/, "done in …")}`;
}

/** The value of nested lists at some indices. */
export function at(values: Nested | null, ...indices: readonly number[]): number | null {
  return indices.reduce<unknown>((rest, index) => (rest as Nested)[index], values) as number | null;
}
