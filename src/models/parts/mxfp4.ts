/**
 * @file Four-bit floats as graph pieces: bytes are looked up in tables and multiplied by their block's power of two. All of it
 * hangs on constants, so ONNX Runtime computes it once, when the session is made. Format: OCP Microscaling 1.0, MXFP4.
 */
import type { GraphBuilder } from "../../graph/builder.js";
import type { Axes, Value } from "../../graph/graph.js";
import * as op from "../../graph/ops.js";
import type { PackedLinearSpec } from "../spec.js";

/** The sixteen values of four bits: sign, two bits of exponent, one of fraction. */
const FP4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6] as const;
const BLOCK = 32;
const BYTES = Array.from({ length: 256 }, (_, byte) => byte);

/** The matrix `[out, in]` as floats. */
export function mxfp4<const A extends Axes>(g: GraphBuilder, spec: PackedLinearSpec, axes: A): Value<A> {
  const { blocks, scales } = spec.weight;
  const perRow = spec.in / BLOCK;
  const pairs = g.constant(
    BYTES.flatMap((byte) => [FP4[byte & 15]!, FP4[byte >> 4]!]),
    ["byte", "pair"],
    { shape: [256, 2] },
  );
  const bytes = op.cast(g, g.weight({ ...blocks, holds: "bytes" }, ["out", "block", "byte"]), "int32");
  const values = op.gather(g, pairs, bytes, { axis: 0, axes: ["out", "block", "byte", "pair"] });
  const blocked = op.reshape(g, values, [spec.out, perRow, BLOCK], ["out", "block", "in"]);
  const powers = g.constant(
    BYTES.map((byte) => 2 ** (byte - 127)),
    ["byte"],
  );
  const exponents = op.cast(g, g.weight({ ...scales, holds: "bytes" }, ["out", "block"]), "int32");
  const factors = op.reshape(
    g,
    op.gather(g, powers, exponents, { axis: 0, axes: ["out", "block"] }),
    [spec.out, perRow, 1],
    ["out", "block", "one"],
  );
  return op.reshape(g, op.multiply(g, blocked, factors), [spec.out, spec.in], axes);
}
