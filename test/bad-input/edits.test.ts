/** @file Edits that are no edits, that do not fit their point, that select nothing, and that contradict each other. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tensor } from "../../src/base/tensor.js";
import { loadModel } from "../../src/runtime/load.js";
import type { Edit, ScheduledEdit } from "../../src/runtime/edit.js";
import type { Model } from "../../src/runtime/model.js";
import { variantFolder, workshop } from "./damaged.js";

const { complaint } = workshop();
let gpt2: Model;
let gemma: Model;
let moe: Model;
beforeAll(async () => {
  gpt2 = await loadModel(variantFolder("gpt2-hub-names"), { threads: 1 });
  gemma = await loadModel(variantFolder("gemma3-old-style"), { threads: 1 });
  moe = await loadModel(variantFolder("qwen3-moe-dense-first"), { threads: 1 });
});
afterAll(() => Promise.all([gpt2.close(), gemma.close(), moe.close()]));

const ROWS = [[1, 2, 3, 4], [5, 6]]; // prettier-ignore
const WIDTH = 32;
const vector = (length = WIDTH, value = 1): number[] => Array.from({ length }, () => value);
const matrix = (...rows: number[][]) => tensor(Float32Array.from(rows.flat()), [rows.length, rows[0]!.length]);
const unit = (at: number): number[] => Object.assign(vector(WIDTH, 0), { [at]: 1 });

/** What is said about edits, which may be of any type. */
const editing = (edits: unknown, model = gpt2): Promise<string> =>
  complaint(() => model.forward({ tokens: ROWS, edits: edits as readonly Edit[] }));
const one = (edit: object, model = gpt2): Promise<string> => editing([edit], model);
const at = (address: string, edit: object): Promise<string> => one({ at: address, ...edit });

describe("what is no edit", () => {
  test("because it is something else", async () => {
    expect(await editing({ at: "z.0", op: "scale", by: 0 })).toMatchInlineSnapshot(
      `"request: edits: must be a list of edits, got an object"`,
    );
    expect(await editing([null])).toMatchInlineSnapshot(`"request: edits[0]: must be an object with \`at\` and \`op\`, got null"`);
    expect(await editing([[]])).toMatchInlineSnapshot(`"request: edits[0]: must be an object with \`at\` and \`op\`, got []"`);
    expect(await editing("scale")).toMatch(/^request: edits: must be a list of edits/);
  });

  test("because its operation or address is unknown", async () => {
    expect(await one({ op: "scale", by: 2 })).toMatchInlineSnapshot(`"request: edits[0]: at must be an address, it is missing"`);
    expect(await one({ at: "z.0", by: 2 })).toMatchInlineSnapshot(
      `"request: edits[0] at z.0: op must be one of set, add, scale, project_out, clamp, interchange, rotate, knockout, it is missing"`,
    );
    expect(await one({ at: "z.0", op: "zero" })).toMatchInlineSnapshot(
      `"request: edits[0] at z.0: op must be one of set, add, scale, project_out, clamp, interchange, rotate, knockout, got the string "zero""`,
    );
    expect(await one({ at: "z.0", op: "constructor" })).toMatch(/op must be one of set, add/);
    expect(await one({ at: "z.2", op: "scale", by: 2 })).toMatchInlineSnapshot(`"request: z.2: the model has layers 0 to 1"`);
    expect(await one({ at: "zz.0", op: "scale", by: 2 })).toMatchInlineSnapshot(
      `"request: "zz.0" is not the address of a point; did you mean z?"`,
    );
    expect(await one({ at: "resid_post.*", op: "scale", by: 2 })).toMatchInlineSnapshot(
      `"request: edits[0]: cannot edit resid_post.*: an edit is at one address. Instead: write an edit for each layer"`,
    );
    expect(await one({ at: "logits", op: "scale", by: 2 })).toMatchInlineSnapshot(
      `"unsupported: edits[0] at logits: cannot write logits: nothing runs after it. Instead: edit final_normalized"`,
    );
    expect(await one({ at: "mlp_gate.0", op: "scale", by: 2 })).toMatchInlineSnapshot(
      `"unsupported: there is no mlp_gate.0: this layer's MLP has no gate. Instead: mlp_pre.0"`,
    );
  });

  test("because a field is unknown, missing, or of another type", async () => {
    expect(await at("z.0", { op: "scale", by: 2, head: [1] })).toMatchInlineSnapshot(
      `"request: edits[0] at z.0: scale has no field "head"; it takes by, rows, positions, heads, units, queries, keys, on, steps"`,
    );
    expect(await at("z.0", { op: "scale", by: 2, strength: 1 })).toMatch(/scale has no field "strength"/);
    expect(await at("z.0", { op: "scale" })).toMatchInlineSnapshot(`"request: edits[0] at z.0: by must be a number, it is missing"`);
    expect(await at("z.0", { op: "scale", by: "2" })).toMatchInlineSnapshot(
      `"request: edits[0] at z.0: by must be a number, got the string "2""`,
    );
    expect(await at("embed", { op: "add", vector: "joy" })).toMatchInlineSnapshot(
      `"request: edits[0] at embed: vector must be a tensor or a list of numbers, got the string "joy""`,
    );
    expect(await at("embed", { op: "add", vector: [[1, 2]] })).toMatchInlineSnapshot(
      `"request: edits[0] at embed: vector must be a tensor or a list of numbers, got […]"`,
    );
    expect(await at("embed", { op: "add", vector: { data: [1, 2], shape: [3] } })).toMatchInlineSnapshot(
      `"request: edits[0] at embed: vector must be a tensor or a list of numbers, got an object"`,
    );
    expect(await at("embed", { op: "set", value: null })).toMatchInlineSnapshot(
      `"request: edits[0] at embed: value must be a number, a tensor or a list of numbers, got null"`,
    );
    expect(await at("embed", { op: "scale", by: 2, positions: "all" })).toMatchInlineSnapshot(
      `"request: edits[0] at embed: positions must be a list of numbers or an object with \`every\`, got the string "all""`,
    );
    expect(await at("embed", { op: "scale", by: 2, positions: { every: 0 } })).toMatchInlineSnapshot(
      `"request: edits[0] at embed: positions must be a list of numbers or an object with \`every\`, got an object"`,
    );
    expect(await at("embed", { op: "scale", by: 2, positions: { from: 1 } })).toMatch(
      /positions must be a list of numbers or an object with `every`/,
    );
    expect(await at("embed", { op: "scale", by: 2, rows: 0 })).toMatchInlineSnapshot(
      `"request: edits[0] at embed: rows must be a list of numbers, got the number 0"`,
    );
    expect(await at("embed", { op: "scale", by: 2, on: "all" })).toMatchInlineSnapshot(
      `"request: edits[0] at embed: on must be "prompt", "generated" or "both", got the string "all""`,
    );
    expect(await at("embed", { op: "scale", by: 2, steps: { every: 0.5 } })).toMatchInlineSnapshot(
      `"request: edits[0] at embed: steps must be an object with \`from\`, \`to\`, \`every\`, got an object"`,
    );
  });
});

