/** @file Files of `torch.save`: real ones against what torch says is in them, pickles made by hand, and damaged ones. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isSextantError } from "../../src/base/errors.js";
import { sizeOf } from "../../src/base/tensor.js";
import { parseTorchFile, readTorchFile } from "../../src/formats/torch-file.js";
import { zipBytes } from "./binary.js";
import { temporaryFolder } from "./folder.js";

const { write, refusal } = temporaryFolder();
const FOLDER = fileURLToPath(new URL("../fixtures/torch", import.meta.url));
const expected = JSON.parse(readFileSync(`${FOLDER}/expected.json`, "utf8")) as Record<
  string,
  Record<string, { shape: number[]; values: string[] }>
>;

// ── pickles by hand ──

const ascii = (text: string): Buffer => Buffer.from(text, "latin1");
const op = (...bytes: number[]): Buffer => Buffer.from(bytes);
const join = (...parts: Buffer[]): Buffer => Buffer.concat(parts);
const text = (value: string): Buffer => join(op(0x8c, value.length), ascii(value));
const named = (module: string, name: string): Buffer => ascii(`c${module}\n${name}\n`);

/** A whole number of up to 8 bytes. */
function whole(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return join(op(0x8a, 8), bytes);
}

const tuple = (...items: Buffer[]): Buffer => join(ascii("("), ...items, ascii("t"));
const dict = (...items: Buffer[]): Buffer => join(ascii("}("), ...items, ascii("u"));
const list = (...items: Buffer[]): Buffer => join(ascii("]("), ...items, ascii("e"));
const storage = (count: bigint, type = "FloatStorage", key = "0"): Buffer =>
  join(tuple(text("storage"), named("torch", type), text(key), text("cpu"), whole(count)), ascii("Q"));

interface Described {
  readonly shape: readonly bigint[];
  readonly strides: readonly bigint[];
  readonly offset?: bigint;
  readonly of?: Buffer;
}

function tensorOf({ shape, strides, offset = 0n, of = storage(6n) }: Described): Buffer {
  const args = tuple(
    of,
    whole(offset),
    tuple(...shape.map(whole)),
    tuple(...strides.map(whole)),
    op(0x89),
    join(named("collections", "OrderedDict"), ascii(")R")),
  );
  return join(named("torch._utils", "_rebuild_tensor_v2"), args, ascii("R"));
}

const SIX = Buffer.from(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);

/** A file with that pickle and one storage of six float32. */
function file(pickle: Buffer, others: Record<string, Buffer> = { "data/0": SIX }): Buffer {
  const entries = Object.entries({ "data.pkl": join(op(0x80, 2), pickle, ascii(".")), ...others });
  return zipBytes(
    entries.map(([name, bytes]) => ({ name: `x/${name}`, packed: bytes, size: bytes.length, checksum: crc32(bytes), method: 0 })),
  );
}

const read = (pickle: Buffer, others?: Record<string, Buffer>): Map<string, unknown> => parseTorchFile(file(pickle, others), "x.pt");

describe("files that torch wrote", () => {
  test.each(Object.keys(expected))("%s", (name) => {
    const tensors = readTorchFile(`${FOLDER}/${name}.pt`);
    expect([...tensors.keys()]).toEqual(Object.keys(expected[name]!));
    for (const [key, { shape, values }] of Object.entries(expected[name]!)) {
      const found = tensors.get(key)!;
      expect(found.shape, key).toEqual(shape);
      const numbers = values.map((value) => (value === "inf" ? Infinity : value === "True" ? 1 : value === "False" ? 0 : Number(value)));
      expect([...found.data], key).toEqual(numbers.map((value) => (found.data instanceof Float32Array ? Math.fround(value) : value)));
    }
  });

  test.each(["legacy", "expanded", "call", "too-large"])("and that are refused: %s", (name) => {
    const bytes = readFileSync(`${FOLDER}/refused/${name}.pt`);
    expect(refusal(() => readTorchFile(write(`${name}.pt`, bytes)))).toMatchSnapshot();
  });
});

