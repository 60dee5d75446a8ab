/**
 * @file Scores of edges against a second computation with `model.gradient` alone: one receiver's slope at a time, by seeds that are 0 for every
 * other head; the bookkeeping of grouped heads; and EAP-IG against the finite change that it integrates.
 */
import { afterAll, describe, expect, it } from "vitest";
import { edgeScores } from "../../../src/analyses/circuits/edge-scores.js";
import { largestEdges, type EdgeFinding } from "../../../src/analyses/circuits/edge-findings.js";
import { circuitGraph, edgeNames, groupedScores, nodeNames } from "../../../src/analyses/circuits/graph.js";
import { must } from "../../../src/base/errors.js";
import { tensor, type Tensor } from "../../../src/base/tensor.js";
import type { ModelSpec } from "../../../src/models/spec.js";
import { SUBJECTS } from "../../parity/subjects.js";
import { circuitShelf, type CircuitModel } from "./circuit-model.js";

const shelf = circuitShelf();
afterAll(shelf.close);

const OF = "logits[-1,5]-logits[-1,1]";

/** Both are float32; of the largest score. Seen: 4e-6. */
const ROUNDING = 5e-5;

const BUILDS = [
  "gpt2-hub-names",
  "gptj-rotary-six",
  "gpt-neox-v5-yarn",
  "phi-qk-layernorm-gqa",
  "llama-gqa",
  "granite",
  "gpt-oss",
  "induction-2l-attn",
];
const subjects = SUBJECTS.filter(({ name }) => BUILDS.includes(name));

type Floats = Tensor<Float32Array>;

/** The slope by the stream through one receiver of the last layer, by seeds alone. */
async function slopeThrough(
  model: CircuitModel,
  tokens: readonly number[],
  { layer, side, head }: { layer: number; side: "q" | "k" | "v" | "mlp"; head: number },
): Promise<Floats> {
  const { attention, wiring } = model.spec.layers[layer]!;
  const seedAt = async (of: Parameters<CircuitModel["gradient"]>[0]["of"], at: string): Promise<Floats> =>
    must((await model.gradient({ tokens: [tokens], of, at: [at] })).gradients[at], at);
  const from = (at: string, gradient: Floats): { seeds: { at: string; gradient: Floats }[] } => ({ seeds: [{ at, gradient }] });
  if (side === "mlp") {
    const stream = wiring === "parallel" ? `resid_pre.${layer}` : `resid_mid.${layer}`;
    return seedAt(from(`mlp_out.${layer}`, await seedAt(OF, `mlp_out.${layer}`)), stream);
  }
  const entry = side === "v" ? `z.${layer}` : `attn_scores.${layer}`;
  const group = attention.heads / attention.kvHeads;
  const ofHead = async (): Promise<Floats> => masked(await seedAt(OF, entry), { axis: side === "v" ? 2 : 1, index: head });
  const atSide = await seedAt(group === 1 ? OF : from(entry, await ofHead()), `${side}.${layer}`);
  const mine = side === "q" ? head : Math.floor(head / group);
  return seedAt(from(`${side}.${layer}`, masked(atSide, { axis: 2, index: mine })), `resid_pre.${layer}`);
}

function masked({ data, shape, axes }: Floats, { axis, index }: { axis: number; index: number }): Floats {
  const inner = shape.slice(axis + 1).reduce((product, length) => product * length, 1);
  return tensor(
    data.map((value, i) => (Math.floor(i / inner) % shape[axis]! === index ? value : 0)),
    shape,
    axes,
  );
}

/** What a sender says in the other run beyond this one. */
async function changeOf(model: CircuitModel, name: string, runs: readonly (readonly number[])[]): Promise<Float32Array> {
  const [, kind, layer, head] = /^(input|m|a)(\d*)(?:\.h(\d+))?$/.exec(name)!;
  const at = kind === "input" ? "resid_pre.0" : `${kind === "m" ? "mlp_out" : "head_out"}.${layer}`;
  const [own, theirs] = await Promise.all(
    runs.map(async (row) => (await model.forward({ tokens: [row], read: [at], logits: false })).activations[at] as Floats),
  );
  const { dModel, layers } = model.spec;
  const delta = own!.data.map((value, i) => theirs!.data[i]! - value);
  if (kind !== "a") return delta;
  const heads = own!.shape[2]!;
  const by = layers[Number(layer)]!.residualMultiplier ?? 1;
  return delta.filter((_, i) => Math.floor(i / dModel) % heads === Number(head)).map((value) => by * value);
}

