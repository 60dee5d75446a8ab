/** @file The gate in front of ONNX Runtime counts who is inside, whatever comes of it, and who closes it waits for these. */
import { expect, it } from "vitest";
import { closeGate, newGate, standBehind, throughGate } from "../../src/runtime/gate.js";

it("is closed at once where nobody is inside, and otherwise when the time is over", async () => {
  const gate = newGate();
  standBehind(gate);
  let leave: (value: string) => void = () => undefined;
  const inside = [
    throughGate(() => new Promise<string>((resolve) => (leave = resolve))),
    throughGate(() => Promise.resolve("two")),
  ] as const;
  await inside[1];
  expect(gate[0]).toBe(1);
  const start = performance.now();
  closeGate(gate, 30);
  expect(performance.now() - start).toBeGreaterThanOrEqual(29);
  leave("one");
  expect(await inside[0]).toBe("one");
  expect([...gate]).toEqual([0, 1]);
  closeGate(gate, Infinity);
});

it("lets out those whose work fails", async () => {
  const gate = newGate();
  standBehind(gate);
  await expect(throughGate(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect([...gate]).toEqual([0, 0]);
});
