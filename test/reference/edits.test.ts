import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { POINTS } from "../../src/models/points.js";
import { floats, type Floats } from "./arrays.js";
import { compareRuns } from "./compare.js";
import { applyEdit, type Edit } from "./edits.js";
import { readGolden } from "./golden.js";
import { axesAt, POINT_ORDER } from "./points.js";
import { openReference } from "./reference.js";

const FIXTURES = new URL("../fixtures/variants/", import.meta.url).pathname;

/** The vector [3, 4, 12] under one edit of one position. */
function edited(edit: Omit<Edit, "at">): number[] {
  const x = floats([1, 3], Float64Array.of(3, 4, 12));
  const out = applyEdit(x, { at: "resid_pre.0", ...edit } as Edit, { row: 0, vectors: {} });
  return [...out.data].map((value) => Number(value.toFixed(12)));
}

describe("each operation on [3, 4, 12]", () => {
  it.each<[string, Omit<Edit, "at">, number[]]>([
    ["set 0", { op: "set", value: 0 } as never, [0, 0, 0]],
    ["set", { op: "set", value: [1, 2, 3] } as never, [1, 2, 3]],
    ["set units", { op: "set", value: [1, 2, 3], units: [-1] } as never, [3, 4, 3]],
    ["add", { op: "add", vector: [1, 0, -1], strength: 2 } as never, [5, 4, 10]],
    ["scale", { op: "scale", by: -2, units: [0, 2] } as never, [-6, 4, -24]],
    ["project_out", { op: "project_out", basis: [1, 1, 0] } as never, [-0.5, 0.5, 12]],
    ["clamp from above", { op: "clamp", direction: [0, 0, 5], max: 7 } as never, [3, 4, 7]],
    ["clamp from below", { op: "clamp", direction: [0, 0, 5], min: 7 } as never, [3, 4, 12]],
    ["interchange", { op: "interchange", value: [9, 9, 9], basis: { shape: [1, 3], data: [2, 0, 0] } } as never, [9, 4, 12]],
    ["rotate", { op: "rotate", plane: { shape: [2, 3], data: [1, 0, 0, 0, 1, 0] }, angle: 90 } as never, [0, 5, 12]],
  ])("%s", (_name, edit, wanted) => expect(edited(edit)).toEqual(wanted));

  it("projects out the span of a basis that is not orthogonal", () => {
    expect(edited({ op: "project_out", basis: { shape: [2, 3], data: [1, 0, 0, 1, 1, 0] } } as never)).toEqual([0, 0, 12]);
  });

  it("refuses a selector that the point has no axis for, and an index beyond its end", () => {
    expect(() => edited({ op: "scale", by: 2, heads: [0] } as never)).toThrow("resid_pre.0 has no head for heads");
    expect(() => edited({ op: "scale", by: 2, positions: [1] } as never)).toThrow("an edit names index 1 of 1");
  });
});

it("knows the points and axes of the product", () => {
  expect(POINT_ORDER).toEqual(Object.keys(POINTS));
  const named = (axes: readonly string[]): readonly string[] => axes.map((axis) => (axis === "kv_head" ? "head" : axis)).slice(0, -1);
  for (const [point, { axes }] of Object.entries(POINTS)) expect(named(["batch", ...axesAt(point)]), point).toEqual(named(axes));
});

describe.each(readdirSync(FIXTURES).sort())("in %s", (name) => {
  const { tokens } = readGolden(`${FIXTURES}/${name}`);
  const run = openReference(`${FIXTURES}/${name}`);
  const clean = run(tokens);
  const logitsUnder = (edits: readonly Edit[]): Floats => run(tokens, { edits, points: [] }).logits;
  const distance = (edits: readonly Edit[], from: Floats): number => {
    const sides = [logitsUnder(edits), from].map((logits) => ({ points: new Map(), logits })) as [never, never];
    return compareRuns(sides[0], sides[1], { name, relative: 1 }).differences[0]!.relative;
  };

  it("setting every point to its own value changes nothing", () => {
    const edits = [...clean.points].filter(([at]) => at !== "logits").map(([at, value]) => ({ at, op: "set", value }) as const);
    expect(distance(edits, clean.logits)).toBe(0);
  });

  it("halving any point changes the logits", () => {
    const [row, points] = [tokens.slice(0, 1), []];
    const before = run(row, { points }).logits.data;
    const addresses = [...clean.points.keys()].filter((at) => !/^(?:logits|experts|attn_scores)/.test(at));
    const unmoved = addresses.filter((at) => {
      const after = run(row, { edits: [{ at, op: "scale", by: 0.5 }], points }).logits.data;
      return Math.max(...after.map((value, i) => Math.abs(value - before[i]!))) < 1e-9;
    });
    expect(unmoved).toEqual([]);
  });

  it("one head removed at z, or its term at head_out, is the same", () => {
    const without = logitsUnder([{ at: "z.1", op: "set", value: 0, heads: [1] }]);
    expect(distance([{ at: "head_out.1", op: "set", value: 0, heads: [1] }], without)).toBeLessThan(1e-12);
  });

  it("knocking out all keys but one is attending to that one", () => {
    if (clean.points.get("pattern.1")!.data[0] !== 1) return;
    const chosen = { heads: [0], queries: [4] };
    const one = [{ at: "pattern.1", op: "set", value: [0, 0, 0, 1, 0].concat(tokens[0]!.slice(5).map(() => 0)), ...chosen }] as const;
    expect(distance([{ at: "attn_scores.1", op: "knockout", ...chosen, keys: [0, 1, 2, 4] }], logitsUnder(one))).toBeLessThan(1e-12);
  });

  it("refuses an address that the model lacks", () => {
    expect(() => logitsUnder([{ at: "resid_post.99", op: "scale", by: 2 }])).toThrow("an edit names resid_post.99");
    expect(() => logitsUnder([{ at: "logits", op: "scale", by: 2 }])).toThrow("an edit names logits");
  });
});
