/** @file Files of tensors by their content: what NumPy wrote, what is refused, writing by the file's ending, damaged control vectors. */
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isSextantError } from "../../src/base/errors.js";
import { tensor } from "../../src/base/tensor.js";
import { readControlVector } from "../../src/formats/gguf/control-vector.js";
import { readNpz } from "../../src/formats/npz.js";
import { checkWritable, readTensorFile, writeTensors } from "../../src/formats/tensor-file.js";
import { npyBytes, zipBytes } from "./binary.js";
import { temporaryFolder } from "./folder.js";
import { ggufBytes, type Claim, type Pair } from "./gguf/build.js";

const { path, write, refusal } = temporaryFolder();
const FOLDER = fileURLToPath(new URL("../fixtures/vectors", import.meta.url));

describe("what NumPy wrote", () => {
  const { format, tensors } = readTensorFile(`${FOLDER}/kinds.npz`);
  const base = Array.from({ length: 24 }, (_, i) => i);

  test.each(["f8", "f4", "f2", "i8", "i4", "i2", "i1"])("%s", (kind) => {
    expect(tensors.get(kind)!.shape).toEqual([2, 3, 4]);
    expect([...tensors.get(kind)!.data]).toEqual(base.map((value) => value - 7));
    expect(tensors.get(kind)!.data).toBeInstanceOf(kind.startsWith("f") ? Float32Array : Int32Array);
  });

  test("unsigned, truth values, scalars, nothing, names with slashes", () => {
    expect(format).toBe("npz");
    for (const kind of ["u8", "u4", "u2", "u1", "with/slash"]) expect([...tensors.get(kind)!.data]).toEqual(base);
    expect([...tensors.get("bool")!.data]).toEqual(base.map((value) => Number(value % 3 === 0)));
    expect(tensors.get("scalar")).toEqual(tensor(Float32Array.of(3.5), []));
    expect(tensors.get("empty")).toEqual(tensor(new Float32Array(0), [0, 3]));
  });

  test("in Fortran order and from strides", () => {
    expect(tensors.get("fortran")).toEqual(tensors.get("with/slash"));
    const strided = base.filter((i) => Math.floor(i / 4) % 3 !== 1 && i % 4 !== 0);
    expect(tensors.get("strided")).toEqual(tensor(Float32Array.from(strided), [2, 2, 3]));
  });

  test("is refused by name where it is no array of plain numbers", () => {
    const names = readdirSync(`${FOLDER}/refused`).toSorted();
    const said = names.map((name) => refusal(() => readTensorFile(`${FOLDER}/refused/${name}`)).replaceAll(FOLDER, "…"));
    expect(said.join("\n")).toMatchInlineSnapshot(`
      "unsupported: cannot read …/refused/bfloat16.npy: its values '<V2' are bytes of a type that NumPy does not name, such as bfloat16. Instead: save array.astype('f4')
      unsupported: cannot read …/refused/big-endian.npy: its values '>f4' are big-endian. Instead: save array.astype('<f4')
      unsupported: cannot read …/refused/complex.npy: its values '<c8' are complex numbers. Instead: save array.real and array.imag
      unsupported: cannot read …/refused/objects.npy: its values '|O' are Python objects: a pickle, which runs code when it is loaded. Instead: save arrays of numbers, without allow_pickle
      unsupported: cannot read …/refused/objects.npz, "bad.npy": its values '|O' are Python objects: a pickle, which runs code when it is loaded. Instead: save arrays of numbers, without allow_pickle
      format: …/refused/structured.npy: the header is not a Python dictionary of plain values: "{'descr': [('a', '<f4'), ('b', '<i4')], 'fortran_order': False, 'shape': (3,), }"
      unsupported: cannot read …/refused/text.npy: its values '<U2' are text. Instead: save numbers"
    `);
  });
});

