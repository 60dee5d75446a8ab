/**
 * @file The model folders that parity is measured on: the tiny goldens of every family, the fixtures of the repository, real models
 * with goldens, and toys without (which only the float64 reference can judge).
 */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Device } from "../../src/runtime/device.js";
import { loadModel } from "../../src/runtime/load.js";
import type { Model } from "../../src/runtime/model.js";
import { readGolden } from "../reference/golden.js";
import { hasShared, sharedPath } from "../shared.js";

/** A folder with a model, and tokens to run through it. */
export interface Subject {
  readonly name: string;
  readonly folder: string;
  readonly tokens: readonly (readonly number[])[];
}

/** A folder with a model and `golden.json` beside it. */
export interface GoldenFolder {
  readonly name: string;
  readonly folder: string;
}

const FIXTURES = fileURLToPath(new URL("../fixtures/variants", import.meta.url));
const INDUCTION = fileURLToPath(new URL("../../models/induction", import.meta.url));

/** Tiny models that are always there. */
export const FIXTURE_FOLDERS: readonly GoldenFolder[] = foldersIn(FIXTURES);

/** Tiny models of the shared goldens; none without them. */
export const TINY_FOLDERS: readonly GoldenFolder[] = hasShared ? foldersIn(sharedPath("goldens", "tiny")) : [];

/** Real models of the shared goldens that are Hugging Face folders. */
export const REAL_MODELS = ["minimind2-small", "shakespeare-char-gpt2-4l128", "stories15M", "stories260K"] as const;

/** Every tiny model: goldens, fixtures, and the toys with tokens made up for them. */
export const SUBJECTS: readonly Subject[] = [
  ...[...FIXTURE_FOLDERS, ...TINY_FOLDERS].map((golden) => ({ ...golden, tokens: readGolden(golden.folder).tokens })),
  { name: "induction", folder: INDUCTION, tokens: madeUp(2, 11, 65) },
  ...(hasShared
    ? [
        { name: "induction-2l-attn", folder: sharedPath("models", "induction-2l-attn"), tokens: madeUp(2, 11, 128) },
        { name: "modadd-p113-nowd", folder: sharedPath("models", "modadd-p113-nowd"), tokens: madeUp(2, 3, 114) },
        { name: "gpt-nano-sort", folder: sharedPath("models", "gpt-nano-sort"), tokens: madeUp(2, 9, 3) },
      ]
    : []),
];

/** Loads models once each, on one thread of a device, and closes them all. */
export function modelShelf(device: Device = "cpu"): { open: (folder: string) => Promise<Model>; close: () => Promise<void> } {
  const shelf = new Map<string, Promise<Model>>();
  const open = (folder: string): Promise<Model> => {
    const model = shelf.get(folder) ?? loadModel(folder, { threads: 1, device });
    shelf.set(folder, model);
    return model;
  };
  return { open, close: async () => void (await Promise.all([...shelf.values()].map(async (model) => (await model).close()))) };
}

function foldersIn(root: string): GoldenFolder[] {
  return readdirSync(root)
    .toSorted()
    .map((name) => ({ name, folder: `${root}/${name}` }));
}

/** Token ids below `vocab` without a pattern. */
function madeUp(rows: number, length: number, vocab: number): number[][] {
  return Array.from({ length: rows }, (_, row) => Array.from({ length }, (_unused, i) => (row * 31 + i * i * 7 + i * 13 + 5) % vocab));
}
