/**
 * @file The element types of safetensors files, and their widening to float32, float64 or int32. Half precision has no typed
 * array in Node 20: bfloat16 is a shift, float16 a table of all 65 536 values. Bytes are little-endian, as is every host
 * that ONNX Runtime runs on. Float8 is known by its size only, so a header that mentions it can still be read.
 */
import { internal, refuse, SextantError } from "../base/errors.js";

type NumberArray = Float32Array | Float64Array;
type Typed = Exclude<ReturnType<(typeof DTYPES)[keyof typeof DTYPES]["view"]>, undefined>;

// oxfmt-ignore
/** One row a dtype: bytes an element, what it holds, and the typed array that reads it (none for those refused on widening). */
export const DTYPES = {
  F64:     { bytes: 8, holds: "float",   view: (b: ArrayBufferLike, at: number, n: number) => new Float64Array(b, at, n) },
  F32:     { bytes: 4, holds: "float",   view: (b: ArrayBufferLike, at: number, n: number) => new Float32Array(b, at, n) },
  F16:     { bytes: 2, holds: "half",    view: (b: ArrayBufferLike, at: number, n: number) => new Uint16Array(b, at, n) },
  BF16:    { bytes: 2, holds: "bhalf",   view: (b: ArrayBufferLike, at: number, n: number) => new Uint16Array(b, at, n) },
  I64:     { bytes: 8, holds: "bigint",  view: (b: ArrayBufferLike, at: number, n: number) => new BigInt64Array(b, at, n) },
  I32:     { bytes: 4, holds: "integer", view: (b: ArrayBufferLike, at: number, n: number) => new Int32Array(b, at, n) },
  I16:     { bytes: 2, holds: "integer", view: (b: ArrayBufferLike, at: number, n: number) => new Int16Array(b, at, n) },
  I8:      { bytes: 1, holds: "integer", view: (b: ArrayBufferLike, at: number, n: number) => new Int8Array(b, at, n) },
  U64:     { bytes: 8, holds: "bigint",  view: (b: ArrayBufferLike, at: number, n: number) => new BigUint64Array(b, at, n) },
  U32:     { bytes: 4, holds: "integer", view: (b: ArrayBufferLike, at: number, n: number) => new Uint32Array(b, at, n) },
  U16:     { bytes: 2, holds: "integer", view: (b: ArrayBufferLike, at: number, n: number) => new Uint16Array(b, at, n) },
  U8:      { bytes: 1, holds: "integer", view: (b: ArrayBufferLike, at: number, n: number) => new Uint8Array(b, at, n) },
  BOOL:    { bytes: 1, holds: "integer", view: (b: ArrayBufferLike, at: number, n: number) => new Uint8Array(b, at, n) },
  F8_E4M3: { bytes: 1, holds: "nothing", view: () => undefined },
  F8_E5M2: { bytes: 1, holds: "nothing", view: () => undefined },
  F8_E8M0: { bytes: 1, holds: "nothing", view: () => undefined },
} as const;

/** The name of an element type as safetensors headers spell it. */
export type Dtype = keyof typeof DTYPES;

/** Whether `name` is a dtype of the table. */
export function isDtype(name: unknown): name is Dtype {
  return typeof name === "string" && Object.hasOwn(DTYPES, name);
}

/** Whether the dtype holds whole numbers or truth values, which `toInt32` reads. */
export function isIntegerDtype(dtype: Dtype): boolean {
  const { holds } = DTYPES[dtype];
  return holds === "integer" || holds === "bigint";
}

/** The values as float32: exact for F32, F16, BF16 and small integers, rounded for the rest. */
export function toFloat32(bytes: Uint8Array, dtype: Dtype): Float32Array {
  const out = new Float32Array(countOf(bytes, dtype));
  widenInto(bytes, dtype, out);
  return out;
}

/** The values as float64: exact for every dtype but integers beyond 2^53. */
export function toFloat64(bytes: Uint8Array, dtype: Dtype): Float64Array {
  const out = new Float64Array(countOf(bytes, dtype));
  widenInto(bytes, dtype, out);
  return out;
}

