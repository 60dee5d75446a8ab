/** @file Names of models → folders: paths, what is in the cache, what has to be downloaded. */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { isSextantError } from "../../../src/base/errors.js";
import { cachedModels } from "../../../src/formats/hub/cache.js";
import { findModel, resolveModel } from "../../../src/formats/hub/resolve-model.js";
import { loadModel, readSpec } from "../../../src/runtime/load.js";
import { temporaryFolder } from "../folder.js";
import { fakeHub, gitSha1, sha256, tinyModel } from "./fake-hub.js";

const { path, write, root, refusal } = temporaryFolder();
const hub = await fakeHub();
const CACHE = path("cache");
const HEAD = "1".repeat(40);
const OLD = "2".repeat(40);

/** A snapshot as Python's huggingface_hub leaves it. */
function snapshot(folder: string, commit: string, files: Readonly<Record<string, Buffer>>): string {
  for (const [name, bytes] of Object.entries(files)) {
    const blob = path(`cache/${folder}/blobs/${name.endsWith(".safetensors") ? sha256(bytes) : gitSha1(bytes)}`);
    const link = path(`cache/${folder}/snapshots/${commit}/${name}`);
    for (const file of [blob, link]) mkdirSync(dirname(file), { recursive: true });
    writeFileSync(blob, bytes);
    symlinkSync(`../../blobs/${blob.split("/").at(-1)}`, link);
  }
  return path(`cache/${folder}/snapshots/${commit}`);
}

const index = (...shards: string[]): Buffer =>
  Buffer.from(JSON.stringify({ weight_map: Object.fromEntries(shards.map((name) => [name, name])) }));
const { "model.safetensors": weights, ...rest } = tinyModel();
const whole = snapshot("models--lab--tiny", HEAD, tinyModel());
const old = snapshot("models--lab--tiny", OLD, tinyModel());
snapshot("models--lab--torn", HEAD, rest);
snapshot("models--lab--sharded", HEAD, {
  ...rest,
  "a.safetensors": weights!,
  "model.safetensors.index.json": index("a.safetensors", "b.safetensors"),
});
snapshot("models--lab--broken", HEAD, { ...rest, "model.safetensors.index.json": Buffer.from("{") });
const single = snapshot("models--gpt2", HEAD, tinyModel());
for (const folder of ["lab--tiny", "lab--torn", "lab--sharded", "lab--broken", "gpt2"])
  write(`cache/models--${folder}/refs/main`, `${HEAD}\n`);
write("cache/models--lab--tiny/refs/refs/pr/1", OLD);
write("cache/models--lab--tiny/refs/bad", "no commit");
write("cache/models--lab--tiny/.no_exist/x", "");
write("cache/datasets--lab--tiny/refs/main", HEAD);
write("cache/.locks/models--lab--tiny/x.lock", "");
write("cache/version.txt", "1");

const offline = { cache: CACHE, environment: { HF_HUB_OFFLINE: "1" } };

async function refused(resolving: Promise<unknown>): Promise<string> {
  const error = await resolving.catch((thrown: unknown) => thrown);
  if (!isSextantError(error)) throw new Error("no SextantError was thrown");
  return `${error.kind}: ${error.message.replaceAll(root, "TMP").replaceAll(/127\.0\.0\.1:\d+/g, "HOST")}`;
}

describe("a model", () => {
  test.each([
    ["a folder", whole, whole],
    ["its main branch", "lab/tiny", whole],
    ["the branch by name", "lab/tiny@main", whole],
    ["another reference", "lab/tiny@refs/pr/1", old],
    ["a commit", `lab/tiny@${OLD}`, old],
    ["an old single name", "gpt2", single],
    ["a path that is not there", "./lab/tiny", "./lab/tiny"],
    ["a single name that is not there", "nowhere", "nowhere"],
    ["a deeper path", "lab/tiny/x", "lab/tiny/x"],
    ["a path upwards", "../tiny", "../tiny"],
  ])("named by %s is found without a network", async (_, named, folder) => {
    expect(await resolveModel(named, offline)).toBe(folder);
    expect(findModel(named, { cache: CACHE })).toBe(folder);
  });

  test.each(["lab/none", "lab/tiny@v9", "lab/tiny@bad", `lab/tiny@${"3".repeat(40)}`, "lab/torn", "lab/sharded", "lab/broken"])(
    "%s is not there as a whole",
    async (named) => {
      expect(await refused(resolveModel(named, offline))).toMatch(
        /^file: cannot find the model .* unset HF_HUB_OFFLINE, and it is downloaded$/,
      );
      expect(refusal(() => findModel(named, { cache: CACHE }))).toMatch(/^file: cannot find the model .*sextant pull/);
    },
  );

  test("that is there is not asked for; one that is not is downloaded, said first", async () => {
    const files = tinyModel();
    hub.put("lab/torn", files);
    const online = { cache: CACHE, endpoint: hub.endpoint, environment: {} };
    expect(await resolveModel("lab/tiny", online)).toBe(whole);
    expect(hub.asked).toEqual([]);
    const told: number[] = [];
    const folder = await resolveModel("lab/torn", { ...online, onPlan: ({ missing }) => told.push(missing) });
    expect(readSpec(folder).spec.family).toBe("qwen2");
    // The other files were there.
    expect(told).toEqual([weights!.length]);
    rmSync(folder, { recursive: true });
  });

  test("that is neither a folder nor on the hub says both", async () => {
    const online = { cache: CACHE, endpoint: hub.endpoint, environment: {} };
    expect(await refused(resolveModel("lab/nothing", online))).toMatchInlineSnapshot(
      `"file: there is no folder lab/nothing here; cannot download lab/nothing: HOST has no model lab/nothing, or it is private. Instead: check the name, or give a token of an account that may read it in HF_TOKEN, or log in with \`hf auth login\`"`,
    );
  });

  test("is loaded by its id from the cache, never from the hub", async () => {
    const before = process.env["HF_HUB_CACHE"];
    process.env["HF_HUB_CACHE"] = CACHE;
    try {
      const model = await loadModel("lab/tiny", { lazy: true });
      expect(model.spec.family).toBe("qwen2");
      await model.close();
      expect(await refused(loadModel("lab/none"))).toMatchInlineSnapshot(
        `"file: cannot find the model lab/none: there is no such folder, and the hub's cache TMP/cache does not have it with its weights. Instead: download it with \`sextant pull lab/none\` or \`await resolveModel("lab/none")\`"`,
      );
    } finally {
      if (before === undefined) delete process.env["HF_HUB_CACHE"];
      else process.env["HF_HUB_CACHE"] = before;
    }
  });
});

test("the cache lists its models with their references, other things aside", () => {
  const listed = cachedModels(CACHE).filter(({ commit }) => commit === HEAD || commit === OLD);
  const bytes = Object.values(tinyModel()).reduce((sum, file) => sum + file.length, 0);
  expect(listed.map(({ name, commit, revisions, isWhole }) => [name, commit[0], revisions.join(" "), isWhole])).toEqual([
    ["gpt2", "1", "main", true],
    ["lab/broken", "1", "main", false],
    ["lab/sharded", "1", "main", false],
    ["lab/tiny", "1", "main", true],
    ["lab/tiny", "2", "refs/pr/1", true],
    ["lab/torn", "1", "", false],
  ]);
  expect(listed[0]).toMatchObject({ bytes, folder: single });
  expect(cachedModels(join(CACHE, "none"))).toEqual([]);
});
