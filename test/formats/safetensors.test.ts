/** @file Safetensors: round trips, real checkpoints, and each refusal by its sentence. */
import { mkdirSync, readFileSync, readdirSync, symlinkSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { tensor, type Tensor } from "../../src/base/tensor.js";
import { openCheckpoint, readSafetensors, readSafetensorsHeader, type Checkpoint } from "../../src/formats/safetensors.js";
import { writeSafetensors } from "../../src/formats/safetensors-writer.js";
import { hasShared, sharedPath } from "../shared.js";
import { temporaryFolder } from "./folder.js";

const { path, write, refusal } = temporaryFolder();

const floats = (...values: number[]): Tensor => tensor(Float32Array.from(values), [values.length]);
const f32 = (from: number, to: number, shape = [(to - from) / 4]): object => ({ dtype: "F32", shape, data_offsets: [from, to] });

/** The bytes of a file with that header and so many zero bytes after it. */
function bytesOf(header: unknown, data: number, claimed?: number | bigint): Buffer {
  const text = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(claimed ?? text.length));
  return Buffer.concat([length, text, Buffer.alloc(data)]);
}

const opened: Checkpoint[] = [];
const open = (at: string): Checkpoint => {
  opened.push(openCheckpoint(at));
  return opened.at(-1)!;
};
afterEach(() => opened.splice(0).forEach((checkpoint) => checkpoint.close()));

describe("round trips", () => {
  const tensors = {
    b: tensor(Float32Array.of(1, -2.5, 3e-8, Infinity, -0, 7), [2, 3]),
    a: tensor(Int32Array.of(-1, 2 ** 31 - 1), [2]),
    'odd "name"\n': tensor(Float32Array.of(0.5), []),
    empty: tensor(new Float32Array(0), [0, 4]),
  };

  test("values, shapes and metadata come back", () => {
    writeSafetensors(path("round.safetensors"), tensors, { format: "pt", made: "here" });
    expect(readSafetensors(path("round.safetensors"))).toEqual(new Map(Object.entries(tensors)));
    expect(Object.fromEntries(open(path("round.safetensors")).metadata)).toEqual({ format: "pt", made: "here" });
  });

  test("the same tensors give the same bytes, in whatever order", () => {
    writeSafetensors(path("one.safetensors"), { a: floats(1), b: floats(2) }, { x: "1", y: "2" });
    writeSafetensors(path("two.safetensors"), { b: floats(2), a: floats(1) }, { y: "2", x: "1" });
    const bytes = readFileSync(path("one.safetensors"));
    expect(bytes.equals(readFileSync(path("two.safetensors")))).toBe(true);
    expect(Number(bytes.readBigUInt64LE()) % 8).toBe(0);
  });

  test("half precision and int64 by choice, widest first, and rows of them", () => {
    const half = floats(1, 1.0009765625, 65504, 70000, 5.9604645e-8, -0);
    const all = { half, brain: tensor(Float32Array.of(1.5, 3e38, 1.00390625, 2), [2, 2]), ids: tensor(Int32Array.of(7, -9), [2]) };
    const dtypes = { half: "F16", brain: "BF16", ids: "I64" } as const;
    writeSafetensors(path("half.safetensors"), all, {}, { dtypeOf: (name) => dtypes[name as keyof typeof dtypes] });
    const checkpoint = open(path("half.safetensors"));
    expect([...checkpoint.tensors.values()].sort((a, b) => a.offset - b.offset).map(({ name }) => name)).toEqual(["ids", "brain", "half"]);
    expect(checkpoint.readFloat32("half")).toEqual(Float32Array.of(1, 1.0009765625, 65504, Infinity, 5.9604645e-8, -0));
    expect(checkpoint.readRows("brain", [1, 0, 1])).toEqual(Float32Array.of(1, 2, 1.5, 1.765625 * 2 ** 127, 1, 2));
    expect(readSafetensors(path("half.safetensors")).get("ids")).toEqual(all.ids);
  });

  test("large tensors are widened in pieces", () => {
    const values = Float32Array.from({ length: 3_000_001 }, (_, i) => i % 256);
    writeSafetensors(path("large.safetensors"), { values: tensor(values, [values.length]) }, {}, { dtypeOf: () => "BF16" });
    expect(Buffer.from(open(path("large.safetensors")).readFloat32("values").buffer).equals(Buffer.from(values.buffer))).toBe(true);
  });

  test("ranges of bytes", () => {
    writeSafetensors(path("bytes.safetensors"), { x: floats(1, 2, 3) });
    const checkpoint = open(path("bytes.safetensors"));
    expect(checkpoint.readBytes("x", 4, 4)).toEqual(new Uint8Array(Float32Array.of(2).buffer));
    expect(checkpoint.readBytes("x", 8)).toHaveLength(4);
    expect(refusal(() => checkpoint.readBytes("x", 8, 8))).toMatchInlineSnapshot(
      `"request: readBytes x: bytes 8 to 16 are not within its 12"`,
    );
    expect(refusal(() => checkpoint.readRows("x", [0]))).toMatchInlineSnapshot(`"request: readRows x: needs a matrix, its shape is [3]"`);
    expect(refusal(() => checkpoint.readFloat32("y"))).toMatchInlineSnapshot(
      `"weights: TMP/bytes.safetensors has no tensor "y" among its 1 tensors"`,
    );
    checkpoint.close();
    expect(refusal(() => checkpoint.readBytes("x"))).toMatchInlineSnapshot(
      `"usage: cannot read "x": the checkpoint TMP/bytes.safetensors is closed"`,
    );
  });

  test("a value beyond int32, and an F8 tensor, are refused when read", () => {
    const big = bytesOf({ ids: { dtype: "I64", shape: [1], data_offsets: [0, 8] } }, 0);
    write("big.safetensors", Buffer.concat([big, Buffer.from([0, 0, 0, 0, 1, 0, 0, 0])]));
    expect(refusal(() => readSafetensors(path("big.safetensors")))).toMatchInlineSnapshot(
      `"format: TMP/big.safetensors: tensor "ids": toInt32: element 0 is 4294967296, beyond int32"`,
    );
    write("f8.safetensors", bytesOf({ w: { dtype: "F8_E4M3", shape: [2], data_offsets: [0, 2] } }, 2));
    expect(refusal(() => open(path("f8.safetensors")).readFloat32("w"))).toMatchInlineSnapshot(
      `"unsupported: cannot read F8_E4M3 values: float8 weights need the scales that their quantiser stored beside them. Instead: use the checkpoint in bfloat16 or float16"`,
    );
  });

  test("what cannot be written", () => {
    const save = (tensors: Record<string, Tensor>, dtype: "F16" | "I64"): string =>
      refusal(() => writeSafetensors(path("no.safetensors"), tensors, {}, { dtypeOf: () => dtype }));
    expect(save({ __metadata__: floats(1) }, "F16")).toMatchInlineSnapshot(
      `"usage: writeSafetensors: tensor "__metadata__" has the name that the format keeps for itself"`,
    );
    expect(save({ x: floats(1) }, "I64")).toMatchInlineSnapshot(
      `"usage: writeSafetensors: tensor "x" holds float32 values, which are not written as I64"`,
    );
    expect(save({ x: { data: Float32Array.of(1), shape: [2], axes: [] } }, "F16")).toMatchInlineSnapshot(
      `"usage: writeSafetensors: tensor "x" of shape [2] needs 2 elements, got 1"`,
    );
    expect(readdirSync(path("."))).not.toContain("no.safetensors");
  });
});

