/** @file `sextant/browser` without Node: what a bundler makes of it reaches no module of Node and no package that needs one. */
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { expect, test } from "vitest";

const ENTRY = fileURLToPath(new URL("../../src/browser.ts", import.meta.url));

test("a bundle for browsers holds no import of Node, none of another runtime, and knows where all of it came from", async () => {
  const { metafile, errors } = await build({
    entryPoints: [ENTRY],
    bundle: true,
    format: "esm",
    platform: "browser",
    write: false,
    metafile: true,
    logLevel: "silent",
  });
  expect(errors).toEqual([]);
  const outside = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
  expect(outside).toEqual([]);
  const packages = new Set(Object.keys(metafile.inputs).flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []));
  expect([...packages].toSorted()).toEqual(["@huggingface/jinja", "@huggingface/tokenizers", "pbf"]);
});

test("a module of Node would be seen: what reads the disk does not bundle", async () => {
  const entry = fileURLToPath(new URL("../../src/formats/files.ts", import.meta.url));
  const made = build({ entryPoints: [entry], bundle: true, platform: "browser", write: false, logLevel: "silent" });
  await expect(made).rejects.toThrow(/node:fs/);
});
