/** @file Whole models in one graph, as training has them: the logits are those of `transformers`, the gradients by all weights the slopes. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { must } from "../../src/base/errors.js";
import { seededRandom } from "../../src/base/random.js";
import { WHOLE_INPUTS, buildWhole, maskInput } from "../../src/models/whole.js";
import { readSpec } from "../../src/runtime/load.js";
import { embeddingFeeds, makePass, PassInputs } from "../../src/runtime/pass.js";
import { readGolden } from "../reference/golden.js";
import { asNdArray, storedWeights } from "./block-trial.js";
import { dot, gradientsOf, randomSeeds, Slopes, spread, STEPS, usual, type Trial } from "./gradient-trial.js";
import { evaluate } from "./interpreter.js";
import { ndArray, vectorOf } from "./nd-array.js";

const variants = fileURLToPath(new URL("../fixtures/variants", import.meta.url));
/** The goldens are float32, through all blocks. Seen: 9e-7. */
const FLOAT32 = 1e-5;

describe.each(readdirSync(variants))("%s", (name) => {
  const folder = join(variants, name);
  const golden = readGolden(folder);

  /** The golden's rows, all positions picked. */
  function wholeTrial(): Omit<Trial, "seeds"> & { logits: string } {
    const { spec, checkpoint } = readSpec(folder);
    checkpoint.close();
    const { g, logits } = buildWhole(spec);
    const graph = g.finish();
    const pass = makePass(golden.tokens);
    const inputs = new PassInputs(spec, pass);
    const blocks = [...spec.layers.keys()].flatMap((layer) =>
      Object.entries(inputs.of(layer)).map(([id, feed]) => [id === "mask" ? maskInput(spec, layer) : id, feed] as const),
    );
    const fed = [...Object.entries(embeddingFeeds(pass)), ...blocks].map(([id, feed]) => [id, asNdArray(feed)] as const);
    const count = golden.tokens.length * pass.width;
    const feeds = new Map([
      ...fed,
      [WHOLE_INPUTS.shape, vectorOf([golden.tokens.length, pass.width, spec.dModel])] as const,
      [
        WHOLE_INPUTS.picked,
        ndArray(
          [count, 1],
          Array.from({ length: count }, (_, i) => i),
        ),
      ] as const,
    ]);
    const taken = new Set(graph.inputs.map(({ id }) => id));
    return { graph, logits: logits.id, feeds: new Map([...feeds].filter(([id]) => taken.has(id))), weights: storedWeights(graph, folder) };
  }

  it("gives the logits of transformers", () => {
    const { graph, feeds, weights, logits } = wholeTrial();
    const { data } = must(evaluate(graph, feeds, weights).get(logits), "logits");
    const theirs = must(golden.points.get("logits"), "logits").data;
    expect(data.length).toBe(theirs.length);
    const largest = data.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    expect(data.reduce((most, x, i) => Math.max(most, Math.abs(x - theirs[i]!)), 0) / largest).toBeLessThan(FLOAT32);
  });

  it("has the gradients by all weights", () => {
    const { logits, ...trial } = wholeTrial();
    const seeded = { ...trial, seeds: randomSeeds(trial, [logits]) };
    const weights = [...trial.graph.weights].filter(([, { holds }]) => holds !== "bytes").map(([id]) => id);
    const gradients = gradientsOf(seeded, weights);
    const random = seededRandom(8);
    const directions = new Map([...gradients].map(([id, { shape }]) => [id, spread(random, shape, 0.1)] as const));
    const ours = [...gradients].reduce((sum, [id, gradient]) => sum + dot(gradient, directions.get(id)!), 0);
    const scale = Math.hypot(...[...gradients].map(([id, gradient]) => usual(gradient, directions.get(id)!)));
    const slopes = new Slopes(seeded);
    expect(Math.min(...STEPS.map((step) => Math.abs(slopes.along(directions, { step }) - ours))) / scale).toBeLessThan(1e-7);
  });
});
