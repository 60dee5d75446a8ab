/**
 * @file Grids as data: which counterfactual stands in which cell, for every kind of axis and operation; and the words of what is refused.
 * Expected cells are written out, not computed as `grid.ts` computes them.
 */
import { describe, expect, it } from "vitest";
import { makeGrid, type GridRequest } from "../../../src/analyses/sweeps/grid.js";
import { tensor, type Tensor } from "../../../src/base/tensor.js";
import type { ModelSpec } from "../../../src/models/spec.js";
import { readSpec } from "../../../src/runtime/load.js";
import type { Counterfactual, SweepEdit, SweepPair } from "../../../src/runtime/sweep/request.js";
import { fixture } from "../../runtime/support.js";

/** Three layers, four query heads on two key heads, gated MLPs. */
const spec = specOf("gemma3-old-style");
/** A dense layer in front of one with experts. */
const mixed = specOf("qwen3-moe-dense-first");

const PAIRS: readonly SweepPair[] = [
  { clean: [1, 2, 3], corrupted: [1, 4, 3] },
  { clean: [5, 6, 7], corrupted: [5, 8, 7] },
];

function specOf(name: string): ModelSpec {
  const { spec: own, checkpoint } = readSpec(fixture(name));
  checkpoint.close();
  return own;
}

/** The one edit of each cell. */
function editsOf({ counterfactuals }: { counterfactuals: readonly Counterfactual[] }): SweepEdit[] {
  return counterfactuals.map(({ edits, freeze }) => {
    expect(freeze).toBeUndefined();
    expect(edits).toHaveLength(1);
    return edits[0]!;
  });
}

const grid = (request: GridRequest, pairs = PAIRS): ReturnType<typeof makeGrid> => makeGrid(spec, pairs, request);