describe("headers", () => {
  const read = (content: Uint8Array | string): string => refusal(() => readSafetensorsHeader(write("bad.safetensors", content)));

  test("that are cut off or too long", () => {
    expect(read("abc")).toMatchInlineSnapshot(`"format: TMP/bad.safetensors: a safetensors file has at least 8 bytes, this one has 3"`);
    expect(read(bytesOf("{}", 0, 100))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: the header ends at byte 108, the file has 10"`,
    );
    expect(read(bytesOf("{}", 0, 2n ** 63n))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: the header claims 9223372036854775808 bytes, allowed are 100000000"`,
    );
    expect(read("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")).toMatchInlineSnapshot(
      `"format: cannot read TMP/bad.safetensors: it is a git-lfs pointer, not the weights. Instead: fetch the weights with \`git lfs pull\`"`,
    );
  });

  test("that are not what they should be", () => {
    expect(read(bytesOf("[]", 0))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: the header must begin with "{"; this is not a safetensors file"`,
    );
    expect(read(bytesOf('{"a"', 0))).toMatch(/^format: the header of TMP\/bad.safetensors is not JSON: /);
    expect(read(Buffer.concat([bytesOf("{", 0, 3), Buffer.from([0xff, 0x7d])]))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: the header is not UTF-8"`,
    );
    expect(read(bytesOf('{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"\\u0061":{}}', 4))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: the header has the key "a" twice"`,
    );
    expect(read(bytesOf({ a: 3 }, 0))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: tensor "a" must be an object, got the number 3"`,
    );
    expect(read(bytesOf({ a: { dtype: "F4", shape: [], data_offsets: [0, 4] } }, 4))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: tensor "a" has an unknown dtype: the string "F4""`,
    );
    expect(read(bytesOf({ __metadata__: { a: 1 } }, 0))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: __metadata__ "a" must be a string, got the number 1"`,
    );
    expect(read(bytesOf({ __metadata__: [] }, 0))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: __metadata__ must be an object, got []"`,
    );
  });

  test("with shapes and offsets that do not fit", () => {
    expect(read(bytesOf({ a: f32(0, 4, [-1]) }, 4))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: tensor "a" has no valid shape: [-1]"`,
    );
    expect(read(bytesOf({ a: f32(0, 4, [0.5]) }, 4))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: tensor "a" has no valid shape: [0.5]"`,
    );
    expect(read(bytesOf({ a: f32(4, 0, [1]) }, 4))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: tensor "a" has no valid data_offsets: [4, 0]"`,
    );
    expect(read(bytesOf({ a: f32(0, 4, [2, 3]) }, 4))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: tensor "a" of shape [2, 3] and F32 needs 24 bytes, its data_offsets hold 4"`,
    );
    expect(read(bytesOf({ a: f32(0, 4, [2 ** 40, 2 ** 40]) }, 4))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: tensor "a" of shape [1099511627776, 1099511627776] and F32 needs 4.835703278458517e+24 bytes, its data_offsets hold 4"`,
    );
    expect(read(bytesOf({ a: f32(0, 400) }, 4))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: tensor "a" ends at byte 466, the file has 70"`,
    );
  });

  test("with gaps, overlaps and bytes left over", () => {
    expect(read(bytesOf({ a: f32(0, 4), b: f32(8, 12) }, 12))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: the bytes 120 to 124, between tensor "a" and tensor "b", belong to no tensor"`,
    );
    expect(read(bytesOf({ a: f32(4, 8) }, 8))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: the bytes 62 to 66, between the header and tensor "a", belong to no tensor"`,
    );
    expect(read(bytesOf({ a: f32(0, 8), b: f32(4, 12) }, 12))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: tensor "b" begins at byte 120, inside tensor "a", which ends at 124"`,
    );
    expect(read(bytesOf({ a: f32(0, 4) }, 5))).toMatchInlineSnapshot(
      `"format: TMP/bad.safetensors: the last tensor ends at byte 66, the file has 67"`,
    );
  });

  test("without tensors, or with empty ones, are fine", () => {
    expect(readSafetensorsHeader(write("none.safetensors", bytesOf("{}   ", 0))).tensors.size).toBe(0);
    const header = readSafetensorsHeader(write("zero.safetensors", bytesOf({ a: f32(0, 0, [0]), b: f32(0, 4), c: f32(4, 4, [3, 0]) }, 4)));
    expect([...header.tensors.keys()]).toEqual(["a", "b", "c"]);
  });
});

