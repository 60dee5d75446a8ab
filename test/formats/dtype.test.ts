/** @file Widening and narrowing of element types. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { DTYPES, narrowToHalf, toFloat32, toFloat64, toInt32, type Dtype } from "../../src/formats/dtype.js";
import { thrownBy } from "./folder.js";

const bytesOf = (array: ArrayBufferView): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const refusal = (action: () => unknown): string => {
  const { kind, message } = thrownBy(action);
  return `${kind}: ${message}`;
};

test("float16 is exact for all finite values, by the textbook formula", () => {
  const halves = Uint16Array.from({ length: 0x10000 }, (_, i) => i);
  const values = toFloat32(bytesOf(halves), "F16");
  const wrong = [...halves].filter((half) => {
    const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
    const size = exponent === 0 ? fraction / 1024 / 16384 : (1 + fraction / 1024) * 2 ** (exponent - 15);
    const expected = exponent === 31 ? (fraction ? NaN : Infinity) : size;
    return !Object.is(values[half], half & 0x8000 && !Number.isNaN(expected) ? -expected : expected);
  });
  expect(wrong).toEqual([]);
});

test("bfloat16 is the upper half of a float32", () => {
  expect(toFloat32(bytesOf(Uint16Array.of(0x3f80, 0xc020, 0x7f80, 0x0001)), "BF16")).toEqual(Float32Array.of(1, -2.5, Infinity, 2 ** -133));
});

test.each(["F16", "BF16"] as const)("narrowing to %s gives the nearest value, ties to even", (dtype) => {
  const all = toFloat64(bytesOf(Uint16Array.from({ length: 0x10000 }, (_, i) => i)), dtype);
  const finite = [...all].map((value, bits) => ({ value, bits })).filter(({ value, bits }) => Number.isFinite(value) && bits < 0x8000);
  const source = fc.oneof(
    fc.float({ noNaN: true, noDefaultInfinity: true }),
    fc.nat(finite.length - 2).map((i) => Math.fround((finite[i]!.value + finite[i + 1]!.value) / 2)),
  );
  fc.assert(
    fc.property(source, (value) => {
      const [bits = 0] = narrowToHalf(Float32Array.of(value), dtype);
      expect(bits & 0x7fff).toBe(nearestBits(finite, Math.abs(value)));
      expect(bits >> 15).toBe(value < 0 || Object.is(value, -0) ? 1 : 0);
    }),
    { numRuns: 200 },
  );
  expect(toFloat32(bytesOf(narrowToHalf(Float32Array.of(NaN, -Infinity, -0), dtype)), dtype)).toEqual(Float32Array.of(NaN, -Infinity, -0));
});

/** The bits of the entry nearest to `size`, the even one of two; half a step beyond the largest is infinite. */
function nearestBits(finite: readonly { value: number; bits: number }[], size: number): number {
  const above = finite.findIndex(({ value }) => value >= size);
  const [low, high] = above < 0 ? finite.slice(-2) : [finite[Math.max(0, above - 1)], finite[above]];
  if (above < 0) return size - high!.value < (high!.value - low!.value) / 2 ? high!.bits : high!.bits + 1;
  const [down, up] = [size - low!.value, high!.value - size];
  return up < down || (up === down && high!.bits % 2 === 0) || up === 0 ? high!.bits : low!.bits;
}

test("integers of every width, aligned or not", () => {
  const cases: [Dtype, ArrayBufferView, number[]][] = [
    ["I8", Int8Array.of(-1, 5), [-1, 5]],
    ["U8", Uint8Array.of(255, 5), [255, 5]],
    ["BOOL", Uint8Array.of(1, 0), [1, 0]],
    ["I16", Int16Array.of(-300), [-300]],
    ["U16", Uint16Array.of(65535), [65535]],
    ["I32", Int32Array.of(-70000), [-70000]],
    ["U32", Uint32Array.of(70000), [70000]],
    ["I64", BigInt64Array.of(-7n), [-7]],
    ["U64", BigUint64Array.of(7n), [7]],
  ];
  for (const [dtype, array, expected] of cases) {
    const shifted = new Uint8Array(array.byteLength + 1);
    shifted.set(bytesOf(array), 1);
    for (const bytes of [bytesOf(array), shifted.subarray(1)]) {
      expect([...toInt32(bytes, dtype)], dtype).toEqual(expected);
      expect([...toFloat32(bytes, dtype)], dtype).toEqual(expected);
      expect([...toFloat64(bytes, dtype)], dtype).toEqual(expected);
    }
  }
  expect(toFloat64(bytesOf(Float64Array.of(1 / 3)), "F64")).toEqual(Float64Array.of(1 / 3));
  expect(toFloat32(bytesOf(Float64Array.of(1 / 3)), "F64")).toEqual(Float32Array.of(1 / 3));
});

test("refusals", () => {
  expect(refusal(() => toInt32(bytesOf(Uint32Array.of(0, 2 ** 31)), "U32"))).toMatchInlineSnapshot(
    `"format: toInt32: element 1 is 2147483648, beyond int32"`,
  );
  expect(refusal(() => toInt32(bytesOf(BigInt64Array.of(2n ** 53n + 1n)), "I64"))).toMatchInlineSnapshot(
    `"format: toInt32: element 0 is 9007199254740993, beyond int32"`,
  );
  expect(refusal(() => toInt32(bytesOf(Float32Array.of(1)), "F32"))).toMatchInlineSnapshot(
    `"unsupported: cannot read F32 as int32: it holds fractions. Instead: toFloat32"`,
  );
  expect(refusal(() => toFloat32(new Uint8Array(3), "F16"))).toMatchInlineSnapshot(
    `"format: 3 bytes are not a whole number of F16 elements"`,
  );
  expect(refusal(() => toFloat32(new Uint8Array(3), "F8_E5M2"))).toMatchInlineSnapshot(
    `"unsupported: cannot read F8_E5M2 values: float8 weights need the scales that their quantiser stored beside them. Instead: use the checkpoint in bfloat16 or float16"`,
  );
  expect(Object.values(DTYPES).every(({ bytes }) => bytes > 0)).toBe(true);
});
