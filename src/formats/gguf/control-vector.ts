/**
 * @file Control vectors as GGUF: what repeng's `export_gguf` and llama.cpp's `llama-cvector-generator` write, and `--control-vector` of llama.cpp
 * reads. A tensor `direction.N` of d_model numbers for each layer. What N means: `runtime/control-vector.ts`.
 */
import { refuse, SextantError } from "../../base/errors.js";
import { sizeOf, tensor, type Tensor } from "../../base/tensor.js";
import { writeAtomic } from "../atomic.js";
import { quote } from "../json.js";
import { describeShape } from "../safetensors-header.js";
import type { GgufType } from "./block-types.js";
import { readGgufHeader, type GgufHeader } from "./header.js";
import { GgufWeights } from "./weights.js";

/** What `general.architecture` says in such a file. */
export const CONTROL_ARCHITECTURE = "controlvector";

/** The most numbers that all directions have together: far above any model's layers times its width. */
const MOST_ELEMENTS = 2 ** 28;
/** llama.cpp takes the first only. */
const TYPES: readonly GgufType[] = ["F32", "F16", "BF16", "F64"];
const ALIGNMENT = 32;
const F32 = 0;
const UINT32 = 4;
const TEXT = 8;

/** A file's directions, by their names and in the file's order. */
export interface ControlVectorFile {
  /** What the file says of its model: an architecture, or a `model_type`. */
  readonly modelHint?: string;
  /** `direction.N`, axes `d_model`. */
  readonly tensors: Map<string, Tensor<Float32Array>>;
}

/** The directions of a file, as float32. A GGUF file that is a model is refused, and so is a tensor that is no direction, as in llama.cpp. */
export function readControlVector(path: string): ControlVectorFile {
  const header = readGgufHeader(path);
  refuseModel(header, path);
  checkDirections(header, path);
  const weights = new GgufWeights(header);
  try {
    const found = [...header.tensors.values()].map(
      ({ name, shape }): [string, Tensor<Float32Array>] => [name, tensor(weights.floats(name), shape, ["d_model"])] as const,
    );
    const modelHint = header.metadata.get(`${CONTROL_ARCHITECTURE}.model_hint`);
    return { tensors: new Map(found), ...(typeof modelHint === "string" && { modelHint }) };
  } finally {
    weights.close();
  }
}

/** Writes directions by layer, in their order, byte for byte as repeng does. llama.cpp takes none for layer 0, so that is refused. */
export function writeControlVector(path: string, modelHint: string, directions: ReadonlyMap<number, Float32Array>): void {
  if (directions.has(0)) {
    const why = "it adds nothing after layer 0, and refuses the whole file";
    throw refuse({ what: "cannot write a direction of layer 0 for llama.cpp", why, instead: "leave that layer out" }, "request");
  }
  if (directions.size === 0) throw new SextantError("request", `cannot write ${path}: a control vector needs a direction`);
  writeAtomic(path, controlVectorBytes(modelHint, directions));
}

function refuseModel({ metadata }: GgufHeader, path: string): void {
  const architecture = metadata.get("general.architecture");
  if (architecture === CONTROL_ARCHITECTURE) return;
  const why = `it is a GGUF file of the architecture ${quote(String(architecture ?? ""))}, a control vector's is ${quote(CONTROL_ARCHITECTURE)}`;
  throw refuse({ what: `cannot read vectors from ${path}`, why, instead: "a model is given as MODEL" }, "format");
}

function checkDirections({ tensors }: GgufHeader, path: string): void {
  const fail = (what: string): SextantError => new SextantError("format", `${path}: ${what}`);
  const [first] = tensors.values();
  if (!first) throw fail("a control vector without directions");
  let total = 0;
  for (const { name, shape, type } of tensors.values()) {
    if (!/^direction\.(?:0|[1-9]\d{0,5})$/.test(name))
      throw fail(`the tensors of a control vector are direction.N, with N a layer, got ${quote(name)}`);
    if (!TYPES.includes(type)) throw fail(`${name} is stored as ${type}, directions are ${TYPES.join(", ")}`);
    if (shape.length !== 1) throw fail(`${name} has shape ${describeShape(shape)}, a direction is one vector`);
    if (shape[0] !== first.shape[0]) throw fail(`${name} has ${shape[0]} numbers, ${first.name} ${first.shape[0]}`);
    total += sizeOf(shape);
  }
  if (total > MOST_ELEMENTS) throw fail(`its directions have ${total} numbers, read are up to ${MOST_ELEMENTS}`);
}

function* controlVectorBytes(modelHint: string, directions: ReadonlyMap<number, Float32Array>): Generator<Uint8Array> {
  let offset = 0;
  const claims = [...directions].map(([layer, { length, byteLength }]) => {
    const claim = Buffer.concat([text(`direction.${layer}`), uint32(1), uint64(length), uint32(F32), uint64(offset)]);
    offset += byteLength + padding(byteLength);
    return claim;
  });
  const head = Buffer.concat([
    Buffer.from("GGUF"),
    uint32(3),
    uint64(directions.size),
    uint64(3),
    pair("general.architecture", TEXT, text(CONTROL_ARCHITECTURE)),
    pair(`${CONTROL_ARCHITECTURE}.model_hint`, TEXT, text(modelHint)),
    pair(`${CONTROL_ARCHITECTURE}.layer_count`, UINT32, uint32(directions.size)),
    ...claims,
  ]);
  yield head;
  yield Buffer.alloc(padding(head.length));
  for (const { buffer, byteOffset, byteLength } of directions.values()) {
    yield new Uint8Array(buffer, byteOffset, byteLength);
    yield Buffer.alloc(padding(byteLength));
  }
}

function pair(key: string, kind: number, value: Buffer): Buffer {
  return Buffer.concat([text(key), uint32(kind), value]);
}

function padding(length: number): number {
  return -length & (ALIGNMENT - 1);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint64(bytes.length), bytes]);
}
