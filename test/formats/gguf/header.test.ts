/** @file Headers of GGUF files: what they say, what each lie in them is called, and damaged ones. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isSextantError } from "../../../src/base/errors.js";
import { isGguf, readGgufHeader } from "../../../src/formats/gguf/header.js";
import { GgufWeights } from "../../../src/formats/gguf/weights.js";
import { temporaryFolder } from "../folder.js";
import { ggufBytes, list, text, u32, u64, type Claim, type Parts } from "./build.js";

const { write, path, refusal } = temporaryFolder();

const F32 = 0;
const Q8_0 = 8;
const matrix: Claim = { name: "a", lengths: [4, 2], type: F32, offset: 0 };
const second: Claim = { name: "b", lengths: [32], type: Q8_0, offset: 32 };
const whole: Parts = {
  pairs: [
    ["general.architecture", 8, "llama"],
    ["n", 4, 7],
  ],
  claims: [matrix, second],
  data: new Uint8Array(32 + 34),
};

const read = (parts: Parts): ReturnType<typeof readGgufHeader> => readGgufHeader(write("a.gguf", ggufBytes({ ...whole, ...parts })));
const complaint = (parts: Parts): string => refusal(() => read(parts));
const claims = (changes: Partial<Claim>): Parts => ({ claims: [{ ...matrix, ...changes }, second] });

describe("a header", () => {
  test("gives keys, tensors in the order of other files, and their places", () => {
    const { metadata, tensors, size } = read({});
    expect([...metadata]).toEqual([
      ["general.architecture", "llama"],
      ["n", 7],
    ]);
    const start = size - 66;
    expect([...tensors.values()]).toEqual([
      { name: "a", type: "F32", shape: [2, 4], offset: start, bytes: 32 },
      { name: "b", type: "Q8_0", shape: [32], offset: start + 32, bytes: 34 },
    ]);
  });

  test("pads to the alignment that it states", () => {
    const data = new Uint8Array(64 + 34);
    const parts: Parts = { pairs: [["general.alignment", 4, 64]], claims: [matrix, { ...second, offset: 64 }], alignment: 64, data };
    const [a, b] = [...read(parts).tensors.values()];
    expect(a!.offset % 64).toBe(0);
    expect(b!.offset - a!.offset).toBe(64);
  });

  test("is known by the file's name or by its first letters", () => {
    expect(isGguf(write("named.GGUF", "x"))).toBe(true);
    expect(isGguf(write("blob", ggufBytes(whole)))).toBe(true);
    expect(isGguf(write("model.safetensors", "{}"))).toBe(false);
    expect(isGguf(path("."))).toBe(false);
    expect(isGguf(path("nowhere.gguf"))).toBe(false);
  });
});

describe("refused by name", () => {
  // oxfmt-ignore
  const LIES: readonly (readonly [what: string, parts: Parts])[] = [
    ["other letters",              { magic: "GGML" }],
    ["version 1",                  { version: 1 }],
    ["big-endian numbers",         { version: 0x03000000 }],
    ["too many tensors",           { tensorCount: 1e12 }],
    ["a count beyond 2^53",        { tensorCount: 2n ** 64n - 1n }],
    ["too many keys",              { pairCount: 1e12 }],
    ["one key more than there is", { pairCount: 3 }],
    ["a key twice",                { pairs: [["n", 4, 1], ["n", 4, 2]] }],
    ["a key that never ends",      { pairs: [["", 8, u64(2 ** 40)]] }],
    ["a kind of value",            { pairs: [["n", 13, u32(1)]] }],
    ["a truth value",              { pairs: [["n", 7, 2]] }],
    ["a text that is not UTF-8",   { pairs: [["n", 8, Buffer.concat([u64(1), Buffer.of(0xff)])]] }],
    ["a list of many numbers",     { pairs: [["n", 9, Buffer.concat([u32(4), u64(2 ** 50)])]] }],
    ["a list of unknown things",   { pairs: [["n", 9, Buffer.concat([u32(99), u64(1)])]] }],
    ["lists within lists",         { pairs: [["n", 9, list(9, [list(9, [list(9, [list(9, [list(4, [1])])])])])]] }],
    ["an alignment of three",      { pairs: [["general.alignment", 4, 3]] }],
    ["an alignment as text",       { pairs: [["general.alignment", 8, "32"]] }],
    ["a piece of a model",         { pairs: [["split.count", 4, 3]] }],
    ["no axes",                    claims({ lengths: [] })],
    ["many axes",                  claims({ rank: 0xffffffff })],
    ["an axis of nothing",         claims({ lengths: [4, 0] })],
    ["more elements than 2^53",    claims({ lengths: [2 ** 30, 2 ** 30] })],
    ["an unknown type",            claims({ type: 4 })],
    ["rows of half a block",       claims({ type: Q8_0, lengths: [48, 2] })],
    ["an offset beyond the file",  { claims: [matrix, { ...second, offset: 32, lengths: [2 ** 20] }] }],
    ["an offset of 2^64 - 1",      { claims: [matrix, { ...second, offset: 2n ** 64n - 1n }] }],
    ["an offset not aligned",      { claims: [matrix, { ...second, offset: 33 }] }],
    ["overlapping tensors",        { claims: [matrix, { ...second, offset: 0 }] }],
    ["a gap",                      { claims: [matrix, { ...second, offset: 64 }] }],
    ["a name twice",               { claims: [matrix, { ...second, name: "a" }] }],
    ["a name of a thousand",       claims({ name: "n".repeat(1000) })],
  ];

  test.each(LIES)("%s", (_, parts) => {
    expect(complaint(parts)).toMatch(/^format: /);
  });

  test("in these words", () => {
    expect(LIES.map(([what, parts]) => `${what}: ${complaint(parts).replaceAll(/TMP.a\.gguf/g, "FILE")}`).join("\n"))
      .toMatchInlineSnapshot(`
      "other letters: format: FILE: a GGUF file begins with "GGUF", this one does not
      version 1: format: cannot read FILE: it is of version 1, read are 2 and 3. Instead: convert the model anew with llama.cpp's convert_hf_to_gguf.py
      big-endian numbers: format: cannot read FILE: its numbers are big-endian. Instead: convert the model anew with llama.cpp's convert_hf_to_gguf.py
      too many tensors: format: FILE: the list of 1000000000000 tensors would end at byte 32000000000086 or later, the file has 226
      a count beyond 2^53: format: FILE: the count of tensors is 18446744073709551615
      too many keys: format: FILE: the list of 1000000000000 keys would end at byte 13000000000024 or later, the file has 226
      one key more than there is: format: FILE: the name of tensor 0 would end at byte 562949953421421 or later, the file has 226
      a key twice: format: FILE: it has the key "n" twice
      a key that never ends: format: FILE: the value of "" would end at byte 1099511627820 or later, the file has 194
      a kind of value: format: FILE: the value of "n" is of kind 13, known are 0 to 12
      a truth value: format: FILE: the value of "n" is a truth value of 2, not of 0 or 1
      a text that is not UTF-8: format: FILE: the value of "n" is not UTF-8
      a list of many numbers: format: FILE: the value of "n" would end at byte 4503599627370545 or later, the file has 194
      a list of unknown things: format: FILE: the value of "n" is of kind 99, known are 0 to 12
      lists within lists: format: FILE: the value of "n" has lists within lists, deeper than 4
      an alignment of three: format: FILE: general.alignment must be a power of two, at most 1048576, got 3
      an alignment as text: format: FILE: general.alignment must be a power of two, at most 1048576, got 32
      a piece of a model: format: cannot read FILE: it is one of 3 pieces of a model. Instead: join them with llama.cpp's llama-gguf-split --merge
      no axes: format: FILE: tensor "a" has 0 axes, allowed are 1 to 4
      many axes: format: FILE: tensor "a" has 4294967295 axes, allowed are 1 to 4
      an axis of nothing: format: FILE: tensor "a" has the shape [0, 4]
      more elements than 2^53: format: FILE: tensor "a" has the shape [1073741824, 1073741824]
      an unknown type: format: FILE: tensor "a" is of type 4, which is not known
      rows of half a block: format: FILE: tensor "a" has rows of 48, which are not whole blocks of 32 (Q8_0)
      an offset beyond the file: format: FILE: tensor "b" ends at byte 1114304, the file has 226
      an offset of 2^64 - 1: format: FILE: the offset of tensor "b" is 18446744073709551615
      an offset not aligned: format: FILE: tensor "b" begins at byte 193, which is not aligned to 32
      overlapping tensors: format: FILE: tensor "b" begins at byte 160, inside tensor "a", which ends at 192
      a gap: format: FILE: tensor "b" begins at byte 224, but tensor "a" ends at 192: the bytes between belong to no tensor
      a name twice: format: FILE: it has the tensor "a" twice
      a name of a thousand: format: FILE: the name of tensor 0 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn…" has 1000 characters, allowed are 255"
    `);
  });

  test("a file that is not there, or no file", () => {
    expect(refusal(() => readGgufHeader(path("nowhere.gguf")))).toMatch(/^file: /);
    expect(refusal(() => readGgufHeader(path(".")))).toMatch(/^file: /);
  });
});

const fixture = readFileSync(fileURLToPath(new URL("../../fixtures/gguf/types.gguf", import.meta.url)));
const bytes = ggufBytes({
  ...whole,
  pairs: [...whole.pairs!, ["list", 9, list(8, ["a", "bc", "▁"])], ["nested", 9, list(9, [list(4, [1])])]],
});

/** Reads all that there is; only a SextantError about the file may come of it. */
function check(content: Uint8Array): "read" | "refused" {
  try {
    const header = readGgufHeader(write("damaged.gguf", content));
    const weights = new GgufWeights(header);
    try {
      for (const [name, { shape }] of header.tensors) {
        const values = weights.floats(name);
        expect(values.length).toBe(shape.reduce((size, length) => size * length, 1));
        expect(values.length).toBeLessThanOrEqual(content.length * 4);
      }
    } finally {
      weights.close();
    }
    return "read";
  } catch (error) {
    if (!isSextantError(error) || error.kind === "internal" || error.kind === "memory") throw error;
    return "refused";
  }
}

