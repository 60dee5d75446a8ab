/**
 * @file Circuits that are run: all edges are the clean run and none the corrupted one; one edge is a path of `patchPaths`; and on models of every
 * build random circuits against a second implementation, which runs whole blocks from given streams and knows nothing of nodes.
 */
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { circuitGraph, edgeNames, edgesNamed, type CircuitGraph } from "../../../src/analyses/circuits/graph.js";
import { reachable } from "../../../src/analyses/circuits/prune.js";
import { runCircuits } from "../../../src/analyses/circuits/run-circuit.js";
import { patchPaths, type Receiver } from "../../../src/analyses/sweeps/path.js";
import { must } from "../../../src/base/errors.js";
import { seededRandom } from "../../../src/base/random.js";
import { SUBJECTS } from "../../parity/subjects.js";
import { hasShared } from "../../shared.js";
import { fixture } from "../../runtime/support.js";
import { circuitShelf, openCircuitModel } from "./circuit-model.js";
import { naiveCircuit } from "./naive-circuit.js";

const shelf = circuitShelf();
afterAll(shelf.close);

/** Float32 on both sides, in sums of other orders; of the largest |logit|. */
const ROUNDING = 2e-5;

/** One model for each way in which blocks are built. */
const BUILDS = [
  "gpt2-hub-names",
  "gpt-neox-v5-yarn",
  "gptj-rotary-six",
  "phi-qk-layernorm-gqa",
  "bloom-alibi",
  "llama-gqa",
  "phi3",
  "qwen3",
  "qwen3-moe-dense-first",
  "gpt-oss",
  "granite",
  "mistral-sliding",
  "induction",
  "induction-2l-attn",
];
const subjects = SUBJECTS.filter(({ name }) => BUILDS.includes(name));

function pairsOf(tokens: readonly (readonly number[])[]): { clean: number[]; corrupted: number[] }[] {
  const [a = [], b = []] = tokens;
  const clean = a.slice(0, 7);
  const corrupted = clean.map((token, i) => (i >= 2 && i % 3 !== 0 ? b[i]! : token));
  return [
    { clean, corrupted },
    { clean: b.slice(0, 5), corrupted: a.slice(0, 5) },
  ];
}

const OF = "logits[-1,5]-logits[-1,1]";

describe.each(subjects)("$name", ({ folder, tokens }) => {
  const pairs = pairsOf(tokens);

  it("is the clean run with all edges, and the corrupted run with none", async () => {
    const model = shelf.open(folder);
    const { edges } = circuitGraph(model.spec);
    const all = Array.from({ length: edges }, (_, edge) => edge);
    const { clean, corrupted, circuits } = await runCircuits(model, { pairs, of: OF, circuits: [all, []] });
    const theirs = await model.gradient({ tokens: pairs.map((pair) => pair.clean), of: OF, at: ["embed"] });
    const scale = Math.max(...clean.map(Math.abs), 1);
    pairs.forEach((_, i) => {
      expect(Math.abs(clean[i]! - theirs.values[i]!)).toBeLessThan(ROUNDING * scale);
      expect(Math.abs(circuits[0]![i]! - clean[i]!)).toBeLessThan(ROUNDING * scale);
      expect(circuits[1]![i]).toBe(corrupted[i]);
      expect(Math.abs(clean[i]! - corrupted[i]!)).toBeGreaterThan(100 * ROUNDING);
    });
  });

  it("runs any circuit as whole blocks would", async () => {
    const model = shelf.open(folder);
    const graph = circuitGraph(model.spec);
    const random = seededRandom(3);
    const circuits = [0.3, 0.7].map((share) => Array.from({ length: graph.edges }, (_, edge) => edge).filter(() => random() < share));
    const pruned = circuits.map((edges) => reachable(graph, edges));
    const ours = await runCircuits(model, { pairs: [pairs[0]!], of: OF, circuits: [...circuits, ...pruned] });
    for (const [i, edges] of circuits.entries()) {
      const theirs = await naiveCircuit(model, { ...pairs[0]!, of: OF, edges: names(graph, edges) });
      expect(Math.abs(ours.circuits[i]![0]! - theirs)).toBeLessThan(ROUNDING * Math.max(1, Math.abs(theirs)));
      expect(Math.abs(theirs - ours.clean[0]!)).toBeGreaterThan(10 * ROUNDING);
      expect(ours.circuits[i + 2]![0], "without what nothing reaches").toBe(ours.circuits[i]![0]);
    }
  });
});

function names(graph: CircuitGraph, edges: readonly number[]): ReadonlySet<string> {
  const all = edgeNames(graph);
  return new Set(edges.map((edge) => all[edge]!));
}

/** The edges from a sender to one receiver, and on from there to the end over every path that the sender does not share. */
function behind(graph: CircuitGraph, sender: string, receiver: string, node: string): number[] {
  const after = graph.senders.findIndex(({ name }) => name === node);
  const onward = edgeNames(graph).filter((name) => {
    const from = graph.senders.findIndex((one) => one.name === name.split("->")[0]);
    return from >= after;
  });
  return edgesNamed(graph, [`${sender}->${receiver}`, ...onward]);
}

