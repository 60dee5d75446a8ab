/**
 * @file What ablations are made of: means over a data set, values of other prompts, sets of components with one left out or one kept.
 *
 * When ablations mislead: zero is a value that no model has seen; a mean mixes what prompts of different kinds have in common with what
 * they do not; a resampled value carries another prompt's meaning along. Where the three disagree, the disagreement is the finding.
 */
import { must, SextantError } from "../../base/errors.js";
import { seededRandom } from "../../base/random.js";
import { sizeOf, tensor, type Tensor } from "../../base/tensor.js";
import { expandAddresses, type Place } from "../../models/address.js";
import { pointRow } from "../../models/points.js";
import type { Model, RunOptions } from "../../runtime/model.js";
import type { Counterfactual, Span, SweepEdit, SweepPair } from "../../runtime/sweep/request.js";

export interface MeanRequest {
  readonly prompts: readonly (readonly number[])[];
  /** Addresses of points with one vector a position. */
  readonly read: readonly string[];
  /** `together` (default): over prompts and positions. `apart`: over prompts, one mean for each position, for prompts of one length. */
  readonly positions?: "together" | "apart";
  /** Prompts run at once. Default 16. */
  readonly batch?: number;
  readonly beyondContext?: boolean;
}

/** Mean values by address: axes of the point without its batch and, unless positions stay apart, without its positions. */
export async function meanActivations(
  model: Model,
  request: MeanRequest,
  options: RunOptions = {},
): Promise<Record<string, Tensor<Float32Array>>> {
  const { prompts, positions = "together", batch = 16, beyondContext = false } = request;
  const places = expandAddresses(model.spec, request.read);
  checkMeans(places, { prompts, positions, batch });
  const sums = new Map<string, { total: Float64Array; tail: readonly number[]; axes: readonly string[] }>();
  let count = 0;
  for (let from = 0; from < prompts.length; from += batch) {
    const tokens = prompts.slice(from, from + batch);
    const { activations, lengths } = await model.forward({ tokens, read: request.read, logits: false, beyondContext }, options);
    for (const { address } of places)
      addTo(sums, address, must(activations[address], address), { lengths, isApart: positions === "apart" });
    count += positions === "apart" ? tokens.length : lengths.reduce((sum, length) => sum + length, 0);
  }
  return Object.fromEntries(
    [...sums].map(([address, { total, tail, axes }]) => [
      address,
      tensor(
        Float32Array.from(total, (sum) => sum / count),
        tail,
        axes,
      ),
    ]),
  );
}

function checkMeans(
  places: readonly Place[],
  { prompts, positions, batch }: Required<Pick<MeanRequest, "prompts" | "positions" | "batch">>,
): void {
  const fail = (what: string): SextantError => new SextantError("request", `meanActivations: ${what}`);
  if (prompts.length === 0) throw fail("a mean needs at least one prompt");
  if (!Number.isInteger(batch) || batch < 1) throw fail(`batch must be a whole number of prompts from 1 on, got ${batch}`);
  const edges = places.find(({ point }) => !pointRow(point).axes.includes("pos") || pointRow(point).dtype === "int32");
  if (edges) throw fail(`${edges.address} has no vector a position that a mean could be of`);
  if (positions === "apart" && prompts.some(({ length }) => length !== prompts[0]?.length))
    throw fail("means apart need prompts of one length; average over positions together");
}

function addTo(
  sums: Map<string, { total: Float64Array; tail: readonly number[]; axes: readonly string[] }>,
  address: string,
  { data, shape, axes }: Tensor,
  { lengths, isApart }: { lengths: readonly number[]; isApart: boolean },
): void {
  const width = sizeOf(shape.slice(2));
  const known = sums.get(address) ?? {
    total: new Float64Array(isApart ? shape[1]! * width : width),
    tail: shape.slice(isApart ? 1 : 2),
    axes: axes.slice(isApart ? 1 : 2),
  };
  sums.set(address, known);
  lengths.forEach((length, row) => {
    for (let position = 0; position < length; position++) {
      const from = (row * shape[1]! + position) * width;
      const to = isApart ? position * width : 0;
      for (let i = 0; i < width; i++) known.total[to + i] = known.total[to + i]! + data[from + i]!;
    }
  });
}

/**
 * Pairs whose values come from another prompt of the list, drawn at random and never the same one: resample ablation (Chan et al. 2022,
 * causal scrubbing). The drawn prompt stands as the corrupted one; patch with `direction: "noise"`. Named positions are found in it by
 * its own names; those that it lacks are dropped.
 */
export function resampled(pairs: readonly SweepPair[], seed = 0): SweepPair[] {
  if (pairs.length < 2) throw new SextantError("request", "resampled: at least two prompts are needed to take one for another");
  const random = seededRandom(seed);
  return pairs.map((pair, index) => {
    const drawn = Math.floor(random() * (pairs.length - 1));
    const other = must(pairs[drawn >= index ? drawn + 1 : drawn], "another prompt");
    const { positions, ...rest } = pair;
    return { ...rest, corrupted: other.clean, ...(positions && { positions: sharedPositions(positions, other.positions) }) };
  });
}

/** The names that both prompts have, each with where it is in the one and in the other. */
function sharedPositions(own: Named, other: Named | undefined): Named {
  const inClean = (span: Named[string]): Span => (typeof span === "object" && "clean" in span ? span.clean : span);
  return Object.fromEntries(
    Object.entries(own).flatMap(([name, span]) => {
      const there = other?.[name];
      return there === undefined ? [] : [[name, { clean: inClean(span), corrupted: inClean(there) }]];
    }),
  );
}

type Named = NonNullable<SweepPair["positions"]>;

/** A part of the model as the edits that take it out. */
export type Component = readonly SweepEdit[];

/** For each component the counterfactual that takes out it alone. */
export function leaveOneOut(components: readonly Component[]): Counterfactual[] {
  return components.map((edits) => ({ edits }));
}

/** For each component the counterfactual that takes out all others. */
export function keepOneIn(components: readonly Component[]): Counterfactual[] {
  if (components.length < 2) throw new SextantError("request", "keepOneIn: at least two components are needed for one to be kept");
  return components.map((_, kept) => ({ edits: components.flatMap((edits, index) => (index === kept ? [] : edits)) }));
}
