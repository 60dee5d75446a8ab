/** @file `.npy` and `.npz`: NumPy's own bytes, round trips, and each refusal by its sentence. */
import { readFileSync } from "node:fs";
import { crc32, deflateRawSync } from "node:zlib";
import { expect, test } from "vitest";
import { tensor } from "../../src/base/tensor.js";
import { parseNpy, readNpy, writeNpy } from "../../src/formats/npy.js";
import { parseNpz, readNpz, writeNpz } from "../../src/formats/npz.js";
import { npyBytes, zipBytes } from "./binary.js";
import { temporaryFolder } from "./folder.js";

const { path, write, refusal } = temporaryFolder();

const header = (descr: string, fortran: string, shape: string): string =>
  `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`;

test("bytes are NumPy's", () => {
  writeNpy(path("a.npy"), tensor(Float32Array.of(1, 2, 3), [3]));
  const written = readFileSync(path("a.npy"));
  expect(written.length).toBe(128 + 12);
  expect(written.subarray(10, 128).toString()).toBe(header("<f4", "False", "(3,)").padEnd(117) + "\n");
});

test.each([[[]], [[5]], [[2, 3]], [[0, 4]]])("round trip of shape %j", (shape) => {
  const size = shape.reduce((product, length) => product * length, 1);
  for (const array of [tensor(new Float32Array(size).fill(1.5), shape), tensor(new Int32Array(size).fill(-7), shape)]) {
    writeNpy(path("round.npy"), array);
    expect(readNpy(path("round.npy"))).toEqual(array);
  }
});

test("every dtype, in both orders and all versions", () => {
  const cases: [string, ArrayBufferView, number[]][] = [
    ["<f8", Float64Array.of(1, 2, 3, 4, 5, 6), [1, 2, 3, 4, 5, 6]],
    ["<f2", Uint16Array.of(0x3c00, 0x4000, 0, 0, 0, 0xbc00), [1, 2, 0, 0, 0, -1]],
    ["<i8", BigInt64Array.of(1n, -2n, 3n, 4n, 5n, 6n), [1, -2, 3, 4, 5, 6]],
    ["<u2", Uint16Array.of(1, 2, 3, 4, 5, 65535), [1, 2, 3, 4, 5, 65535]],
    ["|i1", Int8Array.of(1, -2, 3, 4, 5, 6), [1, -2, 3, 4, 5, 6]],
    ["|b1", Uint8Array.of(1, 0, 1, 0, 1, 0), [1, 0, 1, 0, 1, 0]],
  ];
  for (const [descr, values, expected] of cases) {
    for (const version of [1, 2, 3]) {
      expect([...parseNpy(npyBytes(header(descr, "False", "(2, 3)"), values, version), "x").data], descr).toEqual(expected);
    }
    const turned = parseNpy(npyBytes(header(descr, "True", "(3L, 2L)"), values), "x");
    expect(turned.shape).toEqual([3, 2]);
    expect([...turned.data], descr).toEqual([0, 3, 1, 4, 2, 5].map((i) => expected[i]));
  }
});

test("Fortran order in three dimensions", () => {
  const values = Float32Array.from({ length: 24 }, (_, i) => i);
  const { data, shape } = parseNpy(npyBytes(header("<f4", "True", "(2, 3, 4)"), values), "x");
  const at = (i: number, j: number, k: number): number => data[(i * shape[1]! + j) * shape[2]! + k]!;
  for (let i = 0; i < 24; i++) expect(at(i % 2, Math.floor(i / 2) % 3, Math.floor(i / 6))).toBe(i);
});

test("refusals", () => {
  const read = (text: string, values: ArrayBufferView = new Uint8Array(), version = 1): string =>
    refusal(() => parseNpy(npyBytes(text, values, version), "a.npy"));
  expect(refusal(() => readNpy(write("b.npy", "PK")))).toMatchInlineSnapshot(`"format: TMP/b.npy: not an .npy file"`);
  expect(refusal(() => parseNpy(npyBytes("{}", new Uint8Array()).subarray(0, 9), "a.npy"))).toMatchInlineSnapshot(
    `"format: a.npy: ends inside its header, at byte 9"`,
  );
  expect(refusal(() => parseNpy(npyBytes(header("<f4", "False", "()"), new Uint8Array()).subarray(0, 20), "a.npy"))).toMatchInlineSnapshot(
    `"format: a.npy: the header ends at byte 65, the file has 20"`,
  );
  expect(read("{}", new Uint8Array(), 4)).toMatchInlineSnapshot(`"format: a.npy: version 4 of .npy is not known"`);
  expect(read("{}")).toMatchInlineSnapshot(`"format: a.npy: the header must have descr, fortran_order and shape, got "{}""`);
  expect(read("__import__('os')")).toMatchInlineSnapshot(
    `"format: a.npy: the header is not a Python dictionary of plain values: "__import__('os')""`,
  );
  expect(read(header("<f4", "False", "(3,)").replace("}", "'shape': (4,)}"))).toMatchInlineSnapshot(
    `"format: a.npy: the header is not a Python dictionary of plain values: "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'shape': (4,)}""`,
  );
  expect(read(header(">f4", "False", "(3,)"))).toMatchInlineSnapshot(
    `"unsupported: cannot read a.npy: its values '>f4' are big-endian. Instead: save array.astype('<f4')"`,
  );
  expect(read(header("<U5", "False", "(3,)"))).toMatchInlineSnapshot(
    `"unsupported: cannot read a.npy: its values '<U5' are text. Instead: save numbers"`,
  );
  expect(read("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}")).toMatchInlineSnapshot(
    `"format: a.npy: the header is not a Python dictionary of plain values: "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}""`,
  );
  expect(read(header("<f4", "False", "(-3,)"))).toMatchInlineSnapshot(`"format: a.npy: "(-3,)" is no valid shape"`);
  expect(read(header("<f4", "False", "(3,)"), Float32Array.of(1))).toMatchInlineSnapshot(
    `"format: a.npy: shape [3] of F32 needs 12 bytes, the file has 4"`,
  );
  expect(read(header("<f4", "False", "(3,)"), Float32Array.of(1, 2, 3, 4))).toMatchInlineSnapshot(
    `"format: a.npy: shape [3] of F32 needs 12 bytes, the file has 16"`,
  );
  expect(read(header("<f4", "False", "(100000000000, 100000000000)"))).toMatchInlineSnapshot(
    `"format: a.npy: shape [100000000000, 100000000000] of F32 needs 4e+22 bytes, the file has 0"`,
  );
  expect(read(header("<i8", "False", "(1,)"), BigInt64Array.of(2n ** 40n))).toMatchInlineSnapshot(
    `"format: a.npy: toInt32: element 0 is 1099511627776, beyond int32"`,
  );
  expect(refusal(() => readNpy(path("a.npy"), { maxBytes: 10 }))).toMatchInlineSnapshot(
    `"file: TMP/a.npy is too large: 140 bytes, read are files up to 10"`,
  );
});

