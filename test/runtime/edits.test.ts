/**
 * @file What each edit does, on numbers written by hand: a first edit sets a point to them, a second one is looked at. Then where
 * edits hold, what they mean at attention's edges, and which are refused.
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tensor, type Tensor } from "../../src/base/tensor.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import type { Edit } from "../../src/runtime/edit.js";
import type { Model } from "../../src/runtime/model.js";
import { modelShelf } from "../parity/subjects.js";
import { apart, at, fixture, rowsOf } from "./support.js";

/** Relative: the same sums of 32 float32 terms in another order. */
const TOLERANCE = 1e-5;

const shelf = modelShelf();
let model: Model;
beforeAll(async () => {
  model = await shelf.open(fixture("gpt2-hub-names"));
});
afterAll(shelf.close);

/** A vector of 32 that starts with these. */
function wide(...start: readonly number[]): number[] {
  return [...start, ...Array<number>(32 - start.length).fill(0)];
}

function matrix(...rows: readonly (readonly number[])[]): Tensor<Float32Array> {
  return tensor(Float32Array.from(rows.flat()), [rows.length, rows[0]!.length]);
}

async function read(address: string, edits: readonly Edit[], { tokens = rowsOf(3), of = model } = {}): Promise<Tensor> {
  const { activations } = await of.forward({ tokens, edits, read: [address], logits: false });
  return activations[address]!;
}

type Op<E = Edit> = E extends Edit ? Omit<E, "at"> : never;

/** The first elements of x = (3, 4, 12, 0 …), after an edit. */
async function x(edit: Op, count = 4): Promise<number[]> {
  const start: Edit = { at: "resid_pre.0", op: "set", value: wide(3, 4, 12) };
  const value = await read("resid_pre.0", [start, { at: "resid_pre.0", ...edit } as Edit]);
  const [first] = [0, 1, 2].map((position) => at(value, 0, position));
  expect(first!.slice(count).every((element) => Math.abs(element) < 1e-6)).toBe(true);
  return first!.slice(0, count).map((element) => Math.round(element * 1e5) / 1e5 + 0);
}

async function logits(edits: readonly Edit[], { tokens = rowsOf(5, 4), of = model } = {}): Promise<Tensor> {
  return (await of.forward({ tokens, edits, logits: { positions: "all" } })).logits!;
}