describe.each(subjects)("$name", ({ folder, tokens }) => {
  const [a = [], b = []] = tokens;
  const pair = { clean: a.slice(0, 7), corrupted: a.slice(0, 7).map((token, i) => (i >= 2 && i % 3 !== 0 ? b[i]! : token)) };

  it.each(["noise", "denoise"] as const)("scores edges as slopes through one receiver do (%s)", async (direction) => {
    const model = shelf.open(folder);
    const { graph, scores } = await edgeScores(model, { pairs: [pair], of: OF, direction });
    const names = edgeNames(graph);
    const largest = scores.reduce((most, score) => Math.max(most, Math.abs(score)), 0);
    const runs = direction === "noise" ? [pair.clean, pair.corrupted] : [pair.corrupted, pair.clean];
    const layer = model.spec.layers.length - 1;
    const { attention, mlp } = model.spec.layers[layer]!;
    const heads = [1, attention.heads - 1].flatMap((head) => (["q", "k", "v"] as const).map((side) => ({ layer, side, head })));
    const senders = ["input", "a0.h1", ...(model.spec.layers[0]!.mlp ? ["m0"] : [])];
    for (const receiver of [...heads, ...(mlp ? [{ layer, side: "mlp" as const, head: 0 }] : [])]) {
      const slope = await slopeThrough(model, runs[0]!, receiver);
      const to = receiver.side === "mlp" ? `m${layer}` : `a${layer}.h${receiver.head}<${receiver.side}>`;
      for (const sender of senders) {
        const change = await changeOf(model, sender, runs);
        const theirs = change.reduce((sum, value, i) => sum + value * slope.data[i]!, 0);
        const ours = scores[names.indexOf(`${sender}->${to}`)]!;
        expect(Math.abs(ours - theirs), `${sender}->${to}: ${ours} against ${theirs}`).toBeLessThan(ROUNDING * largest);
      }
    }
  });
});

describe("the graph", () => {
  const layers = (count: number, heads: number): ModelSpec["layers"] =>
    Array.from({ length: count }, () => ({
      wiring: "sequential",
      attention: { heads, kvHeads: heads },
      mlp: {},
    })) as unknown as ModelSpec["layers"];

  it("has 158 nodes and 32,491 edges for GPT-2 small", () => {
    const graph = circuitGraph({ dModel: 768, layers: layers(12, 12) } as unknown as ModelSpec);
    expect(nodeNames(graph)).toHaveLength(158);
    expect(graph.edges).toBe(32_491);
    const names = edgeNames(graph);
    expect(new Set(names).size).toBe(32_491);
    for (const name of ["input->a0.h0<q>", "m3->a5.h1<v>", "a11.h10->logits", "a4.h2->m4"]) expect(names).toContain(name);
    for (const name of ["a4.h2->a4.h3<q>", "m4->a4.h0<q>", "m4->m4"]) expect(names).not.toContain(name);
  });

  it("has no edge from a head to the MLP beside it in a parallel block, and no MLP in attention-only models", () => {
    const parallel = circuitGraph(
      shelf.open(
        must(
          SUBJECTS.find(({ name }) => name === "gptj-rotary-six"),
          "gptj",
        ).folder,
      ).spec,
    );
    expect(edgeNames(parallel).filter((name) => /^a1\.h\d->m1$/.test(name))).toEqual([]);
    expect(edgeNames(parallel)).toContain("a0.h0->m1");
  });
});

describe("grouped heads", () => {
  it("add up to the slope by the shared key and value, and only there", async () => {
    const { folder, tokens } = must(
      SUBJECTS.find(({ name }) => name === "phi-qk-layernorm-gqa"),
      "phi",
    );
    const model = shelf.open(folder);
    const [a = [], b = []] = tokens;
    const { graph, scores } = await edgeScores(model, { pairs: [{ clean: a.slice(0, 7), corrupted: b.slice(0, 7) }], of: OF });
    const grouped = groupedScores(graph, scores);
    const names = edgeNames(graph);
    const layer = model.spec.layers.length - 1;
    const { heads, kvHeads } = model.spec.layers[layer]!.attention;
    const at = (values: Float64Array, head: number, side: string): number => values[names.indexOf(`input->a${layer}.h${head}<${side}>`)]!;
    expect(heads / kvHeads).toBeGreaterThan(1);
    expect(at(grouped, 0, "k")).toBeCloseTo(at(scores, 0, "k") + at(scores, 1, "k"), 10);
    expect(at(grouped, 1, "k")).toBe(at(grouped, 0, "k"));
    expect(at(grouped, 1, "q")).toBe(at(scores, 1, "q"));
  });
});

