/**
 * @file Whatever a configuration or a list of edits says, Sextant computes finite numbers or refuses with a sentence: nothing else
 * is thrown, nothing hangs, and a spec is never larger than the checkpoint. `SEXTANT_RUNS=5000 npx vitest run test/bad-input/properties`
 * looks harder.
 */
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isSextantError } from "../../src/base/errors.js";
import { tensor } from "../../src/base/tensor.js";
import { writeSafetensors } from "../../src/formats/safetensors-writer.js";
import { seededRandom } from "../../src/base/random.js";
import { weightsOf } from "../../src/models/check-weights.js";
import { MODEL_TYPES, readModelSpec } from "../../src/models/read-spec.js";
import { loadModel } from "../../src/runtime/load.js";
import type { ForwardResult, Model } from "../../src/runtime/model.js";
import { parseEdits } from "../../src/runtime/parse-edits.js";
import { CONFIGS, tiny } from "../models/tiny-specs.js";
import { using, variantFolder, workshop } from "./damaged.js";
import { damaged, type Fields } from "./random-json.js";

const more = Number(process.env["SEXTANT_RUNS"] ?? 0);

/** The same examples each time, unless more are asked for. */
const runs = (usual: number): fc.Parameters<unknown> => (more > 0 ? { numRuns: more } : { numRuns: usual, seed: 1 });
const { copy, path, write } = workshop();
const families = Object.keys(CONFIGS);
const FIELDS = [...new Set(Object.values(CONFIGS).flatMap((config) => Object.keys(config)))];

/** What the work makes; undefined where it is refused. Any other error, and an internal one, is thrown on. */
async function madeBy<T>(work: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!isSextantError(error) || error.kind === "internal") throw error;
    expect(error.message.length).toBeLessThan(2000);
    return undefined;
  }
}

function isFinite({ activations, logits }: ForwardResult): boolean {
  const scores = Object.keys(activations).filter((address) => address.startsWith("attn_scores"));
  const masked = new Set(scores.map((address) => activations[address]));
  const tensors = [...Object.values(activations), ...(logits ? [logits] : [])];
  return tensors.every((values) => values.data.every((x: number) => Number.isFinite(x) || (masked.has(values) && x === -Infinity)));
}

describe("a damaged configuration", () => {
  test.each(families)("of %s gives a spec of the checkpoint's size, or a sentence", async (family) => {
    const { shapes } = tiny(CONFIGS[family]!);
    const config = damaged(CONFIGS[family]!, FIELDS);
    const property = fc.asyncProperty(config, fc.option(fc.constantFrom(...MODEL_TYPES), { freq: 9 }), async (fields, retagged) => {
      const json = retagged === null ? fields : { ...fields, model_type: retagged };
      const spec = await madeBy(() => readModelSpec(json, shapes));
      if (spec) expect(weightsOf(spec).length).toBeLessThanOrEqual(4 * shapes.size);
    });
    await fc.assert(property, runs(60));
  });

  test("computes finite numbers, or says why not", async () => {
    const folders = new Map(families.map((family) => [family, checkpoint(family)]));
    const family = fc.constantFrom(...families);
    const pair = family.chain((name) => damaged(CONFIGS[name]!).map((fields) => ({ name, fields })));
    const property = fc.asyncProperty(pair, async ({ name, fields }) => {
      write(`${name}/config.json`, JSON.stringify(fields));
      const result = await madeBy(() =>
        using(folders.get(name)!, async (model) => {
          const tokens = [[1, 2, 3, 4, 5], [6, 0]].map((row) => row.map((id) => id % model.spec.vocab)); // prettier-ignore
          await model.generate({ tokens: tokens.map((row) => row.slice(0, 2)), maxNew: 2 });
          return model.forward({ tokens, read: ["all"] });
        }),
      );
      if (result) expect(isFinite(result)).toBe(true);
    });
    await fc.assert(property, runs(60));
  });
});

/** A checkpoint of random values for a family's small configuration. */
function checkpoint(family: string): string {
  const random = seededRandom(1);
  const tensors = [...tiny(CONFIGS[family]!).shapes].map(([name, shape]) => {
    const size = shape.reduce((product, length) => product * length, 1);
    return [name, tensor(Float32Array.from({ length: size }, () => random() - 0.5), shape)] as const; // prettier-ignore
  });
  writeSafetensors(path(`${family}/model.safetensors`), Object.fromEntries(tensors));
  return path(family);
}