describe("on x = (3, 4, 12)", () => {
  it("set puts a number or a vector in its place", async () => {
    const set = async (value: number | number[]): Promise<number[]> =>
      at(await read("resid_pre.0", [{ at: "resid_pre.0", op: "set", value }]), 0, 2).slice(0, 3);
    expect(await set(0.5)).toEqual([0.5, 0.5, 0.5]);
    expect(await set(wide(7, -8, 9))).toEqual([7, -8, 9]);
  });

  it("add adds strength times a vector", async () => {
    expect(await x({ op: "add", vector: wide(1, -1, 0.5) })).toEqual([4, 3, 12.5, 0]);
    expect(await x({ op: "add", vector: wide(1, -1, 0.5), strength: -4 })).toEqual([-1, 8, 10, 0]);
  });

  it("scale multiplies", async () => {
    expect(await x({ op: "scale", by: -0.5 })).toEqual([-1.5, -2, -6, 0]);
  });

  it("project_out removes the component in a span, however the span is written", async () => {
    expect(await x({ op: "project_out", basis: wide(5) })).toEqual([0, 4, 12, 0]);
    expect(await x({ op: "project_out", basis: wide(3, 4) })).toEqual([0, 0, 12, 0]);
    expect(await x({ op: "project_out", basis: wide(4, -3) })).toEqual([3, 4, 12, 0]);
    expect(await x({ op: "project_out", basis: matrix(wide(1, 1), wide(10, 0.1)) })).toEqual([0, 0, 12, 0]);
  });

  it("clamp bounds the component along a direction, whose length does not matter", async () => {
    expect(await x({ op: "clamp", direction: wide(0, 100), max: 1.5 })).toEqual([3, 1.5, 12, 0]);
    expect(await x({ op: "clamp", direction: wide(0, 0.01), min: 5 })).toEqual([3, 5, 12, 0]);
    expect(await x({ op: "clamp", direction: wide(0, 1), min: 3, max: 5 })).toEqual([3, 4, 12, 0]);
    expect(await x({ op: "clamp", direction: wide(0, -1), max: -7 })).toEqual([3, 7, 12, 0]);
    expect(await x({ op: "clamp", direction: wide(3, 4), max: 2.5 })).toEqual([1.5, 2, 12, 0]);
    expect(await x({ op: "clamp", direction: wide(0, 0, 0, 1), min: 2 })).toEqual([3, 4, 12, 2]);
  });

  it("interchange takes the component in a span from another vector", async () => {
    const value = wide(10, 20, 30, 40);
    expect(await x({ op: "interchange", value, basis: wide(2) })).toEqual([10, 4, 12, 0]);
    expect(await x({ op: "interchange", value, basis: matrix(wide(0, 1), wide(0, 1, 0, 1)) })).toEqual([3, 20, 12, 40]);
    expect(await x({ op: "interchange", value, basis: wide(1, 1) })).toEqual([14.5, 15.5, 12, 0]);
  });

  it("rotate turns the component in a plane to an angle, keeping its length", async () => {
    const plane = matrix(wide(1), wide(0, 1));
    const turned = (angle: number): Promise<number[]> => x({ op: "rotate", plane, angle });
    expect(await turned(0)).toEqual([5, 0, 12, 0]);
    expect(await turned(90)).toEqual([0, 5, 12, 0]);
    expect(await turned(-90)).toEqual([0, -5, 12, 0]);
    expect(await turned(180)).toEqual([-5, 0, 12, 0]);
    expect(await turned((Math.atan2(4, 3) * 180) / Math.PI)).toEqual([3, 4, 12, 0]);
    expect(await x({ op: "rotate", plane: matrix(wide(0, 1), wide(1)), angle: 0 })).toEqual([0, 5, 12, 0]);
  });

  it("edits at one address are applied in the order given", async () => {
    const double: Edit = { at: "resid_pre.0", op: "scale", by: 2 };
    const one: Edit = { at: "resid_pre.0", op: "add", vector: wide(1) };
    const start: Edit = { at: "resid_pre.0", op: "set", value: wide(3) };
    expect(at(await read("resid_pre.0", [start, double, one]), 0, 0)[0]).toBe(7);
    expect(at(await read("resid_pre.0", [start, one, double]), 0, 0)[0]).toBe(8);
  });

  it("edits at different addresses are applied in forward order, whatever their order in the list", async () => {
    const early: Edit = { at: "resid_pre.0", op: "set", value: wide(3, 4) };
    const late: Edit = { at: "resid_post.1", op: "scale", by: 2 };
    expect(await logits([late, early])).toEqual(await logits([early, late]));
  });
});

describe("a value's axes are the last ones of its point", () => {
  const numbered = (...shape: number[]): Tensor<Float32Array> =>
    tensor(
      Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, (_, i) => i),
      shape,
    );
  const tokens = rowsOf(3, 3);
  const set = (address: string, value: Tensor<Float32Array>): Promise<Tensor> =>
    read(address, [{ at: address, op: "set", value }], { tokens });

  it("one axis: the same vector everywhere", async () => {
    const value = await set("z.0", numbered(8));
    expect(at(value, 1, 2, 3)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(at(value, 0, 0, 0)).toEqual(at(value, 1, 2, 3));
  });

  it("two: by head", async () => {
    const value = await set("z.0", numbered(4, 8));
    expect(at(value, 1, 2, 3)).toEqual([24, 25, 26, 27, 28, 29, 30, 31]);
    expect(at(value, 0, 0, 1)[0]).toBe(8);
  });

  it("three: by position and head", async () => {
    const value = await set("z.0", numbered(3, 4, 8));
    expect(at(value, 0, 2, 3)[0]).toBe(2 * 32 + 24);
    expect(at(value, 1, 2, 3)[0]).toBe(2 * 32 + 24);
  });

  it("all four: by row, position and head", async () => {
    const value = await set("z.0", numbered(2, 3, 4, 8));
    expect(at(value, 1, 2, 3)[0]).toBe(96 + 2 * 32 + 24);
    expect([...value.data]).toEqual([...numbered(2, 3, 4, 8).data]);
  });

  it("that have too few entries for a row, position or head are refused where they are needed", async () => {
    await expect(set("z.0", numbered(1, 3, 4, 8))).rejects.toThrow("value has 1 along batch, the edit needs index 1");
    await expect(set("z.0", numbered(2, 4, 8))).rejects.toThrow("value has 2 along pos, the edit needs index 2");
    await expect(set("z.0", numbered(3, 8))).rejects.toThrow("value must have 4 along head, got shape [3, 8]");
    await expect(set("z.0", numbered(7))).rejects.toThrow("value must have 8 along d_head, got shape [7]");
    await expect(set("z.0", numbered(1, 2, 3, 4, 8))).rejects.toThrow("value has 5 axes, the point has batch, pos, head, d_head");
  });
});

