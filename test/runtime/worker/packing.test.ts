/** @file What goes to another thread: whose memory goes along, what is copied, and that errors arrive as they were. */
import { describe, expect, it } from "vitest";
import { refuse, SextantError } from "../../../src/base/errors.js";
import { loadModel } from "../../../src/runtime/load.js";
import { givenAway, withCopies, type Packed } from "../../../src/runtime/worker/packing.js";
import { receivedError, sentError } from "../../../src/runtime/worker/sent-error.js";
import { arraysIn } from "../bits.js";
import { fixture, rowsOf } from "../support.js";

/** What arrives in another thread. */
function arrived<T>({ value, transfer }: Packed<T>): T {
  return structuredClone(value, { transfer: [...transfer] });
}

const numbers = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => i / 3);

describe("a value with copies", () => {
  it("leaves every array as it was, and takes along no more than is seen", () => {
    const whole = numbers(1000);
    const view = whole.subarray(10, 14);
    const request = { tokens: [[1, 2, 3]], whole, view, deep: [{ data: new Int32Array([5]) }], wide: new Float64Array([0.1]) };
    const sent = arrived(withCopies(request));
    expect(sent).toEqual(request);
    expect(whole.length).toBe(1000);
    expect([sent.view.buffer.byteLength, sent.whole.buffer.byteLength]).toEqual([16, 4000]);
  });

  it("copies an array once, in how many places it stands", () => {
    const vector = numbers(8);
    const packed = withCopies({ edits: [{ vector }, { vector }, { vector }] });
    expect(packed.transfer).toHaveLength(1);
    const { edits } = arrived(packed);
    expect(edits[0]!.vector).toBe(edits[2]!.vector);
    expect(edits[0]!.vector).toEqual(vector);
  });

  it("shares what is on shared memory", () => {
    const shared = new Float32Array(new SharedArrayBuffer(16));
    const packed = withCopies({ shared });
    expect(packed.transfer).toEqual([]);
    arrived(packed).shared[2] = 7;
    expect(shared[2]).toBe(7);
  });

  it("takes arrays whose memory is gone, empty ones, and values that hold themselves", () => {
    const gone = numbers(4);
    structuredClone(gone, { transfer: [gone.buffer as ArrayBuffer] });
    expect(arrived(withCopies({ gone, none: new Int32Array(0) }))).toEqual({ gone: new Float32Array(0), none: new Int32Array(0) });
    const knot: Record<string, unknown> = { mine: numbers(3) };
    knot["self"] = knot;
    expect(arrived(withCopies(knot))["self"]).toMatchObject({ mine: numbers(3) });
  });
});

describe("a value that is given away", () => {
  it("goes without a copy: its arrays are empty afterwards", () => {
    const [a, b] = [numbers(100), new Int32Array([1, 2])];
    const packed = givenAway({ activations: { a }, list: [{ b }] });
    expect(packed.transfer).toEqual([a.buffer, b.buffer]);
    expect(arrived(packed)).toEqual({ activations: { a: numbers(100) }, list: [{ b: new Int32Array([1, 2]) }] });
    expect([a.length, b.length]).toEqual([0, 0]);
  });

  it("keeps memory of which it shows a part only, and lets go once of what two arrays show", () => {
    const whole = numbers(10);
    const both = numbers(6);
    const packed = givenAway({ part: whole.subarray(2, 5), other: whole.subarray(5), first: both, second: new Int32Array(both.buffer) });
    expect(packed.transfer).toHaveLength(3);
    const sent = arrived(packed);
    expect(whole).toEqual(numbers(10));
    expect([sent.part, sent.other]).toEqual([whole.slice(2, 5), whole.slice(5)]);
    expect(sent.first).toEqual(numbers(6));
    expect(sent.second.buffer).toBe(sent.first.buffer);
  });

  it("may be what ONNX Runtime gave, which is on memory of JavaScript's own", async () => {
    const model = await loadModel(fixture("qwen3-moe-dense-first"), { threads: 1 });
    const result = await model.forward({ tokens: rowsOf(6), read: ["all"], logits: { positions: "all" } });
    const before = structuredClone(result);
    const packed = givenAway(result);
    expect(packed.transfer).toHaveLength(arraysIn(result).length);
    const sent = arrived(packed);
    expect(arraysIn(result).every(({ byteLength }) => byteLength === 0)).toBe(true);
    await model.close();
    expect(sent).toEqual(before);
  });
});

describe("an error", () => {
  const roundTrip = (error: unknown): Error => receivedError(structuredClone(sentError(error)));

  it("keeps kind, message, refusal, causes and where it was thrown", () => {
    const cause = new RangeError("too long", { cause: "no error at all" });
    const error = refuse({ what: "cannot run", why: "it is too long", instead: "shorten it" }, "memory");
    error.cause = cause;
    const got = roundTrip(error);
    expect(got).toBeInstanceOf(SextantError);
    expect(got).toMatchObject({ name: "SextantError", kind: "memory", message: error.message, refusal: error.refusal, stack: error.stack });
    expect(got.cause).toBeInstanceOf(RangeError);
    expect(got.cause).toMatchObject({ message: "too long", cause: { message: "no error at all" } });
  });

  it("of the language is one of its kind; one of another keeps its name", () => {
    expect(roundTrip(new TypeError("x is not a function"))).toBeInstanceOf(TypeError);
    class Odd extends Error {
      override readonly name = "Odd";
    }
    expect(roundTrip(new Odd("why"))).toMatchObject({ name: "Odd", message: "why" });
    expect(roundTrip("thrown as text")).toMatchObject({ name: "Error", message: "thrown as text" });
    expect(roundTrip(Object.assign(new Error("a name of a method"), { name: "toString" }))).toMatchObject({ name: "toString" });
  });

  it("that is its own cause comes to an end", () => {
    const error = new Error("round");
    error.cause = error;
    let [depth, at]: [number, unknown] = [0, roundTrip(error)];
    for (; at instanceof Error; at = at.cause) depth++;
    expect(depth).toBe(9);
  });
});
