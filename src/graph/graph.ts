/**
 * @file A computation as plain data: nodes in execution order, values with named axes, and names for the values that people
 * ask for. `builder.ts` makes graphs, `segments.ts` cuts them, `emit.ts` writes them as ONNX.
 */

/** Element types that values can have. */
export type Dtype = "float32" | "int32" | "int64" | "uint8" | "bool";

/** The names of a value's axes; sizes are known only when it runs. */
export type Axes = readonly string[];

/** The result of a node, an input, or a weight. Typed by its axes, so that wrong contractions do not compile. */
export interface Value<A extends Axes = Axes> {
  readonly id: string;
  readonly axes: A;
  readonly dtype: Dtype;
}

/** An attribute of an ONNX node. */
export type Attribute = number | readonly number[] | string | { readonly float: number };

/** The one-input ops that keep their axes. */
export type UnaryOp =
  | "Abs"
  | "Erf"
  | "Exp"
  | "Gelu"
  | "HardSwish"
  | "Identity"
  | "LeakyRelu"
  | "LogSoftmax"
  | "Mish"
  | "Neg"
  | "QuickGelu"
  | "Reciprocal"
  | "Relu"
  | "Sigmoid"
  | "Sign"
  | "Softmax"
  | "Softplus"
  | "Sqrt"
  | "Tanh";

/** Every op that a graph can have: one function each in `ops.ts`, one rule each in `vjp.ts`. */
export type OpName =
  | UnaryOp
  | "Add"
  | "Cast"
  | "Clip"
  | "Concat"
  | "Div"
  | "Equal"
  | "Expand"
  | "FusedMatMul"
  | "Gather"
  | "GatherElements"
  | "GatherND"
  | "Gemm"
  | "LayerNormalization"
  | "MatMul"
  | "MatMulNBits"
  | "Min"
  | "Mul"
  | "NonZero"
  | "Pad"
  | "ReduceMean"
  | "ReduceSum"
  | "Reshape"
  | "RotaryEmbedding"
  | "ScatterElements"
  | "ScatterND"
  | "Shape"
  | "SimplifiedLayerNormalization"
  | "Slice"
  | "Split"
  | "Sub"
  | "TopK"
  | "Transpose"
  | "Unsqueeze";

export interface Node {
  readonly op: OpName;
  readonly domain: "" | "com.microsoft";
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** A tensor of the checkpoint that a graph reads: a stored tensor, or the run of its elements from `offset` on, seen with `shape`. */
export interface Weight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset?: number;
  /** What is stored: floats of any width, bytes that the graph itself decodes, or bytes that it multiplies as they are. Default floats. */
  readonly holds?: "floats" | "bytes" | "packed";
}

/** A small tensor written into the graph itself. */
export interface Constant {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

export interface Graph {
  readonly inputs: readonly Value[];
  readonly nodes: readonly Node[];
  readonly weights: ReadonlyMap<string, Weight>;
  readonly constants: ReadonlyMap<string, Constant>;
  /** Every value by id, weights excepted. */
  readonly values: ReadonlyMap<string, Value>;
  /** Values that have a name: points, and the graph's results. */
  readonly named: ReadonlyMap<string, string>;
}