describe("selectors", () => {
  /** Where an edit set a point to 1000, by the tensor's indices. */
  async function chosen(edit: Partial<Edit> & { at: string }): Promise<string[]> {
    const { shape, data } = await read(edit.at, [{ op: "set", value: 1000, ...edit } as Edit], { tokens: rowsOf(4, 2) });
    return [...data.keys()].filter((i) => data[i] === 1000).map((flat) => indices(flat, shape));
  }
  function indices(flat: number, shape: readonly number[]): string {
    let rest = flat;
    const found: number[] = [];
    for (const size of shape.toReversed()) {
      found.unshift(rest % size);
      rest = Math.floor(rest / size);
    }
    return found.join();
  }

  it("rows, positions, heads and units meet; negative ones count from the end, positions from each row's own", async () => {
    expect(await chosen({ at: "z.1", rows: [0], positions: [2], heads: [1], units: [5] })).toEqual(["0,2,1,5"]);
    expect(await chosen({ at: "z.1", positions: [-1], heads: [-1], units: [-1] })).toEqual(["0,3,3,7", "1,1,3,7"]);
    expect(await chosen({ at: "z.1", rows: [-1], positions: [0], heads: [0, 2], units: [0] })).toEqual(["1,0,0,0", "1,0,2,0"]);
    expect(await chosen({ at: "mlp_post.0", rows: [0], units: [3, 127] })).toEqual(
      [0, 1, 2, 3].flatMap((pos) => [`0,${pos},3`, `0,${pos},127`]),
    );
  });

  it("every n-th position, from and to", async () => {
    const at0 = (positions: Edit["positions"]): Promise<string[]> => chosen({ at: "resid_mid.0", positions: positions!, units: [0] });
    expect(await at0({ every: 2 })).toEqual(["0,0,0", "0,2,0", "1,0,0"]);
    expect(await at0({ every: 2, from: 1 })).toEqual(["0,1,0", "0,3,0", "1,1,0"]);
    expect(await at0({ every: 1, from: -2, to: -1 })).toEqual(["0,2,0", "1,0,0"]);
  });

  it("padding is never selected: a position beyond a row's end is an error, and none is changed", async () => {
    expect(await chosen({ at: "resid_mid.0", units: [0] })).toEqual(["0,0,0", "0,1,0", "0,2,0", "0,3,0", "1,0,0", "1,1,0"]);
    await expect(chosen({ at: "resid_mid.0", positions: [3] })).rejects.toThrow(
      "edits[0] at resid_mid.0: positions: 3 is outside row 1, which has 2 positions; name the rows it is for",
    );
    expect(await chosen({ at: "resid_mid.0", positions: [3], rows: [0], units: [0] })).toEqual(["0,3,0"]);
  });

  it("an index given twice counts once", async () => {
    const once = await logits([{ at: "z.0", op: "scale", by: 3, heads: [1] }]);
    expect(await logits([{ at: "z.0", op: "scale", by: 3, heads: [1, 1, -3] }])).toEqual(once);
    const unit = await logits([{ at: "resid_post.0", op: "add", vector: wide(0, 0, 5), units: [2] }]);
    expect(await logits([{ at: "resid_post.0", op: "add", vector: wide(0, 0, 5), units: [2, 2, -30] }])).toEqual(unit);
    const rows = await logits([{ at: "resid_post.0", op: "scale", by: 2, rows: [1], positions: [-1] }]);
    expect(await logits([{ at: "resid_post.0", op: "scale", by: 2, rows: [1, -1], positions: [-1, 3] }])).toEqual(rows);
  });

  it("queries and keys at scores and patterns, of the keys that the query sees", async () => {
    expect(await chosen({ at: "pattern.0", rows: [0], heads: [2], queries: [-1], keys: [0, 2] })).toEqual(["0,2,3,0", "0,2,3,2"]);
    expect(await chosen({ at: "pattern.0", rows: [0], heads: [2], keys: [2] })).toEqual(["0,2,2,2", "0,2,3,2"]);
    expect(await chosen({ at: "attn_scores.0", rows: [1], heads: [0] })).toEqual(["1,0,0,0", "1,0,1,0", "1,0,1,1"]);
  });

  it("in a layer with a window, keys outside it are not seen", async () => {
    const windowed = await shelf.open(fixture("gemma3-old-style"));
    expect(windowed.spec.layers[0]!.attention.window).toBe(4);
    const value = await read("attn_scores.0", [{ at: "attn_scores.0", op: "set", value: 0 }], { tokens: rowsOf(6), of: windowed });
    expect(at(value, 0, 0, 5)).toEqual([-Infinity, -Infinity, 0, 0, 0, 0]);
    const pattern = await read("pattern.0", [{ at: "pattern.0", op: "set", value: 1 }], { tokens: rowsOf(6), of: windowed });
    expect(at(pattern, 0, 0, 5)).toEqual([0, 0, 1, 1, 1, 1]);
    const outside = read("attn_scores.0", [{ at: "attn_scores.0", op: "knockout", queries: [5], keys: [1] }], {
      tokens: rowsOf(6),
      of: windowed,
    });
    await expect(outside).rejects.toThrow("it changes nothing, since no query that it selects sees a key that it selects");
  });
});

