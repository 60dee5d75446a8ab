/**
 * @file ggml's first block formats: 32 weights with one float16 scale d, those ending in 1 with a least value m too. Weights are d·q (+ m),
 * in the order of float32 operations of `gguf.quants` (PyPI, 0.19). Element j and j + 16 share a byte.
 */
import { bits16, bits32, halfValues } from "./halves.js";

/** q of 4 bits, minus 8. 18 bytes: d, 16 bytes of pairs. */
export function widenQ4_0(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < out.length; at += 18, to += 32) {
    const d = half[bits16(bytes, at)]!;
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 2 + j]!;
      out[to + j] = d * ((pair & 15) - 8);
      out[to + j + 16] = d * ((pair >> 4) - 8);
    }
  }
}

/** q of 4 bits. 20 bytes: d, m, 16 bytes of pairs. */
export function widenQ4_1(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < out.length; at += 20, to += 32) {
    const [d, m] = [half[bits16(bytes, at)]!, half[bits16(bytes, at + 2)]!];
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 4 + j]!;
      out[to + j] = Math.fround(d * (pair & 15)) + m;
      out[to + j + 16] = Math.fround(d * (pair >> 4)) + m;
    }
  }
}

/** q of 5 bits, minus 16. 22 bytes: d, 32 fifth bits, 16 bytes of pairs. */
export function widenQ5_0(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < out.length; at += 22, to += 32) {
    const d = half[bits16(bytes, at)]!;
    const high = bits32(bytes, at + 2);
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 6 + j]!;
      out[to + j] = d * (((pair & 15) | (((high >>> j) & 1) << 4)) - 16);
      out[to + j + 16] = d * (((pair >> 4) | (((high >>> (j + 16)) & 1) << 4)) - 16);
    }
  }
}

/** q of 5 bits. 24 bytes: d, m, 32 fifth bits, 16 bytes of pairs. */
export function widenQ5_1(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < out.length; at += 24, to += 32) {
    const [d, m] = [half[bits16(bytes, at)]!, half[bits16(bytes, at + 2)]!];
    const high = bits32(bytes, at + 4);
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 8 + j]!;
      out[to + j] = Math.fround(d * ((pair & 15) | (((high >>> j) & 1) << 4))) + m;
      out[to + j + 16] = Math.fround(d * ((pair >> 4) | (((high >>> (j + 16)) & 1) << 4))) + m;
    }
  }
}

/** q of 8 bits with sign. 34 bytes: d, 32 bytes. */
export function widenQ8_0(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0, to = 0; to < out.length; at += 34, to += 32) {
    const d = half[bits16(bytes, at)]!;
    for (let j = 0; j < 32; j++) out[to + j] = d * signed[at + 2 + j]!;
  }
}

/** Writes the scale of each block over `out`, which begins each of its `bytes` bytes. */
export const leadingScales =
  (bytes: number) =>
  (blocks: Uint8Array, out: Float32Array): void => {
    const half = halfValues();
    for (let i = 0; i < out.length; i++) out[i] = half[bits16(blocks, i * bytes)]!;
  };
