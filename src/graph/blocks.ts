/**
 * @file A matrix in blocks of whole numbers (`MatMulNBits`), as floats: `(q − 2^(bits−1)) · scale`. All of it hangs on constants, so ONNX Runtime computes
 * it once, when the session is made.
 */
import type { GraphBuilder } from "./builder.js";
import type { Axes, Value } from "./graph.js";
import * as op from "./ops.js";

const BYTES = Array.from({ length: 256 }, (_, byte) => byte);

/** The matrix `[out, in]` as floats. */
export function widenedBlocks<const A extends Axes>(g: GraphBuilder, blocks: op.Blocks, axes: A): Value<A> {
  const perRow = Math.ceil(blocks.in / blocks.size);
  const counts = op.reshape(
    g,
    blocks.bits === 4 ? pairs(g, blocks.packed) : bytes(g, blocks.packed),
    [blocks.out, perRow, blocks.size],
    ["out", "block", "in"],
  );
  const scales = op.reshape(g, blocks.scales, [blocks.out, perRow, 1], ["out", "block", "one"]);
  const filled = op.reshape(g, op.multiply(g, counts, scales), [blocks.out, perRow * blocks.size], axes);
  return perRow * blocks.size === blocks.in ? filled : op.slice(g, filled, { axis: 1, start: 0, end: blocks.in });
}

/** Two numbers a byte, the lower four bits first. */
function pairs(g: GraphBuilder, packed: Value): Value {
  const table = g.constant(
    BYTES.flatMap((byte) => [(byte & 15) - 8, (byte >> 4) - 8]),
    ["byte", "pair"],
    { shape: [256, 2] },
  );
  return op.gather(g, table, op.cast(g, packed, "int32"), { axis: 0, axes: ["out", "block", "byte", "pair"] });
}

function bytes(g: GraphBuilder, packed: Value): Value {
  return op.subtract(g, op.cast(g, packed, "float32"), g.constant([128], []));
}
