/** @file Parts of blobs: who may take up whose, and that a process that was taken for dead writes no more. */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { claimPartial, partialBytes } from "../../../src/formats/hub/partial-file.js";
import { temporaryFolder } from "../folder.js";

const { path, refusal } = temporaryFolder();
const HOST = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
const HASH = "a".repeat(40);
/** No process has such a number: Linux ends at 2^22. */
const NOBODY = 2 ** 31 - 1;

let blob = "";
let count = 0;
beforeEach(() => {
  mkdirSync(path(`blobs-${++count}`));
  blob = path(`blobs-${count}/${HASH}`);
});
afterEach(() => void vi.restoreAllMocks());

/** Leaves a part of ten bytes that was last touched so many seconds ago. */
function leave(who: string, { age = 0, bytes = 10 } = {}): string {
  const file = `${blob}.${who}.incomplete`;
  writeFileSync(file, Buffer.alloc(bytes, 1));
  const then = Date.now() / 1000 - age;
  utimesSync(file, then, then);
  return file;
}

const names = (): string[] => readdirSync(path(`blobs-${count}`));

describe("a part", () => {
  test.each([
    ["that was put down", "sextant-free-00000000", 0],
    ["of a process that is gone", `sextant-${HOST}-${NOBODY}-00000000`, 0],
    ["of a process without a sign of life", `sextant-${HOST}-${process.ppid}-00000000`, 61],
    ["of another machine without a sign of life", `sextant-ffffffff-${NOBODY}-00000000`, 61],
  ])("%s is taken up", (_, who, age) => {
    leave(who, { age });
    const partial = claimPartial(blob)!;
    expect(partial.bytes).toBe(10);
    expect(names()).toEqual([expect.stringMatching(new RegExp(`^${HASH}\\.sextant-${HOST}-${process.pid}-[0-9a-f]{8}\\.incomplete$`))]);
    expect(claimPartial(blob)).toBeUndefined();
    partial.release();
    expect(names()).toEqual([expect.stringMatching(/\.sextant-free-[0-9a-f]{8}\.incomplete$/)]);
  });

  test.each([
    ["of a living process", `sextant-${HOST}-${process.ppid}-00000000`],
    ["of another machine", `sextant-ffffffff-${NOBODY}-00000000`],
  ])("%s is not", (_, who) => {
    leave(who, { age: 30 });
    expect(claimPartial(blob)).toBeUndefined();
    expect(partialBytes(blob)).toBe(10);
  });

  test.each(["01234567", "sextant-free-0123", "sextant-x-1-00000000", `sextant-${HOST}-99999999999-00000000`])(
    "called %s is not ours",
    (who) => {
      const file = leave(who);
      const partial = claimPartial(blob)!;
      expect(partial.bytes).toBe(0);
      partial.discard();
      expect(readFileSync(file)).toHaveLength(10);
    },
  );

  test("is the largest of several, and the blob's end is that of the others", () => {
    leave("sextant-free-00000000", { bytes: 5 });
    leave("sextant-free-00000001", { bytes: 20 });
    leave(`sextant-${HOST}-${NOBODY}-00000002`, { bytes: 7 });
    const partial = claimPartial(blob)!;
    expect(partial.bytes).toBe(20);
    partial.write(Buffer.from("end"), 20);
    partial.finish();
    expect(names()).toEqual([HASH]);
    expect(readFileSync(blob).subarray(18).toString("latin1")).toBe("\u0001\u0001end");
  });
});

test("who was stopped for long looks whether the part is still its own", () => {
  const partial = claimPartial(blob)!;
  partial.write(Buffer.from("a"), 0);
  const now = Date.now();
  vi.spyOn(Date, "now").mockReturnValue(now + 40_000);
  partial.write(Buffer.from("b"), 1);
  const [own = ""] = names();
  vi.spyOn(Date, "now").mockReturnValue(now + 80_000);
  renameSync(path(`blobs-${count}/${own}`), blob);
  expect(refusal(() => partial.write(Buffer.from("c"), 2)).replace(/TMP\S*/, "BLOB")).toMatchInlineSnapshot(
    `"file: cannot write BLOB another process goes on with it, since this one was stopped too long"`,
  );
  expect(readFileSync(blob, "utf8")).toBe("ab");
  partial.release();
  expect(names()).toEqual([HASH]);
});

test("a folder that is gone is told by the name of the blob", () => {
  rmSync(path(`blobs-${count}`), { recursive: true });
  expect(refusal(() => claimPartial(blob)).replace(/TMP\S*/, "BLOB")).toMatchInlineSnapshot(`"file: cannot write BLOB it does not exist"`);
  expect(partialBytes(blob)).toBe(0);
});
