/** @file For each op, graphs in which its gradient is tried: every attribute, shape and way of broadcasting that graphs use. */
import { must } from "../../src/base/errors.js";
import { GraphBuilder } from "../../src/graph/builder.js";
import type { Attribute, Axes, Node, OpName, UnaryOp, Value } from "../../src/graph/graph.js";
import * as op from "../../src/graph/ops.js";
import { ndArray, type NdArray } from "./nd-array.js";

type Shape = readonly number[];
type Values = Readonly<Record<string, Value>>;

/** One graph: inputs that have gradients, by shape; how it is made of them; its results. */
export interface OpCase {
  readonly title: string;
  readonly floats: Readonly<Record<string, Shape>>;
  /** Where the values of the float inputs are drawn from: −reach … reach, or, with `above`, above … above + reach. Default 1. */
  readonly reach?: number;
  readonly above?: number;
  readonly whole?: Readonly<Record<string, NdArray>>;
  readonly make: (g: GraphBuilder, inputs: Values) => readonly Value[];
}

const FRESH: Axes = ["u", "v", "w", "x", "y", "z"];

/** Names for the axes of a shape, counted from the end, so that broadcast axes meet their like; `one` where the length is 1. */
export function axesFor(shape: Shape): Axes {
  return shape.map((length, axis) => (length === 1 ? "one" : must(FRESH[FRESH.length - shape.length + axis], "a name")));
}

const unary = (
  name: UnaryOp,
  more: Partial<OpCase> & { attributes?: Record<string, number | string | { float: number }> } = {},
): OpCase => ({
  title: `${name} ${JSON.stringify(more.attributes ?? {})}`,
  floats: { x: [2, 3, 4] },
  reach: 4,
  make: (g, { x }) => [op.unary(g, name, x!, more.attributes)],
  ...more,
});

type Pairwise = (g: GraphBuilder, a: Value, b: Value) => Value;

/** Every way in which the second of two inputs is broadcast over the first. */
const SECOND: readonly Shape[] = [[2, 3, 4], [3, 4], [4], [1, 4], [3, 1], [2, 1, 4], [2, 1, 1], [1, 1, 1], [1], []];

const pairwise = (f: Pairwise, more: Partial<OpCase> = {}): OpCase[] => [
  ...SECOND.map((b): OpCase => ({
    title: `b [${b.join(", ")}]`,
    floats: { a: [2, 3, 4], b },
    make: (g, x) => [f(g, x["a"]!, x["b"]!)],
    ...more,
  })),
  { title: "both the same value", floats: { a: [2, 3] }, make: (g, { a }) => [f(g, a!, a!)], ...more },
];

const int64 = (g: GraphBuilder, ...values: number[]): Value => g.constant(values, ["axis"], { dtype: "int64" });

interface ProductCase {
  readonly name: "FusedMatMul" | "Gemm" | "MatMul";
  readonly a: Shape;
  readonly b: Shape;
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly bias?: Shape;
}

function product({ name, a, b, attributes = {}, bias }: ProductCase): OpCase {
  const domain: Node["domain"] = name === "FusedMatMul" ? "com.microsoft" : "";
  const lead = [a, b].map((shape) => axesFor(shape).slice(0, -2));
  const longer = lead[0]!.length >= lead[1]!.length ? lead : lead.toReversed();
  const axes = [...longer[0]!.map((axis, i) => (axis === "one" ? (longer[1]!.at(i - longer[0]!.length) ?? axis) : axis)), "m", "n"];
  return {
    title: `${name} [${a.join(", ")}] × [${b.join(", ")}] ${JSON.stringify(attributes)}${bias ? ` + [${bias.join(", ")}]` : ""}`,
    floats: { a, b, ...(bias && { bias }) },
    make: (g, x) => [g.node({ op: name, domain, inputs: [x["a"], x["b"], x["bias"]], attributes, axes })],
  };
}

