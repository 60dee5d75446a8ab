/** @file Folders that are replaced whole: after a death between any two steps, the last whole folder is there. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { settleFolder, writeFolderAtomic } from "../../src/formats/atomic-folder.js";
import { temporaryFolder } from "./folder.js";

const { path, write, refusal } = temporaryFolder();
const put = (name: string, content: string) => (folder: string) => writeFileSync(join(folder, name), content);
const read = (...names: string[]): string => readFileSync(join(...names), "utf8");
/** What lies in the place's parent, the place and anything beside it. */
const beside = (place: string): string[] => readdirSync(join(place, "..")).toSorted();

describe("writeFolderAtomic", () => {
  test("makes the folder and those above it, and replaces what it wrote", () => {
    const place = path("a/b/x");
    writeFolderAtomic(place, put("f", "1"));
    expect(read(place, "f")).toBe("1");
    writeFolderAtomic(place, put("f", "2"));
    expect(read(place, "f")).toBe("2");
    expect(beside(place)).toEqual(["x"]);
  });

  test("keeps what others have put there", () => {
    const place = path("kept/x");
    writeFolderAtomic(place, put("f", "1"));
    write("kept/x/notes/n", "note");
    writeFolderAtomic(place, put("f", "2"));
    expect([read(place, "f"), read(place, "notes", "n")]).toEqual(["2", "note"]);
  });

  test("leaves the old folder where writing fails", () => {
    const place = path("failed/x");
    writeFolderAtomic(place, put("f", "1"));
    const fail = (): never => {
      throw new Error("no more paper");
    };
    expect(refusal(() => writeFolderAtomic(place, fail))).toBe("file: cannot write TMP/failed/x: no more paper");
    expect(read(place, "f")).toBe("1");
    expect(beside(place)).toEqual(["x"]);
  });
});

describe("after a death", () => {
  /** The state at each step of replacing 1 by 2, and what must be there afterwards. */
  const STATES: { readonly [when: string]: { has: Readonly<Record<string, string>>; after: string } } = {
    "while the folder is written": { has: { x: "1", ".x.0123456789ab.tmp": "2" }, after: "1" },
    "while the first folder is written": { has: { ".x.0123456789ab.tmp": "2" }, after: "none" },
    "when it is whole": { has: { x: "1", ".x.new": "2" }, after: "2" },
    "when the first one is whole": { has: { ".x.new": "2" }, after: "2" },
    "when the old one has gone from its place": { has: { ".x.old": "1", ".x.new": "2" }, after: "2" },
    "when the new one is in its place": { has: { x: "2", ".x.old": "1" }, after: "2" },
    "when nothing but the old one is left": { has: { ".x.old": "1" }, after: "1" },
    "before anything": { has: { x: "1" }, after: "1" },
  };

  test.each(Object.entries(STATES))("%s", (when, { has, after }) => {
    const parent = path(when.replaceAll(" ", "-"));
    for (const [name, content] of Object.entries(has)) {
      write(join(basename(parent), name, "f"), content);
      // Only the old folder has what others have put there.
      if (content === "1") write(join(basename(parent), name, "notes"), "note");
    }
    const place = join(parent, "x");
    settleFolder(place);
    expect(existsSync(place) ? read(place, "f") : "none").toBe(after);
    if (Object.values(has).includes("1")) expect(read(place, "notes")).toBe("note");
    expect(readdirSync(parent)).toEqual(after === "none" ? [] : ["x"]);
    writeFolderAtomic(place, put("f", "3"));
    expect(read(place, "f")).toBe("3");
  });

  test("half-way through removing the old folder", () => {
    const place = path("half/x");
    writeFolderAtomic(place, put("f", "2"));
    mkdirSync(path("half/.x.old"));
    settleFolder(place);
    expect(beside(place)).toEqual(["x"]);
  });

  test("names that are only alike are left alone", () => {
    const place = path("alike/x");
    for (const name of ["x.new", ".y.new", ".x.other.tmp", ".xx.old"]) write(`alike/${name}/f`, "theirs");
    writeFolderAtomic(place, put("f", "1"));
    renameSync(place, path("alike/moved"));
    settleFolder(place);
    expect(beside(place)).toEqual([".x.other.tmp", ".xx.old", ".y.new", "moved", "x.new"]);
  });
});
