/**
 * @file ggml's formats with code books: q is an index into a table of values, or of eight values at once. The tables and the order of float32
 * operations are those of `gguf.quants` (PyPI, 0.19).
 */
import { bits16, bits32, halfValues } from "./halves.js";

const SIXTEEN = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] as const;

/** 4 bits into 16 values. 18 bytes for 32 weights: d, 16 bytes of pairs. */
export function widenIQ4_NL(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < out.length; at += 18, to += 32)
    widenPairs(bytes, at + 2, out.subarray(to, to + 32), half[bits16(bytes, at)]!);
}

/** As `IQ4_NL` with 8 scales of 6 bits. 136 bytes for 256 weights: d, upper two bits of the scales, lower four, 128 bytes of pairs. */
export function widenIQ4_XS(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < out.length; at += 136, to += 256) {
    const d = half[bits16(bytes, at)]!;
    for (let group = 0; group < 8; group++) {
      const scale = Math.fround(d * sixBits(bytes, at + 2, group));
      widenPairs(bytes, at + 8 + group * 16, out.subarray(to + group * 32, to + group * 32 + 32), scale);
    }
  }
}

/** The scales of IQ4_XS, one for 32 weights. */
export function scalesIQ4_XS(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let i = 0, at = 0; i < out.length; i += 8, at += 136)
    for (let group = 0; group < 8; group++) out[i + group] = half[bits16(bytes, at)]! * sixBits(bytes, at + 2, group);
}

/** Scale `group` of 8, minus 32: two bits of two bytes, above four of those behind. */
function sixBits(bytes: Uint8Array, at: number, group: number): number {
  const low = (bytes[at + 2 + (group >> 1)]! >> (4 * (group & 1))) & 15;
  return (low | (((bits16(bytes, at) >> (2 * group)) & 3) << 4)) - 32;
}

function widenPairs(bytes: Uint8Array, at: number, out: Float32Array, scale: number): void {
  for (let j = 0; j < 16; j++) {
    const pair = bytes[at + j]!;
    out[j] = scale * SIXTEEN[pair & 15]!;
    out[j + 16] = scale * SIXTEEN[pair >> 4]!;
  }
}

/** 2 bits. 66 bytes for 256 weights: d, and for each 32 of them four indices of eight magnitudes, four of eight signs, and 4 bits of scale. */
export function widenIQ2_XXS(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  const eights = magnitudes();
  for (let at = 0, to = 0; to < out.length; at += 66, to += 256) {
    const d = half[bits16(bytes, at)]!;
    for (let group = 0; group < 8; group++) {
      const from = at + 2 + group * 8;
      const packed = bits32(bytes, from + 4);
      const scale = scaleOfEights(d, packed);
      for (let part = 0; part < 4; part++) {
        const index = bytes[from + part]! * 8;
        const signs = withParity((packed >>> (7 * part)) & 127);
        for (let j = 0; j < 8; j++) {
          const value = scale * eights[index + j]!;
          out[to + group * 32 + part * 8 + j] = (signs >> j) & 1 ? -value : value;
        }
      }
    }
  }
}

/** The scales of IQ2_XXS, one for 32 weights. */
export function scalesIQ2_XXS(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let i = 0, at = 0; i < out.length; i += 8, at += 66)
    for (let group = 0; group < 8; group++) out[i + group] = scaleOfEights(half[bits16(bytes, at)]!, bits32(bytes, at + 6 + group * 8));
}

function scaleOfEights(d: number, packed: number): number {
  return Math.fround(d * (0.5 + (packed >>> 28))) * 0.25;
}

/** Seven signs, and the eighth that makes the number of minus signs even. */
function withParity(signs: number): number {
  let odd = signs ^ (signs >> 4);
  odd ^= odd >> 2;
  odd ^= odd >> 1;
  return signs | ((odd & 1) << 7);
}

let eights: Float32Array | undefined;

/** 256 rows of eight magnitudes. */
function magnitudes(): Float32Array {
  eights ??= Float32Array.from({ length: 256 * 8 }, (_, i) => {
    const digits = parseInt(IQ2_XXS_GRID.slice((i >> 3) * 4, (i >> 3) * 4 + 4), 16);
    const bytesSwapped = ((digits & 0xff) << 8) | (digits >> 8);
    return MAGNITUDES[(bytesSwapped >> (2 * (i & 7))) & 3]!;
  });
  return eights;
}

const MAGNITUDES = [0x08, 0x19, 0x2b] as const;

/** `iq2xxs_grid` of ggml-common.h (MIT): eight indices of two bits in four hexadecimal digits, the first in the lowest bits of the first byte. */
const IQ2_XXS_GRID =
  "00000200050008000a00110014002000220028002a00410044005000580061006400800082008a00a20001010401100115014001840198010002020222028202" +
  "010404041004210424044004420448046004810484049004a404000502050805200546056905800591050906100640068406a406000805080808140828084108" +
  "440850085208880804094009020a140a01100410101021104010601084109010951000110811201150115a118011241245120014081420142514491480141815" +
  "6215001616160118041810184018811800190519a019511a002002200a2044206120802082202921482100220222012404241024402456240025412564259026" +
  "082820289428442a0140044010401840214024404040484056406040814084409040004120416141804185410142104248425642684200440844204480449944" +
  "124524450046014804481048404845480049584961498249454a904a005008501150195020508050885004514251a4519152905492540a550156545600581158" +
  "195864584059085a04601060406068600061556118626062006405641065126584654268008002800a8041808280048118814081118201840484108415844084" +
  "608400854685948509864086608602880489118a0490109024904090a19016918091459200942294449451958198209902a050a085a009a100a218a450a804a9";
