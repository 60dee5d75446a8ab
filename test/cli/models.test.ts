/** @file `sextant models`, `sextant pull`, and models of the hub named in other commands; the hub is one of our own. */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { temporaryFolder } from "../formats/folder.js";
import { fakeHub, tinyModel } from "../formats/hub/fake-hub.js";
import { sextant, sextantJson } from "./sextant.js";

const { path, root } = temporaryFolder();
const hub = await fakeHub();
const COMMIT = hub.put("lab/tiny", { ...tinyModel(), "README.md": Buffer.from("# Tiny") });
const CACHE = path("cache");
for (const name of Object.keys(process.env)) if (/^(?:HF_|HUGGING|TRANSFORMERS_|XDG_CACHE)/.test(name)) delete process.env[name];
Object.assign(process.env, { HF_HUB_CACHE: CACHE, HF_HOME: path("home"), HF_ENDPOINT: hub.endpoint });

beforeEach(() => {
  rmSync(CACHE, { recursive: true, force: true });
  delete process.env["HF_HUB_OFFLINE"];
  hub.odd = () => undefined;
  hub.asked.length = 0;
});

/** Exit code, standard output, standard error. */
async function said(...argv: readonly string[]): Promise<string> {
  const { code, out, err } = await sextant(argv);
  const text = `${code}\n${out}--\n${err}`.replaceAll(root, "TMP").replaceAll(COMMIT, "COMMIT").replaceAll(COMMIT.slice(0, 12), "COMMIT");
  return text.replaceAll(hub.endpoint, "HUB").replaceAll(new URL(hub.endpoint).host, "HOST");
}

describe("pull", () => {
  test("says what it downloads before it begins, then where it is; a second time nothing is missing", async () => {
    expect(await said("pull", "lab/tiny", "--include", "*.md")).toMatchInlineSnapshot(`
      "0
      lab/tiny at COMMIT: 6 files, 182 kB, 182 kB downloaded.
      TMP/cache/models--lab--tiny/snapshots/COMMIT
      --
      lab/tiny, commit COMMIT: downloading 6 files, 182 kB, from HUB to TMP/cache/models--lab--tiny/snapshots/COMMIT
      "
    `);
    expect(await said("pull", "lab/tiny")).toMatchInlineSnapshot(`
      "0
      lab/tiny at COMMIT: 5 files, 182 kB, nothing was missing.
      TMP/cache/models--lab--tiny/snapshots/COMMIT
      --
      "
    `);
    const { files, downloaded, folder } = await sextantJson<{ files: object[]; downloaded: number; folder: string }>("pull", "lab/tiny");
    expect([files.length, downloaded, existsSync(`${folder}/README.md`)]).toEqual([5, 0, true]);
  });

  test("that is interrupted says how to go on", async () => {
    const abort = new AbortController();
    hub.odd = ({ host }) => {
      if (host === "cdn") setTimeout(() => abort.abort(), 50);
      return host === "cdn" ? { stallAfter: 5000 } : undefined;
    };
    const { code, err } = await sextant(["pull", "lab/tiny"], { signal: abort.signal });
    expect([code, err.split("\n").at(-2)]).toEqual([130, "sextant pull: interrupted; the same command goes on where it was stopped"]);
    hub.odd = () => undefined;
    expect(await said("pull", "lab/tiny")).toMatch(/^0\n/);
    expect(hub.asked.at(-1)).toMatchObject({ host: "cdn", range: "bytes=5000-" });
  });

  test("shows how far it is on a terminal", async () => {
    const { err } = await sextant(["pull", "lab/tiny"], { terminal: true });
    expect(err).toMatch(/download, MB 0/);
  });

  test("used wrongly ends with exit code 2, and what is not there with 1", async () => {
    expect([await said("pull"), await said("pull", "a/b/c"), await said("pull", "lab/none")]).toMatchInlineSnapshot(`
      [
        "2
      --
      sextant pull: MODEL is missing: ORG/NAME, or ORG/NAME@REVISION for a branch, a tag or a commit
      usage: sextant pull MODEL [options]
      ",
        "2
      --
      sextant pull: a model of the hub is ORG/NAME or ORG/NAME@REVISION, got "a/b/c"
      usage: sextant pull MODEL [options]
      ",
        "1
      --
      sextant pull: cannot download lab/none: HOST has no model lab/none, or it is private. Instead: check the name, or give a token of an account that may read it in HF_TOKEN, or log in with \`hf auth login\`
      ",
      ]
    `);
    process.env["HF_HUB_OFFLINE"] = "1";
    expect(await said("pull", "lab/tiny")).toMatch(/^2\n/);
  });
});

