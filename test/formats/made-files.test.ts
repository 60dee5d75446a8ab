/** @file Hashes of large files are kept, and only as long as the file was not touched. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, openSync, readdirSync, truncateSync, writeFileSync, writeSync, closeSync, renameSync } from "node:fs";
import { expect, test } from "vitest";
import { contentHash, madePath } from "../../src/formats/made-files.js";
import { temporaryFolder } from "./folder.js";

const { path, refusal } = temporaryFolder();
const MEBIBYTE = 2 ** 20;
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const kept = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder).filter((name) => name !== ".now") : []);

/** Another byte at the place, the size as it was. */
function changeByte(file: string, at: number): void {
  const descriptor = openSync(file, "r+");
  writeSync(descriptor, Uint8Array.of(7), 0, 1, at);
  closeSync(descriptor);
}

test("a small file's hash is not kept", () => {
  writeFileSync(path("small"), "abc");
  expect(contentHash(path("small"), path("none"))).toBe(sha256(Buffer.from("abc")));
  expect(existsSync(path("none"))).toBe(false);
});

test("a large file's hash is kept once the file has settled, and a changed file is hashed anew", async () => {
  const [file, folder] = [path("large"), path("hashes")];
  writeFileSync(file, "begin");
  truncateSync(file, 64 * MEBIBYTE);
  const zeros = new Uint8Array(64 * MEBIBYTE);
  zeros.set(Buffer.from("begin"));
  const first = sha256(zeros);
  expect(contentHash(file, folder)).toBe(first);
  expect(kept(folder)).toEqual([]);
  await new Promise((resolve) => setTimeout(resolve, 3200));
  expect(contentHash(file, folder)).toBe(first);
  const [record] = kept(folder);
  // What is kept is what is given: a record of another hash shows.
  writeFileSync(`${folder}/${record}`, "f".repeat(64));
  expect(contentHash(file, folder)).toBe("f".repeat(64));
  writeFileSync(`${folder}/${record}`, "no hash");
  expect(contentHash(file, folder)).toBe(first);
  changeByte(file, 50 * MEBIBYTE);
  zeros[50 * MEBIBYTE] = 7;
  expect(contentHash(file, folder)).toBe(sha256(zeros));
  changeByte(file, 50 * MEBIBYTE + 1);
  zeros[50 * MEBIBYTE + 1] = 7;
  renameSync(file, path("moved"));
  expect(contentHash(path("moved"), folder)).toBe(sha256(zeros));
});

test("a folder that cannot be made is no obstacle, a file that is not there is", () => {
  writeFileSync(path("a-file"), "");
  writeFileSync(path("big"), "");
  truncateSync(path("big"), 64 * MEBIBYTE);
  mkdirSync(path("folder"));
  expect(contentHash(path("big"), path("a-file/below"))).toBe(sha256(new Uint8Array(64 * MEBIBYTE)));
  expect(refusal(() => contentHash(path("absent"), path("folder")))).toContain("does not exist");
});

test("what is made is named by all of its sources and by its recipe", () => {
  const names = [
    madePath("f", ["a"], "x-1"),
    madePath("f", ["a", "b"], "x-1"),
    madePath("f", ["b", "a"], "x-1"),
    madePath("f", ["a"], "x-2"),
  ];
  expect(new Set(names).size).toBe(4);
});