/** A product with blocks: rows of `input` numbers, which need not fill their last block. */
function blocks(bits: 4 | 8, size: 16 | 32, input: number): OpCase {
  const [out, perRow] = [3, Math.ceil(input / size)];
  return {
    title: `${bits} bits, blocks of ${size}, ${input} inputs`,
    floats: { x: [2, input] },
    make: (g, { x }) => {
      const bytes = (size * bits) / 8;
      const shape = [out, perRow, bytes];
      const packed = Array.from({ length: out * perRow * bytes }, (_, i) => (i * 37 + 11) % 256);
      const scales = Array.from({ length: out * perRow }, (_, i) => (i % 2 ? -0.01 : 0.02) * (i + 1));
      const matrix = {
        packed: g.constant(packed, ["out", "block", "byte"], { dtype: "uint8", shape }),
        scales: g.constant(scales, ["out", "block"], { shape: [out, perRow] }),
      };
      const row = x as Value<readonly ["m", "k"]>;
      return [op.blockGemm(g, row, { ...matrix, bits, size, in: input, out, axis: "out" })];
    },
  };
}

/** Products of 3 × 4 with 4 × 5 whose factors are stored in all four ways. */
const TRANSPOSED = [0, 1].flatMap((transA) => [0, 1].map((transB) => ({ transA, transB })));
const stored = (rows: number, columns: number, isTransposed: number): Shape => (isTransposed === 1 ? [columns, rows] : [rows, columns]);

const BATCHES: readonly (readonly [Shape, Shape])[] = [
  [[], []],
  [[2], [2]],
  [
    [2, 2],
    [2, 2],
  ],
  [[2], []],
  [[], [2]],
  [
    [2, 3],
    [1, 3],
  ],
  [
    [2, 3],
    [2, 1],
  ],
  [
    [1, 3],
    [2, 1],
  ],
  [[3], [2, 3]],
];

const norm = (kind: "layer" | "rms", which: "both" | "normalised" | "inverse", hasBias = false): OpCase => ({
  title: `${kind}, ${which}${hasBias ? ", bias" : ""}`,
  floats: { x: [2, 3, 5], weight: [5], ...(hasBias && { bias: [5] }) },
  make: (g, { x, weight, bias }) => {
    const { normalised, inverse } = op.normalise(g, x!, { kind, eps: 1e-2, weight: weight!, bias });
    return { both: [normalised, inverse], normalised: [normalised], inverse: [inverse] }[which];
  },
});

const norms = (kind: "layer" | "rms"): OpCase[] => [norm(kind, "both"), norm(kind, "normalised"), norm(kind, "inverse")];

const rotary = (shape: Shape, options: { heads: number; dims: number; neighbours: boolean }): OpCase => ({
  title: JSON.stringify({ shape, ...options }),
  floats: { x: shape },
  whole: { cos: table(shape, options.dims, 0.3), sin: table(shape, options.dims, 0.8) },
  make: (g, { x, cos, sin }) => [op.rotate(g, x!, { cos: cos!, sin: sin! }, options)],
});

/** Numbers that are no cosines, so that nothing rests on their squares adding up to 1. */
function table(shape: Shape, dims: number, start: number): NdArray {
  const full = [shape[0]!, shape[1]!, dims / 2];
  return ndArray(
    full,
    Array.from({ length: full[0]! * full[1]! * full[2]! }, (_, i) => Math.sin(start + 1.7 * i)),
  );
}

const rows = (...values: readonly (readonly number[])[]): NdArray => ndArray([values.length, values[0]!.length], values.flat());

