/** @file Circuits from scores, areas and files: small graphs by hand, all orders of growth, MIB's sums, and files that are hostile. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { circuitJson, readCircuitJson } from "../../../src/analyses/circuits/circuit-json.js";
import { compareScores } from "../../../src/analyses/circuits/compare.js";
import { faithfulnessCurve } from "../../../src/analyses/circuits/faithfulness.js";
import { circuitGraph, edgeNames, edgesNamed } from "../../../src/analyses/circuits/graph.js";
import { circuitsBySize, MIB_SHARES, pruneCircuit, reachable } from "../../../src/analyses/circuits/prune.js";
import type { ModelSpec } from "../../../src/models/spec.js";

const layer = { wiring: "sequential", attention: { heads: 2, kvHeads: 2 }, mlp: {} };
const graph = circuitGraph({ dModel: 8, layers: [layer, layer] } as unknown as ModelSpec);
const names = edgeNames(graph);
const named = (edges: readonly number[]): string[] => edges.map((edge) => names[edge]!);

/** Scores of the named edges, 0 elsewhere. */
function scoresOf(given: Readonly<Record<string, number>>): Float64Array {
  const scores = new Float64Array(graph.edges);
  for (const [name, score] of Object.entries(given)) scores[edgesNamed(graph, [name])[0]!] = score;
  return scores;
}

describe("pruning", () => {
  it("takes the largest, and away what nothing reaches and what reaches nothing", () => {
    const scores = scoresOf({ "input->a0.h0<q>": 5, "a0.h0->m1": -4, "m1->logits": 3, "a0.h1->logits": 2, "input->a1.h1<v>": 1 });
    expect(named(pruneCircuit(graph, { scores, edges: 5 }))).toEqual(["input->a0.h0<q>", "a0.h0->m1", "m1->logits"]);
    expect(named(pruneCircuit(graph, { scores, edges: 2 }))).toEqual([]);
    expect(named(pruneCircuit(graph, { scores, edges: 3, by: "above" }))).toEqual([]);
  });

  it("grows from the logits upwards when greedy, over edges that the top leaves out", () => {
    const scores = scoresOf({ "input->a0.h0<q>": 9, "a0.h0->m1": 1, "m1->logits": 2, "input->m0": 8, "input->a1.h1<v>": 7 });
    expect(named(pruneCircuit(graph, { scores, edges: 3, method: "greedy" }))).toEqual(["input->a0.h0<q>", "a0.h0->m1", "m1->logits"]);
    expect(named(pruneCircuit(graph, { scores, edges: 3, method: "top" }))).toEqual([]);
  });

  it("keeps everything of the whole graph, and nothing that is not on a way from the input to the logits", () => {
    expect(pruneCircuit(graph, { scores: new Float64Array(graph.edges), edges: graph.edges })).toHaveLength(graph.edges);
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(graph.edges - 1)), (edges) => {
        const kept = named(reachable(graph, edges));
        for (const name of kept) {
          const [from, to] = name.split("->").map((end) => end.replace(/<.>/, ""));
          expect(from === "input" || kept.some((other) => other.split("->")[1]!.replace(/<.>/, "") === from)).toBe(true);
          expect(to === "logits" || kept.some((other) => other.startsWith(`${to}->`))).toBe(true);
        }
        expect(reachable(graph, edgesNamed(graph, kept))).toEqual(edgesNamed(graph, kept));
      }),
    );
  });

  it("makes MIB's sizes, rounded down", () => {
    const circuits = circuitsBySize(graph, { scores: Float64Array.from({ length: graph.edges }, (_, i) => i), method: "greedy" });
    expect(circuits.map(({ share }) => share)).toEqual([...MIB_SHARES]);
    expect(circuits.at(-1)!.edges).toHaveLength(graph.edges);
    expect(circuits[0]!.edges).toEqual([]);
  });

  it("refuses scores without numbers, and other models' scores", () => {
    expect(() => pruneCircuit(graph, { scores: [1, 2], edges: 1 })).toThrow(`there are ${graph.edges} edges, got 2 scores`);
    expect(() => pruneCircuit(graph, { scores: scoresOf({ "m1->logits": Number.NaN }), edges: 1 })).toThrow("has no number");
  });
});