describe("one edge, and all that its receiver says, is a path", () => {
  const cases: readonly [string, Receiver, string, string][] = [
    ["a0.h1", { into: "q", layer: 1, head: 0 }, "a1.h0<q>", "a1.h0"],
    ["a0.h1", { into: "v", layer: 1, head: 1 }, "a1.h1<v>", "a1.h1"],
    ["a0.h0", { into: "mlp", layer: 1 }, "m1", "m1"],
  ];

  it.each(cases)("%s to %o", async (sender, into, receiver, node) => {
    const model = shelf.open(
      must(
        SUBJECTS.find(({ name }) => name === "gpt2-hub-names"),
        "gpt2",
      ).folder,
    );
    const { tokens } = must(
      SUBJECTS.find(({ name }) => name === "gpt2-hub-names"),
      "gpt2",
    );
    const graph = circuitGraph(model.spec);
    const pair = pairsOf(tokens)[0]!;
    const head = Number(sender.split(".h")[1]);
    // The sender alone differs: it says what it says in the clean run, which the circuit must hear of all that comes to it.
    const feeding = edgeNames(graph).filter((name) => name.split("->")[1]!.startsWith(sender));
    const edges = [...behind(graph, sender, receiver, node), ...edgesNamed(graph, feeding)];
    const { circuits } = await runCircuits(model, { pairs: [pair], of: OF, circuits: [edges] });
    const theirs = await patchPaths(model, {
      pairs: [{ ...pair, answer: 5, wrong: 1 }],
      senders: [{ edits: [{ at: "z.0", op: "patch", heads: [head] }] }],
      receivers: [into],
      metrics: ["logit_diff"],
    });
    const { values, corrupted } = theirs.metrics["logit_diff"]!;
    expect(Math.abs(circuits[0]![0]! - values[0]!)).toBeLessThan(ROUNDING * Math.max(1, Math.abs(values[0]!)));
    expect(Math.abs(values[0]! - corrupted![0]!)).toBeGreaterThan(10 * ROUNDING);
  });
});

describe("a model with an adapter", () => {
  it("is taken apart with it", async () => {
    const model = openCircuitModel(
      fixture("gpt2-hub-names"),
      fileURLToPath(new URL("../../fixtures/adapters/gpt2-hub-names", import.meta.url)),
    );
    const { tokens } = must(SUBJECTS.find(({ name }) => name === "gpt2-hub-names"), "gpt2"); // prettier-ignore
    const graph = circuitGraph(model.spec);
    const all = Array.from({ length: graph.edges }, (_, edge) => edge);
    const pairs = [pairsOf(tokens)[0]!];
    const [withIt, without] = [model, shelf.open(fixture("gpt2-hub-names"))];
    const { clean, circuits } = await runCircuits(withIt, { pairs, of: OF, circuits: [all] });
    const plain = await runCircuits(without, { pairs, of: OF, circuits: [] });
    await model.close();
    expect(Math.abs(circuits[0]![0]! - clean[0]!)).toBeLessThan(ROUNDING * Math.max(1, Math.abs(clean[0]!)));
    expect(Math.abs(clean[0]! - plain.clean[0]!)).toBeGreaterThan(1e-2);
  });
});

describe("what cannot be taken apart is refused", () => {
  const refusal = (name: string): string => {
    const subject = SUBJECTS.find((one) => one.name === name);
    if (!subject) return "";
    try {
      circuitGraph(shelf.open(subject.folder).spec);
    } catch (error) {
      return (error as Error).message;
    }
    return "nothing was refused";
  };

  it.skipIf(!hasShared)("norms that mix heads, and streams that are no sum", () => {
    expect(refusal("gemma2")).toMatchInlineSnapshot(
      `"cannot take this gemma2 model apart into nodes and edges: layer 0: a norm behind attention mixes what its heads add. Instead: patchPaths, or circuits of whole sublayers by hand"`,
    );
    expect(refusal("olmo2")).toMatchInlineSnapshot(
      `"cannot take this olmo2 model apart into nodes and edges: layer 0: a norm behind attention mixes what its heads add. Instead: patchPaths, or circuits of whole sublayers by hand"`,
    );
    expect(refusal("opt-post-projected")).toMatchInlineSnapshot(
      `"cannot take this opt model apart into nodes and edges: layer 0: norms stand in the stream itself, so it is no sum of what was added. Instead: patchPaths, or circuits of whole sublayers by hand"`,
    );
  });

  it("a stream that goes on from a norm, prompts of unequal length, ends that are not logits, edges that are not there", async () => {
    expect(refusal("bloom-five-heads-untied")).toMatchInlineSnapshot(
      `"cannot take this bloom model apart into nodes and edges: layer 0: the stream goes on from a norm's output, so it is no sum of what was added. Instead: patchPaths, or circuits of whole sublayers by hand"`,
    );
    const model = shelf.open(fixture("gpt2-hub-names"));
    const pairs = [{ clean: [1, 2, 3], corrupted: [1, 2, 4] }];
    await expect(runCircuits(model, { pairs: [{ clean: [1, 2], corrupted: [1] }], of: OF, circuits: [] })).rejects.toThrow(
      "clean has 2, corrupted 1",
    );
    await expect(runCircuits(model, { pairs, of: "z.0[-1,0,0]", circuits: [] })).rejects.toThrow("cannot end at z.0");
    await expect(runCircuits(model, { pairs, of: OF, circuits: [[1e9]] })).rejects.toThrow("circuits[0]: edges are numbered 0 to");
    await expect(runCircuits(model, { pairs, of: [OF, OF], circuits: [] })).rejects.toThrow("has 2 entries for 1 pairs");
  });
});