describe("attention's edges", () => {
  const tokens = rowsOf(5);
  const scores = (edit: Op): Edit => ({ at: "attn_scores.1", ...edit }) as Edit;
  const pattern = (edits: readonly Edit[], of = model): Promise<Tensor> => read("pattern.1", edits, { tokens, of });
  const close = (ours: readonly number[], theirs: readonly number[]): void =>
    ours.forEach((value, i) => expect(value).toBeCloseTo(theirs[i]!, 5));

  it("knockout gives a key's attention to the others, in proportion", async () => {
    const [plain, cut] = [await pattern([]), await pattern([scores({ op: "knockout", heads: [2], queries: [4], keys: [1, 3] })])];
    const before = at(plain, 0, 2, 4);
    const left = 1 - before[1]! - before[3]!;
    close(at(cut, 0, 2, 4), [before[0]! / left, 0, before[2]! / left, 0, before[4]! / left]);
    expect(at(cut, 0, 1)).toEqual(at(plain, 0, 1));
    expect(at(cut, 0, 2, 3)).toEqual(at(plain, 0, 2, 3));
  });

  it("knockout is −∞ at the scores, in one go or in several", async () => {
    const cut = await read("attn_scores.1", [scores({ op: "knockout", queries: [3], keys: [0, 2] })], { tokens });
    expect(at(cut, 0, 0, 3).map((score) => score === -Infinity)).toEqual([true, false, true, false, true]);
    const twice = [scores({ op: "knockout", queries: [3], keys: [0] }), scores({ op: "knockout", queries: [3], keys: [2] })];
    expect(await read("attn_scores.1", twice, { tokens })).toEqual(cut);
  });

  it("scores set to one number make attention even, and so do scores scaled to nothing", async () => {
    for (const edit of [scores({ op: "set", value: 3 }), scores({ op: "scale", by: 0 })]) {
      const even = await pattern([edit]);
      close(at(even, 0, 0, 4), [0.2, 0.2, 0.2, 0.2, 0.2]);
      close(at(even, 0, 3, 1), [0.5, 0.5, 0, 0, 0]);
    }
  });

  it("a knocked-out edge stays out when the scores are scaled afterwards, even turned round", async () => {
    const cut = scores({ op: "knockout", heads: [0], queries: [4], keys: [2] });
    for (const by of [0, -1, 2]) {
      const weights = at(await pattern([cut, scores({ op: "scale", by })]), 0, 0, 4);
      expect(weights[2]).toBe(0);
      expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 5);
    }
  });

  it("a pattern set by hand mixes the values as it says", async () => {
    const edit: Edit = { at: "pattern.1", op: "set", value: [0, 0.25, 0, 0.75, 0], heads: [1], queries: [3, 4] };
    const { activations } = await model.forward({ tokens, edits: [edit], read: ["v.1", "z.1"], logits: false });
    const v = [1, 3].map((key) => at(activations["v.1"]!, 0, key, 1));
    close(
      at(activations["z.1"]!, 0, 4, 1),
      v[0]!.map((value, i) => 0.25 * value + 0.75 * v[1]![i]!),
    );
    expect(at(activations["z.1"]!, 0, 3, 1)).toEqual(at(activations["z.1"]!, 0, 4, 1));
  });

  it("a query that loses all its keys is refused, since its pattern would be undefined", async () => {
    await expect(pattern([scores({ op: "knockout", queries: [1], keys: [0, 1] })])).rejects.toThrow(
      "edits[0] at attn_scores.1: query 1 of row 0 has no key left at head 0; its pattern would be undefined",
    );
  });

  it("with a sink, such a query looks at the sink alone: its pattern is all zeros, and the others keep their proportion", async () => {
    const sunk = await shelf.open(fixture("gpt-oss-yarn-old-style"));
    expect(sunk.spec.layers[1]!.attention.sinks).toBeDefined();
    const all = { op: "knockout", queries: [1], keys: [0, 1] } as const;
    const { activations } = await sunk.forward({ tokens, edits: [scores(all)], read: ["pattern.1", "z.1"] });
    expect(at(activations["pattern.1"]!, 0, 2, 1)).toEqual([0, 0, 0, 0, 0]);
    expect(at(activations["z.1"]!, 0, 1).every((value) => value === 0)).toBe(true);
    const [plain, cut] = [await pattern([], sunk), await pattern([scores({ op: "knockout", heads: [0], queries: [4], keys: [2] })], sunk)];
    const before = at(plain, 0, 0, 4);
    expect(before.reduce((sum, weight) => sum + weight, 0)).toBeLessThan(0.999);
    close(
      at(cut, 0, 0, 4),
      before.map((weight, key) => (key === 2 ? 0 : weight / (1 - before[2]!))),
    );
  });
});

