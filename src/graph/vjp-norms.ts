/** @file Gradients of norms, means, sums and softmax: ops in which the elements of an axis act on each other. */
import type { GraphBuilder } from "./builder.js";
import type { OpName, Value } from "./graph.js";
import * as op from "./ops.js";
import type { Given, Rule } from "./vjp-rules.js";
import { fitted, shapeOf, sizeAlong } from "./vjp-shapes.js";

/** The sum over the last axis, which stays with length 1. */
function sumLast(g: GraphBuilder, x: Value): Value {
  return op.sumKeeping(g, x, [x.axes.length - 1]);
}

/** The last axis' length as a float, one element. */
function lengthOf(g: GraphBuilder, x: Value): Value {
  return op.cast(g, sizeAlong(g, x, x.axes.length - 1), "float32");
}

/** The mean over the last axis of x w, which stays with length 1: a product with a column, so that x w is nowhere written. */
function meanBy(g: GraphBuilder, x: Value, weight: Value): Value {
  const column = op.unsqueeze(g, weight, 1);
  return op.divide(g, op.matmul(g, x, column, [...x.axes.slice(0, -1), "one"]), lengthOf(g, x));
}

/**
 * y = x̂ w + b with x̂ = (x − mean) r (or x r) and r the divisor's reciprocal: with h = w · dy, dx = r (h − mean h − x̂ mean(h x̂)),
 * without mean h where none is subtracted. r has a gradient of its own where the divisor is read.
 */
function normRule(kind: "layer" | "rms"): Rule {
  return (given) => {
    const { g, inputs, outputs, grads } = given;
    const [x, weight, bias] = inputs;
    const inverse = kind === "layer" ? outputs[2]! : outputs[1]!;
    const [dy] = grads;
    let centred: Value | undefined;
    const centredOf = (): Value => (centred ??= kind === "layer" ? op.subtract(g, x!, op.mean(g, x!)) : x!);
    let unit: Value | undefined;
    const unitOf = (): Value => (unit ??= op.multiply(g, centredOf(), inverse));
    let scaled: Value | undefined;
    const scaledOf = (): Value => (scaled ??= op.multiply(g, dy!, unitOf()));
    return [
      () => byInput(given, { kind, inverse, unitOf, scaledOf, centredOf }),
      dy && (() => fitted(g, scaledOf(), weight!)),
      bias && dy && (() => fitted(g, dy, bias)),
    ];
  };
}

interface NormParts {
  readonly kind: "layer" | "rms";
  readonly inverse: Value;
  /** x̂, dy x̂ (which is also the weight's gradient before it is summed), and x less its mean. */
  readonly unitOf: () => Value;
  readonly scaledOf: () => Value;
  readonly centredOf: () => Value;
}

function byInput({ g, inputs, grads }: Given, { kind, inverse, unitOf, scaledOf, centredOf }: NormParts): Value {
  const [x, weight] = inputs;
  const [dy] = grads;
  const dInverse = kind === "layer" ? grads[2] : grads[1];
  const terms: Value[] = [];
  if (dy) {
    const h = op.multiply(g, dy, weight!);
    const along = op.multiply(g, unitOf(), meanBy(g, scaledOf(), weight!));
    const level = kind === "layer" ? op.subtract(g, h, op.mean(g, h)) : h;
    terms.push(op.multiply(g, op.subtract(g, level, along), inverse));
  }
  if (dInverse) {
    // r = (mean (x − mean)² + ε)^(−½): dr/dx = −r³ (x − mean) / n.
    const cubed = op.multiply(g, inverse, op.multiply(g, inverse, inverse));
    const share = op.divide(g, op.multiply(g, dInverse, cubed), lengthOf(g, x!));
    terms.push(op.unary(g, "Neg", op.multiply(g, centredOf(), share)));
  }
  return terms.reduce((left, right) => op.add(g, left, right));
}

export const NORMS: { readonly [K in OpName & NormOps]: Rule } = {
  LayerNormalization: normRule("layer"),
  SimplifiedLayerNormalization: normRule("rms"),
  Softmax: ({ g, outputs: [y], grads: [dy] }) => [
    () => {
      const weighted = op.multiply(g, dy!, y!);
      return op.subtract(g, weighted, op.multiply(g, y!, sumLast(g, weighted)));
    },
  ],
  LogSoftmax: ({ g, outputs: [y], grads: [dy] }) => [() => op.subtract(g, dy!, op.multiply(g, op.unary(g, "Exp", y!), sumLast(g, dy!)))],
  ReduceMean: ({ g, inputs: [x], grads: [dy] }) => [() => op.expand(g, op.divide(g, dy!, lengthOf(g, x!)), shapeOf(g, x!), x!.axes)],
  ReduceSum: ({ g, node, inputs: [x], grads: [dy] }) => [
    () => {
      const summed = g.constantAt(node.inputs[1]!).values;
      const rank = x!.axes.length;
      const places = summed.map((axis) => (axis < 0 ? axis + rank : axis)).toSorted((a, b) => a - b);
      const kept = node.attributes["keepdims"] === 1 ? dy! : places.reduce((grad, axis) => op.unsqueeze(g, grad, axis), dy!);
      return op.expand(g, kept, shapeOf(g, x!), x!.axes);
    },
  ],
};

type NormOps = "LayerNormalization" | "LogSoftmax" | "ReduceMean" | "ReduceSum" | "SimplifiedLayerNormalization" | "Softmax";