describe("tensors", () => {
  test("of the wrong width", async () => {
    expect(await at("resid_post.0", { op: "add", vector: vector(31) })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: vector must have 32 elements, got shape [31]"`,
    );
    expect(await at("z.0", { op: "add", vector: vector() })).toMatchInlineSnapshot(
      `"request: edits[0] at z.0: vector must have 8 elements, got shape [32]"`,
    );
    expect(await at("resid_post.0", { op: "add", vector: matrix(vector(), vector()) })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: vector must have 32 elements, got shape [2, 32]"`,
    );
    expect(await at("resid_post.0", { op: "set", value: vector(8) })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: value must have 32 along d_model, got shape [8]"`,
    );
    expect(await at("z.0", { op: "set", value: tensor(new Float32Array(24), [3, 8]) })).toMatchInlineSnapshot(
      `"request: edits[0] at z.0: value must have 4 along head, got shape [3, 8]"`,
    );
    expect(await at("resid_post.0", { op: "set", value: tensor(new Float32Array(64), [1, 2, 1, 32]) })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: value has 4 axes, the point has batch, pos, d_model"`,
    );
    expect(await at("resid_post.0", { op: "set", value: tensor(new Float32Array(64), [2, 32]) })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: value has 2 along pos, the edit needs index 2"`,
    );
    expect(await at("resid_post.0", { op: "project_out", basis: matrix(vector(16)) })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: basis must have shape [k, 32] with k from 1 to 32, got [1, 16]"`,
    );
    expect(await at("resid_post.0", { op: "clamp", direction: vector(3), max: 0 })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: direction must have 32 elements, got shape [3]"`,
    );
  });

  test("that are several where one is asked for", async () => {
    const two = matrix(unit(0), unit(1));
    expect(await at("resid_post.0", { op: "clamp", direction: two, max: 0 })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: direction must have 32 elements, got shape [2, 32]"`,
    );
  });

  test("that hold NaN or infinity", async () => {
    expect(await at("resid_post.0", { op: "add", vector: Object.assign(vector(), { 5: NaN }) })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: vector holds NaN at element 5"`,
    );
    expect(await at("resid_post.0", { op: "set", value: Infinity })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: value must be a number, got Infinity"`,
    );
    expect(await at("resid_post.0", { op: "scale", by: NaN })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: by must be a number, got NaN"`,
    );
    expect(await at("resid_post.0", { op: "add", vector: vector(), strength: Infinity })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: strength must be a number, got Infinity"`,
    );
    expect(await at("resid_post.0", { op: "rotate", plane: matrix(unit(0), unit(1)), angle: NaN })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: angle must be a number of degrees, got NaN"`,
    );
    expect(await at("attn_scores.0", { op: "set", value: NaN })).toMatch(/value must be a number, got NaN/);
  });

  test("too large to compute with", async () => {
    expect(await at("resid_post.0", { op: "add", vector: vector(), strength: 1e39 })).toMatchInlineSnapshot(
      `"request: the run came out with values that are not finite, though the weights are: an edit is too strong"`,
    );
  });

  test("that span no basis or plane", async () => {
    expect(await at("resid_post.0", { op: "project_out", basis: matrix(unit(0), unit(0)) })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: the rows of basis are zero or depend on each other, so they span less than they claim"`,
    );
    expect(await at("resid_post.0", { op: "project_out", basis: vector(WIDTH, 0) })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: the rows of basis are zero or depend on each other, so they span less than they claim"`,
    );
    expect(
      await at("resid_post.0", { op: "interchange", basis: matrix(unit(0), vector(), vector()), value: vector() }),
    ).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: the rows of basis are zero or depend on each other, so they span less than they claim"`,
    );
    expect(await at("resid_post.0", { op: "clamp", direction: vector(WIDTH, 0), max: 0 })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: the rows of direction are zero or depend on each other, so they span less than they claim"`,
    );
    expect(await at("resid_post.0", { op: "rotate", plane: matrix(vector(), unit(1)), angle: 90 })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: the rows of plane must be orthonormal, they are off by 31"`,
    );
    expect(await at("resid_post.0", { op: "rotate", plane: matrix(unit(0)), angle: 90 })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: plane must have two rows"`,
    );
    expect(await at("resid_post.0", { op: "rotate", plane: matrix(unit(0), unit(1), unit(2)), angle: 90 })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: plane must have two rows"`,
    );
  });

  test("with limits that are none", async () => {
    const clamp = (limits: object): Promise<string> => at("resid_post.0", { op: "clamp", direction: vector(), ...limits });
    expect(await clamp({ min: 2, max: 1 })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: clamp needs a min or a max, and min ≤ max; got 2 and 1"`,
    );
    expect(await clamp({})).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: clamp needs a min or a max, and min ≤ max; got -Infinity and Infinity"`,
    );
    expect(await clamp({ min: NaN })).toMatch(/clamp needs a min or a max/);
    expect(await clamp({ min: Infinity })).toMatch(/clamp needs a min or a max/);
  });
});