describe("what follows from an edit", () => {
  const same = async (a: readonly Edit[], b: readonly Edit[], of = model): Promise<void> =>
    expect(apart(await logits(a, { of }), await logits(b, { of }))).toBeLessThan(TOLERANCE);

  it("adding and taking away again is nothing", async () => {
    const vector = Array.from({ length: 32 }, (_, i) => Math.sin(i + 1));
    await same(
      [
        { at: "resid_mid.1", op: "add", vector },
        { at: "resid_mid.1", op: "add", vector, strength: -1 },
      ],
      [],
    );
  });

  it("without position embeddings the stream is the token embeddings", async () => {
    const { activations } = await model.forward({
      tokens: rowsOf(4),
      edits: [{ at: "pos_embed", op: "set", value: 0 }],
      read: ["embed", "pos_embed", "resid_pre.0"],
      logits: false,
    });
    expect(activations["resid_pre.0"]!.data).toEqual(activations["embed"]!.data);
    expect(activations["pos_embed"]!.data.every((value) => value === 0)).toBe(true);
  });

  it("a head without z, without its term, and without its attention adds nothing", async () => {
    const z: Edit = { at: "z.1", op: "set", value: 0, heads: [2] };
    await same([z], [{ at: "head_out.1", op: "set", value: 0, heads: [2] }]);
    await same([z], [{ at: "pattern.1", op: "scale", by: 0, heads: [2] }]);
    await same([z], [{ at: "v.1", op: "set", value: 0, heads: [2] }]);
  });

  it("all heads' terms without any leave the output's bias, the same everywhere", async () => {
    const { activations } = await model.forward({
      tokens: rowsOf(4),
      edits: [{ at: "head_out.0", op: "set", value: 0 }],
      read: ["attn_out.0"],
      logits: false,
    });
    const bias = readSafetensors(join(fixture("gpt2-hub-names"), "model.safetensors"));
    const name = [...bias.keys()].find((key) => key.endsWith("h.0.attn.c_proj.bias"))!;
    for (const position of [0, 3]) expect(at(activations["attn_out.0"]!, 0, position)).toEqual([...bias.get(name)!.data]);
  });

  it("the divisor of a norm, doubled and halved, moves its output from the bias as the formula says", async () => {
    const normalized = async (by: number): Promise<number[]> =>
      at(await read("ln1_normalized.1", [{ at: "ln1_scale.1", op: "scale", by }]), 0, 1);
    const [half, whole, double] = [await normalized(2), await normalized(1), await normalized(0.5)];
    whole.forEach((value, i) => expect(double[i]! - value).toBeCloseTo(2 * (value - half[i]!), 4));
    expect(Math.max(...whole.map((value, i) => Math.abs(value - half[i]!)))).toBeGreaterThan(0.1);
  });

  it("a unit vector behind the last norm reads one column of the unembedding", async () => {
    const tensors = readSafetensors(join(fixture("gpt2-hub-names"), "model.safetensors"));
    const name = [...tensors.keys()].find((key) => key.endsWith("wte.weight"))!;
    const value = await logits([{ at: "final_normalized", op: "set", value: wide(0, 0, 0, 1) }]);
    const column = Array.from({ length: 61 }, (_, token) => tensors.get(name)!.data[token * 32 + 3]!);
    at(value, 1, 2).forEach((logit, token) => expect(logit).toBeCloseTo(column[token]!, 5));
  });

  it("experts chosen by hand compute what they would have been chosen for", async () => {
    const mixture = await shelf.open(fixture("qwen3-moe-dense-first"));
    const tokens = rowsOf(4);
    const { activations } = await mixture.forward({ tokens, read: ["experts.1", "expert_weights.1", "mlp_out.1"], logits: false });
    const [chosen, weights] = [activations["experts.1"]!, activations["expert_weights.1"]!];
    const swapped = (values: Tensor): Tensor<Float32Array> =>
      tensor(
        Float32Array.from(values.data, (_, i) => values.data[i ^ 1]!),
        values.shape,
        values.axes,
      );
    const edits: Edit[] = [
      { at: "experts.1", op: "set", value: swapped(chosen) },
      { at: "expert_weights.1", op: "set", value: swapped(weights) },
    ];
    expect(apart(await read("mlp_out.1", edits, { tokens, of: mixture }), activations["mlp_out.1"]!)).toBeLessThan(TOLERANCE);
    const none = await read("mlp_out.1", [{ at: "expert_weights.1", op: "set", value: 0 }], { tokens, of: mixture });
    expect(none.data.every((value) => value === 0)).toBe(true);
    const cut = read("mlp_out.1", [{ at: "experts.1", op: "set", value: 99 }], { tokens, of: mixture });
    await expect(cut).rejects.toThrow(/edits\[0\] at experts\.1: value must hold experts, 0 to \d+, got 99/);
    const added = read("mlp_out.1", [{ at: "experts.1", op: "scale", by: 2 }], { tokens, of: mixture });
    await expect(added).rejects.toThrow("edits[0] at experts.1: cannot scale here: the point holds indices. Instead: set");
  });

  it("edits in front of where a run resumes are refused, as they would not hold", async () => {
    const { activations } = await model.forward({ tokens: rowsOf(4), read: ["resid_pre.1"], logits: false });
    const resume = { layer: 1, resid: activations["resid_pre.1"] as Tensor<Float32Array> };
    const run = (address: string): Promise<unknown> =>
      model.forward({ tokens: rowsOf(4), resume, edits: [{ at: address, op: "scale", by: 2 }] });
    await expect(run("resid_post.0")).rejects.toThrow("cannot edit resid_post.0: the run resumes at layer 1, behind it");
    await expect(run("embed")).rejects.toThrow("cannot edit embed: the run resumes at layer 1, behind it");
    await expect(run("resid_pre.1")).resolves.toBeDefined();
  });
});

