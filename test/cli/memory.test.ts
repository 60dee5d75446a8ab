/** @file `--memory`: sizes as people write them, models that run in less than their weights take, and what `sextant model` says of that. */
import { describe, expect, test } from "vitest";
import { shouldRespawn } from "../../src/cli/frugal-process.js";
import { parseSize } from "../../src/cli/size.js";
import { leastMemory } from "../../src/runtime/residence.js";
import { readSpec } from "../../src/runtime/load.js";
import { fixture } from "../runtime/support.js";
import { sextant } from "./sextant.js";

const MODEL = fixture("gpt2-hub-names");
const { spec, checkpoint } = readSpec(MODEL);
checkpoint.close();
const LEAST = leastMemory(spec);

describe("a size", () => {
  test.each([
    ["2GiB", 2 ** 31],
    ["500MB", 5e8],
    ["1.5 kB", 1500],
    [" 3 KiB ", 3072],
    ["7B", 7],
    ["0.25TiB", 2 ** 38],
  ])("%s is so many bytes", (text, bytes) => expect(parseSize("memory", text)).toBe(bytes));

  test.each(["", "2", "GiB", "0MB", "-1GB", "1e3MB", "2gib", "2 G", "1.GB", "0.1B", "99999TiB"])("%j is none", (text) => {
    expect(() => parseSize("memory", text)).toThrow(
      `--memory must be a size above 0 with its unit, such as 2GiB or 500MB, got ${JSON.stringify(text)}`,
    );
  });
});

describe("a command with --memory", () => {
  const argv = ["generate", MODEL, "--tokens", "[3,1,4]", "--max-new", "3"];

  test("says what it says without, in less memory than the weights take", async () => {
    const [whole, streamed] = [await sextant(argv), await sextant([...argv, "--memory", `${LEAST}B`])];
    expect([streamed.code, streamed.out]).toEqual([0, whole.out]);
  });

  test("refuses too little, and what is no size", async () => {
    const little = await sextant([...argv, "--memory", "10kB"]);
    expect([little.code, little.err]).toEqual([1, expect.stringContaining("to run block by block")]);
    const wrong = await sextant([...argv, "--memory", "64"]);
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('such as 2GiB or 500MB, got "64"')]);
  });

  test("runs in a process that gives memory back, unless it is one, or where the system is not Linux", () => {
    expect(shouldRespawn([...argv, "--memory", "1GB"], {}, "linux")).toBe(true);
    expect(shouldRespawn([...argv, "--memory=1GB"], {}, "linux")).toBe(true);
    expect(shouldRespawn([...argv, "--memory", "1GB"], { MALLOC_TRIM_THRESHOLD_: "1" }, "linux")).toBe(false);
    expect(shouldRespawn([...argv, "--memory", "1GB"], {}, "darwin")).toBe(false);
    expect(shouldRespawn([...argv, "--work-memory", "1GB"], {}, "linux")).toBe(false);
  });
});

test("sextant model says what memory holds of the weights", async () => {
  const line = async (...more: string[]): Promise<string | undefined> =>
    (await sextant(["model", MODEL, ...more])).out.split("\n").find((text) => text.startsWith("memory"));
  expect([await line(), await line("--memory", "1GiB"), await line("--memory", "100kB"), await line("--memory", "10kB")])
    .toMatchInlineSnapshot(`
    [
      "memory      123 KiB for the weights as float32, or 94.3 KiB at least, block by block, reading 107 KiB a pass",
      "memory      123 KiB for the weights as float32, which 1 GiB holds",
      "memory      123 KiB for the weights as float32; in 97.7 KiB, 0 of 2 blocks stay and 107 KiB are read a pass",
      "memory      123 KiB for the weights as float32; 9.77 KiB is too little, 94.3 KiB would do, block by block",
    ]
  `);
});