describe("the axes of a grid", () => {
  it("are the layers alone where none is asked for, and each cell changes the whole point", () => {
    const made = grid({ point: "attn_out", by: [] });
    expect(made).toEqual({
      axes: ["layer"],
      shape: [3],
      ticks: [[0, 1, 2]],
      counterfactuals: [0, 1, 2].map((layer) => ({ edits: [{ at: `attn_out.${layer}`, op: "patch" }] })),
    });
  });

  it("are layer and position, in row-major order, every position by default", () => {
    const made = grid({ point: "resid_pre", by: ["pos"] });
    expect([made.axes, made.shape, made.ticks]).toEqual([["layer", "pos"], [3, 3], [[0, 1, 2], [0, 1, 2]]]); // prettier-ignore
    expect(editsOf(made).map(({ at, positions }) => [at, positions])).toEqual([
      ["resid_pre.0", [0]],
      ["resid_pre.0", [1]],
      ["resid_pre.0", [2]],
      ["resid_pre.1", [0]],
      ["resid_pre.1", [1]],
      ["resid_pre.1", [2]],
      ["resid_pre.2", [0]],
      ["resid_pre.2", [1]],
      ["resid_pre.2", [2]],
    ]);
  });

  it("are as many heads as the point has: query heads at q and z, key heads at k and v", () => {
    for (const [point, heads] of [
      ["q", 4],
      ["z", 4],
      ["head_out", 4],
      ["k", 2],
      ["v", 2],
    ] as const) {
      // prettier-ignore
      const made = grid({ point, by: ["head"], layers: [1] });
      expect([made.axes, made.shape], point).toEqual([
        ["layer", "head"],
        [1, heads],
      ]);
      expect(editsOf(made)).toEqual(Array.from({ length: heads }, (_, head) => ({ at: `${point}.1`, op: "patch", heads: [head] })));
    }
  });

  it("are the units of the point's last axis, all of them or those named", () => {
    expect(grid({ point: "resid_pre", by: ["unit"], layers: [0] }).shape).toEqual([1, spec.dModel]);
    expect(grid({ point: "z", by: ["unit"], layers: [0] }).shape).toEqual([1, spec.layers[0]!.attention.dHead]);
    const made = grid({ point: "mlp_post", by: ["unit"], layers: [2], units: [5, 0] });
    expect(made.ticks).toEqual([[2], [5, 0]]);
    expect(editsOf(made)).toEqual([
      { at: "mlp_post.2", op: "patch", units: [5] },
      { at: "mlp_post.2", op: "patch", units: [0] },
    ]);
  });

  it("are queries and keys of edges; the query is the measured one where it is no axis", () => {
    const request = { point: "attn_scores", layers: [0], operation: { op: "knockout" } } as const;
    expect(editsOf(grid({ ...request, by: ["key"], keys: [0, "subject"] }))).toEqual([
      { at: "attn_scores.0", op: "knockout", queries: ["end"], keys: [0] },
      { at: "attn_scores.0", op: "knockout", queries: ["end"], keys: ["subject"] },
    ]);
    expect(grid({ ...request, by: ["key"] }).ticks[1]).toEqual([0, 1, 2]);
    const both = grid({ ...request, by: ["query", "key"], queries: [1, 2], keys: [0, 1] });
    expect([both.axes, both.shape]).toEqual([
      ["layer", "query", "key"],
      [1, 2, 2],
    ]);
    expect(editsOf(both).map(({ queries, keys }) => [queries, keys])).toEqual([
      [[1], [0]],
      [[1], [1]],
      [[2], [0]],
      [[2], [1]],
    ]);
  });

  it("follow the order that is asked for, the last one changing fastest", () => {
    const made = grid({ point: "z", by: ["head", "pos"], layers: [2], heads: [3, 1], positions: [0, "end"] });
    expect([made.axes, made.shape, made.ticks]).toEqual([["layer", "head", "pos"], [1, 2, 2], [[2], [3, 1], [0, "end"]]]); // prettier-ignore
    expect(editsOf(made).map(({ heads, positions }) => [heads, positions])).toEqual([
      [[3], [0]],
      [[3], ["end"]],
      [[1], [0]],
      [[1], ["end"]],
    ]);
    const turned = grid({ point: "z", by: ["pos", "head"], layers: [2], heads: [3, 1], positions: [0, "end"] });
    expect(editsOf(turned).map(({ heads, positions }) => [heads, positions])).toEqual([
      [[3], [0]],
      [[1], [0]],
      [[3], ["end"]],
      [[1], ["end"]],
    ]);
  });

  it("may be three behind the layer", () => {
    const made = grid({ point: "z", by: ["pos", "head", "unit"], layers: [0, 2], heads: [1], units: [2, 3] });
    expect(made.shape).toEqual([2, 3, 1, 2]);
    expect(made.counterfactuals).toHaveLength(12);
    expect(editsOf(made)[7]).toEqual({ at: "z.2", op: "patch", positions: [0], heads: [1], units: [3] });
  });

  it("change everywhere what is named and is no axis", () => {
    const made = grid({ point: "z", by: ["head"], layers: [0], heads: [2], positions: ["subject", 1], units: [0] });
    expect(editsOf(made)).toEqual([{ at: "z.0", op: "patch", positions: ["subject", 1], units: [0], heads: [2] }]);
    const edges = grid({ point: "pattern", by: ["key"], layers: [0], heads: [2], queries: [2], keys: [0] });
    expect(editsOf(edges)).toEqual([{ at: "pattern.0", op: "patch", heads: [2], queries: [2], keys: [0] }]);
  });

  it("take named groups of positions, which are changed together", () => {
    const group = { name: "name", positions: ["first", 2] };
    const made = grid({ point: "resid_pre", by: ["pos"], layers: [1], positions: [0, group] });
    expect(made.ticks).toEqual([[1], [0, "name"]]);
    expect(editsOf(made).map(({ positions }) => positions)).toEqual([[0], ["first", 2]]);
    const fixed = grid({ point: "z", by: ["head"], layers: [1], heads: [0], positions: [group, 0] });
    expect(editsOf(fixed)[0]).toMatchObject({ positions: ["first", 2, 0] });
    const keys = grid({ point: "attn_scores", by: ["key"], layers: [1], keys: [group], queries: [group] });
    expect(editsOf(keys)).toEqual([{ at: "attn_scores.1", op: "patch", queries: ["first", 2], keys: ["first", 2] }]);
  });
});