/** What the model says to edits. */
async function said(...edits: readonly Edit[]): Promise<string> {
  return logits(edits).then(
    () => "nothing",
    (error: Error) => error.message,
  );
}

describe("contradictions", () => {
  const set = (more: Partial<Edit> = {}): Edit => ({ at: "z.1", op: "set", value: 0, ...more }) as Edit;
  const contradict = "contradict: both change z.1 at the same places of row";

  it("what the second would undo is refused", async () => {
    expect(await said(set(), set())).toBe(`edits[0] and edits[1] ${contradict} 0, and the set of the second undoes the first`);
    expect(await said(set({ rows: [1] }), set())).toContain(`${contradict} 1`);
    expect(await said({ at: "z.1", op: "scale", by: 2 }, set({ positions: [-1], heads: [3] }))).toContain(contradict);
    expect(await said(set({ positions: { every: 2 } }), set({ positions: [1, 2] }))).toContain(contradict);
    expect(await said({ at: "attn_scores.0", op: "scale", by: 2 }, { at: "attn_scores.0", op: "knockout", keys: [1] })).toContain(
      "contradict",
    );
  });

  it("what does not meet, or builds on the first, is not", async () => {
    expect(await said(set({ rows: [0] }), set({ rows: [1] }))).toBe("nothing");
    expect(await said(set({ heads: [0] }), set({ heads: [1, 2] }))).toBe("nothing");
    expect(await said(set({ units: [0] }), set({ units: [1] }))).toBe("nothing");
    expect(await said(set({ positions: { every: 2 } }), set({ positions: [1, 3] }))).toBe("nothing");
    expect(await said(set({ positions: [-1] }), set({ positions: [0] }))).toBe("nothing");
    expect(await said(set(), { at: "z.1", op: "scale", by: 2 })).toBe("nothing");
    expect(await said(set(), { ...set(), at: "z.0" })).toBe("nothing");
    expect(await said({ at: "attn_scores.0", op: "scale", by: 2, keys: [2] }, { at: "attn_scores.0", op: "knockout", keys: [1] })).toBe(
      "nothing",
    );
  });

  it("whether positions meet depends on the rows' lengths", async () => {
    expect(await said(set({ positions: [-2] }), set({ positions: [2] }))).toContain(`${contradict} 1`);
    expect(await said(set({ positions: [-2], rows: [0] }), set({ positions: [2] }))).toBe("nothing");
  });
});

