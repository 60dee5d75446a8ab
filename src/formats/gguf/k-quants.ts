/**
 * @file ggml's K formats: 256 weights with a float16 scale d (and dmin), and scales of a few bits for each 16 or 32 of them. The order of
 * float32 operations is that of `gguf.quants` (PyPI, 0.19): d times the small scale is rounded, then times q, then less the rounded minimum.
 */
import { bits16, halfValues } from "./halves.js";

/** 2 bits. 84 bytes: 16 bytes of scale and minimum (4 bits each, for 16 weights), 64 bytes of q, d, dmin. */
export function widenQ2_K(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < out.length; at += 84, to += 256) {
    const [d, dmin] = [half[bits16(bytes, at + 80)]!, half[bits16(bytes, at + 82)]!];
    for (let group = 0; group < 16; group++) {
      const packed = bytes[at + group]!;
      const scale = Math.fround(d * (packed & 15));
      const least = Math.fround(dmin * (packed >> 4));
      const { from, shift } = twoBits(group);
      for (let j = 0; j < 16; j++) {
        const q = (bytes[at + 16 + from + j]! >> shift) & 3;
        out[to + group * 16 + j] = Math.fround(scale * q) - least;
      }
    }
  }
}

/** 3 bits. 110 bytes: 32 bytes of third bits (a bit that is not set takes 4 away), 64 bytes of the other two, 16 scales of 6 bits, d. */
export function widenQ3_K(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < out.length; at += 110, to += 256) {
    const d = half[bits16(bytes, at + 108)]!;
    for (let group = 0; group < 16; group++) {
      const scale = Math.fround(d * sixBits(bytes, at + 96, group));
      const { from, shift } = twoBits(group);
      for (let j = 0; j < 16; j++) {
        const isSet = (bytes[at + (group & 1) * 16 + j]! >> (group >> 1)) & 1;
        const q = (bytes[at + 32 + from + j]! >> shift) & 3;
        out[to + group * 16 + j] = scale * (q - (isSet ? 0 : 4));
      }
    }
  }
}

/** The scales of Q3_K, one for 16 weights. */
export function scalesQ3_K(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let i = 0, at = 0; i < out.length; i += 16, at += 110)
    for (let group = 0; group < 16; group++) out[i + group] = half[bits16(bytes, at + 108)]! * sixBits(bytes, at + 96, group);
}

/** Scale `group` of 16, minus 32: four bits of eight bytes, upper and lower, and two of four more. */
function sixBits(bytes: Uint8Array, at: number, group: number): number {
  const low = (bytes[at + (group & 7)]! >> (group < 8 ? 0 : 4)) & 15;
  const high = (bytes[at + 8 + (group & 3)]! >> (2 * (group >> 2))) & 3;
  return (low | (high << 4)) - 32;
}

/** 4 bits. 144 bytes: d, dmin, 12 bytes of scales and minima, 128 bytes of q. */
export function widenQ4_K(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < out.length; at += 144, to += 256) {
    const [d, dmin] = [half[bits16(bytes, at)]!, half[bits16(bytes, at + 2)]!];
    for (let group = 0; group < 8; group++) {
      const scale = Math.fround(d * scaleOf(bytes, at + 4, group));
      const least = Math.fround(dmin * leastOf(bytes, at + 4, group));
      const from = at + 16 + (group >> 1) * 32;
      const shift = (group & 1) * 4;
      for (let j = 0; j < 32; j++) {
        const q = (bytes[from + j]! >> shift) & 15;
        out[to + group * 32 + j] = Math.fround(scale * q) - least;
      }
    }
  }
}

/** 5 bits. 176 bytes: d, dmin, 12 bytes of scales and minima, 32 bytes of fifth bits, 128 bytes of the other four. */
export function widenQ5_K(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < out.length; at += 176, to += 256) {
    const [d, dmin] = [half[bits16(bytes, at)]!, half[bits16(bytes, at + 2)]!];
    for (let group = 0; group < 8; group++) {
      const scale = Math.fround(d * scaleOf(bytes, at + 4, group));
      const least = Math.fround(dmin * leastOf(bytes, at + 4, group));
      const from = at + 48 + (group >> 1) * 32;
      const shift = (group & 1) * 4;
      for (let j = 0; j < 32; j++) {
        const fifth = (bytes[at + 16 + j]! >> group) & 1;
        const q = ((bytes[from + j]! >> shift) & 15) | (fifth << 4);
        out[to + group * 32 + j] = Math.fround(scale * q) - least;
      }
    }
  }
}

/** 6 bits, minus 32. 210 bytes: 128 bytes of the lower four bits, 64 of the upper two, 16 scales of 8 bits with sign, d. */
export function widenQ6_K(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0, to = 0; to < out.length; at += 210, to += 256) {
    const d = half[bits16(bytes, at + 208)]!;
    for (let group = 0; group < 16; group++) {
      const scale = Math.fround(d * signed[at + 192 + group]!);
      const [chunk, part, side] = [group >> 3, (group >> 1) & 3, (group & 1) * 16];
      const low = at + chunk * 64 + (part & 1) * 32 + side;
      const high = at + 128 + chunk * 32 + side;
      for (let j = 0; j < 16; j++) {
        const q = ((bytes[low + j]! >> (4 * (part >> 1))) & 15) | (((bytes[high + j]! >> (2 * part)) & 3) << 4);
        out[to + group * 16 + j] = scale * (q - 32);
      }
    }
  }
}

/** The scales of Q6_K, one for 16 weights. */
export function scalesQ6_K(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 0, at = 0; i < out.length; i += 16, at += 210)
    for (let group = 0; group < 16; group++) out[i + group] = half[bits16(bytes, at + 208)]! * signed[at + 192 + group]!;
}

/** Where the two bits of the 16 weights of a group lie: the first byte, and the place inside each. */
function twoBits(group: number): { readonly from: number; readonly shift: number } {
  return { from: (group >> 3) * 32 + (group & 1) * 16, shift: 2 * ((group >> 1) & 3) };
}

/** Scale `group` of 8: the first four in the lower six bits of four bytes, the others with their upper two bits above those. */
function scaleOf(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return bytes[at + group]! & 63;
  return (bytes[at + group + 4]! & 15) | ((bytes[at + group - 4]! >> 2) & 48);
}

/** Minimum `group` of 8, as the scales, four bytes further. */
function leastOf(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return bytes[at + group + 4]! & 63;
  return (bytes[at + group + 4]! >> 4) | ((bytes[at + group]! >> 2) & 48);
}