describe("models", () => {
  test("says that there are none", async () => {
    expect(await said("models")).toMatchInlineSnapshot(`
      "0
      There are no models in TMP/cache.
      --
      "
    `);
  });

  test("lists those that run, and why others do not", async () => {
    await sextant(["pull", "lab/tiny"]);
    hub.put("lab/odd", { ...tinyModel(), "config.json": Buffer.from('{"model_type": "mamba\\u001b"}') });
    await sextant(["pull", "lab/odd"]);
    const torn = path("cache/models--lab--torn/snapshots");
    const { cpSync } = await import("node:fs");
    cpSync(path("cache/models--lab--tiny/snapshots"), torn, { recursive: true, dereference: true });
    rmSync(`${torn}/${COMMIT}/model.safetensors`);
    writeFileSync(`${CACHE}/notes.txt`, "x");
    hub.asked.length = 0;
    expect(
      (await said("models"))
        .replace(/the families are .*?\. Instead/s, "the families are …. Instead")
        .replaceAll(/\b[0-9a-f]{12}\b/g, "OTHER"),
    ).toMatchInlineSnapshot(`
      "0
      model     commit        revisions    size  family     dtype  runs
      lab/odd   OTHER  main       181 kB  mamba\\x1b  F32    no
      lab/tiny  COMMIT  main       182 kB  qwen2      F32    yes
      lab/torn  COMMIT              10 kB  qwen2             no

      2 models that cannot be run:
        lab/odd OTHER: cannot load a model of the family "mamba\\u001b": the families are …. Instead: convert it to one of these, or add a file to src/models/architectures
        lab/torn COMMIT: configuration or weights are missing; sextant pull lab/torn completes it
      --
      "
    `);
    const { models } = await sextantJson<{ models: object[] }>("models");
    expect(models).toMatchObject([
      { name: "lab/odd" },
      { name: "lab/tiny", family: "qwen2", dtypes: ["F32"], commit: COMMIT, isWhole: true },
      { isWhole: false },
    ]);
    expect(models[1]).not.toHaveProperty("problem");
    expect(hub.asked).toEqual([]);
  });
});

describe("a model of the hub", () => {
  test("is downloaded by the command that needs it, said on standard error", async () => {
    const first = await said("lens", "lab/tiny", "--tokens", "[1,2]");
    expect(first.split("--\n")[1]).toMatchInlineSnapshot(`
      "lab/tiny, commit COMMIT: downloading 5 files, 182 kB, from HUB to TMP/cache/models--lab--tiny/snapshots/COMMIT
      "
    `);
    const again = await said("lens", `lab/tiny@${COMMIT}`, "--tokens", "[1,2]");
    expect(again.split("--\n")).toEqual([first.split("--\n")[0], ""]);
    expect((await sextantJson<{ model: string }>("model", "lab/tiny")).model).toBe("lab/tiny");
  });

  test("offline is taken from the cache only", async () => {
    process.env["HF_HUB_OFFLINE"] = "1";
    expect(await said("lens", "lab/tiny", "--tokens", "[1,2]")).toMatchInlineSnapshot(`
      "1
      --
      sextant lens: cannot find the model lab/tiny: there is no such folder, and the hub's cache TMP/cache does not have it with its weights. Instead: unset HF_HUB_OFFLINE, and it is downloaded
      "
    `);
    expect(hub.asked).toEqual([]);
  });
});