describe("steps", () => {
  it("are the mean of slopes taken at embeddings on the way", async () => {
    const { folder, tokens } = must(
      SUBJECTS.find(({ name }) => name === "gpt2-hub-names"),
      "gpt2",
    );
    const model = shelf.open(folder);
    const [a = [], b = []] = tokens;
    const pair = { clean: a.slice(0, 6), corrupted: b.slice(0, 6) };
    const { graph, scores } = await edgeScores(model, { pairs: [pair], of: OF, steps: 3 });
    const at = `resid_post.${graph.layers - 1}`;
    const embedded = async (row: readonly number[]): Promise<Floats> =>
      (await model.forward({ tokens: [row], read: ["resid_pre.0"], logits: false })).activations["resid_pre.0"] as Floats;
    const [own, theirs] = [await embedded(pair.clean), await embedded(pair.corrupted)];
    const change = await changeOf(model, "a0.h1", [pair.clean, pair.corrupted]);
    let expected = 0;
    for (const step of [1, 2, 3]) {
      const between = own.data.map((value, i) => theirs.data[i]! + (step / 3) * (value - theirs.data[i]!));
      const edit = { at: "resid_pre.0", op: "set", value: tensor(between, own.shape.slice(1)) } as const;
      const { gradients } = await model.gradient({ tokens: [pair.clean], of: OF, at: [at], edits: [edit] });
      expected += change.reduce((sum, value, i) => sum + (value * gradients[at]!.data[i]!) / 3, 0);
    }
    const ours = scores[edgeNames(graph).indexOf("a0.h1->logits")]!;
    expect(Math.abs(ours - expected)).toBeLessThan(ROUNDING * Math.abs(expected));
    const plain = await edgeScores(model, { pairs: [pair], of: OF });
    expect(Math.abs(ours - plain.scores[edgeNames(graph).indexOf("a0.h1->logits")]!)).toBeGreaterThan(0.01 * Math.abs(expected));
  });

  it("are, for one step, the run itself", async () => {
    const { folder, tokens } = must(
      SUBJECTS.find(({ name }) => name === "gpt2-hub-names"),
      "gpt2",
    );
    const model = shelf.open(folder);
    const [a = [], b = []] = tokens;
    const pairs = [
      { clean: a.slice(0, 6), corrupted: b.slice(0, 6) },
      { clean: b.slice(0, 4), corrupted: a.slice(0, 4) },
    ];
    const plain = await edgeScores(model, { pairs, of: OF });
    const one = await edgeScores(model, { pairs, of: OF, steps: 1 });
    const largest = plain.scores.reduce((most, score) => Math.max(most, Math.abs(score)), 0);
    plain.scores.forEach((score, edge) => expect(Math.abs(score - one.scores[edge]!)).toBeLessThan(ROUNDING * largest));
    const separate = await edgeScores(model, { pairs: [pairs[1]!], of: OF, keepPairs: true });
    const both = await edgeScores(model, { pairs, of: OF, keepPairs: true });
    separate.perPair!.forEach((score, edge) =>
      expect(Math.abs(score - both.perPair![both.graph.edges + edge]!)).toBeLessThan(ROUNDING * largest),
    );
  });

  it("come with errors and intervals of the mean over pairs, and the largest edges first", async () => {
    const { folder, tokens } = must(SUBJECTS.find(({ name }) => name === "gpt2-hub-names"), "gpt2"); // prettier-ignore
    const [a = [], b = []] = tokens;
    const pairs = [4, 5, 6, 7].map((length) => ({ clean: a.slice(0, length), corrupted: b.slice(0, length) }));
    const found = await edgeScores(shelf.open(folder), { pairs, of: OF, keepPairs: true });
    const [first, second] = largestEdges(found, { count: 2, seed: 1 }) as [EdgeFinding, EdgeFinding];
    const own = pairs.map((_, pair) => found.perPair![pair * found.graph.edges + first.edge]!);
    const mean = own.reduce((sum, value) => sum + value, 0) / 4;
    const deviation = Math.sqrt(own.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 3);
    expect(first.score).toBeCloseTo(mean, 10);
    expect(found.errors[first.edge]).toBeCloseTo(deviation / 2, 8);
    expect(Math.abs(first.score)).toBeGreaterThanOrEqual(Math.abs(second.score));
    expect([first.interval!.low <= mean, first.interval!.high >= mean, first.n]).toEqual([true, true, 4]);
    expect(edgeNames(found.graph)[first.edge]).toBe(first.name);
    expect(() => largestEdges({ ...found, perPair: undefined } as never, { count: 1, seed: 1 })).toThrow("keepPairs");
    await expect(edgeScores(shelf.open(folder), { pairs, of: OF, steps: 0 })).rejects.toThrow("steps must be a whole number");
  });
});
