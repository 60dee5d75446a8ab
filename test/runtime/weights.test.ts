/**
 * @file Weights by role: against numbers picked out of the stored tensors by hand, and against what the models compute with them. A bias is
 * the same at every position, so what changes from one position to another is the weights' alone.
 */
import { copyFileSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { must } from "../../src/base/errors.js";
import type { Tensor } from "../../src/base/tensor.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { writeSafetensors } from "../../src/formats/safetensors-writer.js";
import type { LayerSpec, ModelSpec } from "../../src/models/spec.js";
import { loadModel, readSpec } from "../../src/runtime/load.js";
import { openWeights, type ModelWeights } from "../../src/runtime/weights.js";
import { temporaryFolder } from "../formats/folder.js";
import { modelShelf, SUBJECTS } from "../parity/subjects.js";
import { readGolden } from "../reference/golden.js";
import { at, fixture } from "./support.js";

/** Float32 on both sides, sums of at most 160 terms, of the largest value. Seen: 2e-6. */
const ROUNDING = 1e-5;

const TOYS = ["induction", "induction-2l-attn", "gpt-nano-sort"];
const CHOSEN = SUBJECTS.filter(({ folder, name }) => folder.includes("variants") || TOYS.includes(name));

const { path } = temporaryFolder();
const shelf = modelShelf();
afterAll(shelf.close);

function specOf(folder: string): ModelSpec {
  const { spec, checkpoint } = readSpec(folder);
  checkpoint.close();
  return spec;
}

function using<T>(folder: string, look: (weights: ModelWeights, spec: ModelSpec) => T): T {
  const spec = specOf(folder);
  const weights = openWeights(folder, spec);
  try {
    return look(weights, spec);
  } finally {
    weights.close();
  }
}

describe("picked out of the stored tensors by hand", () => {
  const stored = (name: string): Map<string, Tensor> => readSafetensors(`${fixture(name)}/model.safetensors`);
  const value = (tensors: Map<string, Tensor>, name: string, row: number, column: number): number => {
    const { data, shape } = must(tensors.get(name), name);
    return data[row * shape[1]! + column]!;
  };

  test("GPT-2 keeps q, k, v in blocks of columns, and everything input first", () => {
    const tensors = stored("gpt2-hub-names");
    using(fixture("gpt2-hub-names"), (weights) => {
      // 4 heads of 8 coordinates; d_model 32, units 128.
      expect(at(weights.value(1, 3), 5)[2]).toBe(value(tensors, "h.1.attn.c_attn.weight", 5, 64 + 3 * 8 + 2));
      expect(at(weights.output(1, 3), 2)[5]).toBe(value(tensors, "h.1.attn.c_proj.weight", 3 * 8 + 2, 5));
      expect(at(weights.up(0), 100)[7]).toBe(value(tensors, "h.0.mlp.c_fc.weight", 7, 100));
      expect(at(weights.down(0), 100)[7]).toBe(value(tensors, "h.0.mlp.c_proj.weight", 100, 7));
      expect(weights.up(0).shape).toEqual([128, 32]);
    });
  });

  test("GPT-NeoX keeps each head's q, k, v together", () => {
    const tensors = stored("gpt-neox-v5-yarn");
    const name = [...tensors.keys()].find((key) => key.endsWith("layers.1.attention.query_key_value.weight"))!;
    using(fixture("gpt-neox-v5-yarn"), (weights) => {
      // 2 heads of 16 coordinates.
      expect(at(weights.value(1, 1), 5)[2]).toBe(value(tensors, name, 48 + 32 + 2, 5));
    });
  });

  test("Phi 3 keeps q, k, v and gate, up as rows of one matrix; two query heads share a value head", () => {
    const tensors = stored("phi3-longrope-crossing");
    const p = "model.layers.0.";
    using(fixture("phi3-longrope-crossing"), (weights) => {
      // 4 heads and 2 value heads of 8; 40 units.
      expect(at(weights.value(0, 3), 5)[2]).toBe(value(tensors, `${p}self_attn.qkv_proj.weight`, 32 + 16 + 8 + 2, 5));
      expect(weights.value(0, 2).data).toEqual(weights.value(0, 3).data);
      expect(weights.value(0, 1).data).not.toEqual(weights.value(0, 2).data);
      expect(at(weights.output(0, 3), 2)[5]).toBe(value(tensors, `${p}self_attn.o_proj.weight`, 5, 24 + 2));
      expect(at(weights.gate(0), 9)[5]).toBe(value(tensors, `${p}mlp.gate_up_proj.weight`, 9, 5));
      expect(at(weights.up(0), 9)[5]).toBe(value(tensors, `${p}mlp.gate_up_proj.weight`, 49, 5));
      expect(at(weights.down(0), 9)[5]).toBe(value(tensors, `${p}mlp.down_proj.weight`, 5, 9));
      expect(at(must(weights.mlpNorm(0), "norm"))[5]).toBe(
        must(tensors.get(`${p}post_attention_layernorm.weight`), "post_attention_layernorm").data[5],
      );
    });
  });

  test("OPT's projections are multiplied into the embedding and the unembedding", () => {
    const tensors = stored("opt-pre-projected-untied");
    const find = (end: string): string => [...tensors.keys()].find((key) => key.endsWith(end))!;
    using(fixture("opt-pre-projected-untied"), (weights) => {
      const sum = (table: string, projection: (k: number) => number): number =>
        Array.from({ length: 16 }, (_, k) => value(tensors, find(table), 17, k) * projection(k)).reduce((a, b) => a + b, 0);
      const embedded = sum("embed_tokens.weight", (k) => value(tensors, find("project_in.weight"), 5, k));
      const listened = sum("lm_head.weight", (k) => value(tensors, find("project_out.weight"), k, 5));
      expect(at(weights.embedding(), 17)[5]).toBeCloseTo(embedded, 6);
      expect(at(weights.unembedding(), 17)[5]).toBeCloseTo(listened, 6);
    });
  });
});

describe.each(CHOSEN)("$name computes with them", ({ folder, tokens }) => {
  const row = tokens.toSorted((a, b) => b.length - a.length).slice(0, 1);
  const read = async (): Promise<(address: string) => Tensor> => {
    const model = await shelf.open(folder);
    const { activations } = await model.forward({ tokens: row, read: ["all"], logits: false });
    return (address) => must(activations[address], address);
  };

  test("z · W_O is each head's term, and W_V what its value changes by", async () => {
    const values = await read();
    using(folder, (weights, spec) =>
      spec.layers.forEach((layer, l) => {
        const { heads, kvHeads } = layer.attention;
        for (let head = 0; head < heads; head++) {
          expectClose(times(headOf(values(`z.${l}`), head), weights.output(l, head)), headOf(values(`head_out.${l}`), head));
          const kvHead = Math.floor((head * kvHeads) / heads);
          const entering = values(layer.ln1 ? `ln1_normalized.${l}` : `resid_pre.${l}`);
          expectSameChanges(times(rowsOf(entering), weights.value(l, head)), headOf(values(`v.${l}`), kvHead));
        }
      }),
    );
  });

  test("gate, up and down are the MLP", async () => {
    const values = await read();
    using(folder, (weights, spec) =>
      spec.layers.forEach((layer, l) => {
        if (!layer.mlp || layer.mlp.kind === "experts") return;
        const entering = rowsOf(values(`${mlpInput(layer)}.${l}`));
        const isGated = layer.mlp.kind === "gated";
        expectSameChanges(times(entering, turned(weights.up(l))), rowsOf(values(`${isGated ? "mlp_up" : "mlp_pre"}.${l}`)));
        if (isGated) expectSameChanges(times(entering, turned(weights.gate(l))), rowsOf(values(`mlp_gate.${l}`)));
        const out = layer.mlpPostNorm || layer.residualMultiplier !== undefined ? "mlp_out_raw" : "mlp_out";
        expectSameChanges(times(rowsOf(values(`mlp_post.${l}`)), weights.down(l)), rowsOf(values(`${out}.${l}`)));
      }),
    );
  });

  test("mlpNorm holds the factors of the norm in front of the MLP", async () => {
    const values = await read();
    using(folder, (weights, spec) =>
      spec.layers.forEach((layer, l) => {
        const norm = weights.mlpNorm(l);
        expect(norm !== undefined).toBe((layer.ln2 ?? (layer.wiring === "parallel" ? layer.ln1 : undefined))?.weight !== undefined);
        if (layer.ln2?.kind !== "rms" || !norm || !layer.mlp) return;
        const divisors = rowsOf(values(`ln2_scale.${l}`)).map(([scale]) => scale!);
        const before = layer.wiring === "parallel" ? "resid_pre" : "resid_mid";
        const scaled = rowsOf(values(`${before}.${l}`)).map((x, i) => x.map((value, d) => (value * norm.data[d]!) / divisors[i]!));
        expectClose(scaled, rowsOf(values(`ln2_normalized.${l}`)));
      }),
    );
  });

  test("embedding and unembedding are the model's ends", async () => {
    const values = await read();
    using(folder, (weights, spec) => {
      const { multiplier = 1 } = spec.embedding;
      const table = weights.embedding();
      expectClose(
        row[0]!.map((token) => at(table, token).map((value) => value * multiplier)),
        rowsOf(values("embed")),
      );
      if (spec.head.softcap !== undefined) return;
      const last = values(spec.head.norm ? "final_normalized" : `resid_post.${spec.layers.length - 1}`);
      const logits = times(rowsOf(last), turned(weights.unembedding())).map((x) => x.map((value) => value * (spec.head.multiplier ?? 1)));
      expectSameChanges(logits, rowsOf(values("logits")));
    });
  });
});

test("half precision is widened, in whole matrices and in parts of them", () => {
  const source = fixture("gpt2-hub-names");
  const tensors = Object.fromEntries(readSafetensors(`${source}/model.safetensors`));
  mkdirSync(path("half"));
  copyFileSync(`${source}/config.json`, path("half/config.json"));
  writeSafetensors(path("half/model.safetensors"), tensors, {}, { dtypeOf: () => "BF16" });
  const parts = (weights: ModelWeights): Float32Array[] =>
    [weights.value(1, 3), weights.output(1, 3), weights.up(0), weights.embedding()].map(({ data }) => data);
  const whole = using(source, parts);
  using(path("half"), (weights) =>
    parts(weights).forEach((half, i) => expect(half).toEqual(whole[i]!.map((value) => roundedToBfloat(value)))),
  );
});

function roundedToBfloat(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  bits[0] = ((bits[0]! + 0x7fff + ((bits[0]! >>> 16) & 1)) >>> 16) << 16;
  return new Float32Array(bits.buffer)[0]!;
}

describe("what cannot be given is refused", () => {
  test("by the place and the reason", () => {
    using(fixture("qwen3-moe-dense-first"), (weights) => {
      expect(weights.down(0).shape).toEqual([40, 32]);
      expect(weights.output(1, 0).shape).toEqual([weights.value(1, 0).shape[1], 32]);
      expect(() => weights.down(1)).toThrow(/MLP's weights of layer 1: it is a mixture of 4 experts, each with units of its own/);
    });
    using(fixture("gpt-oss-yarn-old-style"), (weights) => expect(() => weights.up(0)).toThrow(/mixture of 4 experts/));
    using(fixture("gpt2-hub-names"), (weights) => {
      expect(() => weights.gate(1)).toThrow("cannot give the gates of layer 1: its MLP is plain");
      expect(() => weights.value(2, 0)).toThrow("layer 2 is not one of the model's 2 (0 to 1)");
      expect(() => weights.output(1, 4)).toThrow("head 4 is not one of the 4 of layer 1 (0 to 3)");
      expect(() => weights.output(1, 0.5)).toThrow("head 0.5");
    });
  });

  test("after close, and for a checkpoint of another model", () => {
    const folder = fixture("gpt2-hub-names");
    const weights = openWeights(folder, specOf(folder));
    weights.close();
    expect(() => weights.up(0)).toThrow(/is closed/);
    expect(() => openWeights(folder, specOf(fixture("llama-longrope-crossing")))).toThrow(/has no tensor/);
  });
});

describe("adapters", () => {
  const folder = fixture("phi3-longrope-crossing");
  const adapter = fileURLToPath(new URL("../fixtures/adapters/phi3-longrope-crossing", import.meta.url));

  test("are added: head terms and the MLP are those of the model loaded with it", async () => {
    const { tokens } = readGolden(folder);
    const model = await loadModel(folder, { threads: 1, lazy: true, adapter });
    const weights = openWeights(folder, model.spec, { adapter });
    try {
      const { activations } = await model.forward({ tokens: tokens.slice(0, 1), read: ["all"], logits: false });
      const values = (address: string): Tensor => must(activations[address], address);
      expectClose(times(headOf(values("z.1"), 3), weights.output(1, 3)), headOf(values("head_out.1"), 3));
      expectClose(times(rowsOf(values("ln1_normalized.1")), weights.value(1, 3)), headOf(values("v.1"), 1));
      expectClose(times(rowsOf(values("ln2_normalized.1")), turned(weights.up(1))), rowsOf(values("mlp_up.1")));
      expectClose(times(rowsOf(values("mlp_post.1")), weights.down(1)), rowsOf(values("mlp_out.1")));
      const plain = using(folder, (bare) => [bare.value(1, 3), bare.output(1, 3), bare.up(1), bare.down(1)]);
      const adapted = [weights.value(1, 3), weights.output(1, 3), weights.up(1), weights.down(1)];
      expect(adapted.some((tensor, i) => tensor.data.some((value, j) => value !== plain[i]!.data[j]))).toBe(true);
    } finally {
      weights.close();
      await model.close();
    }
  });

  test("are never left out in silence", async () => {
    const model = await loadModel(folder, { threads: 1, lazy: true, adapter });
    await model.close();
    expect(() => openWeights(folder, model.spec)).toThrow(/has a LoRA adapter, whose tensors lie in another folder. Instead: give/);
    expect(() => openWeights(folder, specOf(folder), { adapter })).toThrow(/is not in the spec/);
  });
});

/** Rows of a batch of one. */
function rowsOf({ data, shape }: Tensor): number[][] {
  const width = shape.at(-1)!;
  return Array.from({ length: data.length / width }, (_, i) => [...data.subarray(i * width, (i + 1) * width)]);
}

/** One head of batch, pos, head, …. */
function headOf(tensor: Tensor, head: number): number[][] {
  const heads = tensor.shape[2]!;
  return rowsOf(tensor).filter((_, i) => i % heads === head);
}

function turned({ data, shape: [rows = 0, columns = 0], axes }: Tensor<Float32Array>): Tensor<Float32Array> {
  return { data: Float32Array.from(data, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)]!), shape: [columns, rows], axes };
}

