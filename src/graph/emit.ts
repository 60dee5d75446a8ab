/**
 * @file A graph as the bytes of an ONNX model. Weights become external data that point into the checkpoint's own files;
 * those stored in half precision are widened by a Cast that ONNX Runtime folds when the session is made.
 * Field numbers: `onnx.proto`.
 */
import { PbfWriter } from "pbf";
import { must } from "../base/errors.js";
import type { Attribute, Constant, Dtype, Graph, Node, Value } from "./graph.js";

/** Where a weight's bytes are: a file relative to the folder given to the session, and the range in it. */
export interface WeightLocation {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
  readonly dtype: "F32" | "F16" | "BF16" | "F64" | "U8";
}

const OPSETS = [
  ["", 24],
  ["com.microsoft", 1],
] as const;
const IR_VERSION = 11;
const ELEMENT_TYPE = { float32: 1, uint8: 2, int32: 6, int64: 7, bool: 9 } as const satisfies Record<Dtype, number>;
const STORED_TYPE = { F32: 1, U8: 2, F16: 10, F64: 11, BF16: 16 } as const;
const AS_THEY_ARE: ReadonlySet<string> = new Set(["F32", "U8"]);

/** The ONNX model of a graph with the given results (value ids). `locate` says where the weight with an id is stored. */
export function emitOnnx(graph: Graph, outputs: readonly string[], locate: (id: string) => WeightLocation): Uint8Array {
  const stored = new Map([...graph.weights.keys()].map((id) => [id, locate(id)] as const));
  const model = new PbfWriter();
  model.writeVarintField(1, IR_VERSION);
  model.writeStringField(2, "sextant");
  model.writeMessage(7, writeGraph, { graph, outputs, stored });
  for (const opset of OPSETS) {
    model.writeMessage(
      8,
      ([domain, version], pbf) => {
        pbf.writeStringField(1, domain);
        pbf.writeVarintField(2, version);
      },
      opset,
    );
  }
  return model.finish();
}

interface GraphParts {
  readonly graph: Graph;
  readonly outputs: readonly string[];
  readonly stored: ReadonlyMap<string, WeightLocation>;
}

function writeGraph({ graph, outputs, stored }: GraphParts, pbf: PbfWriter): void {
  const isNarrow = (id: string | undefined): id is string => id !== undefined && !AS_THEY_ARE.has(stored.get(id)?.dtype ?? "F32");
  const widened = new Set(graph.nodes.filter((node) => !looksUpRows(node, isNarrow)).flatMap((node) => node.inputs.filter(isNarrow)));
  for (const id of widened) pbf.writeMessage(1, writeNode, castNode(narrowId(id), id));
  for (const node of graph.nodes) {
    if (looksUpRows(node, isNarrow)) for (const part of lookupNodes(node)) pbf.writeMessage(1, writeNode, part);
    else pbf.writeMessage(1, writeNode, node);
  }
  pbf.writeStringField(2, "sextant");
  for (const [id, weight] of graph.weights) {
    const location = must(stored.get(id), `the place of ${id}`);
    pbf.writeMessage(5, writeExternalTensor, { id: isNarrow(id) ? narrowId(id) : id, shape: weight.shape, location });
  }
  for (const [id, constant] of graph.constants) pbf.writeMessage(5, writeConstant, { id, constant });
  for (const input of graph.inputs) pbf.writeMessage(11, writeValueInfo, input);
  for (const id of outputs) pbf.writeMessage(12, writeValueInfo, must(graph.values.get(id), `the value ${id}`));
}

function narrowId(id: string): string {
  return `stored:${id}`;
}

/** Whether a node only picks rows of a narrow weight: then the rows are widened, not the whole table. */
function looksUpRows(node: Node, isNarrow: (id: string | undefined) => boolean): boolean {
  return node.op === "Gather" && isNarrow(node.inputs[0]);
}

function lookupNodes(node: Node): Node[] {
  const [table = "", indices = ""] = node.inputs;
  const [output = ""] = node.outputs;
  const rows = `rows:${output}`;
  return [{ ...node, inputs: [narrowId(table), indices], outputs: [rows] }, castNode(rows, output)];
}

function castNode(input: string, output: string): Node {
  return { op: "Cast", domain: "", inputs: [input], outputs: [output], attributes: { to: ELEMENT_TYPE.float32 } };
}

function writeNode(node: Node, pbf: PbfWriter): void {
  for (const input of node.inputs) pbf.writeStringField(1, input);
  for (const output of node.outputs) pbf.writeStringField(2, output);
  pbf.writeStringField(4, node.op);
  for (const entry of Object.entries(node.attributes)) pbf.writeMessage(5, writeAttribute, entry);
  if (node.domain) pbf.writeStringField(7, node.domain);
}

function writeAttribute([name, value]: readonly [string, Attribute], pbf: PbfWriter): void {
  pbf.writeStringField(1, name);
  if (typeof value === "number") {
    pbf.writeVarintField(3, value);
    pbf.writeVarintField(20, 2);
  } else if (typeof value === "string") {
    pbf.writeBytesField(4, new TextEncoder().encode(value));
    pbf.writeVarintField(20, 3);
  } else if ("float" in value) {
    pbf.writeFloatField(2, value.float);
    pbf.writeVarintField(20, 1);
  } else {
    for (const item of value) pbf.writeVarintField(8, item);
    pbf.writeVarintField(20, 7);
  }
}

function writeExternalTensor(
  { id, shape, location }: { id: string; shape: readonly number[]; location: WeightLocation },
  pbf: PbfWriter,
): void {
  for (const length of shape) pbf.writeVarintField(1, length);
  pbf.writeVarintField(2, STORED_TYPE[location.dtype]);
  pbf.writeStringField(8, id);
  const entries = { location: location.file, offset: String(location.offset), length: String(location.length) };
  for (const entry of Object.entries(entries)) {
    pbf.writeMessage(
      13,
      ([key, value], inner) => {
        inner.writeStringField(1, key);
        inner.writeStringField(2, value);
      },
      entry,
    );
  }
  pbf.writeVarintField(14, 1);
}

function writeConstant({ id, constant }: { id: string; constant: Constant }, pbf: PbfWriter): void {
  for (const length of constant.shape) pbf.writeVarintField(1, length);
  pbf.writeVarintField(2, ELEMENT_TYPE[constant.dtype]);
  pbf.writeStringField(8, id);
  pbf.writeBytesField(9, rawBytes(constant));
}

function rawBytes({ dtype, values }: Constant): Uint8Array {
  const typed = {
    float32: () => Float32Array.from(values),
    int32: () => Int32Array.from(values),
    int64: () => BigInt64Array.from(values, BigInt),
    uint8: () => Uint8Array.from(values),
    bool: () => Uint8Array.from(values),
  }[dtype]();
  return new Uint8Array(typed.buffer);
}

/** An input or output: its element type and rank; sizes are left open. */
function writeValueInfo(value: Value, pbf: PbfWriter): void {
  pbf.writeStringField(1, value.id);
  pbf.writeMessage(
    2,
    (_, type) => {
      type.writeMessage(
        1,
        (inner: Value, tensorType) => {
          tensorType.writeVarintField(1, ELEMENT_TYPE[inner.dtype]);
          tensorType.writeMessage(
            2,
            (axes: Value["axes"], shape) => {
              for (let axis = 0; axis < axes.length; axis++) shape.writeMessage(1, () => undefined, undefined);
            },
            inner.axes,
          );
        },
        value,
      );
    },
    value,
  );
}