describe("pickles made by hand", () => {
  test("are read as torch's are", () => {
    const pickle = dict(text("a"), tensorOf({ shape: [2n, 2n], strides: [1n, 3n], offset: 1n }), whole(7n), list(op(0x88), whole(-5n)));
    expect(Object.fromEntries(read(pickle))).toEqual({
      a: { data: Float32Array.of(2, 5, 3, 6), shape: [2, 2], axes: [] },
      "7.0": { data: Int32Array.of(1), shape: [], axes: [] },
      "7.1": { data: Int32Array.of(-5), shape: [], axes: [] },
    });
    expect(read(tensorOf({ shape: [0n, 3n], strides: [3n, 1n] })).get("")).toMatchObject({ shape: [0, 3] });
  });

  const good = tensorOf({ shape: [6n], strides: [1n] });
  test.each<[string, Buffer, Record<string, Buffer>?]>([
    ["a function", join(named("builtins", "eval"), tuple(text("1")), ascii("R"))],
    ["a function by its name on the stack", join(text("os"), text("system"), op(0x93))],
    ["an object by its class", join(named("collections", "OrderedDict"), ascii(")"), op(0x81))],
    ["another way to build objects", join(ascii("(i__main__\nX\n"))],
    ["a storage called", join(named("torch", "FloatStorage"), tuple(whole(3n)), ascii("R"))],
    ["a text called", join(text("x"), tuple(), ascii("R"))],
    ["attributes of a list", join(list(), dict(), ascii("b"))],
    ["beyond the storage", tensorOf({ shape: [7n], strides: [1n] })],
    ["beyond it by its offset", tensorOf({ shape: [1n], strides: [1n], offset: 6n })],
    ["beyond it by its strides", tensorOf({ shape: [2n, 2n], strides: [5n, 1n] })],
    ["backwards", tensorOf({ shape: [2n], strides: [-1n], offset: 3n })],
    ["expanded", tensorOf({ shape: [100n, 6n], strides: [0n, 1n] })],
    ["more elements than can be counted", tensorOf({ shape: [2n ** 62n, 2n ** 62n], strides: [0n, 0n] })],
    ["as many in an empty one", tensorOf({ shape: [2n ** 62n, 0n], strides: [0n, 0n] })],
    ["strides for other axes", tensorOf({ shape: [2n, 3n], strides: [1n] })],
    ["very many axes", tensorOf({ shape: Array.from({ length: 33 }, () => 1n), strides: Array.from({ length: 33 }, () => 1n) })],
    ["a count that is not the storage's", tensorOf({ shape: [1n], strides: [1n], of: storage(5n) })],
    ["a storage of another type", tensorOf({ shape: [1n], strides: [1n], of: storage(6n, "ComplexFloatStorage") })],
    ["a storage that is not there", tensorOf({ shape: [1n], strides: [1n], of: storage(6n, "FloatStorage", "../0") })],
    ["a storage alone", storage(6n)],
    ["a tensor of a tensor", tensorOf({ shape: [1n], strides: [1n], of: good })],
    ["a text", dict(text("note"), text("words"))],
    ["nothing", dict(text("none"), ascii("N"))],
    ["a class alone", named("torch", "FloatStorage")],
    ["a number beyond int32", whole(2n ** 40n)],
    ["a key that is a tuple", dict(tuple(text("a")), whole(1n))],
    ["a name twice", dict(text("a"), dict(text("b"), whole(1n)), text("a.b"), whole(2n))],
    ["a list in itself", join(ascii("]q\0"), ascii("h\0a"))],
    ["values left over", join(whole(1n), whole(2n))],
    ["a list that did not begin", ascii("]e")],
    ["an empty stack", ascii("a")],
    ["what was never kept", ascii("h\x05")],
    ["a text that is cut off", join(op(0x58, 0xff, 0xff, 0xff, 0x7f), ascii("abc"))],
    ["a text that is no UTF-8", join(op(0x8c, 1), op(0xff))],
    ["protocol 0", op(0x80, 0)],
    ["big-endian numbers", good, { "data/0": SIX, byteorder: ascii("big") }],
  ])("are refused: %s", (_, pickle, others) => {
    expect(refusal(() => read(pickle, others))).toMatchSnapshot();
  });

  test("cannot blow up: lists of lists of the same, deep nesting, many operations", () => {
    const doubled = Array.from({ length: 30 }, (__, i) => join(ascii("0](h"), op(i), ascii("h"), op(i), ascii("eq"), op(i + 1)));
    const started = performance.now();
    expect(refusal(() => read(join(ascii("]q\0"), ...doubled)))).toBe("format: x.pt: more than 100000 values");
    expect(
      refusal(() => read(join(...Array.from({ length: 5000 }, () => ascii("]")), ...Array.from({ length: 4999 }, () => ascii("a"))))),
    ).toMatch(/deep$/);
    expect(refusal(() => read(Buffer.alloc(3 << 20, "N")))).toMatch(/more than 2097152 operations$/);
    // Each of these is refused at a bound; without it the first alone would take days. Measured: 0.2 s.
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  test("cannot be made long by naming one tensor very often", () => {
    const many = join(
      tensorOf({ shape: [6n], strides: [1n] }),
      op(0x94),
      ascii("0]("),
      ...Array.from({ length: 100_001 }, () => ascii("h\0")),
      ascii("e"),
    );
    expect(refusal(() => read(many))).toBe("format: x.pt: more than 100000 values");
  });
});

test("files that are none are refused", () => {
  expect(refusal(() => parseTorchFile(Buffer.alloc(0), "x.pt"))).toBe(
    "format: x.pt: not a file of torch.save: it does not begin as a zip archive",
  );
  expect(refusal(() => parseTorchFile(zipBytes([]), "x.pt"))).toMatch(/^format: x\.pt: not a /);
  expect(refusal(() => parseTorchFile(file(ascii("N")).subarray(0, 60), "x.pt"))).toMatch(/cut off/);
});

describe("damaged files give tensors or an error of ours", () => {
  const nested = readFileSync(`${FOLDER}/nested.pt`);

  function check(bytes: Uint8Array): void {
    try {
      for (const { data, shape } of parseTorchFile(bytes, "fuzz.pt").values()) {
        expect(sizeOf(shape)).toBe(data.length);
        expect(data.byteLength).toBeLessThanOrEqual(bytes.length * 8);
      }
    } catch (error) {
      if (!isSextantError(error) || error.kind === "internal" || error.kind === "memory") throw error;
    }
  }

  test("cut off anywhere", () => {
    for (let length = 0; length < nested.length; length += 3) check(nested.subarray(0, length));
  });

  test("with random bytes in the pickle, behind a checksum that holds", () => {
    const pickle = pickleOf(nested);
    const change = fc.tuple(
      fc.nat(pickle.length - 1),
      fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from("(.}]ucRbQhqtase0NGKMJX\x80\x81\x85\x86\x87\x88\x8a\x8c\x93\x94", "latin1"))),
    );
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 5 }), fc.nat(pickle.length), (changes, from) => {
        const copy = Buffer.from(pickle);
        for (const [at, byte] of changes) copy[at] = byte;
        check(file(copy.subarray(2, -1)));
        check(file(copy.subarray(from)));
      }),
      { numRuns: 700 },
    );
  });

  test("made of random operations", () => {
    const operation = fc.constantFrom(
      whole(2n),
      whole(-1n),
      text("a"),
      tuple(),
      list(),
      dict(),
      storage(6n),
      tensorOf({ shape: [2n], strides: [3n] }),
      ...Buffer.from("()}]ucRbQtase0N\x85\x86\x87\x88\x94", "latin1").toString("latin1").split("").map(ascii),
      ascii("h\0"),
      ascii("q\0"),
      named("collections", "OrderedDict"),
      named("torch._utils", "_rebuild_parameter"),
      named("torch", "Size"),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 12 }), (parts) => check(file(join(...parts)))),
      { numRuns: 1000 },
    );
  });

  /** The pickle of a file, which is the first entry. */
  function pickleOf(bytes: Buffer): Buffer {
    const from = bytes.indexOf(op(0x80, 2));
    return bytes.subarray(from, bytes.indexOf("PK\x07\x08", from));
  }
});
