/**
 * @file The gradient of every op against central differences in float64, coordinate by coordinate; and ONNX Runtime's against it. Further
 * what `differentiate` promises of whole graphs: values used twice, seeds inside, leaves, targets that nothing depends on.
 */
import { describe, expect, it, test } from "vitest";
import { GraphBuilder } from "../../src/graph/builder.js";
import * as op from "../../src/graph/ops.js";
import { RULES } from "../../src/graph/vjp-rules.js";
import { differentiate } from "../../src/graph/vjp.js";
import { ACTIVATION_NAMES, activate } from "../../src/models/parts/activations.js";
import { OP_CASES } from "./gradient-cases.js";
import { gradientsOf, randomSeeds, Slopes, type Trial } from "./gradient-trial.js";
import { vectorOf } from "./nd-array.js";
import { apart, trialOf } from "./op-trial.js";
import { runGradients } from "./run-gradients.js";

/** Central differences with steps of 1e-5 are exact to 1e-10 of a third derivative and to 1e-11 for rounding. Seen: 4e-10. */
const TOLERANCE = 1e-8;
/** ONNX Runtime computes in float32, of a few dozen terms each. Seen: 6e-7. */
const FLOAT32 = 1e-5;

const cases = Object.entries(OP_CASES).flatMap(([name, list]) => list.map((one) => [`${name}: ${one.title}`, name, one] as const));

test("every op has cases, and each uses it", () => {
  expect(Object.keys(OP_CASES).toSorted()).toEqual(Object.keys(RULES).toSorted());
  for (const [title, name, one] of cases)
    expect(
      trialOf(one, "inputs").graph.nodes.map((node) => node.op),
      title,
    ).toContain(name);
  expect(Object.values(OP_CASES).every((list) => list.length > 0)).toBe(true);
});

describe.each(["inputs", "weights"] as const)("by %s, the gradient is what central differences give", (as) => {
  it.each(cases)("%s", (_, __, one) => {
    const trial = trialOf(one, as);
    const [gradients, slopes] = [gradientsOf(trial, trial.targets), new Slopes(trial)];
    for (const id of trial.targets) expect(apart(gradients.get(id)!, slopes.of(id)), id).toBeLessThan(TOLERANCE);
  });
});

describe("ONNX Runtime computes the same gradient graph", () => {
  it.each(cases)("%s", async (_, __, one) => {
    const trial = trialOf(one, "inputs");
    const ours = await runGradients(trial, trial.targets);
    const exact = gradientsOf(trial, trial.targets);
    for (const [id, gradient] of ours) expect(apart(gradient, exact.get(id)!), id).toBeLessThan(FLOAT32);
  });
});

describe("activations of configurations", () => {
  it.each(ACTIVATION_NAMES)("%s", (name) => {
    const trial = trialOf({ title: name, floats: { x: [3, 8] }, reach: 5, make: (g, { x }) => [activate(g, name, x!)] }, "inputs");
    expect(apart(gradientsOf(trial, ["x"]).get("x")!, new Slopes(trial).of("x"))).toBeLessThan(TOLERANCE);
  });
});

describe("whole graphs", () => {
  /** x → h = exp x → y = h · x + tanh h; a, which nothing uses. */
  function fork(): Trial & { ids: Record<"h" | "t" | "y", string> } {
    const g = new GraphBuilder();
    const x = g.input("x", ["n"]);
    g.input("a", ["n"]);
    const h = op.unary(g, "Exp", x);
    const t = op.unary(g, "Tanh", h);
    const y = op.add(g, op.multiply(g, h, x), t);
    const feeds = new Map([
      ["x", vectorOf([0.3, -0.7])],
      ["a", vectorOf([1, 2])],
    ]);
    const ids = { h: h.id, t: t.id, y: y.id };
    return { graph: g.finish(), feeds, weights: new Map(), seeds: new Map([[y.id, vectorOf([1, 1])]]), ids };
  }

  it("sum over all ways from a target to the seeds", () => {
    const trial = fork();
    const slope = (x: number): number => Math.exp(x) * (x + 1) + Math.exp(x) * (1 - Math.tanh(Math.exp(x)) ** 2);
    expect(apart(gradientsOf(trial, ["x"]).get("x")!, vectorOf([slope(0.3), slope(-0.7)]))).toBeLessThan(1e-12);
  });

  it("take seeds of values that depend on each other, and of a target itself", () => {
    const { ids, ...trial } = fork();
    const seeded = { ...trial, seeds: randomSeeds(trial, [ids.h, ids.t, ids.y, "x"]) };
    const slopes = new Slopes(seeded);
    for (const [id, gradient] of gradientsOf(seeded, ["x", ids.h, ids.t, ids.y]))
      expect(apart(gradient, slopes.of(id)), id).toBeLessThan(TOLERANCE);
  });

  it("end at leaves, whose own gradient is whole", () => {
    const { ids, ...trial } = fork();
    const slopes = new Slopes(trial);
    const along = vectorOf([0.5, -2]);
    const cut = gradientsOf(trial, ["x", ids.h], [ids.h]);
    const frozen = slopes.along(new Map([["x", along]]), { frozen: [ids.h] });
    expect(cut.get("x")!.data.reduce((sum, value, i) => sum + value * along.data[i]!, 0)).toBeCloseTo(frozen, 8);
    expect(apart(cut.get(ids.h)!, slopes.of(ids.h))).toBeLessThan(TOLERANCE);
  });

  it("have no gradient by what the seeds do not depend on", () => {
    const { ids, graph } = fork();
    const { gradients } = differentiate(graph, { seeds: [ids.h], targets: ["a", ids.t, "x"] });
    expect([...gradients.keys()]).toEqual(["x"]);
  });

  it("contain the forward graph as it was", () => {
    const { ids, graph } = fork();
    const made = differentiate(graph, { seeds: [ids.y], targets: ["x"] }).graph;
    expect(made.nodes.slice(0, graph.nodes.length)).toEqual(graph.nodes);
    expect(made.inputs.map(({ id }) => id)).toEqual(["x", "a", `grad:${ids.y}`]);
    expect(graph.nodes.length).toBe(4);
  });
});
