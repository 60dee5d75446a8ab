/** @file JSON files and atomic writing. */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { writeAtomic } from "../../src/formats/atomic.js";
import { duplicateKey } from "../../src/formats/json.js";
import { readJson, readJsonObject, readText, writeJson } from "../../src/formats/json-file.js";
import { temporaryFolder } from "./folder.js";

const { path, write, refusal } = temporaryFolder();

test("values come back, a byte order mark is left out", () => {
  writeJson(path("deep/value.json"), { a: [1, "ü"] });
  expect(readFileSync(path("deep/value.json"), "utf8")).toBe('{\n  "a": [\n    1,\n    "ü"\n  ]\n}\n');
  expect(readJson(path("deep/value.json"))).toEqual({ a: [1, "ü"] });
  expect(readJson(write("bom.json", "\ufeff[1]"))).toEqual([1]);
});

test("each refusal names the file", () => {
  expect(refusal(() => readJson(path("nowhere.json")))).toMatchInlineSnapshot(`"file: cannot open TMP/nowhere.json: it does not exist"`);
  expect(refusal(() => readJson(path(".")))).toMatchInlineSnapshot(`"file: cannot open TMP: it is not a file"`);
  expect(refusal(() => readJson(write("bad.json", '{"a": 1,}')))).toMatch(
    /^format: TMP\/bad.json is not JSON: .*"a": 1,}|line 1|position 8/,
  );
  expect(refusal(() => readJson(write("long.json", "[1, 2, 3]"), { maxBytes: 4 }))).toMatchInlineSnapshot(
    `"file: TMP/long.json is too large: 9 bytes, read are files up to 4"`,
  );
  expect(refusal(() => readText(write("latin.txt", Uint8Array.of(0xe9))))).toMatchInlineSnapshot(
    `"format: TMP/latin.txt is not UTF-8 text"`,
  );
  expect(refusal(() => readJsonObject(write("list.json", '[1, "x", {}, 4, 5, 6, 7, 8, 9]')))).toMatchInlineSnapshot(
    `"format: TMP/list.json must hold a JSON object, got [1, "x", …, 4, 5, 6, 7, 8, …]"`,
  );
  expect(refusal(() => readJsonObject(write("text.json", `"${"x".repeat(200)}"`)))).toMatchInlineSnapshot(
    `"format: TMP/text.json must hold a JSON object, got the string "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…""`,
  );
  expect(refusal(() => writeJson(path("no.json"), undefined))).toMatchInlineSnapshot(
    `"usage: writeJson TMP/no.json: the value has no JSON form"`,
  );
});

test("duplicateKey finds what JSON.parse hides", () => {
  expect(duplicateKey('{"a": {"b": 1}, "b": [{"b": 1}, {"b": 2}]}')).toBeUndefined();
  expect(duplicateKey('{"a": [{"b": 1, "c": "b", "\\u0062" : 2}]}')).toBe("b");
  expect(duplicateKey(String.raw`{"\\": "\"", "\\" : 1}`)).toBe("\\");
  fc.assert(fc.property(fc.json(), (text) => duplicateKey(JSON.stringify(JSON.parse(text))) === undefined));
});

test("a write that fails leaves the old file and no other", () => {
  write("kept/file", "old");
  const failing = function* (): Generator<string> {
    yield "new";
    throw new Error("no more");
  };
  expect(refusal(() => writeAtomic(path("kept/file"), failing()))).toMatchInlineSnapshot(`"file: cannot write TMP/kept/file: no more"`);
  expect(readFileSync(path("kept/file"), "utf8")).toBe("old");
  expect(readdirSync(path("kept"))).toEqual(["file"]);
  mkdirSync(path("kept/folder"));
  expect(refusal(() => writeAtomic(path("kept/folder"), ["x"]))).toMatchInlineSnapshot(
    `"file: cannot write TMP/kept/folder: it is a folder"`,
  );
  writeFileSync(path("plain"), "");
  expect(refusal(() => writeAtomic(path("plain/file"), ["x"]))).toMatch(/^file: cannot write TMP\/plain\/file: /);
});
