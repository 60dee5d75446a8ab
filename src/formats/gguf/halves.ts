/** @file Float16 numbers inside blocks of bytes: the scales of quantised weights. */
import { toFloat32 } from "../dtype.js";

let values: Float32Array | undefined;

/** The value of each of the 65 536 float16 bit patterns. */
export function halfValues(): Float32Array {
  values ??= toFloat32(new Uint8Array(Uint16Array.from({ length: 0x10000 }, (_, bits) => bits).buffer), "F16");
  return values;
}

/** The bits of the little-endian 16-bit number at `at`. */
export function bits16(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

/** The unsigned little-endian 32-bit number at `at`. */
export function bits32(bytes: Uint8Array, at: number): number {
  return (bits16(bytes, at) | (bits16(bytes, at + 2) << 16)) >>> 0;
}
