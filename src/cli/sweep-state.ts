/**
 * @file `--state FILE`: a journal of the finished parts of a sweep. It belongs to one sweep of one model: its fingerprint is of the request
 * (tensors included), of the parts that it is done in, and of the model.
 */
import { SextantError } from "../base/errors.js";
import { statOf } from "../formats/files.js";
import { fingerprintOf, openJournal } from "../formats/journal.js";
import { isJsonObject } from "../formats/json.js";
import { modelConfigText, openModelCheckpoint } from "../runtime/gguf-model.js";
import type { SweepForecast, SweepPart, SweepRequest } from "../runtime/sweep/request.js";
import type { WeightForm } from "../runtime/weight-forms.js";

/** What a state file belongs to. */
export interface SweepWork {
  /** The model's. */
  readonly folder: string;
  readonly weights: WeightForm;
  readonly request: SweepRequest;
  readonly forecast: SweepForecast;
}

/** The parts of a sweep that are kept. */
export interface SweepState {
  /** Parts that were there already. */
  readonly done: readonly SweepPart[];
  readonly keep: (part: SweepPart) => void;
  readonly close: () => void;
}

/** The state in a file, begun where there is none; one of another sweep is refused. */
export function openState(path: string, { folder, weights, request, forecast }: SweepWork): SweepState {
  const { parts, workingBytes } = forecast;
  const fingerprint = fingerprintOf({ request, parts, workingBytes, model: identityOf(folder), ...(weights !== "float32" && { weights }) });
  const journal = openJournal(path, { kind: "sweep", fingerprint });
  try {
    const done = journal.entries.map((entry, index) => partOf(entry, `${path}:${index + 2}`));
    return { done, keep: (part) => journal.append(written(part)), close: () => journal.close() };
  } catch (error) {
    journal.close();
    throw error;
  }
}

/** Bytes of each tensor that are looked at. */
const SAMPLE = 1024;

/**
 * What tells a model from another: its config.json, the sizes of its files, and of each tensor the name, type, shape and first bytes. All
 * of the weights would be surer, and slow: a model of 10 GB takes longer to read than most sweeps to go on.
 */
function identityOf(folder: string): object {
  const checkpoint = openModelCheckpoint(folder);
  try {
    const tensors = [...checkpoint.tensors.values()].map(({ name, dtype, shape, bytes, file }) => {
      const sample = checkpoint.readBytes(name, 0, Math.min(SAMPLE, bytes));
      return { name, dtype, shape, sample, fileBytes: statOf(file).size };
    });
    return { config: modelConfigText(folder), tensors };
  } finally {
    checkpoint.close();
  }
}

/** A part with words for the numbers that JSON lacks. */
function written({ index, values, clean, corrupted }: SweepPart): object {
  const words = (list: readonly (number | null)[]): (number | string | null)[] =>
    list.map((value) => (value === null || Number.isFinite(value) ? value : String(value)));
  return { index, values: words(values), clean: words(clean), corrupted: words(corrupted) };
}

function partOf(entry: unknown, where: string): SweepPart {
  const { index, values, clean, corrupted } = isJsonObject(entry) ? entry : {};
  const [own, first, second] = [values, clean, corrupted].map(numbersOf);
  if (!Number.isSafeInteger(index) || !own || !first || !second || own.includes(null) || first.includes(null))
    throw new SextantError("format", `${where} is no part of a sweep`);
  return { index: index as number, values: own as number[], clean: first as number[], corrupted: second };
}

const WORDS: ReadonlyMap<unknown, number> = new Map([NaN, Infinity, -Infinity].map((value) => [String(value), value]));

function numbersOf(list: unknown): (number | null)[] | undefined {
  if (!Array.isArray(list)) return undefined;
  const numbers = list.map((item: unknown) => WORDS.get(item) ?? item);
  return numbers.every((item) => item === null || typeof item === "number") ? numbers : undefined;
}
