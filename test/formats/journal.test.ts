import { readFileSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isSextantError } from "../../src/base/errors.js";
import { tensor } from "../../src/base/tensor.js";
import { fingerprintOf, openJournal, type JournalHead } from "../../src/formats/journal.js";
import { temporaryFolder } from "./folder.js";

const { path, write, refusal } = temporaryFolder();
const HEAD: JournalHead = { kind: "sweep", fingerprint: "abc" };
const ENTRIES = [{ index: 0, values: [1.5, -2e-9] }, { index: 1, values: ["ä"] }, [], 12];

/** What is in the journal when it is opened, having closed it. */
function entriesOf(file: string, head = HEAD): readonly unknown[] {
  const journal = openJournal(file, head);
  journal.close();
  return journal.entries;
}

function keep(file: string, entries: readonly unknown[]): void {
  const journal = openJournal(file, HEAD);
  for (const entry of entries) journal.append(entry);
  journal.close();
}

describe("a journal", () => {
  test("gives back what was appended, over several openings, and makes folders on its way", () => {
    const file = path("deep/er/a.jsonl");
    expect(entriesOf(file)).toEqual([]);
    keep(file, ENTRIES.slice(0, 3));
    keep(file, ENTRIES.slice(3));
    expect(entriesOf(file)).toEqual(ENTRIES);
    expect(readFileSync(file, "utf8").split("\n")[0]).toBe('{"format":"sextant journal","version":1,"kind":"sweep","fingerprint":"abc"}');
  });

  test("torn at any byte has every line that was finished, and goes on behind them", () => {
    const whole = path("whole.jsonl");
    keep(whole, ENTRIES);
    const bytes = readFileSync(whole);
    const ends = [...bytes.keys()].filter((i) => bytes[i] === 10);
    for (let length = 0; length <= bytes.length; length++) {
      const file = write("torn.jsonl", bytes.subarray(0, length));
      const finished = Math.max(0, ends.filter((end) => end < length).length - 1);
      expect(entriesOf(file)).toEqual(ENTRIES.slice(0, finished));
      keep(file, ["more"]);
      expect(entriesOf(file)).toEqual([...ENTRIES.slice(0, finished), "more"]);
    }
  });

  test("with garbage behind its last line loses the garbage only", () => {
    const file = path("garbage.jsonl");
    keep(file, ENTRIES);
    const bytes = readFileSync(file);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (tail) => {
        const torn = tail.filter((byte) => byte !== 10);
        writeFileSync(file, Buffer.concat([bytes, torn]));
        expect(entriesOf(file)).toEqual(ENTRIES);
        expect(readFileSync(file).equals(bytes)).toBe(true);
      }),
    );
  });

  test("of other work is refused, and stays as it is", () => {
    const file = path("other.jsonl");
    keep(file, ENTRIES);
    const before = readFileSync(file, "utf8");
    expect(refusal(() => openJournal(file, { ...HEAD, fingerprint: "abd" }))).toMatchInlineSnapshot(
      `"request: cannot go on from TMP/other.jsonl: it was kept by another sweep, or one with other settings. Instead: repeat the command that it was begun with, or name another file"`,
    );
    expect(refusal(() => openJournal(file, { ...HEAD, kind: "training" }))).toMatchInlineSnapshot(
      `"request: cannot go on from TMP/other.jsonl: it was kept by another training, or one with other settings. Instead: repeat the command that it was begun with, or name another file"`,
    );
    expect(readFileSync(file, "utf8")).toBe(before);
    write("newer.jsonl", before.replace('"version":1', '"version":2'));
    expect(refusal(() => openJournal(path("newer.jsonl"), HEAD))).toMatch(/^request: cannot go on from/);
  });

  test("is not begun over another file, and damage inside it is named", () => {
    const cases = { "notes.txt": "hello", "list.txt": "a\nb\n", "json.txt": "{}\n", "folder/x": "" };
    for (const [name, text] of Object.entries(cases)) write(name, text);
    const file = path("damaged.jsonl");
    keep(file, ENTRIES);
    const damaged = write("damaged.jsonl", readFileSync(file, "utf8").replace('"index":1', '"index"!1'));
    const said = ["notes.txt", "list.txt", "json.txt", "folder"].map((name) => refusal(() => openJournal(path(name), HEAD)));
    expect([...said, refusal(() => openJournal(damaged, HEAD)).replace(/JSON: .*/, "JSON: …")]).toMatchInlineSnapshot(`
      [
        "request: cannot keep a journal in TMP/notes.txt: there is another file. Instead: name a file that is not there yet",
        "request: cannot keep a journal in TMP/list.txt: there is another file. Instead: name a file that is not there yet",
        "request: cannot keep a journal in TMP/json.txt: there is another file. Instead: name a file that is not there yet",
        "file: cannot open TMP/folder: it is not a file",
        "format: TMP/damaged.jsonl:3 is not JSON: …",
      ]
    `);
  });

  test("of any bytes is read or refused, and what is refused is not changed", () => {
    const file = path("random.jsonl");
    keep(file, ENTRIES);
    const good = readFileSync(file);
    const flips = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 6 });
    const flipped = flips.map((changes) => {
      const copy = Buffer.from(good);
      for (const [at, byte] of changes) copy[at] = byte;
      return copy;
    });
    fc.assert(
      fc.property(
        fc.oneof(
          flipped,
          fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
        ),
        (bytes) => {
          writeFileSync(file, bytes);
          try {
            expect(entriesOf(file).length).toBeLessThanOrEqual(bytes.filter((byte) => byte === 10).length);
          } catch (error) {
            if (!isSextantError(error) || error.kind === "internal") throw error;
            expect(readFileSync(file).equals(bytes)).toBe(true);
          }
        },
      ),
    );
  });
});

describe("a fingerprint", () => {
  const value = { tokens: [1, 2], basis: tensor(Float32Array.of(1, 2, 3), [3]) };

  test("is equal for equal values, and differs with any number, also of a tensor", () => {
    const print = fingerprintOf(value);
    expect(print).toMatch(/^[0-9a-f]{64}$/);
    expect(fingerprintOf({ tokens: [1, 2], basis: tensor(Float32Array.of(1, 2, 3), [3]) })).toBe(print);
    expect(fingerprintOf({ ...value, tokens: [1, 3] })).not.toBe(print);
    expect(fingerprintOf({ ...value, basis: tensor(Float32Array.of(1, 2, 3.0000002), [3]) })).not.toBe(print);
    expect(fingerprintOf({ ...value, basis: tensor(Int32Array.of(1, 2, 3), [3]) })).not.toBe(print);
  });

  test("is of the numbers that a view shows, not of those around them", () => {
    const all = Float32Array.of(7, 1, 2, 3, 7);
    expect(fingerprintOf(all.subarray(1, 4))).toBe(fingerprintOf(Float32Array.of(1, 2, 3)));
  });
});
