/** @file Edits from JSON: what is taken over, what is looked up, and what is refused with which words. */
import { describe, expect, test } from "vitest";
import { tensor, type Tensor } from "../../src/base/tensor.js";
import { parseEdits } from "../../src/runtime/parse-edits.js";

const direction = tensor(Float32Array.of(1, 2, 3), [3]);
const plane = tensor(Float32Array.of(1, 0, 0, 0, 1, 0), [2, 3]);
const vectors = new Map<string, Tensor>([
  ["direction", direction],
  ["vectors.plane", plane],
  ["ids", tensor(Int32Array.of(1), [1])],
]);

/** What `parseEdits` says about one edit. */
function complaint(json: unknown): string {
  try {
    parseEdits(json, vectors);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("not refused");
}

describe("takes over", () => {
  test("every operation, with its selectors", () => {
    const edits = [
      { at: "z.0", op: "set", value: 0, heads: [1, 3], rows: [0], positions: [-1, 2] },
      { at: "resid_post.1", op: "set", value: [0.5, 1] },
      { at: "resid_post.1", op: "scale", by: -0.5, units: [0, 7], positions: { every: 2, from: 1 } },
      { at: "attn_scores.1", op: "knockout", queries: [10, 8], keys: [-1] },
      { at: "resid_post.0", op: "add", vector: [1, 2], strength: 2, on: "generated", steps: { from: 1, to: 9, every: 2 } },
    ];
    expect(parseEdits(edits)).toEqual(edits);
  });

  test("names of vectors, with and without `vectors.` in front", () => {
    const json = [
      { at: "resid_post.0", op: "clamp", direction: "direction", max: -0.1 },
      { at: "resid_post.0", op: "rotate", plane: "plane", angle: 120 },
      { at: "resid_post.0", op: "interchange", value: "direction", basis: "plane" },
    ];
    const [clamp, rotate, interchange] = parseEdits(json, vectors);
    expect(clamp).toEqual({ ...json[0], direction });
    expect(rotate).toEqual({ ...json[1], plane });
    expect(interchange).toEqual({ ...json[2], value: direction, basis: plane });
  });

  test("rows of numbers as a matrix", () => {
    const [edit] = parseEdits([{ at: "resid_post.0", op: "project_out", basis: [[1, 0], [0, 1], [1, 1]] }]); // prettier-ignore
    expect(edit).toMatchObject({ basis: { shape: [3, 2], data: Float32Array.of(1, 0, 0, 1, 1, 1) } });
  });
});

describe("refuses", () => {
  test("what is no array of edits", () => {
    expect(complaint({ steer: [] })).toMatchInlineSnapshot(`"edits: must be an array of edits, got an object"`);
    expect(complaint([3])).toMatchInlineSnapshot(`"edits[0]: must be an edit, got the number 3"`);
    expect(complaint(null)).toMatchInlineSnapshot(`"edits: must be an array of edits, got null"`);
  });

  test("operations that are missing or unknown", () => {
    expect(complaint([{ at: "z.0" }])).toMatchInlineSnapshot(
      `"edits[0].op: must be one of set, add, scale, project_out, clamp, interchange, rotate, knockout, it is missing"`,
    );
    expect(complaint([{ at: "z.0", op: "zero" }])).toMatchInlineSnapshot(
      `"edits[0].op: must be one of set, add, scale, project_out, clamp, interchange, rotate, knockout, got the string "zero""`,
    );
  });

  test("fields that are unknown, or belong to another operation", () => {
    expect(complaint([{ at: "z.0", op: "set", value: 0, head: [1] }])).toMatchInlineSnapshot(
      `"edits[0]: unknown field "head"; "set" takes value, at, rows, positions, heads, units, queries, keys, on, steps"`,
    );
    expect(complaint([{ at: "z.0", op: "scale", by: 2, strength: 1 }])).toMatchInlineSnapshot(
      `"edits[0]: unknown field "strength"; "scale" takes by, at, rows, positions, heads, units, queries, keys, on, steps"`,
    );
    expect(complaint([{ at: "z.0", op: "scale", by: 2, steps: { until: 1 } }])).toMatchInlineSnapshot(
      `"edits[0].steps: unknown field "until""`,
    );
    expect(complaint([{ at: "z.0", op: "scale", by: 2, positions: { every: 1, until: 3 } }])).toMatchInlineSnapshot(
      `"edits[0].positions: unknown field "until""`,
    );
  });

  test("fields that are missing or of another type", () => {
    expect(complaint([{ op: "scale", by: 2 }])).toMatchInlineSnapshot(`"edits[0].at: must be a string, it is missing"`);
    expect(complaint([{ at: "z.0", op: "scale" }])).toMatchInlineSnapshot(`"edits[0].by: must be a number, it is missing"`);
    expect(complaint([{ at: "z.0", op: "scale", by: "2" }])).toMatchInlineSnapshot(`"edits[0].by: must be a number, got the string "2""`);
    expect(complaint([{ at: "z.0", op: "scale", by: 2, on: "all" }])).toMatchInlineSnapshot(
      `"edits[0].on: must be "prompt", "generated" or "both", got the string "all""`,
    );
    expect(complaint([{ at: "z.0", op: "scale", by: 2, heads: [] }])).toMatchInlineSnapshot(
      `"edits[0].heads: must name at least one; leave it out for all, got []"`,
    );
  });

  test("positions, by the path of the one that is wrong", () => {
    const good = { at: "z.0", op: "scale", by: 2 };
    expect(complaint([good, good, { ...good, positions: [1.5] }])).toMatchInlineSnapshot(
      `"edits[2].positions[0]: must be a whole number, got the number 1.5"`,
    );
    expect(complaint([{ ...good, positions: 3 }])).toMatchInlineSnapshot(
      `"edits[0].positions: must be an array of whole numbers, or an object with \`every\`, got the number 3"`,
    );
    expect(complaint([{ ...good, positions: { every: 0 } }])).toMatchInlineSnapshot(
      `"edits[0].positions.every: must be 1 or more, got the number 0"`,
    );
  });

  test("vectors that are unknown, of whole numbers, or none", () => {
    expect(complaint([{ at: "z.0", op: "add", vector: "joy" }])).toMatchInlineSnapshot(
      `"edits[0].vector: must name a vector (there are direction, vectors.plane, ids), got the string "joy""`,
    );
    expect(complaint([{ at: "z.0", op: "add", vector: "ids" }])).toMatchInlineSnapshot(
      `"edits[0].vector: must name a vector of floats, this one holds whole numbers, got the string "ids""`,
    );
    expect(complaint([{ at: "z.0", op: "add", vector: [1, "2"] }])).toMatchInlineSnapshot(
      `"edits[0].vector: must be the name of a vector, an array of numbers, or an array of such arrays of one length, got [1, "2"]"`,
    );
    expect(complaint([{ at: "z.0", op: "add", vector: [[1, 2], [3]] }])).toMatchInlineSnapshot(
      `"edits[0].vector: must be the name of a vector, an array of numbers, or an array of such arrays of one length, got […, …]"`,
    );
    expect(() => parseEdits([{ at: "z.0", op: "add", vector: "joy" }])).toThrowErrorMatchingInlineSnapshot(
      `[SextantError: edits[0].vector: must name a vector (none were given), got the string "joy"]`,
    );
  });
});
