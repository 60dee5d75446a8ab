/**
 * @file NumPy's `.npy`: a header written as a Python literal, then the values. The header is read as six kinds of word and
 * nothing is evaluated. Arrays in Fortran order are transposed; big-endian and structured ones are refused.
 */
import { refuse, SextantError } from "../base/errors.js";
import { sizeOf, stridesOf, tensor, type Tensor, type TensorData } from "../base/tensor.js";
import { writeAtomic } from "./atomic.js";
import { DTYPES, isIntegerDtype, toFloat32, toInt32, type Dtype } from "./dtype.js";
import { readFileBounded } from "./files.js";
import { quote } from "./json.js";

// oxfmt-ignore
const DTYPE_OF: { readonly [descr: string]: Dtype } = {
  "<f8": "F64", "<f4": "F32", "<f2": "F16",
  "<i8": "I64", "<i4": "I32", "<i2": "I16", "|i1": "I8",
  "<u8": "U64", "<u4": "U32", "<u2": "U16", "|u1": "U8", "|b1": "BOOL",
};
const MAGIC = "\x93NUMPY";
const MAX_HEADER = 1 << 20;
const MAX_RANK = 32;

interface NpyHeader {
  readonly dtype: Dtype;
  readonly fortran: boolean;
  readonly shape: readonly number[];
}

/** The array of an `.npy` file: float32 for floats (float64 is rounded), int32 for whole numbers and truth values. */
export function readNpy(path: string, { maxBytes = 2 ** 32 } = {}): Tensor {
  return parseNpy(readFileBounded(path, maxBytes), path);
}

/** As `readNpy`, of bytes in memory; `source` is what an error calls them. */
export function parseNpy(bytes: Uint8Array, source: string): Tensor {
  const fail = (what: string): SextantError => new SextantError("format", `${source}: ${what}`);
  const start = dataStart(bytes, fail);
  const { dtype, fortran, shape } = readHeader(latin1(bytes.subarray(start.header, start.data)), source, fail);
  const values = bytes.subarray(start.data);
  const needed = sizeOf(shape) * DTYPES[dtype].bytes;
  if (values.length !== needed) throw fail(`shape [${shape.join(", ")}] of ${dtype} needs ${needed} bytes, the file has ${values.length}`);
  const data = isIntegerDtype(dtype) ? integers(values, dtype, fail) : toFloat32(values, dtype);
  return tensor(fortran ? transpose(data, shape) : data, shape);
}

/** Writes the tensor as `.npy`: float32 or int32, in C order. */
export function writeNpy(path: string, array: Tensor): void {
  writeAtomic(path, npyChunks(array));
}

/** The bytes of an `.npy` file: the header, then the values. */
export function npyChunks({ data, shape }: Tensor): [header: Uint8Array, values: Uint8Array] {
  const descr = data instanceof Float32Array ? "<f4" : "<i4";
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${tuple}), }`;
  const length = Math.ceil((10 + text.length + 1) / 64) * 64 - 10;
  const header = Buffer.from(`${MAGIC}\x01\x00\x00\x00${text.padEnd(length - 1)}\n`, "latin1");
  header.writeUInt16LE(length, 8);
  return [header, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];
}

type Fail = (what: string) => SextantError;

function dataStart(bytes: Uint8Array, fail: Fail): { header: number; data: number } {
  if (latin1(bytes.subarray(0, 6)) !== MAGIC) throw fail("not an .npy file");
  const version = bytes[6]!;
  const wide = version === 2 || version === 3;
  if (version !== 1 && !wide) throw fail(`version ${version} of .npy is not known`);
  const header = wide ? 12 : 10;
  if (bytes.length < header) throw fail(`ends inside its header, at byte ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  if (length > MAX_HEADER) throw fail(`the header claims ${length} bytes, allowed are ${MAX_HEADER}`);
  if (header + length > bytes.length) throw fail(`the header ends at byte ${header + length}, the file has ${bytes.length}`);
  return { header, data: header + length };
}

function readHeader(text: string, source: string, fail: Fail): NpyHeader {
  const members = readMembers(text, fail);
  const [descr, order, shape] = ["descr", "fortran_order", "shape"].map((key) => members.get(key));
  if (members.size !== 3 || !descr || !shape || (order !== "True" && order !== "False")) {
    throw fail(`the header must have descr, fortran_order and shape, got ${quote(text.trim())}`);
  }
  const dtype = DTYPE_OF[descr.slice(1, -1)];
  const lengths = shape
    .slice(1, -1)
    .split(",")
    .map((part) => part.trim().replace(/L$/, ""));
  if (lengths.at(-1) === "") lengths.pop();
  if (!dtype) throw unknownType(descr, source);
  if (lengths.length > MAX_RANK || !lengths.every((part) => /^\d{1,15}$/.test(part))) throw fail(`${quote(shape)} is no valid shape`);
  return { dtype, fortran: order === "True", shape: lengths.map(Number) };
}

/** The members of a Python dictionary of strings, truth values and tuples, as they are written. */
function readMembers(text: string, fail: Fail): Map<string, string> {
  const words = text.match(/'[^']*'|True|False|\([^()]*\)|[^\s]/g) ?? [];
  const isValue = (word: string): boolean => word.length > 1;
  const grammar = words.map((word) => (isValue(word) ? (word.startsWith("'") ? "s" : "v") : word)).join("");
  const values = words.filter(isValue);
  const members = new Map(values.flatMap((key, i) => (i % 2 === 0 ? [[key.slice(1, -1), values[i + 1] ?? ""]] : [])));
  const plain = /^\{(s:[sv],)*(s:[sv])?\}$/.test(grammar) && members.size * 2 === values.length;
  if (!plain) throw fail(`the header is not a Python dictionary of plain values: ${quote(text.trim())}`);
  return members;
}

/** Kinds of values that are not read, by the letter of NumPy's type. */
const UNREAD: Readonly<Record<string, readonly [why: string, instead: string]>> = {
  O: ["are Python objects: a pickle, which runs code when it is loaded", "save arrays of numbers, without allow_pickle"],
  c: ["are complex numbers", "save array.real and array.imag"],
  V: ["are bytes of a type that NumPy does not name, such as bfloat16", "save array.astype('f4')"],
  U: ["are text", "save numbers"],
  S: ["are text", "save numbers"],
};

function unknownType(descr: string, source: string): SextantError {
  const what = `cannot read ${source}`;
  const values = `its values ${descr}`;
  const [why, instead] = UNREAD[/[a-zA-Z]/.exec(descr)?.[0] ?? ""] ?? [];
  if (why !== undefined) return refuse({ what, why: `${values} ${why}`, ...(instead !== undefined && { instead }) });
  if (descr.startsWith("'>")) return refuse({ what, why: `${values} are big-endian`, instead: "save array.astype('<f4')" });
  return refuse({ what, why: `${values} are of a type that is not known`, instead: "save numbers or truth values, as float32 or int32" });
}

function integers(values: Uint8Array, dtype: Dtype, fail: Fail): Int32Array {
  try {
    return toInt32(values, dtype);
  } catch (error) {
    throw fail((error as Error).message);
  }
}

/** Values whose first axis runs fastest, put in the order in which the last one does. */
function transpose<D extends TensorData>(data: D, shape: readonly number[]): D {
  const out = data.slice() as D;
  const strides = stridesOf(shape.toReversed()).reverse();
  const index = shape.map(() => 0);
  let from = 0;
  for (let to = 0; to < data.length; to++) {
    out[to] = data[from]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return out;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
