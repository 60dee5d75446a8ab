/** @file Every type of block against `gguf.quants` of PyPI, bit for bit, and every kind of metadata as its writer wrote it. */
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { readGgufHeader } from "../../../src/formats/gguf/header.js";
import { GGUF_TYPES, READABLE_TYPES, widenBlocks } from "../../../src/formats/gguf/block-types.js";
import { GgufWeights } from "../../../src/formats/gguf/weights.js";
import { temporaryFolder } from "../folder.js";

const { refusal } = temporaryFolder();
const header = readGgufHeader(fileURLToPath(new URL("../../fixtures/gguf/types.gguf", import.meta.url)));
const weights = new GgufWeights(header);
afterAll(() => weights.close());

const bits = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

describe("blocks become float32 as in gguf.quants, bit for bit", () => {
  const types = READABLE_TYPES.filter((type) => type !== "F32" && type !== "F64");

  test.each(types)("%s", (type) => {
    const found = weights.floats(`blocks.${type}`);
    expect(bits(found)).toEqual(bits(weights.floats(`expected.${type}`)));
    expect(new Set(found).size).toBeGreaterThan(50);
    expect(weights.tensor(`blocks.${type}`)).toMatchObject({ type, shape: [1, found.length] });
  });

  test.each(types)("%s, from a block in the middle on", (type) => {
    const { block } = GGUF_TYPES[type];
    const expected = weights.floats(`expected.${type}`).slice(block, 2 * block);
    expect(bits(weights.floats(`blocks.${type}`, block, block))).toEqual(bits(expected));
  });

  test("F32 is what it is, signed zero and subnormals too", () => {
    const expected = Float32Array.of(0.1, -0, 1e-45, 3.4e38);
    expect(bits(weights.floats("blocks.F32"))).toEqual(bits(expected));
  });
});

describe("metadata", () => {
  const { metadata } = header;
  const kinds = [...metadata].filter(([key]) => key.startsWith("kind."));

  test("has every kind of value", () => {
    expect(Object.fromEntries(kinds)).toEqual({
      "kind.UINT8": 255,
      "kind.INT8": -128,
      "kind.UINT16": 65535,
      "kind.INT16": -32768,
      "kind.UINT32": 4294967295,
      "kind.INT32": -2147483648,
      "kind.FLOAT32": Math.fround(0.1),
      "kind.BOOL": true,
      "kind.STRING": "naïve ▁ 🙂",
      "kind.UINT64": 2n ** 64n - 1n,
      "kind.INT64": 1 - 2 ** 53,
      "kind.FLOAT64": 0.1,
    });
  });

  test("has lists of each kind", () => {
    for (const [key, value] of kinds.filter(([name]) => name !== "kind.STRING"))
      expect(metadata.get(key.replace("kind", "list")), key).toEqual([value, value]);
    expect(metadata.get("list.STRING")).toEqual(["", "a", "▁"]);
    expect(metadata.get("list.ARRAY")).toEqual([[1, 2], [3]]);
  });
});

describe("refused", () => {
  test("types that are known by their size only, with those that are read", () => {
    const read = (): void => widenBlocks(new Uint8Array(74), "IQ2_XS", new Float32Array(256), 'tensor "a"');
    expect(refusal(read)).toMatchInlineSnapshot(
      `"weights: cannot read tensor "a": it is stored as IQ2_XS; read are F32, F16, BF16, F64, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, IQ2_XXS. Instead: use the model in another quantisation"`,
    );
  });

  test("bytes that are not the weights asked for", () => {
    const read = (): void => widenBlocks(new Uint8Array(33), "Q8_0", new Float32Array(32), 'tensor "a"');
    expect(refusal(read)).toMatchInlineSnapshot(`"format: tensor "a": 33 bytes of Q8_0 are not 32 weights"`);
  });

  test("a tensor that is not there", () => {
    expect(refusal(() => weights.floats("nothing"))).toMatch(/^weights: .*types\.gguf has no tensor "nothing"$/);
  });
});