test("what is none of the formats is refused", () => {
  const said = [
    write("empty", ""),
    write("words.txt", "some words, which are no tensors"),
    write("zip.npz", zipBytes([])),
    write("other.zip", zipBytes([{ name: "readme.txt", packed: Buffer.from("x"), size: 1, checksum: crc32("x"), method: 0 }])),
    write("old.pt", Buffer.from([0x80, 0x02, 0x8a, 0x0a])),
    write("cut.safetensors", "abc"),
    write("cut.npy", Buffer.from("\x93NUMPY", "latin1")),
    path("nowhere"),
  ].map((at) => {
    try {
      return `${basename(at)}: ${readTensorFile(at).tensors.size} tensors`;
    } catch (error) {
      if (!isSextantError(error)) throw error;
      return `${error.kind}: ${error.message.replaceAll(path("."), "TMP")}`;
    }
  });
  expect(said.join("\n")).toMatchInlineSnapshot(`
    "format: TMP/empty: neither safetensors, .npz, .npy, a .pt file of torch.save nor a control vector in GGUF
    format: TMP/words.txt: neither safetensors, .npz, .npy, a .pt file of torch.save nor a control vector in GGUF
    zip.npz: 0 tensors
    format: TMP/other.zip: the entry "readme.txt" is not an .npy file
    format: cannot read TMP/old.pt: it is in the format that torch.save wrote before 1.6. Instead: write it anew: torch.save(torch.load(path, weights_only=True), path)
    format: TMP/cut.safetensors: a safetensors file has at least 8 bytes, this one has 3
    format: TMP/cut.npy: version undefined of .npy is not known
    file: cannot open TMP/nowhere: it does not exist"
  `);
});

test("a name twice, an encrypted and a zip64 entry of an archive are refused", () => {
  const array = npyBytes("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", Float32Array.of(1));
  const entry = { name: "a.npy", packed: array, size: array.length, checksum: crc32(array), method: 0 };
  const read = (...entries: object[]): string =>
    refusal(() => readTensorFile(write("a.npz", zipBytes(entries.map((changes) => ({ ...entry, ...changes }))))));
  expect([read({}, {}), read({ flags: 1 }), read({ size: 0xffffffff }), read({ size: 2 ** 31 })].join("\n")).toMatchInlineSnapshot(`
    "format: TMP/a.npz: the entry "a.npy" is there twice
    format: TMP/a.npz: the entry "a.npy" is encrypted
    format: TMP/a.npz: the entry "a.npy" is a zip64 entry, which is not read
    format: TMP/a.npz: the entry "a.npy" unpacks to 2147483648 bytes, allowed are 1073741824"
  `);
});

describe("writing", () => {
  const tensors = { "resid_post.1": tensor(Float32Array.of(1, 2), [1, 2]), lengths: tensor(Int32Array.of(2), [1]) };

  test.each(["run.npz", "run.NPZ", "run.safetensors", "run", "run.dat"])("%s", (name) => {
    writeTensors(path(name), tensors, { of: "x" });
    const { format, tensors: found } = readTensorFile(path(name));
    expect(format).toBe(/npz/i.test(name) ? "npz" : "safetensors");
    expect(Object.fromEntries(found)).toEqual(tensors);
  });

  test("as what it does not write is refused, before anything is there", () => {
    expect(refusal(() => checkWritable("run.npy"))).toMatchInlineSnapshot(
      `"usage: cannot write run.npy: tensors are not written as .npy. Instead: name it .safetensors or .npz"`,
    );
    expect(refusal(() => writeTensors(path("run.gguf"), tensors))).toMatch(/not written as \.gguf/);
    expect(readdirSync(path("."))).not.toContain("run.gguf");
  });

  test("of a name that a path of the archive cannot be is read back as it was", () => {
    const odd = {
      "../up": tensor(Float32Array.of(1), [1]),
      __proto__x: tensor(Float32Array.of(2), [1]),
      "a.npy": tensor(Float32Array.of(3), [1]),
    };
    writeTensors(path("odd.npz"), odd);
    expect(Object.fromEntries(readNpz(path("odd.npz")))).toEqual(odd);
  });
});

