/**
 * @file Damaged files: whatever is cut off, flipped or claimed, a reader gives a valid result or a `SextantError`. Nothing else
 * is thrown, nothing hangs, and no more memory is taken than the file can justify.
 */
import { readFileSync } from "node:fs";
import { crc32, deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { isSextantError } from "../../src/base/errors.js";
import { sizeOf, tensor, type Tensor } from "../../src/base/tensor.js";
import { parseNpy } from "../../src/formats/npy.js";
import { parseNpz } from "../../src/formats/npz.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { writeSafetensors } from "../../src/formats/safetensors-writer.js";
import { npyBytes, zipBytes } from "./binary.js";
import { temporaryFolder } from "./folder.js";

const { path, write } = temporaryFolder();

const safetensors = makeSafetensors();
const npy = npyBytes("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }", new Float32Array(12));
const npz = zipBytes(
  ["a", "b"].map((name) => ({ name: `${name}.npy`, packed: deflateRawSync(npy), size: npy.length, checksum: crc32(npy), method: 8 })),
);

/** Bytes with some of them changed, some set to extreme 32-bit counts, and the end cut off. */
function damaged(bytes: Uint8Array): fc.Arbitrary<Uint8Array> {
  const place = fc.nat(bytes.length - 1);
  const flips = fc.array(fc.tuple(place, fc.nat(255)), { maxLength: 4 });
  const counts = fc.array(fc.tuple(place, fc.constantFrom(0xffffffff, 0x7fffffff, 0x80000000, 0, 0xffff, 1 << 30)), { maxLength: 2 });
  const kept = fc.oneof({ weight: 3, arbitrary: fc.constant(bytes.length) }, { weight: 1, arbitrary: place });
  return fc.tuple(flips, counts, kept).map(([flipped, claimed, length]) => {
    const copy = Buffer.from(bytes);
    for (const [at, byte] of flipped) copy[at] = byte;
    for (const [at, count] of claimed) if (at + 4 <= copy.length) copy.writeUInt32LE(count >>> 0, at);
    return copy.subarray(0, length);
  });
}

/** Characters of a header replaced by others that mean something in it. */
function rewritten(bytes: Uint8Array, from: number, to: number): fc.Arbitrary<Uint8Array> {
  const character = fc.constantFrom(...Array.from("{}[]()':,\"0123456789-.eTF<>|fiub \\"));
  return fc.array(fc.tuple(fc.integer({ min: from, max: to - 1 }), character), { minLength: 1, maxLength: 6 }).map((changes) => {
    const copy = Buffer.from(bytes);
    for (const [at, text] of changes) copy[at] = text.charCodeAt(0);
    return copy;
  });
}

function check(read: (bytes: Uint8Array) => Iterable<Tensor>, bytes: Uint8Array): void {
  try {
    for (const { data, shape } of read(bytes)) {
      expect(sizeOf(shape)).toBe(data.length);
      expect(data.byteLength).toBeLessThanOrEqual(bytes.length * 1100);
    }
  } catch (error) {
    if (!isSextantError(error) || error.kind === "internal" || error.kind === "memory") throw error;
  }
}

const readers = {
  safetensors: (bytes: Uint8Array) => readSafetensors(write("fuzz.safetensors", bytes)).values(),
  npy: (bytes: Uint8Array) => [parseNpy(bytes, "fuzz.npy")],
  npz: (bytes: Uint8Array) => parseNpz(bytes, "fuzz.npz").values(),
};

test.each([
  ["safetensors", safetensors, 500],
  ["npy", npy, 3000],
  ["npz", npz, 1500],
] as const)("%s with damaged bytes", (kind, bytes, numRuns) => {
  expect(readers[kind](bytes)).toBeDefined();
  fc.assert(
    fc.property(damaged(bytes), (broken) => check(readers[kind], broken)),
    { numRuns },
  );
});

test.each([
  { kind: "safetensors", bytes: safetensors, from: 8, to: 8 + Number(safetensors.readBigUInt64LE()), numRuns: 500 },
  { kind: "npy", bytes: npy, from: 10, to: npy.length - 48, numRuns: 3000 },
] as const)("$kind with a rewritten header", ({ kind, bytes, from, to, numRuns }) => {
  fc.assert(
    fc.property(rewritten(bytes, from, to), (broken) => check(readers[kind], broken)),
    { numRuns },
  );
});

test("safetensors with any JSON for a header", () => {
  const number = fc.oneof(fc.integer(), fc.double(), fc.constantFrom(2 ** 53, 2 ** 63, 1e308, -1, 0.5));
  const entry = fc.record({
    dtype: fc.constantFrom("F32", "I8", "BF16", "X"),
    shape: fc.array(number),
    data_offsets: fc.array(number, { maxLength: 3 }),
  });
  const header = fc.dictionary(fc.constantFrom("a", "b", "__metadata__", "__proto__", "constructor"), fc.oneof(entry, fc.jsonValue()));
  const property = fc.property(header, fc.nat(64), (value, data) => {
    const text = Buffer.from(JSON.stringify(value));
    const length = Buffer.alloc(8);
    length.writeUInt32LE(text.length);
    check(readers.safetensors, Buffer.concat([length, text, Buffer.alloc(data)]));
  });
  fc.assert(property, { numRuns: 500 });
});

test("deeply nested and very long headers", () => {
  const safetensorsOf = (text: string): Buffer => {
    const length = Buffer.alloc(8);
    length.writeUInt32LE(text.length);
    return Buffer.concat([length, Buffer.from(text)]);
  };
  const nested = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
  check(readers.safetensors, safetensorsOf(`{"a":{"dtype":"F32","shape":${nested},"data_offsets":[0,0]}}`));
  check(readers.safetensors, safetensorsOf(`{"${"\\\\".repeat(500_000)}":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`));
  check(readers.npy, npyBytes(`{${"'".repeat(500_000)}}`, new Uint8Array(), 2));
  check(readers.npy, npyBytes(`{'shape': (${"1,".repeat(100_000)}), 'descr': '<f4', 'fortran_order': False}`, new Uint8Array(4), 2));
  check(readers.npy, npyBytes(`{'shape': (${" ".repeat(500_000)}`, new Uint8Array(), 2));
});

function makeSafetensors(): Buffer {
  const tensors = { w: tensor(new Float32Array(6), [2, 3]), ids: tensor(Int32Array.of(1, 2), [2]), h: tensor(new Float32Array(3), [3]) };
  writeSafetensors(
    path("whole.safetensors"),
    tensors,
    { format: "pt" },
    { dtypeOf: (name) => (name === "h" ? "BF16" : name === "w" ? "F32" : "I64") },
  );
  return readFileSync(path("whole.safetensors"));
}
