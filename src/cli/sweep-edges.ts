/**
 * @file Which cells of a knock-out can be: a grid over queries and keys also has cells without an edge, the key standing behind the query
 * or outside its window, and cells that would leave a query nothing to attend to. These are left out, and their values are missing.
 */
import type { Grid } from "../analyses/sweeps/grid.js";
import { must, refuse } from "../base/errors.js";
import { parseAddress } from "../models/address.js";
import type { ModelSpec } from "../models/spec.js";
import type { SweepEdit, SweepPair } from "../runtime/sweep/request.js";

/** What is asked of a grid of knock-outs. */
interface Asking {
  readonly pairs: readonly SweepPair[];
  readonly at?: number | string;
}

/** The cells that cut an edge and leave another, by their index; refused where there are none. */
export function cellsWithEdges(spec: ModelSpec, { counterfactuals }: Grid, asking: Asking): number[] {
  const windows = spec.layers.map(({ attention }) => ({ window: attention.window ?? Infinity, hasSinks: attention.sinks !== undefined }));
  /** What selects something that is not there stays, so that the sweep says what is wrong with it. */
  const canBe = (edit: SweepEdit): boolean => {
    const { window, hasSinks } = must(windows[parseAddress(spec, edit.at).layer ?? -1], "a layer");
    const cuts = asking.pairs.flatMap((pair) => cutsOf(edit, pair, { window, at: asking.at }));
    if (cuts.some(({ seen }) => Number.isNaN(seen))) return true;
    return cuts.some(({ cut }) => cut > 0) && (hasSinks || cuts.every(({ cut, seen }) => cut < seen));
  };
  const kept = [...counterfactuals.keys()].filter((index) => must(counterfactuals[index], "a cell").edits.every(canBe));
  if (kept.length > 0) return kept;
  throw refuse(
    {
      what: "cannot cut these edges",
      why: "every cell has no edge that its queries see, or leaves a query nothing to attend to",
      instead: "go by key, or name fewer keys",
    },
    "request",
  );
}

/** For each query of an edit: how many keys it sees, and how many of them are cut; NaN where it selects what there is not. */
function cutsOf(edit: SweepEdit, pair: SweepPair, { window, at }: { window: number; at: Asking["at"] }): { cut: number; seen: number }[] {
  const places = (list: readonly (number | string)[]): number[] => list.flatMap((entry) => placesOf(entry, pair, at));
  const queries = edit.queries ? places(edit.queries) : [...pair.clean.keys()];
  const keys = edit.keys && new Set(places(edit.keys));
  if ([...queries, ...(keys ?? [])].some((place) => !(place >= 0 && place < pair.clean.length))) return [{ cut: NaN, seen: NaN }];
  return queries.map((query) => {
    const first = Math.max(0, query - window + 1);
    const seen = query - first + 1;
    return { seen, cut: keys ? [...keys].filter((key) => key >= first && key <= query).length : seen };
  });
}

/** Positions in the clean prompt; NaN where there is no such name. */
function placesOf(entry: number | string, { clean, positions = {} }: SweepPair, at: Asking["at"]): readonly number[] {
  const fromEnd = (index: number): number => (index < 0 ? index + clean.length : index);
  if (typeof entry === "number") return [fromEnd(entry)];
  const given = positions[entry];
  if (given !== undefined) {
    const span = typeof given === "object" && "clean" in given ? given.clean : given;
    return (typeof span === "number" ? [span] : span).map(fromEnd);
  }
  if (entry !== "end") return [NaN];
  return at === undefined || at === "end" ? [clean.length - 1] : placesOf(at, { clean, positions }, undefined);
}