/** The values as int32; a value that int32 cannot hold is refused, and so are floats. */
export function toInt32(bytes: Uint8Array, dtype: Dtype): Int32Array {
  if (!isIntegerDtype(dtype)) throw refuse({ what: `cannot read ${dtype} as int32`, why: "it holds fractions", instead: "toFloat32" });
  const source = viewOf(bytes, dtype);
  const out = new Int32Array(source.length);
  for (let i = 0; i < out.length; i++) {
    const value = source[i]!;
    out[i] = Number(value);
    if (BigInt(out[i]!) !== BigInt(value)) throw new SextantError("format", `toInt32: element ${i} is ${value}, beyond int32`);
  }
  return out;
}

/** Writes the widened values over `out`, which has exactly as many elements as `bytes` holds. */
export function widenInto(bytes: Uint8Array, dtype: Dtype, out: NumberArray): void {
  if (countOf(bytes, dtype) !== out.length) throw internal(`widenInto: ${bytes.length} bytes of ${dtype} into ${out.length} elements`);
  const source = viewOf(bytes, dtype);
  const { holds } = DTYPES[dtype];
  if (holds === "half" || holds === "bhalf") return widenHalves(source as Uint16Array, holds, out);
  if (source instanceof BigInt64Array || source instanceof BigUint64Array) {
    for (let i = 0; i < out.length; i++) out[i] = Number(source[i]);
    return;
  }
  out.set(source);
}

/** The values as float16 or bfloat16 bits, rounded to nearest, ties to even. */
export function narrowToHalf(values: Float32Array, dtype: "F16" | "BF16"): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const narrow = dtype === "BF16" ? bfloat16Bits : float16Bits;
  const out = new Uint16Array(bits.length);
  for (let i = 0; i < out.length; i++) out[i] = narrow(bits[i]!);
  return out;
}

function countOf(bytes: Uint8Array, dtype: Dtype): number {
  const size = DTYPES[dtype].bytes;
  if (bytes.length % size !== 0) throw new SextantError("format", `${bytes.length} bytes are not a whole number of ${dtype} elements`);
  return bytes.length / size;
}

/** The bytes as the dtype's own typed array; copied only when they are not aligned. */
function viewOf(bytes: Uint8Array, dtype: Dtype): Typed {
  const count = countOf(bytes, dtype);
  const size = DTYPES[dtype].bytes;
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  const view = DTYPES[dtype].view(aligned.buffer, aligned.byteOffset, count);
  if (view) return view;
  throw refuse({
    what: `cannot read ${dtype} values`,
    why: "float8 weights need the scales that their quantiser stored beside them",
    instead: "use the checkpoint in bfloat16 or float16",
  });
}

function widenHalves(source: Uint16Array, holds: "half" | "bhalf", out: NumberArray): void {
  if (out instanceof Float64Array) {
    const single = new Float32Array(source.length);
    widenHalves(source, holds, single);
    return out.set(single);
  }
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  if (holds === "bhalf") for (let i = 0; i < bits.length; i++) bits[i] = source[i]! << 16;
  else {
    const table = float16Table();
    for (let i = 0; i < bits.length; i++) bits[i] = table[source[i]!]!;
  }
}

let table: Uint32Array | undefined;

/** The float32 bits of each of the 65 536 float16 values. */
function float16Table(): Uint32Array {
  if (table) return table;
  const values = Float32Array.from({ length: 0x10000 }, (_, half) => {
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
    return half & 0x8000 ? -magnitude : magnitude;
  });
  table = new Uint32Array(values.buffer);
  for (let half = 0; half < 0x10000; half++) {
    if ((half & 0x7c00) === 0x7c00) table[half] = ((half & 0x8000) << 16) | 0x7f800000 | ((half & 0x3ff) << 13);
  }
  return table;
}

function bfloat16Bits(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** Float16 bits of float32 bits: subnormals and ties follow IEEE 754, what is too large becomes infinite. */
function float16Bits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  const exponent = magnitude >>> 23;
  if (exponent < 102) return sign;
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const shift = exponent >= 113 ? 13 : 126 - exponent;
  const base = exponent >= 113 ? (exponent - 113) << 10 : 0;
  const kept = fraction >>> shift;
  const rest = fraction & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  const rounded = kept + Number(rest > half || (rest === half && (kept & 1) === 1));
  return sign | (base + rounded);
}