describe("the faithfulness curve", () => {
  const clean = [3, 5];
  const corrupted = [1, 1];
  const at = (f: number): number[] => clean.map((value, pair) => corrupted[pair]! + f * (value - corrupted[pair]!));

  it("has the areas that numpy's trapezoid gives for MIB's shares", () => {
    // np.trapezoid([.1,.2,.3,.4,.5,.7,.9,1.2,1.1,1], [.001,.002,.005,.01,.02,.05,.1,.2,.5,1]) and of np.abs(1 - f)
    const heights = [0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9, 1.2, 1.1, 1];
    const curve = faithfulnessCurve({ shares: MIB_SHARES, circuits: heights.map(at), clean, corrupted, seed: 3 });
    expect(curve.cpr).toBeCloseTo(1.04015, 10);
    expect(curve.cmd).toBeCloseTo(0.11885, 10);
    expect(curve.points.map(({ faithfulness }) => faithfulness)).toEqual(heights.map((height) => expect.closeTo(height, 12) as number));
    expect(curve.intervals!.cpr!.low).toBeCloseTo(curve.cpr, 10);
    expect(curve.n).toBe(2);
  });

  it("is 1 everywhere for the model itself, with a CMD of 0, and by ln share where asked", () => {
    const whole = faithfulnessCurve({ shares: [0.01, 0.1, 1], circuits: [clean, clean, clean], clean, corrupted });
    expect([whole.cpr, whole.cmd]).toEqual([expect.closeTo(0.99, 12), 0]);
    const log = faithfulnessCurve({ shares: [0.01, 0.1, 1], circuits: [at(0), at(0.5), clean], clean, corrupted, axis: "log" });
    expect(log.cpr).toBeCloseTo(Math.log(10) * (0.25 + 0.75), 12);
  });

  it("has intervals that hold what pairs disagree about, and refuses runs that do not differ", () => {
    const gains = [0.2, 0.9, 0.4, 1.3, 0.6, 0.8, 0.1, 1];
    const request = { shares: [0.1, 1], clean: gains.map(() => 1), corrupted: gains.map(() => 0) };
    const { intervals, cpr } = faithfulnessCurve({ ...request, circuits: [gains, gains.map(() => 1)], seed: 1 });
    expect(intervals!.cpr!.low).toBeLessThan(cpr - 0.02);
    expect(intervals!.cpr!.high).toBeGreaterThan(cpr + 0.02);
    expect(() => faithfulnessCurve({ ...request, clean: request.corrupted, circuits: [gains, gains] })).toThrow("score the same");
  });
});

describe("circuit files", () => {
  const scores = scoresOf({ "input->a0.h0<q>": -0.5, "m1->logits": 2 });
  const edges = edgesNamed(graph, ["m1->logits"]);
  const file = JSON.parse(JSON.stringify(circuitJson(graph, { scores, edges }))) as {
    cfg: object;
    nodes: Record<string, unknown>;
    edges: Record<string, unknown>;
  };

  it("have MIB's keys, and come back as they were", () => {
    expect(file.cfg).toEqual({ n_layers: 2, n_heads: 2, parallel_attn_mlp: false, d_model: 8 });
    expect(Object.keys(file)).toEqual(["cfg", "nodes", "edges"]);
    expect(file.nodes["m1"]).toEqual({ in_graph: true });
    expect(file.nodes["a0.h0"]).toEqual({ in_graph: false });
    expect(file.edges["input->a0.h0<q>"]).toEqual({ score: -0.5, in_graph: false });
    expect(readCircuitJson(graph, file)).toEqual({ edges, scores });
    const turned = JSON.parse(JSON.stringify(circuitJson(graph, { scores, edges }, { opposite: true }))) as typeof file;
    expect(turned.edges["input->a0.h0<q>"]).toEqual({ score: 0.5, in_graph: false });
    expect([...readCircuitJson(graph, turned, { opposite: true }).scores].map((score) => score || 0)).toEqual([...scores]);
  });

  it("are refused where they are another model's, or damaged, and never believed", () => {
    const changed = (change: (file: { cfg: Record<string, unknown>; edges: Record<string, unknown> }) => void): unknown => {
      const copy = structuredClone(file) as never;
      change(copy);
      return copy;
    };
    const refusal = (given: unknown): string => {
      try {
        readCircuitJson(graph, given);
      } catch (error) {
        return (error as Error).message;
      }
      return "nothing was refused";
    };
    expect(refusal(null)).toBe("circuit file: the circuit must be an object, got null");
    expect(refusal([])).toBe("circuit file: the circuit must be an object, got a list");
    expect(refusal(changed(({ cfg }) => (cfg["n_heads"] = 12)))).toBe("circuit file: cfg.n_heads is 12, and the model has 2");
    expect(refusal(changed((one) => delete one.edges["m1->logits"]))).toMatch(/^circuit file: edges holds \d+, and the model has \d+$/);
    expect(refusal(changed((one) => (one.edges["__proto__x"] = {})))).toContain('it lacks "__proto__x"');
    expect(refusal(changed((one) => (one.edges["m1->logits"] = { score: "1", in_graph: true })))).toContain(
      'score must be a number, got "1"',
    );
    expect(refusal(changed((one) => (one.edges["m1->logits"] = { score: 1, in_graph: 1 })))).toContain(
      "in_graph must be true or false, got 1",
    );
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(refusal(value)).toMatch(/^circuit file: /);
        expect(refusal({ ...file, edges: value })).toMatch(/^circuit file: /);
      }),
    );
  });
});

describe("the agreement of scores", () => {
  it("says rank, line, what is found of the largest and whether signs are right", () => {
    const exact = [10, -8, 1, 0.5, 0.1];
    expect(
      compareScores(
        exact.map((value) => 2 * value),
        exact,
        { top: 2 },
      ),
    ).toEqual({ spearman: 1, pearson: 1, found: 1, top: 2, sameSign: 1, n: 5 });
    const poor = compareScores([9, 0, 5, 0.2, 0.1], exact, { top: 2 });
    expect([poor.found, poor.sameSign]).toEqual([0.5, 0.5]);
    expect(() => compareScores([1], exact)).toThrow("1 estimates for 5");
  });
});
