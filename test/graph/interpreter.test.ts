/** @file The interpreter against what `transformers` gave for the fixtures' blocks, point by point, and against numbers worked out by hand. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { must } from "../../src/base/errors.js";
import { GraphBuilder } from "../../src/graph/builder.js";
import * as op from "../../src/graph/ops.js";
import { buildBlock, STREAM } from "../../src/models/block.js";
import { readSpec } from "../../src/runtime/load.js";
import { makePass, PassInputs } from "../../src/runtime/pass.js";
import { readGolden } from "../reference/golden.js";
import { asNdArray, storedWeights } from "./block-trial.js";
import { evaluate } from "./interpreter.js";
import { ndArray, vectorOf, type NdArray } from "./nd-array.js";

const variants = fileURLToPath(new URL("../fixtures/variants", import.meta.url));
/** The goldens are float32, of sums of a few dozen terms. Seen: 8e-7. */
const FLOAT32 = 1e-5;

it.each(readdirSync(variants))("%s: every point of every block", (name) => {
  const folder = join(variants, name);
  const { spec, checkpoint } = readSpec(folder);
  checkpoint.close();
  const golden = readGolden(folder);
  const inputs = new PassInputs(spec, makePass(golden.tokens));
  for (const layer of spec.layers.keys()) {
    const graph = buildBlock(spec, layer);
    const before = must(golden.points.get(`resid_pre.${layer}`), "resid_pre");
    const fed = Object.entries(inputs.of(layer)).map(([id, feed]) => [id, asNdArray(feed)] as const);
    const stream = ndArray(before.shape, Float64Array.from(before.data));
    const values = evaluate(graph, new Map([...fed, [STREAM.in, stream] as const]), storedWeights(graph, folder));
    const shared = [...graph.named].filter(([point]) => golden.points.has(`${point}.${layer}`));
    expect(shared.length).toBeGreaterThan(10);
    for (const [point, id] of shared)
      expect(apart(values.get(id)!, golden.points.get(`${point}.${layer}`)!), `${point}.${layer}`).toBeLessThan(FLOAT32);
  }
});

/** max |Δ| over the largest finite |value| of theirs. */
function apart({ data }: NdArray, theirs: { readonly data: ArrayLike<number> }): number {
  const values = Array.from(theirs.data);
  const largest = Math.max(...values.filter((x) => Number.isFinite(x)).map(Math.abs));
  expect(data.length).toBe(values.length);
  return Math.max(...values.map((x, i) => (x === data[i] ? 0 : Math.abs(x - data[i]!)))) / largest;
}

it("a value that is fed takes the place of what would be computed, also where it is computed beside another", () => {
  const g = new GraphBuilder();
  const x = g.input("x", ["n"]);
  const [first, second] = op.split(g, x, [1, 2], { axis: 0, axes: [["one"], ["m"]] });
  const y = op.add(g, op.scaleBy(g, second!, 10), first!);
  const fed = new Map([
    ["x", vectorOf([1, 2, 3])],
    [first!.id, vectorOf([7])],
  ]);
  expect([...evaluate(g.finish(), fed, new Map()).get(y.id)!.data]).toEqual([27, 37]);
});

it("a result whose rank is not that of its axes is an error", () => {
  const g = new GraphBuilder();
  const x = g.input("x", ["n"]);
  op.reshape(g, x, [-1, 1], ["n"]);
  expect(() => evaluate(g.finish(), new Map([["x", vectorOf([1, 2])]]), new Map())).toThrow("has axes [n], but shape [2, 1]");
});