describe("folders", () => {
  const index = (folder: string, weight_map: unknown): string =>
    write(`${folder}/model.safetensors.index.json`, JSON.stringify({ metadata: { total_size: 1 }, weight_map }));

  test("shards are put together, by real path", () => {
    index("shards", { x: "model-1.safetensors", y: "model-2.safetensors" });
    mkdirSync(path("blobs"));
    writeSafetensors(path("blobs/0a"), { x: floats(1, 2) }, { format: "pt" });
    symlinkSync("../blobs/0a", path("shards/model-1.safetensors"));
    writeSafetensors(path("shards/model-2.safetensors"), { y: floats(3), unlisted: floats(4) });
    const checkpoint = open(path("shards"));
    expect([...checkpoint.tensors.keys()]).toEqual(["x", "y"]);
    expect(checkpoint.stored("x")).toMatchObject({ dtype: "F32", shape: [2], bytes: 8 });
    expect(checkpoint.stored("x").file).toMatch(/blobs\/0a$/);
    expect([...checkpoint.readFloat32("x"), ...checkpoint.readFloat32("y")]).toEqual([1, 2, 3]);
    expect(checkpoint.metadata.get("format")).toBe("pt");
  });

  test("shards that are missing, cut off, elsewhere, or lack a tensor", () => {
    index("missing", { x: "model-1.safetensors" });
    expect(refusal(() => open(path("missing")))).toMatchInlineSnapshot(
      `"file: cannot open the shard that model.safetensors.index.json names, TMP/missing/model-1.safetensors: it does not exist"`,
    );
    write("cut/model-1.safetensors", bytesOf({ x: f32(0, 400) }, 8));
    index("cut", { x: "model-1.safetensors" });
    expect(refusal(() => open(path("cut")))).toMatchInlineSnapshot(
      `"format: TMP/cut/model-1.safetensors: tensor "x" ends at byte 466, the file has 74"`,
    );
    index("escape", { x: "../shards/model-2.safetensors" });
    expect(refusal(() => open(path("escape")))).toMatchInlineSnapshot(
      `"format: TMP/escape/model.safetensors.index.json: weight_map "x" names "../shards/model-2.safetensors", which is not a file of this folder"`,
    );
    index("escape", { x: ".." });
    expect(refusal(() => open(path("escape")))).toMatchInlineSnapshot(
      `"format: TMP/escape/model.safetensors.index.json: weight_map "x" names "..", which is not a file of this folder"`,
    );
    writeSafetensors(path("lacks/model-1.safetensors"), { y: floats(1) });
    index("lacks", { x: "model-1.safetensors" });
    expect(refusal(() => open(path("lacks")))).toMatchInlineSnapshot(
      `"format: TMP/lacks/model.safetensors.index.json: tensor "x" is said to be in model-1.safetensors, which does not have it"`,
    );
    index("odd", { x: 1 });
    expect(refusal(() => open(path("odd")))).toMatchInlineSnapshot(
      `"format: TMP/odd/model.safetensors.index.json: weight_map "x" must name a file, got the number 1"`,
    );
    index("odd", undefined);
    expect(refusal(() => open(path("odd")))).toMatchInlineSnapshot(
      `"format: TMP/odd/model.safetensors.index.json: weight_map must be an object, got undefined"`,
    );
  });

  test("without weights, or with weights of another kind", () => {
    const openFolder = (name: string, file: string): string => {
      write(`${name}/${file}`, "");
      return refusal(() => open(path(name)));
    };
    expect(refusal(() => open(path("nowhere")))).toMatchInlineSnapshot(`"file: cannot open TMP/nowhere: it does not exist"`);
    expect(openFolder("bare", "config.json")).toMatchInlineSnapshot(
      `"file: cannot open TMP/bare as a checkpoint: it has neither model.safetensors nor model.safetensors.index.json. Instead: download the model's weights into it"`,
    );
    expect(openFolder("pickle", "pytorch_model.bin")).toMatchInlineSnapshot(
      `"file: cannot open TMP/pickle: it has only pytorch_model.bin, a Python pickle, which runs code when it is loaded. Instead: convert it where you trust it: AutoModelForCausalLM.from_pretrained(…).save_pretrained(…, safe_serialization=True)"`,
    );
    expect(openFolder("gguf", "model.Q4_K_M.gguf")).toMatchInlineSnapshot(
      `"file: cannot open TMP/gguf as a checkpoint: it has only model.Q4_K_M.gguf, a GGUF file. Instead: give the path of the GGUF file itself"`,
    );
    expect(openFolder("named", "adapter_model.safetensors")).toMatchInlineSnapshot(
      `"file: cannot open TMP/named as a checkpoint: it has adapter_model.safetensors, but neither model.safetensors nor model.safetensors.index.json. Instead: give the path of the file itself"`,
    );
    expect(refusal(() => open(path("pickle/pytorch_model.bin")))).toMatchInlineSnapshot(
      `"file: cannot open TMP/pickle/pytorch_model.bin: it is a Python pickle, which runs code when it is loaded. Instead: convert it where you trust it: AutoModelForCausalLM.from_pretrained(…).save_pretrained(…, safe_serialization=True)"`,
    );
    expect(refusal(() => open(path("gguf/model.Q4_K_M.gguf")))).toMatchInlineSnapshot(
      `"file: cannot open TMP/gguf/model.Q4_K_M.gguf as safetensors: it is a GGUF file. Instead: read it as GGUF"`,
    );
    mkdirSync(path("folder/model.safetensors"), { recursive: true });
    expect(refusal(() => open(path("folder")))).toMatchInlineSnapshot(`"file: cannot open TMP/folder/model.safetensors: it is not a file"`);
  });
});

