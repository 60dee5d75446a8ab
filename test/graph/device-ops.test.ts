/**
 * @file Each op, and the graph of its gradient, on the device of the suites against float64; with large, small and infinite inputs against the CPU. An op that a device
 * computes wrongly must fail here, and then be written in others (`for-webgpu.ts`) or refused.
 */
import { describe, expect, it } from "vitest";
import { GraphBuilder } from "../../src/graph/builder.js";
import type { Graph, OpName, UnaryOp, Value } from "../../src/graph/graph.js";
import * as op from "../../src/graph/ops.js";
import { DEVICE, hasDevice } from "../device.js";
import { OP_CASES } from "./gradient-cases.js";
import { gradientsOf } from "./gradient-trial.js";
import { evaluate } from "./interpreter.js";
import { ndArray, vectorOf, type NdArray } from "./nd-array.js";
import { apart, trialOf } from "./op-trial.js";
import { run, runGradients } from "./run-gradients.js";

/** float32, sums of a few dozen terms. Seen on lavapipe: 7e-7. */
const FLOAT32 = 1e-5;

const ops = Object.keys(OP_CASES) as OpName[];

const EXTREMES = [
  0,
  1e-30,
  1,
  -1,
  5,
  -5,
  20,
  -20,
  45,
  -45,
  88,
  -88,
  100,
  -100,
  300,
  -300,
  1e4,
  -1e4,
  1e30,
  -1e30,
  3e38,
  -3e38,
  Infinity,
  -Infinity,
];

/** The curves of activations and softcaps. */
const CURVES: readonly (readonly [UnaryOp, Record<string, number | string | { float: number }>])[] = [
  ["Tanh", {}],
  ["Sigmoid", {}],
  ["Erf", {}],
  ["Exp", {}],
  ["Relu", {}],
  ["Gelu", {}],
  ["Gelu", { approximate: "tanh" }],
  ["QuickGelu", { alpha: { float: 1.702 } }],
  ["Softplus", {}],
  ["Mish", {}],
  ["HardSwish", {}],
];

describe.skipIf(!hasDevice)(`on ${DEVICE}`, () => {
  it.each(ops)("%s gives what float64 gives, its gradient too", async (name) => {
    for (const one of OP_CASES[name]) {
      const trial = trialOf(one, "inputs");
      const ids = [...trial.seeds.keys()];
      const [ours, exact] = [await run(trial.graph, trial.feeds, ids, DEVICE), evaluate(trial.graph, trial.feeds, trial.weights)];
      for (const id of ids) expect(apart(ours.get(id)!, exact.get(id)!), one.title).toBeLessThan(FLOAT32);
      const slopes = gradientsOf(trial, trial.targets);
      for (const [id, slope] of await runGradients(trial, trial.targets, DEVICE))
        expect(apart(slope, slopes.get(id)!), `${one.title}, gradient by ${id}`).toBeLessThan(FLOAT32);
    }
  });

  it.each(CURVES)("%s of large, tiny and infinite numbers is what the CPU gives", async (name, attributes) => {
    const { graph, id } = curve(name, attributes);
    const feeds = new Map([["x", vectorOf(EXTREMES)]]);
    const [ours, cpu] = [(await run(graph, feeds, [id], DEVICE)).get(id)!, (await run(graph, feeds, [id])).get(id)!];
    EXTREMES.forEach((x, i) =>
      expect(unlike(ours.data[i]!, cpu.data[i]!), `${name}(${x}) = ${cpu.data[i]}, got ${ours.data[i]}`).toBe(false),
    );
  });

  it("softmax of masked and of large scores is what the CPU gives", async () => {
    const g = new GraphBuilder();
    const { id } = op.softmax(g, g.input("x", ["row", "key"]));
    const scores = ndArray([5, 3], [1e4, -1e4, 0, -Infinity, 5, 300, 3e38, -3e38, 3e38, 88, -Infinity, -88, -Infinity, -Infinity, 0]);
    const graph = g.finish();
    const [ours, cpu] = [await run(graph, new Map([["x", scores]]), [id], DEVICE), await run(graph, new Map([["x", scores]]), [id])];
    expect(apart(ours.get(id)!, cpu.get(id)!)).toBeLessThan(FLOAT32);
  });

  it.each(["layer", "rms"] as const)(
    "the %s norm of rows far from 0, large and tiny is what float64 gives, its divisor too",
    async (kind) => {
      for (const [size, far] of [
        [1, 0],
        [1, 30],
        [1e3, 0],
        [1e12, 0],
        [1e-4, 0],
        [1, 3000],
      ] as const) {
        const { graph, ids } = norm(kind);
        const x = ndArray(
          [3, 8],
          Array.from({ length: 24 }, (_, i) => Math.fround(size * Math.sin(i * 1.7 + 1) + far)),
        );
        const exact = evaluate(graph, new Map([["x", x]]), new Map());
        const ours = await run(graph, new Map([["x", x]]), ids, DEVICE);
        for (const id of ids) expect(relative(ours.get(id)!, exact.get(id)!), `${kind} ${size} ${far}`).toBeLessThan(FLOAT32);
      }
    },
  );
});

function curve(name: UnaryOp, attributes: (typeof CURVES)[number][1]): { graph: Graph; id: string } {
  const g = new GraphBuilder();
  const { id } = op.unary(g, name, g.input("x", ["n"]), attributes);
  return { graph: g.finish(), id };
}

function norm(kind: "layer" | "rms"): { graph: Graph; ids: string[] } {
  const g = new GraphBuilder();
  const row = (value: number): Value => g.constant(Array<number>(8).fill(value), ["unit"]);
  const bias = kind === "layer" ? { bias: row(0) } : {};
  const { normalised, inverse } = op.normalise(g, g.input("x", ["row", "unit"]), { kind, eps: 1e-5, weight: row(1), ...bias });
  return { graph: g.finish(), ids: [normalised.id, inverse.id] };
}

/** Near 0 both sides round differently, to a few units of 2⁻²³. `exp` of a driver may be off by 4e-6 (seen: 3e-6 at 45). */
function unlike(ours: number, theirs: number): boolean {
  return !(Object.is(ours, theirs) || ours === theirs || Math.abs(ours - theirs) <= Math.max(1e-6, 1e-5 * Math.abs(theirs)));
}

function relative(ours: NdArray, theirs: NdArray): number {
  const largest = theirs.data.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return theirs.data.reduce((most, x, i) => Math.max(most, Math.abs(x - ours.data[i]!)), 0) / largest;
}
