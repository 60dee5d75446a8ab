/** @file The cases of `gradient-cases.ts` as trials: with values for their inputs and seeds for their results. */
import { seededRandom } from "../../src/base/random.js";
import { GraphBuilder } from "../../src/graph/builder.js";
import { axesFor, type OpCase } from "./gradient-cases.js";
import { randomSeeds, spread, type Trial } from "./gradient-trial.js";
import { ndArray, type NdArray } from "./nd-array.js";

/** A case as a trial, its float inputs fed or, as weights are, stored. */
export function trialOf({ floats, reach = 1, above, whole = {}, make }: OpCase, as: "inputs" | "weights"): Trial & { targets: string[] } {
  const random = seededRandom(5, Object.keys(floats).length);
  const g = new GraphBuilder();
  const held = new Map<string, NdArray>();
  const given = Object.entries(floats).map(([name, shape]) => {
    const value = as === "inputs" ? g.input(name, axesFor(shape)) : g.weight({ name, shape }, axesFor(shape));
    const drawn = spread(random, shape, above === undefined ? reach : reach / 2);
    held.set(
      value.id,
      above === undefined
        ? drawn
        : ndArray(
            shape,
            drawn.data.map((x) => x + above + reach / 2),
          ),
    );
    return [name, value] as const;
  });
  const fixed = new Map(Object.entries(whole));
  const rest = [...fixed].map(([name, { shape, data }]) => {
    const dtype = data.every((x) => Number.isInteger(x)) ? "int64" : "float32";
    return [name, g.input(name, axesFor(shape), dtype)] as const;
  });
  const results = make(g, Object.fromEntries([...given, ...rest])).map(({ id }) => id);
  const parts = {
    graph: g.finish(),
    feeds: as === "inputs" ? new Map([...held, ...fixed]) : fixed,
    weights: as === "weights" ? held : new Map<string, NdArray>(),
  };
  return { ...parts, seeds: randomSeeds(parts, [...new Set(results)]), targets: [...held.keys()] };
}

/** max |Δ| over the largest of theirs, or over 1 where that is smaller than a hundredth. */
export function apart(ours: NdArray, theirs: NdArray): number {
  if (ours.shape.join() !== theirs.shape.join()) throw new Error(`shape [${ours.shape.join(", ")}] for [${theirs.shape.join(", ")}]`);
  const largest = theirs.data.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const furthest = theirs.data.reduce((most, x, i) => Math.max(most, x === ours.data[i] ? 0 : Math.abs(x - ours.data[i]!)), 0);
  return furthest / (largest > 0.01 ? largest : 1);
}