describe("control vectors that lie", () => {
  const pairs: Pair[] = [
    ["general.architecture", 8, "controlvector"],
    ["controlvector.model_hint", 8, "llama"],
  ];
  const claim: Claim = { name: "direction.1", lengths: [8], type: 0, offset: 0 };
  const read = (claims: readonly Claim[], changes: object = {}): string =>
    refusal(() => readControlVector(write("v.gguf", ggufBytes({ pairs, claims, data: new Uint8Array(96), ...changes }))));

  test("are refused by name", () => {
    const second = { ...claim, name: "direction.2", offset: 32 };
    expect(
      [
        read([]),
        read([{ ...claim, name: "blk.0.attn_q.weight" }]),
        read([{ ...claim, name: "direction.01" }]),
        read([{ ...claim, name: "direction.-1" }]),
        read([{ ...claim, lengths: [4, 2] }]),
        read([claim, { ...second, lengths: [4] }]),
        read([claim, { ...claim, offset: 32 }]),
        read([{ ...claim, type: 26 }]),
        read([{ ...claim, lengths: [2 ** 40] }]),
        read([claim], { pairs: [["general.architecture", 8, "llama"]] }),
        read([claim], { pairs: [] }),
      ].join("\n"),
    ).toMatchInlineSnapshot(`
      "format: TMP/v.gguf: a control vector without directions
      format: TMP/v.gguf: the tensors of a control vector are direction.N, with N a layer, got "blk.0.attn_q.weight"
      format: TMP/v.gguf: the tensors of a control vector are direction.N, with N a layer, got "direction.01"
      format: TMP/v.gguf: the tensors of a control vector are direction.N, with N a layer, got "direction.-1"
      format: TMP/v.gguf: direction.1 has shape [2, 4], a direction is one vector
      format: TMP/v.gguf: direction.2 has 4 numbers, direction.1 8
      format: TMP/v.gguf: it has the tensor "direction.1" twice
      format: TMP/v.gguf: direction.1 is stored as I32, directions are F32, F16, BF16, F64
      format: TMP/v.gguf: tensor "direction.1" ends at byte 4398046511296, the file has 288
      format: cannot read vectors from TMP/v.gguf: it is a GGUF file of the architecture "llama", a control vector's is "controlvector". Instead: a model is given as MODEL
      format: cannot read vectors from TMP/v.gguf: it is a GGUF file of the architecture "", a control vector's is "controlvector". Instead: a model is given as MODEL"
    `);
  });

  test("cut off or changed anywhere are read or refused", () => {
    const bytes = readFileSync(`${FOLDER}/gemma3-old-style.gguf`);
    const check = (content: Uint8Array): void => {
      try {
        for (const { data } of readTensorFile(write("damaged", content)).tensors.values())
          expect(data.length).toBeLessThanOrEqual(bytes.length);
      } catch (error) {
        if (!isSextantError(error) || error.kind === "internal" || error.kind === "memory") throw error;
      }
    };
    for (let length = 0; length < bytes.length; length += 3) check(bytes.subarray(0, length));
    const place = fc.nat(bytes.length - 5);
    const damaged = fc.tuple(
      fc.array(fc.tuple(place, fc.nat(255)), { maxLength: 3 }),
      fc.array(fc.tuple(place, fc.constantFrom(0, 1, 0xffff, 0x7fffffff, 0xffffffff)), { maxLength: 2 }),
    );
    const property = fc.property(damaged, ([flips, counts]) => {
      const copy = Buffer.from(bytes);
      for (const [at, byte] of flips) copy[at] = byte;
      for (const [at, count] of counts) copy.writeUInt32LE(count, at);
      check(copy);
    });
    fc.assert(property, { numRuns: 200 });
  });
});