describe("the layers of a grid", () => {
  it("are all that have the point", () => {
    expect(makeGrid(mixed, PAIRS, { point: "mlp_gate", by: [] }).ticks).toEqual([[0]]);
    expect(makeGrid(mixed, PAIRS, { point: "router_logits", by: [] }).ticks).toEqual([[1]]);
    expect(makeGrid(mixed, PAIRS, { point: "mlp_out", by: [] }).ticks).toEqual([[0, 1]]);
  });

  it("are those asked for, in their order, counted from the last where negative", () => {
    const made = grid({ point: "resid_post", by: [], layers: [-1, 0] });
    expect(made.ticks).toEqual([[2, 0]]);
    expect(editsOf(made).map(({ at }) => at)).toEqual(["resid_post.2", "resid_post.0"]);
  });

  it("are changed together within a window", () => {
    const made = grid({ point: "mlp_out", by: ["pos"], positions: [1, 2], window: 2 });
    expect([made.shape, made.ticks]).toEqual([[2, 2], [[0, 1], [1, 2]]]); // prettier-ignore
    expect(made.counterfactuals.map(({ edits }) => edits.map(({ at, positions }) => [at, positions]))).toEqual([
      [["mlp_out.0", [1]], ["mlp_out.1", [1]]],
      [["mlp_out.0", [2]], ["mlp_out.1", [2]]],
      [["mlp_out.1", [1]], ["mlp_out.2", [1]]],
      [["mlp_out.1", [2]], ["mlp_out.2", [2]]],
    ]); // prettier-ignore
    const whole = grid({ point: "z", by: ["head"], heads: [0], window: 3 });
    expect([whole.shape, whole.ticks]).toEqual([[1, 1], [[0], [0]]]); // prettier-ignore
    expect(whole.counterfactuals[0]!.edits).toHaveLength(3);
  });
});

describe("the operation of a grid", () => {
  const request = { point: "z", by: ["head"], heads: [1], layers: [0, 1] } as const;

  it("zero sets to 0", () => {
    expect(editsOf(grid({ ...request, operation: { op: "zero" } }))).toEqual([
      { at: "z.0", op: "set", value: 0, heads: [1] },
      { at: "z.1", op: "set", value: 0, heads: [1] },
    ]);
  });

  it("mean sets to the mean of each address", () => {
    const means: Record<string, Tensor> = {
      "z.0": tensor(new Float32Array(32).fill(1), [4, 8]),
      "z.1": tensor(new Float32Array(32).fill(2), [4, 8]),
    };
    expect(editsOf(grid({ ...request, operation: { op: "mean", means } }))).toEqual([
      { at: "z.0", op: "set", value: means["z.0"], heads: [1] },
      { at: "z.1", op: "set", value: means["z.1"], heads: [1] },
    ]);
  });

  it("knockout cuts edges", () => {
    const made = grid({ point: "attn_scores", by: ["head", "key"], layers: [2], heads: [0], keys: [1], operation: { op: "knockout" } });
    expect(editsOf(made)).toEqual([{ at: "attn_scores.2", op: "knockout", heads: [0], queries: ["end"], keys: [1] }]);
  });

  it("patch takes one basis for all addresses, as numbers or as a tensor, or one for each", () => {
    const numbers = [1, 0, 0, 0, 0, 0, 0, 0];
    const rows = tensor(new Float32Array(16).fill(1), [2, 8]);
    const basesOf = (basis: Parameters<typeof patchWith>[0]): unknown[] =>
      editsOf(patchWith(basis)).map((edit) => "basis" in edit && edit.basis);
    expect(basesOf(numbers)).toEqual([numbers, numbers]);
    expect(basesOf(rows)).toEqual([rows, rows]);
    expect(basesOf({ "z.0": numbers, "z.1": rows })).toEqual([numbers, rows]);
  });

  function patchWith(basis: Extract<NonNullable<GridRequest["operation"]>, { op: "patch" }>["basis"] & {}): ReturnType<typeof makeGrid> {
    return grid({ ...request, operation: { op: "patch", basis } });
  }
});