describe("selectors", () => {
  test("out of range", async () => {
    expect(await at("z.0", { op: "scale", by: 0, rows: [2] })).toMatchInlineSnapshot(
      `"request: edits[0] at z.0: rows: 2 is out of range, there are 2"`,
    );
    expect(await at("z.0", { op: "scale", by: 0, heads: [4] })).toMatchInlineSnapshot(
      `"request: edits[0] at z.0: heads: 4 is out of range, there are 4"`,
    );
    expect(await at("z.0", { op: "scale", by: 0, heads: [-5] })).toMatchInlineSnapshot(
      `"request: edits[0] at z.0: heads: -5 is out of range, there are 4"`,
    );
    expect(await at("z.0", { op: "scale", by: 0, heads: [0.5] })).toMatchInlineSnapshot(
      `"request: edits[0] at z.0: heads: 0.5 is out of range, there are 4"`,
    );
    expect(await at("mlp_post.0", { op: "scale", by: 0, units: [128] })).toMatchInlineSnapshot(
      `"request: edits[0] at mlp_post.0: units: 128 is out of range, there are 128"`,
    );
    expect(await at("z.0", { op: "scale", by: 0, positions: [3] })).toMatchInlineSnapshot(
      `"request: edits[0] at z.0: positions: 3 is outside row 1, which has 2 positions; name the rows it is for"`,
    );
    expect(await at("z.0", { op: "scale", by: 0, positions: [-3], rows: [1] })).toMatchInlineSnapshot(
      `"request: edits[0] at z.0: positions: -3 is outside row 1, which has 2 positions; name the rows it is for"`,
    );
    expect(await at("attn_scores.0", { op: "knockout", queries: [4], keys: [0], rows: [0] })).toMatchInlineSnapshot(
      `"request: edits[0] at attn_scores.0: queries: 4 is outside row 0, which has 4 positions; name the rows it is for"`,
    );
    expect(await one({ at: "k.0", op: "scale", by: 0, heads: [2] }, gemma)).toMatchInlineSnapshot(
      `"request: edits[0] at k.0: heads: 2 is out of range, there are 2"`,
    );
  });

  test("that are empty lists", async () => {
    for (const selector of ["rows", "heads", "positions", "units"]) {
      expect(await at(selector === "units" ? "mlp_post.0" : "z.0", { op: "scale", by: 0, [selector]: [] })).toMatch(
        new RegExp(`: ${selector}: an empty list selects nothing; leave it out to select all$`),
      );
    }
    expect(await at("attn_scores.0", { op: "knockout", keys: [] })).toMatchInlineSnapshot(
      `"request: edits[0] at attn_scores.0: keys: an empty list selects nothing; leave it out to select all"`,
    );
  });

  test("that the point does not have", async () => {
    expect(await at("resid_post.0", { op: "scale", by: 0, heads: [0] })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: cannot select heads: the point has no head axis. Instead: edit z, q, k, v or head_out"`,
    );
    expect(await at("attn_scores.0", { op: "scale", by: 0, positions: [0] })).toMatchInlineSnapshot(
      `"request: edits[0] at attn_scores.0: cannot select positions: the point has two position axes. Instead: queries and keys"`,
    );
    expect(await at("pattern.0", { op: "scale", by: 0, units: [0] })).toMatchInlineSnapshot(
      `"request: edits[0] at pattern.0: cannot select units: the point's last axis is the key. Instead: keys"`,
    );
    expect(await at("z.0", { op: "scale", by: 0, keys: [0] })).toMatchInlineSnapshot(
      `"request: edits[0] at z.0: cannot select queries or keys: the point has one position axis. Instead: positions"`,
    );
    expect(await at("resid_post.0", { op: "project_out", basis: vector(), units: [0] })).toMatchInlineSnapshot(
      `"request: edits[0] at resid_post.0: cannot select units: project_out changes the whole vector"`,
    );
  });

  test("that match nothing", async () => {
    expect(await at("attn_scores.0", { op: "knockout", queries: [0], keys: [1] })).toMatchInlineSnapshot(
      `"request: edits[0] at attn_scores.0: it changes nothing, since no query that it selects sees a key that it selects"`,
    );
    expect(await at("z.0", { op: "scale", by: 0, positions: { every: 1, from: 9 } })).toMatchInlineSnapshot(
      `"request: edits[0] at z.0: it changes nothing, since no position of its rows is selected"`,
    );
    const windowed = { at: "attn_scores.0", op: "scale", by: 2, queries: [5], keys: [1] } as const;
    expect(await complaint(() => gemma.forward({ tokens: [[1, 2, 3, 4, 5, 6]], edits: [windowed] }))).toMatchInlineSnapshot(
      `"request: edits[0] at attn_scores.0: it changes nothing, since no query that it selects sees a key that it selects"`,
    );
  });

  test("on points that do not take the operation", async () => {
    expect(await at("pattern.0", { op: "add", vector: vector() })).toMatchInlineSnapshot(
      `"request: edits[0] at pattern.0: cannot add here: the point's last axis is the key, which has no fixed width. Instead: set, scale or knockout; or edit q, k, v or z"`,
    );
    expect(await at("pattern.0", { op: "knockout", keys: [0] })).toMatchInlineSnapshot(
      `"request: edits[0] at pattern.0: cannot knock out edges here: knockout works before softmax. Instead: attn_scores.0"`,
    );
    expect(await at("z.0", { op: "knockout" })).toMatchInlineSnapshot(
      `"request: edits[0] at z.0: cannot knock out edges here: knockout works before softmax. Instead: attn_scores.0"`,
    );
    expect(await one({ at: "experts.1", op: "scale", by: 2 }, moe)).toMatchInlineSnapshot(
      `"request: edits[0] at experts.1: cannot scale here: the point holds indices. Instead: set"`,
    );
    expect(await one({ at: "experts.1", op: "set", value: 4 }, moe)).toMatchInlineSnapshot(
      `"request: edits[0] at experts.1: value must hold experts, 0 to 3, got 4"`,
    );
    expect(await one({ at: "experts.1", op: "set", value: [0, 1.5] }, moe)).toMatchInlineSnapshot(
      `"request: edits[0] at experts.1: value must hold experts, 0 to 3, got 1.5"`,
    );
  });
});

