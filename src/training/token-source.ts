/**
 * @file Where batches come from. A batch follows from its number and the source's settings alone, so that training goes on after an
 * interruption from the number of the step.
 */
import { shuffled } from "../base/draws.js";
import { SextantError } from "../base/errors.js";
import { seededRandom, type Random } from "../base/random.js";
import type { Batch } from "./step-types.js";

/** One row: token ids, and beside each whether it counts in the loss (1 or 0). */
export interface Sample {
  readonly tokens: readonly number[];
  readonly mask?: readonly number[];
}

/** Batches by number. */
export interface TokenSource {
  /** What the batches depend on, as plain data: a checkpoint of other settings is not gone on from. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** The batch of a number from 0 on: always the same. */
  batch(index: number): Batch;
}

export interface GeneratedOptions {
  /** Rows of a batch. */
  readonly rows: number;
  readonly seed: number;
  /** Names the generator in the checkpoint's settings. Default `generated`. */
  readonly name?: string;
}

/** A source that makes each sample when it is needed, from its number and random numbers that belong to it. */
export function generatedSource(sampleAt: (index: number, random: Random) => Sample, options: GeneratedOptions): TokenSource {
  const { rows, seed, name = "generated" } = options;
  checkRows(rows, seed);
  return {
    settings: { source: name, rows, seed },
    batch: (index) =>
      batchOf(Array.from({ length: rows }, (_, row) => sampleAt(index * rows + row, seededRandom(seed, index * rows + row)))),
  };
}

export interface ListOptions {
  /** Rows of a batch. */
  readonly rows: number;
  readonly seed: number;
  /** Equal for the same samples only, such as a checksum of their file. */
  readonly fingerprint?: string;
}

/** A source that goes through the samples again and again, in another order each time. A batch may have rows of two such rounds. */
export function listSource(samples: readonly Sample[], { rows, seed, fingerprint }: ListOptions): TokenSource {
  checkRows(rows, seed);
  const count = samples.length;
  if (count === 0) throw new SextantError("request", "training needs at least one sample, got none");
  let known: { readonly epoch: number; readonly order: readonly number[] } | undefined;
  const sampleAt = (place: number): Sample => {
    const epoch = Math.floor(place / count);
    if (known?.epoch !== epoch) known = { epoch, order: permutation(count, seededRandom(seed, epoch)) };
    return samples[known.order[place % count]!]!;
  };
  return {
    settings: { source: "list", samples: count, rows, seed, ...(fingerprint !== undefined && { fingerprint }) },
    batch: (index) => batchOf(Array.from({ length: rows }, (_, row) => sampleAt(index * rows + row))),
  };
}

/** The samples in two: a share of them, drawn at random, is held out. Both parts keep their order and have one sample at least. */
export function holdOut(
  samples: readonly Sample[],
  { share, seed }: { readonly share: number; readonly seed: number },
): { readonly training: readonly Sample[]; readonly heldOut: readonly Sample[] } {
  if (!(share > 0 && share < 1)) throw new SextantError("request", `the share that is held out must be between 0 and 1, got ${share}`);
  if (samples.length < 2) throw new SextantError("request", `holding out needs at least two samples, got ${samples.length}`);
  const count = Math.min(samples.length - 1, Math.max(1, Math.round(samples.length * share)));
  const held = new Set(permutation(samples.length, seededRandom(seed)).slice(0, count));
  return { training: samples.filter((_, i) => !held.has(i)), heldOut: samples.filter((_, i) => held.has(i)) };
}

/** The samples in their order, so many a batch, the last with what is left. */
export function batchesOf(samples: readonly Sample[], rows: number): Batch[] {
  checkRows(rows, 0);
  return Array.from({ length: Math.ceil(samples.length / rows) }, (_, i) => batchOf(samples.slice(i * rows, (i + 1) * rows)));
}

/** One batch of the samples; where one of them has a mask, the others count all tokens but the first. */
export function batchOf(samples: readonly Sample[]): Batch {
  const tokens = samples.map((sample) => sample.tokens);
  if (!samples.some(({ mask }) => mask)) return { tokens };
  return { tokens, mask: samples.map((sample) => sample.mask ?? sample.tokens.map((_, i) => (i === 0 ? 0 : 1))) };
}

/** The numbers below `count` in random order. */
function permutation(count: number, random: Random): number[] {
  return shuffled(
    Array.from({ length: count }, (_, i) => i),
    random,
  );
}

function checkRows(rows: number, seed: number): void {
  if (!Number.isInteger(rows) || rows < 1) throw new SextantError("request", `rows of a batch must be a whole number above 0, got ${rows}`);
  if (!Number.isInteger(seed)) throw new SextantError("request", `seed must be a whole number, got ${seed}`);
}
