/** @file What `patch` and `knockout` have in common: a question about a grid of cells, asked of a model and told as JSON or text. */
import { meanActivations } from "../analyses/sweeps/ablation.js";
import type { GridSweepRequest } from "../analyses/sweeps/grid-sweep.js";
import type { GridAxis, GridOperation, GridPosition } from "../analyses/sweeps/grid.js";
import { SextantError } from "../base/errors.js";
import type { PointName } from "../models/points.js";
import type { Values } from "../runtime/edit.js";
import type { SweepPair } from "../runtime/sweep/request.js";
import type { Call, Output } from "./command.js";
import { readVectors, withModel, type Opened, type RUN_OPTIONS } from "./inputs.js";
import type { WrittenPair } from "./pairs-file.js";
import { mapOf, writePictures } from "./sweep-map.js";
import type { Asked, MEMORY_OPTIONS, PICTURE_OPTIONS, STATE_OPTIONS } from "./sweep-options.js";
import { resolvePairs } from "./sweep-pairs.js";
import { sweepJson, type SweepReport } from "./sweep-report.js";
import { runGrid } from "./sweep-run.js";
import { sweepText } from "./sweep-text.js";

/** What is asked, before any model is there. */
export interface Question extends Asked {
  /** As the command line calls the point. */
  readonly name: string;
  readonly point: PointName;
  readonly by: readonly GridAxis[];
  readonly operation: "patch" | "zero" | "mean" | "knockout";
  readonly direction: "denoise" | "noise";
  readonly queries?: readonly GridPosition[];
  readonly keys?: readonly GridPosition[];
  /** The file of `--basis`. */
  readonly basis?: string;
  readonly pairs: readonly WrittenPair[];
}

/** Options of every command that sweeps. */
type SweepCall = Call<typeof PICTURE_OPTIONS & typeof MEMORY_OPTIONS & typeof RUN_OPTIONS>;

/** Sweeps the grid, and tells what was found. */
export function answerGrid(call: SweepCall & Call<typeof STATE_OPTIONS>, question: Question): Promise<Output> {
  const { name, operation, pairs: written, ...asked } = question;
  return withModel(call, async (opened) => {
    const pairs = await resolvePairs(written, opened);
    const request: GridSweepRequest = {
      ...asked,
      ...everyPosition(asked, pairs),
      pairs,
      operation: await operationOf(question, { call, opened, pairs }),
      beyondContext: call.options["beyond-context"],
    };
    const found = await runGrid(call, opened, request);
    const { metrics, window = 1 } = question;
    return told(call, { found, operation, point: name, metrics, pairs, tokenizer: await opened.tokenizer(), window });
  });
}

/** A report as what a command prints; the pictures that were asked for are written. */
export async function told(call: SweepCall, report: SweepReport): Promise<Output> {
  const map = mapOf(report);
  const written = await writePictures(map, call);
  return { json: sweepJson(report), text: sweepText(report, map, { call, written }) };
}

/**
 * The positions of a grid that names none, where another one than the last is measured: those up to it, as the ones behind change nothing. None
 * where the prompts differ in length, which the grid refuses.
 */
export function everyPosition(
  { by, at, positions, keys }: Pick<Question, "by" | "at" | "positions" | "keys">,
  pairs: readonly SweepPair[],
): { positions?: number[]; keys?: number[] } {
  const lengths = new Set(pairs.flatMap(({ clean, corrupted = clean }) => [clean.length, corrupted.length]));
  const [length = 0] = lengths;
  if (typeof at !== "number" || lengths.size > 1) return {};
  const end = at < 0 ? at + length : at;
  const upTo = Array.from({ length: Math.max(0, Math.min(length, end + 1)) }, (_, position) => position);
  return { ...(by.includes("pos") && !positions && { positions: upTo }), ...(by.includes("key") && !keys && { keys: upTo }) };
}

interface Context {
  readonly call: SweepCall;
  readonly opened: Opened;
  readonly pairs: readonly SweepPair[];
}

async function operationOf({ operation, point, basis }: Question, { call, opened, pairs }: Context): Promise<GridOperation> {
  switch (operation) {
    case "patch":
      return { op: "patch", ...(basis !== undefined && { basis: await readBasis(basis) }) };
    case "mean": {
      const prompts = pairs.map(({ clean }) => clean);
      const { signal, onProgress } = call;
      const request = { prompts, read: [`${point}.*`], beyondContext: call.options["beyond-context"] };
      return { op: "mean", means: await meanActivations(opened.model, request, { signal, onProgress }) };
    }
    case "zero":
    case "knockout":
      return { op: operation };
  }
}

/** The basis of a file: its one tensor for every layer, or one tensor for each address. */
async function readBasis(path: string): Promise<Values | Record<string, Values>> {
  const named = [...(await readVectors(path))].map(([name, { data, shape, axes }]): [string, Values] => {
    if (!(data instanceof Float32Array)) throw new SextantError("request", `${path}: ${name} holds whole numbers, a basis is of floats`);
    return [name, { data, shape, axes }];
  });
  const [only] = named;
  if (!only) throw new SextantError("request", `${path} has no tensor`);
  return named.length === 1 && !/\.\d+$/.test(only[0]) ? only[1] : Object.fromEntries(named);
}