function times(rows: readonly (readonly number[])[], { data, shape: [depth = 0, width = 0] }: Tensor<Float32Array>): number[][] {
  expect(rows[0]).toHaveLength(depth);
  return rows.map((row) => Array.from({ length: width }, (_, j) => row.reduce((sum, x, k) => sum + x * data[k * width + j]!, 0)));
}

/** What each row is more than the first. */
function changes(rows: readonly (readonly number[])[]): number[][] {
  return rows.slice(1).map((row) => row.map((value, i) => value - rows[0]![i]!));
}

function mlpInput({ wiring, ln1, ln2 }: LayerSpec): string {
  if (ln2) return "ln2_normalized";
  if (wiring === "parallel") return ln1 ? "ln1_normalized" : "resid_pre";
  return "resid_mid";
}

/** Rounding is of the values, which a bias may make much larger than their changes. */
function expectSameChanges(ours: readonly (readonly number[])[], theirs: readonly (readonly number[])[]): void {
  expectClose(changes(ours), changes(theirs), largestOf(theirs));
}

function largestOf(rows: readonly (readonly number[])[]): number {
  return Math.max(...rows.flat().map(Math.abs), 1e-6);
}

function expectClose(ours: readonly (readonly number[])[], theirs: readonly (readonly number[])[], largest = largestOf(theirs)): void {
  expect(ours.map((row) => row.length)).toEqual(theirs.map((row) => row.length));
  const furthest = Math.max(...theirs.flatMap((row, i) => row.map((value, j) => Math.abs(value - ours[i]![j]!))));
  expect(furthest / largest).toBeLessThan(ROUNDING);
}