test("archives come back, stored or deflated, the same bytes each time", () => {
  const arrays = {
    x: tensor(
      Float32Array.from({ length: 1000 }, (_, i) => i % 3),
      [10, 100],
    ),
    "deep/y": tensor(Int32Array.of(1), []),
  };
  for (const compress of [false, true]) {
    writeNpz(path("one.npz"), arrays, { compress });
    writeNpz(path("two.npz"), arrays, { compress });
    expect(readNpz(path("one.npz"))).toEqual(new Map(Object.entries(arrays)));
    expect(readFileSync(path("one.npz")).equals(readFileSync(path("two.npz")))).toBe(true);
  }
  expect(readFileSync(path("one.npz")).length).toBeLessThan(1000);
  writeNpz(path("none.npz"), {});
  expect(readNpz(path("none.npz")).size).toBe(0);
});

test("archives that lie are refused", () => {
  const array = npyBytes(header("|u1", "False", "(1000,)"), new Uint8Array(1000));
  const packed = deflateRawSync(array);
  const entry = { name: "a.npy", packed, size: array.length, checksum: crc32(array), method: 8 };
  const read = (changes: object, limits = {}): string => refusal(() => parseNpz(zipBytes([{ ...entry, ...changes }]), "a.npz", limits));
  expect(parseNpz(zipBytes([entry]), "a.npz").get("a")?.shape).toEqual([1000]);
  expect(read({ size: 4_000_000_000 })).toMatchInlineSnapshot(
    `"format: a.npz: the entry "a.npy" unpacks to 4000000000 bytes, allowed are 1073741824"`,
  );
  expect(read({ size: 1_000_000 })).toMatchInlineSnapshot(
    `"format: a.npz: the entry "a.npy" claims to unpack from 78 to 1000000 bytes, which deflate cannot"`,
  );
  expect(read({ size: array.length - 1 })).toMatchInlineSnapshot(
    `"format: a.npz: the entry "a.npy" is damaged: it unpacks to more than the declared 1069 bytes"`,
  );
  expect(read({ size: array.length + 1 })).toMatchInlineSnapshot(
    `"format: a.npz: the entry "a.npy" is damaged: it unpacks to 1070 bytes, declared are 1071"`,
  );
  expect(read({ checksum: 7 })).toMatchInlineSnapshot(`"format: a.npz: the entry "a.npy" is damaged: its checksum does not match"`);
  expect(read({ method: 12 })).toMatchInlineSnapshot(`"format: a.npz: the entry "a.npy" is damaged: method 12 of packing is not known"`);
  expect(read({ flags: 1 })).toMatchInlineSnapshot(`"format: a.npz: the entry "a.npy" is encrypted"`);
  expect(read({ offset: 10_000 })).toMatchInlineSnapshot(`"format: a.npz: the entry "a.npy" is damaged: nothing begins at byte 10000"`);
  expect(read({ packed: Buffer.alloc(30, 7) })).toMatch(/^format: a.npz: the entry "a.npy" is damaged: a.npy cannot be inflated/);
  expect(read({ name: "readme.txt" })).toMatchInlineSnapshot(`"format: a.npz: the entry "readme.txt" is not an .npy file"`);
  expect(read({ size: 0xffffffff })).toMatchInlineSnapshot(`"format: a.npz: the entry "a.npy" is a zip64 entry, which is not read"`);
  expect(read({}, { maxEntryBytes: 100 })).toMatchInlineSnapshot(
    `"format: a.npz: the entry "a.npy" unpacks to 1070 bytes, allowed are 100"`,
  );
  expect(read({}, { maxTotalBytes: 100 })).toMatchInlineSnapshot(`"format: a.npz: the entries unpack to 1070 bytes, allowed are 100"`);
  expect(refusal(() => parseNpz(zipBytes([entry, entry]), "a.npz"))).toMatchInlineSnapshot(
    `"format: a.npz: the entry "a.npy" is there twice"`,
  );
  expect(refusal(() => parseNpz(zipBytes([entry]).subarray(0, -1), "a.npz"))).toMatchInlineSnapshot(
    `"format: a.npz: not a zip archive, or cut off: it has no directory at its end"`,
  );
  expect(refusal(() => parseNpz(Buffer.alloc(4), "a.npz"))).toMatchInlineSnapshot(
    `"format: a.npz: not a zip archive, or cut off: it has no directory at its end"`,
  );
});