describe("a grid refuses", () => {
  const messageOf = (request: GridRequest, pairs = PAIRS, own = spec): string => {
    try {
      makeGrid(own, pairs, request);
    } catch (error) {
      return (error as Error).message;
    }
    return "nothing was refused";
  };

  it("an unknown point, and one outside the layers", () => {
    expect(messageOf({ point: "resid" as "z", by: [] })).toMatchInlineSnapshot(
      `"a grid needs the name of a point such as resid_pre, got "resid""`,
    );
    expect(messageOf({ point: "z.0" as "z", by: [] })).toMatchInlineSnapshot(
      `"a grid needs the name of a point such as resid_pre, got "z.0""`,
    );
    expect(messageOf({ point: "embed", by: ["pos"] })).toMatchInlineSnapshot(
      `"a grid needs a point inside the layers, embed stands outside"`,
    );
    expect(messageOf({ point: "final_normalized", by: [] })).toMatchInlineSnapshot(
      `"a grid needs a point inside the layers, final_normalized stands outside"`,
    );
  });

  it("an axis that the point lacks, or that is named twice", () => {
    expect(messageOf({ point: "resid_pre", by: ["head"] })).toMatchInlineSnapshot(
      `"a grid of resid_pre can go by pos, unit, each once; got head"`,
    );
    expect(messageOf({ point: "z", by: ["key"] })).toMatchInlineSnapshot(`"a grid of z can go by pos, head, unit, each once; got key"`);
    expect(messageOf({ point: "attn_scores", by: ["pos"] })).toMatchInlineSnapshot(
      `"a grid of attn_scores can go by head, query, key, each once; got pos"`,
    );
    expect(messageOf({ point: "pattern", by: ["unit"] })).toMatchInlineSnapshot(
      `"a grid of pattern can go by head, query, key, each once; got unit"`,
    );
    expect(messageOf({ point: "z", by: ["head", "head"] })).toMatchInlineSnapshot(
      `"a grid of z can go by pos, head, unit, each once; got head,head"`,
    );
  });

  it("a selection that the point has no axis for, rather than leave it out of account", () => {
    expect(messageOf({ point: "attn_scores", by: ["key"], positions: [1] })).toMatchInlineSnapshot(
      `"a grid of attn_scores takes heads, queries, keys; it has no positions"`,
    );
    expect(messageOf({ point: "attn_scores", by: ["key"], units: [1] })).toMatchInlineSnapshot(
      `"a grid of attn_scores takes heads, queries, keys; it has no units"`,
    );
    expect(messageOf({ point: "z", by: ["head"], queries: [1] })).toMatchInlineSnapshot(
      `"a grid of z takes positions, heads, units; it has no queries"`,
    );
    expect(messageOf({ point: "resid_pre", by: ["pos"], keys: [1] })).toMatchInlineSnapshot(
      `"a grid of resid_pre takes positions, units; it has no keys"`,
    );
    expect(messageOf({ point: "resid_pre", by: ["pos"], heads: [1] })).toMatchInlineSnapshot(
      `"a grid of resid_pre takes positions, units; it has no heads"`,
    );
  });

  it("prompts of unequal lengths, unless positions are named", () => {
    const unequal: readonly SweepPair[] = [{ clean: [1, 2, 3], corrupted: [1, 2] }];
    expect(messageOf({ point: "resid_pre", by: ["pos"] }, unequal)).toMatchInlineSnapshot(
      `"a grid by position needs positions by name: the prompts have from 2 to 3 tokens, so that position 3 of one is not position 3 of another"`,
    );
    expect(messageOf({ point: "attn_scores", by: ["key"] }, [{ clean: [1, 2] }, { clean: [1, 2, 3] }])).toMatchInlineSnapshot(
      `"a grid by position needs positions by name: the prompts have from 2 to 3 tokens, so that position 3 of one is not position 3 of another"`,
    );
    expect(grid({ point: "resid_pre", by: ["pos"], positions: ["name"] }, unequal).shape).toEqual([3, 1]);
    expect(grid({ point: "z", by: ["head"] }, unequal).shape).toEqual([3, 4]);
  });

  it("a layer that lacks the point, or that the model lacks", () => {
    expect(messageOf({ point: "mlp_gate", by: [], layers: [0, 1] }, PAIRS, mixed)).toMatchInlineSnapshot(
      `"the grid cannot have layer 1: mlp_gate is in layers 0"`,
    );
    expect(messageOf({ point: "mlp_pre", by: [] })).toMatchInlineSnapshot(`"the grid cannot have layer none: mlp_pre is in no layer"`);
    expect(messageOf({ point: "resid_pre", by: [], layers: [3] })).toMatchInlineSnapshot(
      `"the grid cannot have layer 3: resid_pre is in layers 0, 1, 2"`,
    );
    expect(messageOf({ point: "resid_pre", by: [], layers: [-4] })).toMatchInlineSnapshot(
      `"the grid cannot have layer -1: resid_pre is in layers 0, 1, 2"`,
    );
    expect(messageOf({ point: "resid_pre", by: [], layers: [0.5] })).toMatchInlineSnapshot(
      `"the grid cannot have layer 0.5: resid_pre is in layers 0, 1, 2"`,
    );
    expect(messageOf({ point: "resid_pre", by: [], layers: [] })).toMatchInlineSnapshot(
      `"the grid cannot have layer none: resid_pre is in layers 0, 1, 2"`,
    );
  });

  it("a window wider than the layers, or that is no whole number", () => {
    expect(messageOf({ point: "resid_pre", by: [], window: 4 })).toMatchInlineSnapshot(
      `"window must be a whole number from 1 to 3, got 4"`,
    );
    expect(messageOf({ point: "resid_pre", by: [], layers: [0, 1], window: 3 })).toMatchInlineSnapshot(
      `"window must be a whole number from 1 to 2, got 3"`,
    );
    expect(messageOf({ point: "resid_pre", by: [], window: 0 })).toMatchInlineSnapshot(
      `"window must be a whole number from 1 to 3, got 0"`,
    );
    expect(messageOf({ point: "resid_pre", by: [], window: 1.5 })).toMatchInlineSnapshot(
      `"window must be a whole number from 1 to 3, got 1.5"`,
    );
  });

  it("layers that differ in their heads or units, unless these are named", () => {
    const [first, ...others] = spec.layers;
    const uneven: ModelSpec = { ...spec, layers: [{ ...first!, attention: { ...first!.attention, heads: 2 } }, ...others] };
    expect(messageOf({ point: "z", by: ["head"] }, PAIRS, uneven)).toMatchInlineSnapshot(
      `"the layers have from 2 to 4 heads; name those that the grid is for"`,
    );
    expect(makeGrid(uneven, PAIRS, { point: "z", by: ["head"], heads: [1] }).shape).toEqual([3, 1]);
  });

  it("a missing basis or mean", () => {
    const request = { point: "z", by: ["head"] } as const;
    expect(messageOf({ ...request, operation: { op: "patch", basis: { "z.0": [1] } } })).toMatchInlineSnapshot(
      `"the grid needs a basis for z.1"`,
    );
    expect(messageOf({ ...request, operation: { op: "mean", means: {} } })).toMatchInlineSnapshot(`"the grid needs the mean of z.0"`);
  });
});
