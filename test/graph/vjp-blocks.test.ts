/**
 * @file Gradients of whole blocks, embeddings and ends of every family against slopes in float64: of each input, named value and weight
 * along a random direction, which an error anywhere in the gradient changes.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { must } from "../../src/base/errors.js";
import { seededRandom } from "../../src/base/random.js";
import type { Graph } from "../../src/graph/graph.js";
import {
  buildBlock,
  buildEmbedding,
  buildFinalNorm,
  buildHeadOut,
  buildUnembedding,
  FUSED,
  STREAM,
  type Form,
} from "../../src/models/block.js";
import type { ModelSpec } from "../../src/models/spec.js";
import { readSpec } from "../../src/runtime/load.js";
import { changed, CONFIGS, tiny } from "../models/tiny-specs.js";
import { blockTrial, namedFloats, randomWeights, targetsOf } from "./block-trial.js";
import { dot, gradientsOf, randomSeeds, Slopes, spread, STEPS, usual, type Trial } from "./gradient-trial.js";
import { mapped, vectorOf, type NdArray } from "./nd-array.js";
import { runGradients } from "./run-gradients.js";

/** Sums of some hundred products in float64, differences with steps of 1e-5. Seen: 6e-9. */
const TOLERANCE = 1e-7;

/** ONNX Runtime computes in float32. Seen: 1.3e-6. */
const FLOAT32 = 2e-5;

const APART: Form = { norms: "steps", heads: "apart", past: "fed" };
const variants = fileURLToPath(new URL("../fixtures/variants", import.meta.url));

/** Every family, every fixture, and what neither has. */
const SPECS: readonly (readonly [name: string, spec: ModelSpec])[] = [
  ...Object.entries(CONFIGS)
    .filter(([, config]) => config["hidden_size"] !== undefined || config["n_embd"] !== undefined)
    .map(([family, config]) => [family, tiny(config).spec] as const),
  ["gpt_neox, one after the other", tiny(changed("gpt_neox", { use_parallel_residual: false })).spec],
  ["opt, norms behind", tiny(changed("opt", { do_layer_norm_before: false })).spec],
  ...readdirSync(variants).map((name) => [name, specOf(join(variants, name))] as const),
];

function specOf(folder: string): ModelSpec {
  const { spec, checkpoint } = readSpec(folder);
  checkpoint.close();
  return spec;
}

/**
 * What is wrong about the gradients, by id. First all targets are pushed at once, each so far that it should count as much as the others;
 * only when that does not give what it should, each alone.
 */
function wrong(trial: Trial, targets: readonly string[]): Record<string, string> {
  const [random, slopes] = [seededRandom(3, 9), new Slopes(trial)];
  const gradients = gradientsOf(trial, targets);
  const directions = new Map(
    [...gradients].map(([id, gradient]) => {
      const direction = spread(random, gradient.shape);
      const factor = Math.min(1 / usual(gradient, direction), 4);
      return [id, mapped(direction, (x) => factor * x)] as const;
    }),
  );
  const problem = (ids: readonly string[]): string | undefined =>
    problemOf(slopes, gradients, new Map(ids.map((id) => [id, directions.get(id)!])));
  if (problem(targets) === undefined) return {};
  const found = targets.flatMap((id) => {
    const text = problem([id]);
    return text === undefined ? [] : [[id, text] as const];
  });
  return found.length > 0 ? Object.fromEntries(found) : { together: problem(targets)! };
}

/** Undefined when the slope along directions is what the gradients say, by one of the steps. */
function problemOf(slopes: Slopes, gradients: ReadonlyMap<string, NdArray>, directions: ReadonlyMap<string, NdArray>): string | undefined {
  const parts = [...directions].map(([id, direction]) => [gradients.get(id)!, direction] as const);
  const ours = parts.reduce((sum, [gradient, direction]) => sum + dot(gradient, direction), 0);
  const scale = Math.max(Math.hypot(...parts.map(([gradient, direction]) => usual(gradient, direction))), 0.01);
  const seen: number[] = [];
  for (const step of STEPS) {
    const slope = slopes.along(directions, { step });
    if (Math.abs(ours - slope) <= TOLERANCE * scale) return undefined;
    seen.push(slope);
  }
  return `gradient ${ours}, slopes ${seen.join(", ")}`;
}