describe.skipIf(!hasShared)("real files", () => {
  test("every tensor of every model is read", () => {
    const models = readdirSync(sharedPath("models"));
    const sizes = models.map((name) => [name, [...open(sharedPath("models", name)).tensors.values()].length]);
    expect(Object.fromEntries(sizes)).toMatchObject({ stories15M: 56, "minimind2-small": 74, "gpt-nano-sort": 38 });
  });

  test("rows of a bfloat16 embedding are those of the whole", () => {
    const checkpoint = open(sharedPath("models/minimind2-small"));
    const name = "model.embed_tokens.weight";
    const { shape, dtype } = checkpoint.stored(name);
    const whole = checkpoint.readFloat32(name);
    const width = shape[1]!;
    expect(dtype).toBe("BF16");
    expect(checkpoint.readRows(name, [5, 0])).toEqual(
      Float32Array.of(...whole.subarray(5 * width, 6 * width), ...whole.subarray(0, width)),
    );
  });

  test("goldens, shards among them", () => {
    const folders = readdirSync(sharedPath("goldens/tiny"));
    for (const folder of folders) {
      expect(open(sharedPath("goldens/tiny", folder)).tensors.size, folder).toBeGreaterThan(10);
      expect(readSafetensors(sharedPath("goldens/tiny", folder, "golden.safetensors")).get("input_ids")?.data).toBeInstanceOf(Int32Array);
    }
  });
});
