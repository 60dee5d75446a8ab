/** @file LoRA as part of a spec: which modules, which tensors, how they begin, and that every layout computes `x W + scale (x Aᵀ) Bᵀ`. */
import { describe, expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.js";
import { tensor } from "../../src/base/tensor.js";
import { parsePeftConfig } from "../../src/formats/peft.js";
import { openCheckpoint } from "../../src/formats/safetensors.js";
import { writeSafetensors } from "../../src/formats/safetensors-writer.js";
import { GraphBuilder } from "../../src/graph/builder.js";
import { emitOnnx } from "../../src/graph/emit.js";
import { adapterModules, adaptersOf } from "../../src/models/adapter-modules.js";
import { initialAdapter, withAdapters, withStoredAdapter } from "../../src/models/lora.js";
import { adapterMatrix, linear } from "../../src/models/parts/weights.js";
import type { LinearSpec, ModelSpec } from "../../src/models/spec.js";
import { readSpec } from "../../src/runtime/load.js";
import { openSession } from "../../src/runtime/session.js";
import { WeightFiles } from "../../src/runtime/weight-files.js";
import { temporaryFolder } from "../formats/folder.js";
import { fixture } from "../runtime/support.js";

const { path, refusal } = temporaryFolder();

function specOf(name: string): ModelSpec {
  const { spec, checkpoint } = readSpec(fixture(name));
  checkpoint.close();
  return spec;
}

describe("modules", () => {
  test.each([
    ["gpt2-hub-names", "transformer.h.0.attn.c_attn [32, 96]"],
    ["gpt-neox-v5-yarn", "gpt_neox.layers.0.attention.query_key_value [32, 96]"],
    ["opt-pre-projected-untied", "model.decoder.layers.0.self_attn.q_proj [32, 32]"],
    ["phi3-longrope-crossing", "model.layers.0.self_attn.qkv_proj [32, 64]"],
    ["bloom-five-heads-untied", "transformer.h.0.self_attention.query_key_value [40, 120]"],
  ])("%s has the paths of transformers", (name, first) => {
    const modules = adapterModules(specOf(name)).map((module) => `${module.path} [${module.in}, ${module.out}]`);
    expect(modules).toContain(first);
    expect(new Set(modules).size).toBe(modules.length);
  });

  test("rows of one matrix are one module, and get their own rows of B", () => {
    const { spec, tensors } = withAdapters(specOf("phi3-longrope-crossing"), { rank: 3, alpha: 6, targets: ["qkv_proj"] });
    const layer = spec.layers[0]!;
    const qkv = layer.attention.qkv as Extract<typeof layer.attention.qkv, { kind: "separate" }>;
    const key = "base_model.model.model.layers.0.self_attn.qkv_proj.lora_";
    const total = qkv.q.out + qkv.k.out + qkv.v.out;
    expect(qkv.v.adapter).toEqual({
      a: { name: `${key}A.weight`, shape: [3, 32] },
      b: { name: `${key}B.weight`, shape: [qkv.v.out, 3], stored: [total, 3], offset: (qkv.q.out + qkv.k.out) * 3 },
      scale: 2,
    });
    expect(qkv.k.adapter!.b.offset).toBe(qkv.q.out * 3);
    expect(tensors.slice(0, 2).map(({ name, shape }) => [name, shape])).toEqual([
      [`${key}A.weight`, [3, 32]],
      [`${key}B.weight`, [total, 3]],
    ]);
    expect(adaptersOf(spec)).toHaveLength(spec.layers.length);
    expect(layer.attention.out.adapter).toBeUndefined();
  });

  test("beside experts only attention has modules", () => {
    const names = adapterModules(specOf("qwen3-moe-dense-first")).map(({ path: module }) => module.split(".").at(-1));
    expect([...new Set(names)]).toEqual(["q_proj", "k_proj", "v_proj", "o_proj"]);
  });
});

describe("withAdapters", () => {
  const gpt2 = specOf("gpt2-hub-names");

  test("takes the ends of paths in whole parts, and says what peft is to be told", () => {
    const pathsOf = (targets: readonly string[] | "all-linear") =>
      adaptersOf(withAdapters(gpt2, { rank: 1, alpha: 1, targets }).spec).map(({ module }) => module.path.replace("transformer.h.", ""));
    expect(pathsOf(["attn.c_proj"])).toEqual(["0.attn.c_proj", "1.attn.c_proj"]);
    expect(pathsOf(["c_proj", "h.1.mlp.c_fc"])).toEqual(["0.attn.c_proj", "0.mlp.c_proj", "1.attn.c_proj", "1.mlp.c_fc", "1.mlp.c_proj"]);
    const { config, spec } = withAdapters(gpt2, { rank: 4, alpha: 6, targets: "all-linear" });
    expect(config).toMatchObject({ rank: 4, alpha: 6, targets: ["c_attn", "c_fc", "c_proj"], fanInFanOut: true, rankStabilised: false });
    expect(adaptersOf(spec)).toHaveLength(8);
    expect(adaptersOf(spec).every(({ scale }) => scale === 1.5)).toBe(true);
    expect(withAdapters(specOf("llama-longrope-crossing"), { rank: 1, alpha: 1, targets: ["q_proj"] }).config.fanInFanOut).toBe(false);
  });

  test("A begins evenly spread over ±1/√in and B with zeros; a seed repeats itself", () => {
    const { tensors } = withAdapters(gpt2, { rank: 64, alpha: 1, targets: ["c_fc", "mlp.c_proj"] });
    const made = initialAdapter(tensors, 3);
    for (const { name, shape } of tensors) {
      const { data } = made[name]!;
      const bound = name.includes("lora_B") ? 0 : 1 / Math.sqrt(shape[1]!);
      expect(data.every((value) => Math.abs(value) <= bound)).toBe(true);
      if (bound === 0) continue;
      const variance = data.reduce((sum, value) => sum + value ** 2, 0) / data.length;
      // The variance of an even spread is bound²/3; over 2 048 or 8 192 values it is met within 5 %.
      expect(variance / (bound ** 2 / 3)).toBeCloseTo(1, 1);
    }
    expect(initialAdapter(tensors, 3)).toEqual(made);
    expect(initialAdapter(tensors, 4)).not.toEqual(made);
    const [first, , second] = tensors;
    expect(made[first!.name]!.data.slice(0, 4)).not.toEqual(made[second!.name]!.data.slice(0, 4));
  });

  test("refuses ranks, factors and targets that make no sense", () => {
    const asking = (options: Partial<Parameters<typeof withAdapters>[1]>, spec = gpt2) =>
      refusal(() => withAdapters(spec, { rank: 2, alpha: 2, targets: ["c_attn"], ...options }));
    expect(asking({ rank: 0 })).toMatchInlineSnapshot(`"usage: an adapter's rank must be a whole number from 1 to 65536, got 0"`);
    expect(asking({ rank: 1.5 })).toContain("got 1.5");
    expect(asking({ alpha: NaN })).toMatchInlineSnapshot(`"usage: an adapter's alpha must be a number, got NaN"`);
    expect(asking({ targets: [] })).toMatchInlineSnapshot(`"usage: an adapter needs targets; this model has c_attn, c_fc, c_proj"`);
    expect(asking({ targets: ["c_atn"] })).toMatchInlineSnapshot(
      `"request: cannot add adapters to "c_atn": no projection of this model's blocks is called so (perhaps c_attn is meant). Instead: name some of c_attn, c_fc, c_proj, or all-linear"`,
    );
    expect(asking({ targets: ["lm_head"] })).toMatchInlineSnapshot(
      `"request: cannot add adapters to "lm_head": no projection of this model's blocks is called so. Instead: name some of c_attn, c_fc, c_proj, or all-linear"`,
    );
    expect(asking({ targets: ["proj"] })).toContain('cannot add adapters to "proj"');
    expect(asking({}, withAdapters(gpt2, { rank: 1, alpha: 1, targets: ["c_fc"] }).spec)).toMatchInlineSnapshot(
      `"unsupported: cannot add an adapter: the model has one, and only one is computed. Instead: merge the first into the weights (mergeAdapter), then add the second"`,
    );
  });
});

describe("withStoredAdapter", () => {
  const spec = specOf("llama-longrope-crossing");
  const config = parsePeftConfig({ peft_type: "LORA", r: 2, lora_alpha: 4, target_modules: ["q_proj"] }, "adapter_config.json");
  const shapesOf = (change: (shapes: Map<string, readonly number[]>) => unknown): Map<string, readonly number[]> => {
    const { tensors } = withAdapters(spec, { rank: 2, alpha: 4, targets: ["q_proj"] });
    const shapes = new Map(tensors.map(({ name, shape }) => [name, shape] as const));
    change(shapes);
    return shapes;
  };
  const key = (layer: number, which: "A" | "B", module = "self_attn.q_proj") =>
    `base_model.model.model.layers.${layer}.${module}.lora_${which}.weight`;
  const reading = (change: (shapes: Map<string, readonly number[]>) => unknown, settings: Partial<typeof config> = {}) =>
    refusal(() => withStoredAdapter(spec, { config: { ...config, ...settings }, shapes: shapesOf(change), where: "ADAPTER" }));

  test("gives the spec that withAdapters gives", () => {
    const shapes = shapesOf(() => undefined);
    expect(withStoredAdapter(spec, { config, shapes, where: "ADAPTER" })).toEqual(
      withAdapters(spec, { rank: 2, alpha: 4, targets: ["q_proj"] }).spec,
    );
    const stabilised = withStoredAdapter(spec, { config: { ...config, rankStabilised: true }, shapes, where: "ADAPTER" });
    expect(adaptersOf(stabilised)[0]!.scale).toBe(4 / Math.SQRT2);
  });

  test("refuses missing pairs, other shapes and modules, and modules left out", () => {
    expect(reading((shapes) => shapes.delete(key(1, "B")))).toMatchInlineSnapshot(
      `"weights: ADAPTER has one matrix of "model.layers.1.self_attn.q_proj", but no "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight""`,
    );
    expect(reading((shapes) => shapes.delete(key(1, "A")))).toContain(`no "${key(1, "A")}"`);
    expect(reading((shapes) => shapes.set(key(0, "A"), [2, 33]))).toMatchInlineSnapshot(
      `"weights: ADAPTER: tensor "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" has shape [2, 33], the model and rank 2 ask for [2, 32]"`,
    );
    expect(reading((shapes) => shapes.set(key(0, "A"), [3, 32]).set(key(0, "B"), [32, 3]))).toContain("rank 2");
    expect(reading((shapes) => shapes.set(key(2, "A"), [2, 32]))).toMatchInlineSnapshot(
      `"unsupported: cannot use "base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight" of ADAPTER: the model has no such module, or none that adapters are computed of. Instead: adapters are computed of down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj in 14 modules of the blocks"`,
    );
    expect(reading((shapes) => shapes.set("base_model.model.lm_head.lora_A.weight", [2, 32]))).toContain("no such module");
    expect(reading((shapes) => shapes.set("base_model.model.lm_head.weight", [2, 32]))).toContain("neither lora_A nor lora_B");
    const without = (shapes: Map<string, unknown>): unknown => [shapes.delete(key(1, "A")), shapes.delete(key(1, "B"))];
    expect(reading(without)).toMatchInlineSnapshot(
      `"weights: ADAPTER: target_modules names "model.layers.1.self_attn.q_proj", of which the adapter has no tensors"`,
    );
    expect(reading((shapes) => shapes.clear(), { isPartial: true })).toMatchInlineSnapshot(
      `"weights: ADAPTER holds no adapter: it has no tensors"`,
    );
    const partial = { config: { ...config, isPartial: true }, shapes: shapesOf(without), where: "ADAPTER" };
    expect(adaptersOf(withStoredAdapter(spec, partial))).toHaveLength(1);
  });
});

describe("the graph", () => {
  const [tokens, heads, input, out, rank, scale] = [3, 2, 5, 8, 2, 0.7];
  const random = seededRandom(11);
  const numbers = (...shape: number[]) =>
    tensor(
      Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random() - 0.5),
      shape,
    );
  const all = { w: numbers(out, input), bias: numbers(out), a: numbers(rank, input), b: numbers(out + 3, rank), x: numbers(tokens, input) };
  const element = (i: number, o: number): number => all.w.data[o * input + i]!;
  const arranged = {
    out_in: all.w,
    in_out: tensor(
      Float32Array.from({ length: out * input }, (_, at) => element(Math.floor(at / out), at % out)),
      [input, out],
    ),
    heads_in_out: tensor(
      Float32Array.from({ length: out * input }, (_, at) => {
        const [head, i, d] = [Math.floor(at / (input * (out / heads))), Math.floor(at / (out / heads)) % input, at % (out / heads)];
        return element(i, head * (out / heads) + d);
      }),
      [heads, input, out / heads],
    ),
  };
  /** Rows 2 … 2+out of B, as a part of a larger module has them. */
  const low = (i: number, o: number): number => {
    let total = 0;
    for (let k = 0; k < rank; k++) total += all.a.data[k * input + i]! * all.b.data[(o + 2) * rank + k]!;
    return scale * total;
  };
  const adapter = {
    a: { name: "a", shape: [rank, input] },
    b: { name: "b", shape: [out, rank], stored: [out + 3, rank], offset: 2 * rank },
    scale,
  };

  async function run(build: (g: GraphBuilder) => string, weight: LinearSpec["layout"]): Promise<number[]> {
    const file = path(`${weight}.safetensors`);
    const { a, b, bias, x } = all;
    writeSafetensors(file, { w: arranged[weight], a, b, bias });
    const files = new WeightFiles(openCheckpoint(file));
    const g = new GraphBuilder();
    const id = build(g);
    const graph = g.finish();
    const session = await openSession(
      emitOnnx(graph, [id], (key) => files.locate(graph.weights.get(key)!)),
      { folder: files.folder, threads: 1 },
    );
    const feeds = graph.inputs.length > 0 ? { x: { data: x.data, dims: x.shape } } : {};
    const result = await session.run(feeds, [id]);
    const values = Array.from(result[id]!.data);
    await session.close();
    return values;
  }

  test.each(["out_in", "in_out", "heads_in_out"] as const)("of %s weights computes the term beside the product", async (layout) => {
    const spec: LinearSpec = {
      weight: { name: "w", shape: arranged[layout].shape },
      bias: { name: "bias", shape: [out] },
      layout,
      in: input,
      out,
      adapter,
    };
    const ours = await run((g) => linear(g, g.input("x", ["token", "in"] as const), spec, "out").id, layout);
    const theirs = Array.from({ length: tokens * out }, (_, at) => {
      const [token, o] = [Math.floor(at / out), at % out];
      let total = all.bias.data[o]!;
      for (let i = 0; i < input; i++) total += all.x.data[token * input + i]! * (element(i, o) + low(i, o));
      return total;
    });
    // Float32 sums of 5 terms of size ½.
    theirs.forEach((value, at) => expect(Math.abs(ours[at]! - value)).toBeLessThan(1e-6));
  });

  test("has what an adapter adds to its matrix", async () => {
    const ours = await run((g) => adapterMatrix(g, adapter, ["in", "out"]).id, "out_in");
    ours.forEach((value, at) => expect(Math.abs(value - low(Math.floor(at / out), at % out))).toBeLessThan(1e-6));
    expect(ours).toHaveLength(input * out);
  });
});