describe("refused, with the reason", () => {
  const at0 = (edit: Op): Promise<string> => said({ at: "resid_post.0", ...edit } as Edit);

  it("places that cannot be written or selected", async () => {
    expect(await said({ at: "logits", op: "scale", by: 2 })).toBe(
      "edits[0] at logits: cannot write logits: nothing runs after it. Instead: edit final_normalized",
    );
    expect(await said({ at: "resid_post.7", op: "scale", by: 2 })).toBe("resid_post.7: the model has layers 0 to 1");
    expect(await said({ at: "mlp_gate.0", op: "scale", by: 2 })).toBe(
      "there is no mlp_gate.0: this layer's MLP has no gate. Instead: mlp_pre.0",
    );
    expect(await at0({ op: "scale", by: 2, heads: [0] })).toBe(
      "edits[0] at resid_post.0: cannot select heads: the point has no head axis. Instead: edit z, q, k, v or head_out",
    );
    expect(await said({ at: "pattern.0", op: "scale", by: 2, positions: [0] })).toBe(
      "edits[0] at pattern.0: cannot select positions: the point has two position axes. Instead: queries and keys",
    );
    expect(await at0({ op: "scale", by: 2, keys: [0] })).toContain("cannot select queries or keys: the point has one position axis");
    expect(await said({ at: "pattern.0", op: "scale", by: 2, units: [0] })).toContain(
      "cannot select units: the point's last axis is the key",
    );
    expect(await at0({ op: "project_out", basis: wide(1), units: [0] })).toContain("project_out changes the whole vector");
  });

  it("operations that mean nothing at a place", async () => {
    expect(await said({ at: "pattern.0", op: "add", vector: [1] })).toContain("the point's last axis is the key, which has no fixed width");
    expect(await said({ at: "pattern.0", op: "knockout", keys: [0] })).toBe(
      "edits[0] at pattern.0: cannot knock out edges here: knockout works before softmax. Instead: attn_scores.0",
    );
  });

  it("indices out of range, empty lists, and selections without effect", async () => {
    expect(await said({ at: "z.0", op: "scale", by: 2, heads: [4] })).toBe("edits[0] at z.0: heads: 4 is out of range, there are 4");
    expect(await at0({ op: "scale", by: 2, rows: [2] })).toBe("edits[0] at resid_post.0: rows: 2 is out of range, there are 2");
    expect(await at0({ op: "scale", by: 2, units: [-33] })).toContain("-33 is out of range");
    expect(await at0({ op: "scale", by: 2, positions: [0.5] })).toContain("0.5 is outside row 0");
    expect(await at0({ op: "scale", by: 2, positions: [] })).toContain("an empty list selects nothing; leave it out to select all");
    expect(await at0({ op: "scale", by: 2, positions: { every: 1, from: 5 } })).toBe(
      "edits[0] at resid_post.0: it changes nothing, since no position of its rows is selected",
    );
    expect(await said({ at: "attn_scores.0", op: "knockout", queries: [1], keys: [3] })).toBe(
      "edits[0] at attn_scores.0: it changes nothing, since no query that it selects sees a key that it selects",
    );
  });

  it("numbers and shapes that do not fit", async () => {
    expect(await at0({ op: "scale", by: NaN })).toBe("edits[0] at resid_post.0: by must be a number, got NaN");
    expect(await at0({ op: "set", value: -Infinity })).toBe("edits[0] at resid_post.0: value must be a number, got -Infinity");
    expect(await at0({ op: "add", vector: wide(1), strength: Infinity })).toContain("strength must be a number, got Infinity");
    expect(await at0({ op: "add", vector: [1, 2] })).toBe("edits[0] at resid_post.0: vector must have 32 elements, got shape [2]");
    expect(await at0({ op: "add", vector: wide(1, NaN) })).toContain("vector holds NaN at element 1");
    expect(await at0({ op: "clamp", direction: wide(1) })).toContain("clamp needs a min or a max, and min ≤ max");
    expect(await at0({ op: "clamp", direction: wide(1), min: 2, max: 1 })).toContain("got 2 and 1");
    expect(await at0({ op: "clamp", direction: wide(), max: 1 })).toContain("the rows of direction are zero or depend on each other");
    expect(await at0({ op: "project_out", basis: matrix(wide(1, 2), wide(2, 4)) })).toContain(
      "the rows of basis are zero or depend on each other",
    );
    expect(await at0({ op: "rotate", plane: matrix(wide(1), wide(1, 1)), angle: 1 })).toContain(
      "the rows of plane must be orthonormal, they are off by 1.0",
    );
    expect(await at0({ op: "rotate", plane: wide(1), angle: 1 })).toContain("plane must have two rows");
  });

  it("an edit that is too strong for float32", async () => {
    expect(await at0({ op: "scale", by: 3e38 })).toContain("not finite");
  });
});