describe("random edits", () => {
  let models: readonly Model[];
  beforeAll(async () => {
    const variants = ["gpt2-hub-names", "gemma3-old-style", "qwen3-moe-dense-first"] as const;
    models = await Promise.all(variants.map((variant) => loadModel(variantFolder(variant), { threads: 1 })));
  });
  afterAll(() => Promise.all(models.map((model) => model.close())));

  const numbers = (length: number): fc.Arbitrary<number[]> =>
    fc.array(fc.integer({ min: -2, max: 2 }), { minLength: length, maxLength: length });
  const indices = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 3 });
  const values = fc.oneof(numbers(32), numbers(8), fc.array(numbers(32), { minLength: 1, maxLength: 3 }));
  const operation = fc.oneof(
    fc.record({ op: fc.constant("set"), value: fc.oneof(fc.integer({ min: 0, max: 3 }), values) }),
    fc.record({ op: fc.constant("add"), vector: values, strength: fc.double({ min: -9, max: 9, noNaN: true }) }),
    fc.record({ op: fc.constant("scale"), by: fc.double({ min: -9, max: 9, noNaN: true }) }),
    fc.record({ op: fc.constant("project_out"), basis: values }),
    fc.record({ op: fc.constant("clamp"), direction: values, min: fc.integer({ max: 3 }), max: fc.integer() }),
    fc.record({ op: fc.constant("interchange"), value: values, basis: values }),
    fc.record({
      op: fc.constant("rotate"),
      plane: fc.constant([0, 1].map((row) => Array.from({ length: 32 }, (_, i) => Number(i === row)))),
      angle: fc.integer(),
    }),
    fc.constant({ op: "knockout" }),
  );
  const points = [
    "embed",
    "resid_pre.1",
    "q.0",
    "rot_k.1",
    "attn_scores.0",
    "attn_scores.1",
    "pattern.0",
    "z.1",
    "head_out.0",
    "ln1_scale.0",
  ];
  const others = ["mlp_post.0", "mlp_out.1", "experts.1", "expert_weights.1", "router_logits.1", "resid_post.1", "final_scale", "logits"];
  const place = fc.constantFrom(...points, ...others);
  const selectors = fc.record(
    {
      rows: indices,
      positions: fc.oneof(indices, fc.record({ every: fc.integer({ min: 0, max: 3 }) })),
      heads: indices,
      units: indices,
      queries: indices,
      keys: indices,
    },
    { requiredKeys: [] },
  );
  const edit = fc
    .tuple(place, operation, fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, { weight: 2, arbitrary: selectors }))
    .map(([at, op, where]): Fields => ({ at, ...op, ...where }));
  const broken = edit.chain((fields) => fc.oneof({ weight: 3, arbitrary: fc.constant(fields) }, { weight: 1, arbitrary: damaged(fields) }));

  test("run, or are refused", async () => {
    const property = fc.asyncProperty(fc.array(broken, { minLength: 1, maxLength: 3 }), fc.nat(2), async (edits, which) => {
      const model = models[which]!;
      const parsed = await madeBy(() => parseEdits(JSON.parse(JSON.stringify(edits))));
      const run = async (list: unknown): Promise<void> => {
        const result = await madeBy(() => model.forward({ tokens: [[1, 2, 3, 4], [5, 6]], edits: list as never })); // prettier-ignore
        if (result) expect(isFinite(result)).toBe(true);
      };
      await run(edits);
      if (parsed) await run(parsed);
    });
    await fc.assert(property, runs(250));
  });

  test("of any JSON at all are refused", async () => {
    const property = fc.asyncProperty(fc.jsonValue({ maxDepth: 4 }), async (json) => {
      const parsed = await madeBy(() => parseEdits(json));
      if (parsed) expect(parsed).toEqual([]);
      const result = await madeBy(() => models[0]!.forward({ tokens: [[1]], edits: json as never }));
      if (result) expect([[], null]).toContainEqual(json);
    });
    await fc.assert(property, runs(200));
  });
});

test("a damaged configuration of a fixture runs or is refused", async () => {
  const folder = copy("llama-longrope-crossing");
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as Fields;
  const property = fc.asyncProperty(damaged(config), async (fields) => {
    write("fixture/config.json", JSON.stringify(fields));
    copyFileSync(join(folder, "model.safetensors"), path("fixture/model.safetensors"));
    const result = await madeBy(() => using(path("fixture"), (model) => model.forward({ tokens: [[1, 2, 3]], read: ["all"] })));
    if (result) expect(isFinite(result)).toBe(true);
  });
  await fc.assert(property, runs(30));
});
