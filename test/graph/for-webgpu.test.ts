/** @file The graph in WebGPU's ops computes what the graph computed: in float64, for every form of product and norm, and whole blocks. */
import { describe, expect, it } from "vitest";
import { FIXTURE_FOLDERS } from "../parity/subjects.js";
import { forWebGpu } from "../../src/graph/for-webgpu.js";
import { readSpec } from "../../src/runtime/load.js";
import { blockTrial } from "./block-trial.js";
import { OP_CASES } from "./gradient-cases.js";
import { evaluate } from "./interpreter.js";
import { apart, trialOf } from "./op-trial.js";

/** The same sums in the same order, but for where the scale is multiplied. */
const FLOAT64 = 1e-12;

describe("a graph for WebGPU", () => {
  it.each([...OP_CASES.FusedMatMul, ...OP_CASES.SimplifiedLayerNormalization, ...OP_CASES.LayerNormalization])(
    "$title is the same in other ops",
    (one) => {
      const { graph, feeds, weights, seeds } = trialOf(one, "inputs");
      const other = forWebGpu(graph, [...seeds.keys()]);
      expect(other.nodes.map(({ op }) => op)).not.toContain("FusedMatMul");
      for (const { op, outputs } of other.nodes) if (op === "SimplifiedLayerNormalization") expect(outputs).toHaveLength(1);
      const [ours, theirs] = [evaluate(other, feeds, weights), evaluate(graph, feeds, weights)];
      for (const id of seeds.keys()) expect(apart(ours.get(id)!, theirs.get(id)!), id).toBeLessThan(FLOAT64);
    },
  );

  it.each(FIXTURE_FOLDERS)("a block of $name has the same named values", ({ folder }) => {
    const { spec, checkpoint } = readSpec(folder);
    checkpoint.close();
    const { graph, feeds, weights } = blockTrial(spec, 0);
    const ids = [...graph.named.values()];
    const [ours, theirs] = [evaluate(forWebGpu(graph, ids), feeds, weights), evaluate(graph, feeds, weights)];
    for (const id of ids) expect(apart(ours.get(id)!, theirs.get(id)!), id).toBeLessThan(FLOAT64);
  });

  it("computes no divisor that nobody reads", () => {
    const [one] = OP_CASES.SimplifiedLayerNormalization;
    const { graph } = trialOf(one!, "inputs");
    const normalised = graph.nodes.find(({ op }) => op === "SimplifiedLayerNormalization")!.outputs[0]!;
    const alone = { ...graph, nodes: graph.nodes.filter(({ op }) => op === "SimplifiedLayerNormalization") };
    expect(forWebGpu(alone, [normalised]).nodes).toHaveLength(1);
  });
});