const seen = new Set<string>();

/** Whether no graph before this one had the same ops in the same order, sizes and constants apart. */
function isNew({ nodes }: Graph): boolean {
  const kind = JSON.stringify(nodes.map(({ op, inputs, attributes }) => [op, inputs.length, attributes]));
  const count = seen.size;
  return seen.add(kind.replaceAll(/"(?:float|num_heads|rotary_embedding_dim)":[^,}]*/g, "")).size > count;
}

const LAYERS = SPECS.flatMap(([name, spec]) =>
  [...spec.layers.keys()].filter((layer) => isNew(buildBlock(spec, layer))).map((layer) => [name, layer, spec] as const),
);
const ENDS = SPECS.flatMap(([name, spec]) =>
  endsOf(spec)
    .filter(isNew)
    .map((graph) => [name, [...graph.named.keys()].join(), spec, graph] as const),
);

function seeded(trial: Omit<Trial, "seeds">, ids: readonly string[]): Trial {
  return { ...trial, seeds: randomSeeds(trial, ids) };
}

describe("gradients of blocks", () => {
  it.each(LAYERS)("%s, block %i: the stream behind it by everything in it", (_, layer, spec) => {
    const trial = blockTrial(spec, layer);
    const out = must(trial.graph.named.get("resid_post"), "resid_post");
    expect(wrong(seeded(trial, [out]), targetsOf(trial))).toEqual({});
  });

  it.each(LAYERS)("%s, block %i: everything in it by everything in it, in both forms", (_, layer, spec) => {
    for (const form of [FUSED, APART]) {
      const trial = blockTrial(spec, layer, form);
      expect(wrong(seeded(trial, namedFloats(trial.graph)), targetsOf(trial))).toEqual({});
    }
  });
});

it.each(ENDS)("gradients of the ends of %s: %s", (_, __, spec, graph) => {
  const trial = endTrial(spec, graph);
  expect(wrong(seeded(trial, namedFloats(graph)), targetsOf(trial))).toEqual({});
});

function endsOf(spec: ModelSpec): Graph[] {
  const norms = [FUSED, APART].flatMap((form) => buildFinalNorm(spec, form) ?? []);
  return [buildEmbedding(spec), ...norms, buildUnembedding(spec), buildHeadOut(spec, 0)];
}

function endTrial(spec: ModelSpec, graph: Graph): Omit<Trial, "seeds"> {
  const random = seededRandom(12);
  const { heads, dHead } = must(spec.layers[0], "a layer").attention;
  const feeds = new Map([
    ["tokens", vectorOf([3, 0, 7, 3])],
    ["positions", vectorOf([0, 1, 2, 0])],
    [STREAM.in, spread(random, [4, spec.dModel])],
    ["z", spread(random, [2, 3, heads, dHead])],
  ]);
  const taken = new Set(graph.inputs.map(({ id }) => id));
  return { graph, feeds: new Map([...feeds].filter(([id]) => taken.has(id))), weights: randomWeights(graph, random) };
}

describe("ONNX Runtime computes the gradients of blocks", () => {
  it.each(LAYERS)("%s, block %i", async (_, layer, spec) => {
    const trial = blockTrial(spec, layer);
    const whole = seeded(trial, [must(trial.graph.named.get("resid_post"), "resid_post")]);
    const targets = targetsOf(trial);
    const [ours, exact] = [await runGradients(whole, targets), gradientsOf(whole, targets)];
    for (const [id, gradient] of ours) expect(apart(gradient, must(exact.get(id), id)), id).toBeLessThan(FLOAT32);
  });
});

/** max |Δ| over the largest of theirs, or over a thousandth where that is smaller. */
function apart(ours: NdArray, theirs: NdArray): number {
  expect(ours.shape).toEqual(theirs.shape);
  const largest = theirs.data.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-3);
  return theirs.data.reduce((most, x, i) => Math.max(most, Math.abs(x - ours.data[i]!)), 0) / largest;
}