describe("edits together", () => {
  test("of which one undoes the other", async () => {
    const scale = { at: "z.0", op: "scale", by: 2 };
    const set = { at: "z.0", op: "set", value: 0 };
    expect(await editing([scale, set])).toMatchInlineSnapshot(
      `"request: edits[0] and edits[1] contradict: both change z.0 at the same places of row 0, and the set of the second undoes the first"`,
    );
    expect(
      await editing([
        { ...scale, heads: [0, 1] },
        { ...set, heads: [-3] },
      ]),
    ).toMatchInlineSnapshot(
      `"request: edits[0] and edits[1] contradict: both change z.0 at the same places of row 0, and the set of the second undoes the first"`,
    );
    expect(await editing([set, set])).toMatchInlineSnapshot(
      `"request: edits[0] and edits[1] contradict: both change z.0 at the same places of row 0, and the set of the second undoes the first"`,
    );
    expect(
      await editing([
        { at: "attn_scores.0", op: "set", value: 1 },
        { at: "attn_scores.0", op: "knockout", keys: [1] },
      ]),
    ).toMatchInlineSnapshot(
      `"request: edits[0] and edits[1] contradict: both change attn_scores.0 at the same places of row 0, and the knockout of the second undoes the first"`,
    );
  });

  test("which do not meet are fine", async () => {
    const scale = { at: "z.0", op: "scale", by: 2 } as const;
    const set = { at: "z.0", op: "set", value: 0 } as const;
    const pairs: readonly (readonly Edit[])[] = [
      [
        { ...scale, heads: [0] },
        { ...set, heads: [1] },
      ],
      [
        { ...scale, rows: [0] },
        { ...set, rows: [1] },
      ],
      [
        { ...scale, positions: [0] },
        { ...set, positions: [1] },
      ],
      [
        { ...scale, units: [0] },
        { ...set, units: [1] },
      ],
      [set, scale],
      [scale, { ...set, at: "z.1" }],
    ];
    for (const edits of pairs) expect((await gpt2.forward({ tokens: ROWS, edits })).lengths).toEqual([4, 2]);
  });

  test("that leave a query without a key", async () => {
    expect(await at("attn_scores.0", { op: "knockout" })).toMatchInlineSnapshot(
      `"request: edits[0] at attn_scores.0: query 0 of row 0 has no key left at head 0; its pattern would be undefined"`,
    );
    expect(await at("attn_scores.1", { op: "knockout", queries: [0], keys: [0], heads: [2] })).toMatchInlineSnapshot(
      `"request: edits[0] at attn_scores.1: query 0 of row 0 has no key left at head 2; its pattern would be undefined"`,
    );
    const both = [{ at: "attn_scores.0", op: "knockout", queries: [1], keys: [0] }, { at: "attn_scores.0", op: "knockout", queries: [1], keys: [1] }]; // prettier-ignore
    expect(await editing(both)).toMatchInlineSnapshot(
      `"request: edits[1] at attn_scores.0: query 1 of row 0 has no key left at head 0; its pattern would be undefined"`,
    );
  });

  test("of a generation that never come to pass", async () => {
    const generating = (edit: object, maxNew = 3): Promise<string> =>
      complaint(() => gpt2.generate({ tokens: ROWS, maxNew, edits: [{ at: "z.0", op: "scale", by: 0, ...edit } as ScheduledEdit] }));
    expect(await generating({ on: "generated", steps: { from: 5 } })).toMatchInlineSnapshot(
      `"request: edits[0] at z.0: it changes nothing, since no position of its rows is selected"`,
    );
    expect(await generating({ on: "generated" }, 1)).toMatchInlineSnapshot(
      `"request: edits[0] at z.0: it changes nothing, since no position of its rows is selected"`,
    );
    expect(await generating({ positions: [6], rows: [0] })).toMatchInlineSnapshot(
      `"request: edits[0] at z.0: positions: 6 is outside row 0, which has 6 positions; name the rows it is for"`,
    );
  });
});
