/** @file Memory that is used again: what was given back is taken again, what is in use never is. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { must } from "../../../src/base/errors.js";
import { Scratch } from "../../../src/runtime/sweep/scratch.js";

describe("the scratch", () => {
  it("gives an array that was given back out again, at the same length and at a smaller one", () => {
    const scratch = new Scratch();
    const first = scratch.take(1000);
    scratch.give(first);
    const second = scratch.take(1000);
    expect(second.buffer).toBe(first.buffer);
    scratch.give(second);
    const third = scratch.take(700);
    expect(third.buffer).toBe(first.buffer);
    expect(third).toHaveLength(700);
  });

  it("gives the shortest array that is long enough", () => {
    const scratch = new Scratch();
    const [long, short, shorter] = [scratch.take(900), scratch.take(500), scratch.take(100)];
    for (const array of [long, shorter, short]) scratch.give(array);
    expect(scratch.take(400).buffer).toBe(short.buffer);
    expect(scratch.take(400).buffer).toBe(long.buffer);
  });

  it("does not give a large array out for a much smaller one", () => {
    const scratch = new Scratch();
    const large = scratch.take(1 << 20);
    scratch.give(large);
    expect(scratch.take(10).buffer).not.toBe(large.buffer);
    expect(scratch.take(1 << 19).buffer).toBe(large.buffer);
  });

  it("takes arrays without elements, too", () => {
    const scratch = new Scratch();
    const empty = scratch.take(0);
    expect(empty).toHaveLength(0);
    scratch.give(empty);
    expect(scratch.take(3)).toHaveLength(3);
  });

  it("never gives out what is in use, whatever is taken and given back in whichever order", () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ take: fc.integer({ min: 0, max: 60_000 }) }) },
      { weight: 2, arbitrary: fc.record({ give: fc.nat(50) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const scratch = new Scratch();
        const used: { array: Float32Array; mark: number }[] = [];
        steps.forEach((one, mark) => {
          if ("take" in one) {
            const array = scratch.take(one.take);
            expect(array).toHaveLength(one.take);
            array.fill(mark);
            used.push({ array, mark });
          } else if (used.length > 0) {
            const [back] = used.splice(one.give % used.length, 1);
            scratch.give(must(back, "an array in use").array);
          }
        });
        expect(new Set(used.map(({ array }) => array.buffer)).size).toBe(used.length);
        for (const { array, mark } of used) expect(array.every((value) => value === mark)).toBe(true);
      }),
    );
  });
});
