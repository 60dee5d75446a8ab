/**
 * @file Sizes told from constants, weights and inputs are those that values have when a graph runs; and the way back through a block computes nothing for a
 * shape's sake.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, test } from "vitest";
import { must } from "../../src/base/errors.js";
import { GraphBuilder } from "../../src/graph/builder.js";
import * as op from "../../src/graph/ops.js";
import { onlyFor } from "../../src/graph/segments.js";
import { sizeOf } from "../../src/graph/sizes.js";
import { differentiate } from "../../src/graph/vjp.js";
import { buildBlock, STREAM, type Form } from "../../src/models/block.js";
import type { ModelSpec } from "../../src/models/spec.js";
import { readSpec } from "../../src/runtime/load.js";
import { CONFIGS, tiny } from "../models/tiny-specs.js";
import { blockTrial } from "./block-trial.js";
import { evaluate } from "./interpreter.js";

const APART: Form = { norms: "steps", heads: "apart", past: "fed" };
const variants = fileURLToPath(new URL("../fixtures/variants", import.meta.url));

describe.each(readdirSync(variants))("in blocks of %s", (name) => {
  const { spec, checkpoint } = readSpec(join(variants, name));
  checkpoint.close();

  it.each([...spec.layers.keys()])("each known size is the one that the value has, block %i", (layer) => {
    const { graph, feeds, weights } = blockTrial(spec, layer, APART);
    const g = GraphBuilder.from(graph);
    const values = evaluate(graph, feeds, weights);
    let known = 0;
    for (const { id, axes } of graph.values.values()) {
      const { shape } = must(values.get(id), id);
      axes.forEach((_, axis) => {
        const size = sizeOf(g, g.value(id), axis);
        if (size === undefined) return;
        known++;
        const told = typeof size === "number" ? size : must(values.get(size.of.id), size.of.id).shape[size.axis];
        expect(told, `axis ${axis} of ${id}`).toBe(shape[axis]);
      });
    }
    expect(known).toBeGreaterThan(graph.values.size);
  });
});

/** Matrix products of the way back through a block, by what its values inside are known of. */
function productsBack(spec: ModelSpec, names: readonly string[], form?: Form): number {
  const block = buildBlock(spec, 0, form);
  const { graph, gradients } = differentiate(block, { seeds: [must(block.named.get("resid_post"), "the end")], targets: [STREAM.in] });
  const known = new Set(names.map((name) => must(block.named.get(name), name)));
  const { nodes } = onlyFor(graph, [...gradients.values()], known);
  return nodes.filter(({ op: kind }) => kind === "Gemm" || kind.endsWith("MatMul")).length;
}

test("with what matrix products made known, only the products of the way back are left, and those of attention itself", () => {
  const { spec } = tiny(must(CONFIGS["gpt2"], "gpt2"));
  const known = ["resid_mid", "q", "k", "v", "mlp_pre"];
  // Back: 2 of the MLP, 1 of W_O, 2 a product of attention, 1 of q, k and v together. Anew: the scores, and z by its pattern for no one. A column a norm: a mean.
  expect(productsBack(spec, known)).toBe(2 + 1 + 4 + 1 + 1 + 2);
  // Heads apart differ by no product: what they add up to is needed for nothing. Norms in steps have no columns.
  expect(productsBack(spec, known, APART)).toBe(2 + 1 + 4 + 1 + 1);
  // Nothing known: q, k and v, the scores, z, W_O and the MLP's first product are computed anew.
  expect(productsBack(spec, [])).toBe(2 + 1 + 4 + 1 + 5 + 2);
});

test("a size behind a broadcast, a sum and a concatenation is told, or is said to be unknown", () => {
  const g = new GraphBuilder();
  const x = g.input("x", ["batch", "pos", "d"]);
  const row = g.weight({ name: "w", shape: [1, 5] }, ["one", "d"]);
  const joined = op.concat(g, [x, x], 1, ["batch", "pos", "d"]);
  const summed = op.sum(g, op.add(g, x, row), 0, ["pos", "d"]);
  expect(sizeOf(g, op.add(g, row, row), 1)).toBe(5);
  expect(sizeOf(g, summed, 0)).toEqual({ of: x, axis: 1 });
  expect(sizeOf(g, joined, 1)).toBeUndefined();
  expect(sizeOf(g, joined, 2)).toEqual({ of: x, axis: 2 });
});