/** The cases of each op; the compiler asks for the missing one, and so does a test. */
export const OP_CASES: { readonly [K in OpName]: readonly OpCase[] } = {
  Abs: [unary("Abs")],
  Erf: [unary("Erf", { reach: 2 })],
  Exp: [unary("Exp", { reach: 2 })],
  Gelu: [unary("Gelu"), unary("Gelu", { attributes: { approximate: "tanh" } })],
  HardSwish: [unary("HardSwish")],
  Identity: [unary("Identity")],
  LeakyRelu: [unary("LeakyRelu"), unary("LeakyRelu", { attributes: { alpha: { float: 0.25 } } })],
  LogSoftmax: [unary("LogSoftmax", { attributes: { axis: -1 } })],
  Mish: [unary("Mish")],
  Neg: [unary("Neg")],
  QuickGelu: [unary("QuickGelu"), unary("QuickGelu", { attributes: { alpha: { float: 1 } } })],
  Reciprocal: [unary("Reciprocal", { above: 0.5, reach: 1 }), unary("Reciprocal", { above: -2, reach: 1 })],
  Relu: [unary("Relu")],
  Sigmoid: [unary("Sigmoid")],
  Sign: [unary("Sign"), { title: "beside", floats: { x: [5] }, make: (g, { x }) => [op.multiply(g, op.unary(g, "Sign", x!), x!)] }],
  Softmax: [unary("Softmax", { attributes: { axis: -1 } }), unary("Softmax", { attributes: { axis: -1 }, floats: { x: [1, 2, 3, 2] } })],
  Softplus: [unary("Softplus")],
  Sqrt: [unary("Sqrt", { above: 0.5, reach: 1 })],
  Tanh: [unary("Tanh")],

  Add: pairwise(op.add),
  Sub: pairwise(op.subtract),
  Mul: pairwise(op.multiply),
  Div: pairwise(op.divide, { above: 0.5 }),
  Min: pairwise(op.minimum).filter(({ title }) => title !== "both the same value"),
  Clip: [
    { title: "both bounds", floats: { x: [3, 5] }, make: (g, { x }) => [op.clip(g, x!, -0.4, 0.3)] },
    { title: "below", floats: { x: [3, 5] }, make: (g, { x }) => [op.clip(g, x!, -0.4, undefined)] },
    { title: "above", floats: { x: [3, 5] }, make: (g, { x }) => [op.clip(g, x!, undefined, 0.3)] },
  ],
  Cast: [
    { title: "float", floats: { x: [2, 3] }, make: (g, { x }) => [op.cast(g, x!, "float32")] },
    {
      title: "to whole numbers and back, which ends every path",
      floats: { x: [2, 3] },
      make: (g, { x }) => [op.multiply(g, op.cast(g, op.cast(g, op.scaleBy(g, x!, 10), "int32"), "float32"), x!)],
    },
  ],
  Equal: [
    {
      title: "as a mask",
      floats: { x: [2, 3] },
      whole: { at: ndArray([2, 3], [0, 1, 2, 1, 1, 0]) },
      make: (g, { x, at }) => [op.multiply(g, x!, op.cast(g, op.equal(g, at!, int64(g, 1)), "float32"))],
    },
    {
      title: "of floats",
      floats: { x: [4], y: [4] },
      make: (g, { x, y }) => [op.multiply(g, op.cast(g, op.equal(g, x!, y!), "float32"), x!)],
    },
  ],

  MatMul: BATCHES.map(([a, b]) => product({ name: "MatMul", a: [...a, 3, 4], b: [...b, 4, 5] })),
  FusedMatMul: BATCHES.flatMap(([a, b], i) =>
    TRANSPOSED.map(({ transA, transB }) =>
      product({
        name: "FusedMatMul",
        a: [...a, ...stored(3, 4, transA)],
        b: [...b, ...stored(4, 5, transB)],
        attributes: { transA, transB, ...(i % 2 === 0 && { alpha: { float: 0.75 } }) },
      }),
    ),
  ),
  MatMulNBits: [blocks(4, 32, 32), blocks(4, 16, 40), blocks(8, 32, 9), blocks(8, 16, 33)],
  Gemm: TRANSPOSED.flatMap(({ transA, transB }) =>
    [undefined, [5], [1, 5], [3, 1], [3, 5]].map((bias) =>
      product({
        name: "Gemm",
        a: stored(3, 4, transA),
        b: stored(4, 5, transB),
        attributes: { transA, transB },
        ...(bias && { bias }),
      }),
    ),
  ),

  LayerNormalization: [...norms("layer"), norm("layer", "both", true), norm("layer", "normalised", true), norm("layer", "inverse", true)],
  SimplifiedLayerNormalization: norms("rms"),
  ReduceMean: [
    { title: "matrix", floats: { x: [3, 4] }, make: (g, { x }) => [op.mean(g, x!)] },
    { title: "cube", floats: { x: [2, 3, 4] }, make: (g, { x }) => [op.mean(g, x!)] },
  ],
  ReduceSum: [
    ...[0, 1, 2].map((axis): OpCase => ({
      title: `axis ${axis}`,
      floats: { x: [2, 3, 4] },
      make: (g, { x }) => [op.sum(g, x!, axis, x!.axes.toSpliced(axis, 1))],
    })),
    { title: "last axis from the end", floats: { x: [2, 3, 4] }, make: (g, { x }) => [op.sum(g, x!, -1, x!.axes.slice(0, -1))] },
    { title: "kept", floats: { x: [2, 3, 4] }, make: (g, { x }) => [op.sumKeeping(g, x!, [0, 2])] },
    { title: "leading", floats: { x: [2, 3, 4] }, make: (g, { x }) => [op.sumLeading(g, x!, 2)] },
    { title: "all", floats: { x: [2, 3, 4] }, make: (g, { x }) => [op.sumLeading(g, x!, 3)] },
  ],

  Reshape: [
    {
      title: "with a copied and an inferred axis",
      floats: { x: [2, 3, 4] },
      make: (g, { x }) => [op.reshape(g, x!, [0, -1], ["u", "v·w"])],
    },
    { title: "to one axis", floats: { x: [2, 3] }, make: (g, { x }) => [op.reshape(g, x!, [-1], ["uv"])] },
    {
      title: "to a shape that is computed",
      floats: { x: [6, 2], like: [2, 3] },
      make: (g, { x, like }) => {
        const shape = op.concat(g, [op.shapeOf(g, like!, 0, 2), int64(g, 2)], 0, ["axis"]);
        return [op.reshape(g, x!, shape, ["u", "v", "w"])];
      },
    },
  ],
  Unsqueeze: [0, 1, 2].map((at) => ({ title: `at ${at}`, floats: { x: [2, 3] }, make: (g, { x }) => [op.unsqueeze(g, x!, at)] })),
  Transpose: [
    { title: "matrix", floats: { x: [2, 3] }, make: (g, { x }) => [op.transpose(g, x!, [1, 0], ["z", "y"])] },
    { title: "cycle", floats: { x: [2, 3, 4] }, make: (g, { x }) => [op.transpose(g, x!, [1, 2, 0], ["y", "z", "x"])] },
    { title: "four axes", floats: { x: [2, 3, 2, 4] }, make: (g, { x }) => [op.transpose(g, x!, [3, 0, 2, 1], ["z", "w", "y", "x"])] },
  ],
  Shape: [
    {
      title: "which has no gradient",
      floats: { x: [2, 3] },
      make: (g, { x }) => [op.multiply(g, x!, op.cast(g, op.shapeOf(g, x!, 1, 2), "float32"))],
    },
  ],
  Expand: [
    {
      title: "an axis of length 1",
      floats: { x: [2, 1, 3] },
      make: (g, { x }) => [op.expand(g, x!, int64(g, 2, 4, 3), ["x", "many", "z"])],
    },
    { title: "new axes in front", floats: { x: [3] }, make: (g, { x }) => [op.expand(g, x!, int64(g, 2, 4, 3), ["many", "more", "z"])] },
    { title: "both", floats: { x: [1, 3] }, make: (g, { x }) => [op.expand(g, x!, int64(g, 2, 4, 3), ["many", "more", "z"])] },
    { title: "a number", floats: { x: [] }, make: (g, { x }) => [op.expand(g, x!, int64(g, 2, 3), ["many", "more"])] },
  ],
  Concat: [
    {
      title: "first axis",
      floats: { a: [2, 3], b: [1, 3], c: [4, 3] },
      make: (g, { a, b, c }) => [op.concat(g, [a!, b!, c!], 0, ["y", "z"])],
    },
    { title: "last axis", floats: { a: [2, 3], b: [2, 1] }, make: (g, { a, b }) => [op.concat(g, [a!, b!], 1, ["y", "z"])] },
    { title: "a value twice", floats: { a: [2, 3] }, make: (g, { a }) => [op.concat(g, [a!, a!], 1, ["y", "z"])] },
    {
      title: "nothing in front",
      floats: { a: [2, 0, 3], b: [2, 4, 3] },
      make: (g, { a, b }) => [op.concat(g, [a!, b!], 1, ["x", "y", "z"])],
    },
  ],
  Split: [
    { title: "all pieces", floats: { x: [2, 6] }, make: (g, { x }) => split(g, x!, [1, 3, 2], 1) },
    { title: "some pieces", floats: { x: [6, 2] }, make: (g, { x }) => split(g, x!, [1, 3, 2], 0).slice(1, 2) },
    {
      title: "by lengths that are computed",
      floats: { x: [2, 6] },
      whole: { lengths: ndArray([2], [4, 2]) },
      make: (g, { x, lengths }) => op.splitBy(g, x!, lengths!, { axis: 1, axes: [x!.axes, x!.axes] }),
    },
  ],
  Slice: [
    ...[0, 1, 2].map((axis): OpCase => ({
      title: `axis ${axis}`,
      floats: { x: [3, 4, 5] },
      make: (g, { x }) => [op.slice(g, x!, { axis, start: 1, end: 3 })],
    })),
    {
      title: "from the start to one before the end",
      floats: { x: [3, 5] },
      make: (g, { x }) => [op.slice(g, x!, { axis: 1, start: 0, end: -1 })],
    },
    { title: "one axis", floats: { x: [5] }, make: (g, { x }) => [op.slice(g, x!, { axis: 0, start: 2, end: 4 })] },
    { title: "beyond the end", floats: { x: [5, 2] }, make: (g, { x }) => [op.slice(g, x!, { axis: 0, start: 2, end: 100 })] },
  ],
  Pad: [
    { title: "on all sides", floats: { x: [2, 3] }, make: (g, { x }) => [op.pad(g, x!, int64(g, 1, 0, 2, 3))] },
    {
      title: "by counts that are computed",
      floats: { x: [2, 2, 3] },
      whole: { pads: ndArray([6], [0, 2, 1, 1, 0, 1]) },
      make: (g, { x, pads }) => [op.pad(g, x!, pads!)],
    },
  ],

  Gather: [
    {
      title: "rows, some twice, some never",
      floats: { table: [5, 3] },
      whole: { at: ndArray([6], [4, 1, 1, 0, 4, 4]) },
      make: (g, x) => [op.gather(g, x["table"]!, x["at"]!, { axis: 0, axes: ["token", "z"] })],
    },
    {
      title: "a row of one",
      floats: { table: [1, 3] },
      whole: { at: ndArray([2], [0, 0]) },
      make: (g, x) => [op.gather(g, x["table"]!, x["at"]!, { axis: 0, axes: ["token", "z"] })],
    },
  ],
  GatherElements: [
    {
      title: "some twice",
      floats: { x: [2, 4] },
      whole: { at: rows([3, 0, 3], [1, 2, 0]) },
      make: (g, { x, at }) => [op.gatherElements(g, x!, at!)],
    },
  ],
  GatherND: [
    {
      title: "rows",
      floats: { x: [4, 3] },
      whole: { at: rows([2], [0], [3]) },
      make: (g, { x, at }) => [op.gatherNd(g, x!, at!, ["found", "z"])],
    },
    {
      title: "elements",
      floats: { x: [4, 3] },
      whole: { at: rows([2, 1], [0, 2]) },
      make: (g, { x, at }) => [op.gatherNd(g, x!, at!, ["found"])],
    },
    {
      title: "nothing",
      floats: { x: [4, 3] },
      whole: { at: ndArray([0, 1]) },
      make: (g, { x, at }) => [op.gatherNd(g, x!, at!, ["found", "z"]), x!].map((value) => op.unary(g, "Exp", value)),
    },
  ],
  ScatterND: [
    {
      title: "rows, one twice",
      floats: { x: [4, 3], updates: [3, 3] },
      whole: { at: rows([2], [0], [2]) },
      make: (g, { x, at, updates }) => [op.scatterAdd(g, x!, at!, updates!)],
    },
    {
      title: "elements",
      floats: { x: [4, 3], updates: [2] },
      whole: { at: rows([2, 1], [0, 2]) },
      make: (g, { x, at, updates }) => [op.scatterAdd(g, x!, at!, updates!)],
    },
  ],
  ScatterElements: [
    {
      title: "some twice",
      floats: { x: [2, 4], updates: [2, 3] },
      whole: { at: rows([3, 0, 3], [1, 2, 0]) },
      make: (g, { x, at, updates }) => [op.scatterElementsAdd(g, x!, at!, updates!)],
    },
  ],
  TopK: [
    { title: "values", floats: { x: [3, 5] }, make: (g, { x }) => [topK(g, x!, 2)[0]] },
    { title: "places, then values", floats: { x: [3, 5] }, make: (g, { x }) => [op.gatherElements(g, x!, op.largest(g, x!, 2, "chosen"))] },
    { title: "values and places", floats: { x: [2, 3, 5] }, make: (g, { x }) => both(g, x!) },
  ],
  NonZero: [
    {
      title: "as coordinates",
      floats: { x: [2, 3] },
      whole: { at: ndArray([2, 3], [0, 1, 1, 0, 0, 1]) },
      make: (g, { x, at }) => [op.gatherNd(g, x!, op.transpose(g, op.nonZero(g, at!), [1, 0], ["found", "coordinate"]), ["found"])],
    },
  ],
  RotaryEmbedding: [
    rotary([2, 3, 8], { heads: 2, dims: 4, neighbours: false }),
    rotary([2, 3, 8], { heads: 2, dims: 4, neighbours: true }),
    rotary([1, 3, 12], { heads: 2, dims: 4, neighbours: false }),
    rotary([1, 3, 12], { heads: 2, dims: 4, neighbours: true }),
  ],
};

function split(g: GraphBuilder, x: Value, sizes: readonly number[], axis: number): Value[] {
  return op.split(g, x, sizes, { axis, axes: sizes.map((size) => x.axes.with(axis, size === 1 ? "one" : "piece")) });
}

function topK(g: GraphBuilder, x: Value, k: number): readonly [Value, Value] {
  const axes = [...x.axes.slice(0, -1), "chosen"];
  const made = g.nodes({
    op: "TopK",
    inputs: [x, int64(g, k)],
    attributes: { axis: -1, largest: 1, sorted: 1 },
    results: [
      { axes, dtype: "float32" },
      { axes, dtype: "int64" },
    ],
  });
  return [must(made[0], "values"), must(made[1], "places")];
}

function both(g: GraphBuilder, x: Value): Value[] {
  const [values, places] = topK(g, x, 3);
  return [values, op.gatherElements(g, op.unary(g, "Exp", x), places)];
}