describe("damaged files", () => {
  test("cut off anywhere are refused", () => {
    expect(check(bytes)).toBe("read");
    for (let length = 0; length < bytes.length; length++) expect(check(bytes.subarray(0, length)), `${length}`).toBe("refused");
  });

  test("cut off at any tensor's end are refused, with real blocks too", () => {
    const { tensors } = readGgufHeader(write("whole.gguf", fixture));
    for (const { offset, bytes: count } of tensors.values()) {
      expect(check(fixture.subarray(0, offset + count - 1))).toBe("refused");
    }
  });

  test("with changed bytes are read or refused", () => {
    const place = fc.nat(bytes.length - 5);
    const flips = fc.array(fc.tuple(place, fc.nat(255)), { maxLength: 4 });
    const counts = fc.array(fc.tuple(place, fc.constantFrom(0xffffffff, 0x7fffffff, 0x80000000, 0, 1, 0xffff, 1 << 30)), { maxLength: 3 });
    const damaged = fc.tuple(flips, counts).map(([flipped, claimed]) => {
      const copy = Buffer.from(bytes);
      for (const [at, byte] of flipped) copy[at] = byte;
      for (const [at, count] of claimed) copy.writeUInt32LE(count >>> 0, at);
      return copy;
    });
    fc.assert(
      fc.property(damaged, (content) => void check(content)),
      { numRuns: 200 },
    );
  });

  test("of random bytes behind the four letters are refused", () => {
    const random = fc.uint8Array({ maxLength: 200 }).map((tail) => Buffer.concat([Buffer.from("GGUF"), u32(3), tail]));
    fc.assert(
      fc.property(random, (content) => void check(content)),
      { numRuns: 200 },
    );
    expect(check(Buffer.concat([Buffer.from("GGUF"), u32(3), u64(0), u64(1), text("k"), u32(4)]))).toBe("refused");
  });
});
