/** @file Ids of models: which texts are ids, and that none leads out of the cache. */
import { resolve, sep } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { placesOf } from "../../../src/formats/hub/cache.js";
import { cacheFolderName, nameOfCacheFolder, needModelId, parseModelId } from "../../../src/formats/hub/model-id.js";
import { temporaryFolder } from "../folder.js";

const { refusal } = temporaryFolder();

test.each([
  ["Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B", "main"],
  ["a/b@v1.0", "a/b", "v1.0"],
  ["a/b@refs/pr/1", "a/b", "refs/pr/1"],
  ["gpt2@main", "gpt2", "main"],
  ["a_b/c.d-e", "a_b/c.d-e", "main"],
])("%s is a model", (text, name, revision) => {
  expect(parseModelId(text)).toEqual({ name, revision });
});

test.each(
  // oxfmt-ignore
  ["", "/", "a/", "/a", "a/b/c", "./a", "../a", "a/..", "a/.", "~/a", "a\\b", "C:\\a", "a b/c", "a--b/c", "a/b..c", "a/b.git", ".a/b", "a/b-", "a/b@", "a/b@..", "a/b@/x", "a/b@x/", "a/b@x//y", "a/b@x/../y", "a/b@.x", "a/b@x.lock", "a/b@-x", "a/b@x y", "a/b@x\0", "a/b@@", `a/${"b".repeat(97)}`, `a/b@${"c".repeat(256)}`],
)("%j is none", (text) => {
  expect(parseModelId(text)).toBeUndefined();
  expect(refusal(() => needModelId(text))).toMatch(/^usage: a model of the hub is ORG\/NAME or ORG\/NAME@REVISION, got /);
});

test("an id's folder says the id again; other folders say none", () => {
  for (const name of ["a/b", "gpt2", "a-b/c.d"]) expect(nameOfCacheFolder(cacheFolderName(name))).toBe(name);
  for (const folder of ["datasets--a--b", "models--", "models--a--b--c", "version.txt", "models--.."])
    expect(nameOfCacheFolder(folder)).toBeUndefined();
});

test("no text leads out of the cache", () => {
  const piece = fc.constantFrom("a", "..", ".", "/", "\\", "@", "-", "--", "\0", "refs", "~", ":", "x.lock", "é");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const id = parseModelId(pieces.join(""));
      if (!id) return;
      const root = resolve("cache");
      const places = placesOf(root, id.name);
      expect(resolve(places.ref(id.revision)).startsWith(`${root}${sep}${cacheFolderName(id.name)}${sep}refs${sep}`)).toBe(true);
    }),
    { numRuns: 2000, seed: 1 },
  );
});

test("a path to a file of weights that is not there is no id", () => {
  for (const path of ["models/tiny.gguf", "models/model.safetensors", "dir/pytorch_model.bin"]) expect(parseModelId(path)).toBeUndefined();
  expect(parseModelId("org/Tiny-GGUF")?.name).toBe("org/Tiny-GGUF");
});
