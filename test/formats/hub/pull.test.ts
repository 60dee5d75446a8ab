/** @file Downloads from a hub of our own: what comes, what lies where afterwards, and that nothing is lost or half there when things go wrong. */
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { createServer, type AddressInfo } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { beforeEach, describe, expect, test } from "vitest";
import { isSextantError } from "../../../src/base/errors.js";
import { pullModel, type PullOptions, type PullPlan } from "../../../src/formats/hub/pull.js";
import { loadModel } from "../../../src/runtime/load.js";
import { temporaryFolder } from "../folder.js";
import { fakeHub, gitSha1, sha256, tinyModel, type Asked } from "./fake-hub.js";

const { path } = temporaryFolder();
const hub = await fakeHub();
const FILES = {
  ...tinyModel(),
  "README.md": Buffer.from("# Tiny"),
  "pytorch_model.bin": Buffer.alloc(5000, 1),
  "onnx/model.onnx": Buffer.from("x"),
};
const WEIGHTS = FILES["model.safetensors" as keyof typeof FILES];
const NEEDED = Object.keys(tinyModel());
const COMMIT = hub.put("lab/tiny", FILES);
const HOST = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);

let count = 0;
let cache = "";
beforeEach(() => {
  cache = path(`cache-${++count}`);
  hub.asked.length = 0;
  hub.sent = 0;
  hub.odd = () => undefined;
  hub.list = (entry) => entry;
});

const pull = (model = "lab/tiny", options: PullOptions = {}): Promise<PullPlan> =>
  pullModel(model, { cache, endpoint: hub.endpoint, environment: {}, firstWait: 0.001, ...options });
const repo = (...parts: string[]): string => join(cache, "models--lab--tiny", ...parts);
const snapshot = (name: string): string => repo("snapshots", COMMIT, name);
const blobs = (): string[] => (existsSync(repo("blobs")) ? readdirSync(repo("blobs")) : []);
const isWeights = ({ host }: Asked): boolean => host === "cdn";

/** Far quicker than `toEqual`. */
const isSame = (file: string, bytes: Buffer): boolean => readFileSync(file).equals(bytes);

/** `kind: message` of the error that a pull must end with. */
async function refusal(pulling: Promise<unknown>): Promise<string> {
  try {
    await pulling;
  } catch (error) {
    if (!isSextantError(error)) throw error;
    return `${error.kind}: ${error.message
      .replaceAll(cache, "CACHE")
      .replaceAll(COMMIT, "COMMIT")
      .replaceAll(/127\.0\.0\.1:\d+/g, "HOST")}`;
  }
  throw new Error("nothing was thrown");
}

describe("a download", () => {
  test("leaves the layout of Python's huggingface_hub, of which the model runs", async () => {
    const plan = await pull();
    expect(plan).toMatchObject({
      name: "lab/tiny",
      revision: "main",
      commit: COMMIT,
      folder: repo("snapshots", COMMIT),
      bytes: plan.missing,
    });
    expect(readFileSync(repo("refs", "main"), "utf8")).toBe(COMMIT);
    expect(readdirSync(plan.folder).toSorted()).toEqual(NEEDED.toSorted());
    for (const name of NEEDED) {
      const bytes = FILES[name as keyof typeof FILES];
      expect(isSame(join(plan.folder, name), bytes)).toBe(true);
      const hash = name === "model.safetensors" ? sha256(bytes) : gitSha1(bytes);
      expect(readlinkSync(join(plan.folder, name)).replaceAll("\\", "/")).toBe(`../../blobs/${hash}`);
    }
    expect(blobs()).toHaveLength(NEEDED.length);
    const model = await loadModel(plan.folder, { lazy: true });
    expect((await model.forward({ tokens: [[1, 2]] })).logits?.shape[0]).toBe(1);
    await model.close();
  });

  test("that is repeated asks for the list only", async () => {
    await pull();
    hub.asked.length = 0;
    const plan = await pull();
    expect([plan.missing, hub.downloads()]).toEqual([0, []]);
    expect(plan.files.every(({ cached }) => cached)).toBe(true);
  });

  test("takes what `include` names as well", async () => {
    const { files } = await pull("lab/tiny", { include: ["*.md", "onnx/*"] });
    expect(files.map(({ path: name }) => name).toSorted()).toEqual([...NEEDED, "README.md", "onnx/model.onnx"].toSorted());
    expect(readFileSync(snapshot("onnx/model.onnx"), "utf8")).toBe("x");
    expect(lstatSync(snapshot("onnx/model.onnx")).isSymbolicLink()).toBe(true);
    expect(await refusal(pull("lab/tiny", { include: ["*.txt", "*.zip"] }))).toMatchInlineSnapshot(
      `"file: cannot download lab/tiny: none of its files is called "*.txt""`,
    );
  });

  test("tells its plan first, then how far it is", async () => {
    const told: string[] = [];
    const plan = await pull("lab/tiny", {
      onPlan: ({ missing }) => told.push(`plan ${missing} ${hub.downloads().length}`),
      onProgress: ({ done, total }) => told.push(`${done} of ${total}`),
    });
    expect(told[0]).toBe(`plan ${plan.bytes} 0`);
    expect(told.at(-1)).toBe(`${plan.bytes} of ${plan.bytes}`);
  });

  test("of a branch, a tag or a commit is noted under its name", async () => {
    const other = hub.put("lab/tiny", { ...FILES, "config.json": Buffer.from("{}") }, "refs/pr/1");
    expect((await pull("lab/tiny@refs/pr/1")).commit).toBe(other);
    expect(readFileSync(repo("refs", "refs", "pr", "1"), "utf8")).toBe(other);
    expect((await pull(`lab/tiny@${COMMIT}`)).commit).toBe(COMMIT);
    expect(readdirSync(repo("refs"))).toEqual(["refs"]);
    // What both commits have is there once.
    expect(blobs()).toHaveLength(NEEDED.length + 1);
  });

  test("of an old model without an organisation, which has moved, follows it", async () => {
    hub.put("tiny", { "config.json": Buffer.from("{}") });
    hub.odd = ({ path: asked }) =>
      /^(?:\/api\/models)?\/tiny\//.test(asked) ? { status: 307, headers: { location: asked.replace("/tiny/", "/lab/tiny/") } } : undefined;
    const { folder } = await pull("tiny");
    expect(folder).toBe(join(cache, "models--tiny", "snapshots", COMMIT));
    expect(readdirSync(folder)).toHaveLength(NEEDED.length);
  });

  test("of text that comes compressed all the same is right", async () => {
    const config = FILES["config.json" as keyof typeof FILES];
    hub.odd = ({ path: asked }) =>
      asked.endsWith("/config.json") ? { body: gzipSync(config), headers: { "content-encoding": "gzip" } } : undefined;
    await pull();
    expect(isSame(snapshot("config.json"), config)).toBe(true);
  });

  test("of weights in several files takes those that the index names", async () => {
    const index = (files: string[]): Buffer =>
      Buffer.from(JSON.stringify({ weight_map: Object.fromEntries(files.map((file, i) => [`w${i}`, file])) }));
    const shards = {
      "a-1.safetensors": Buffer.alloc(3, 1),
      "a-2.safetensors": Buffer.alloc(4, 2),
      "consolidated.safetensors": Buffer.alloc(5, 3),
    };
    const { "model.safetensors": _, ...rest } = tinyModel();
    hub.put("lab/sharded", {
      ...rest,
      ...shards,
      "model.safetensors.index.json": index(["a-1.safetensors", "a-2.safetensors", "a-1.safetensors"]),
    });
    const plan = await pull("lab/sharded");
    expect(readdirSync(plan.folder).filter((name) => name.endsWith(".safetensors"))).toEqual(["a-1.safetensors", "a-2.safetensors"]);
    hub.put("lab/sharded", { ...rest, ...shards, "model.safetensors.index.json": index(["a-1.safetensors", "../../x"]) });
    expect(await refusal(pull("lab/sharded"))).toMatchInlineSnapshot(
      `"format: cannot download lab/sharded: model.safetensors.index.json names "../../x", which is not there"`,
    );
  });

  test("of a repository without safetensors or configuration is refused", async () => {
    hub.put("lab/pickled", { "config.json": Buffer.from("{}"), "pytorch_model.bin": Buffer.from("x"), "model-Q4.gguf": Buffer.from("x") });
    hub.put("lab/bare", { "model.safetensors": Buffer.from("x") });
    expect(await refusal(pull("lab/pickled"))).toMatchInlineSnapshot(
      `"unsupported: cannot download lab/pickled: its repository has no model.safetensors or model.safetensors.index.json, but has "pytorch_model.bin", "model-Q4.gguf". Instead: choose a repository of a model with weights as safetensors, or name its files with include"`,
    );
    expect(await refusal(pull("lab/bare"))).toMatchInlineSnapshot(
      `"unsupported: cannot download lab/bare: its repository has no config.json, but has "model.safetensors". Instead: choose a repository of a model with weights as safetensors, or name its files with include"`,
    );
    expect(hub.downloads()).toEqual([]);
    const { files } = await pull("lab/pickled", { include: ["*.gguf"] });
    expect(files.map(({ path: name }) => name)).toEqual(["config.json", "model-Q4.gguf"]);
  });

  test("makes files, not links, where links are not allowed", async () => {
    await pull("lab/tiny", { environment: { HF_HUB_DISABLE_SYMLINKS: "1" } });
    expect(NEEDED.map((name) => lstatSync(snapshot(name)).isFile())).toEqual(NEEDED.map(() => true));
    // Moved there, as Python does, so that there is no blob.
    rmSync(repo("blobs"), { recursive: true });
    hub.asked.length = 0;
    expect((await pull()).missing).toBe(0);
    expect(hub.downloads()).toEqual([]);
  });

  test("mends a snapshot whose links lead nowhere", async () => {
    mkdirSync(repo("snapshots", COMMIT), { recursive: true });
    symlinkSync("../../blobs/gone", snapshot("config.json"));
    await pull();
    expect(readFileSync(snapshot("config.json"))).toEqual(FILES["config.json" as keyof typeof FILES]);
  });
});

describe("a connection that breaks", () => {
  test("is made again, and the rest asked for", async () => {
    let breaks = 0;
    hub.odd = (asked) => (isWeights(asked) && breaks++ < 3 ? { breakAfter: 4000 } : undefined);
    await pull();
    expect(isSame(snapshot("model.safetensors"), WEIGHTS)).toBe(true);
    const ranges = hub
      .downloads()
      .filter(isWeights)
      .map(({ range }) => range);
    expect(ranges).toEqual([undefined, "bytes=4000-", "bytes=8000-", "bytes=12000-"]);
  });

  test("for good leaves a part, from which the next download goes on", async () => {
    let asked = 0;
    hub.odd = (one) => (isWeights(one) ? (asked++ === 0 ? { breakAfter: 5000 } : { status: 503 }) : undefined);
    expect(await refusal(pull())).toMatchInlineSnapshot(
      `"file: cannot download: HOST answered 503 (it is out of order); what is there is kept, try again later"`,
    );
    expect(asked).toBe(6);
    expect(existsSync(repo("snapshots", COMMIT))).toBe(false);
    expect(existsSync(repo("refs", "main"))).toBe(false);
    expect(blobs().filter((name) => /^[0-9a-f]{64}\.sextant-free-[0-9a-f]{8}\.incomplete$/.test(name))).toHaveLength(1);
    hub.odd = () => undefined;
    hub.asked.length = 0;
    await pull();
    expect(hub.downloads().filter(isWeights)).toMatchObject([{ range: "bytes=5000-" }]);
    expect(isSame(snapshot("model.safetensors"), WEIGHTS)).toBe(true);
    expect(blobs().filter((name) => name.includes("incomplete"))).toEqual([]);
  });

  test("begins anew where the server does not know ranges", async () => {
    let breaks = 0;
    hub.odd = (asked) => (isWeights(asked) ? { noRanges: true, ...(breaks++ < 1 && { breakAfter: 4000 }) } : undefined);
    await pull();
    expect(isSame(snapshot("model.safetensors"), WEIGHTS)).toBe(true);
  });

  test("is also one over which nothing comes", async () => {
    let stalls = 0;
    hub.odd = (asked) => (isWeights(asked) && stalls++ < 1 ? { stallAfter: 4000 } : undefined);
    await pull("lab/tiny", { silence: 0.1 });
    expect(hub.downloads().filter(isWeights).at(-1)).toMatchObject({ range: "bytes=4000-" });
  });

  test("to nobody is told at once", async () => {
    const nobody = createServer().listen(0);
    const { port } = nobody.address() as AddressInfo;
    await new Promise((resolve) => nobody.close(resolve));
    const began = performance.now();
    const told = await refusal(pull("lab/tiny", { endpoint: `http://127.0.0.1:${port}`, firstWait: 60 }));
    expect(told).toMatchInlineSnapshot(
      `"file: cannot reach HOST: connect ECONNREFUSED HOST; without a network, set HF_HUB_OFFLINE=1 to use what is in the cache"`,
    );
    expect(performance.now() - began).toBeLessThan(2000);
  });
});

describe("an interrupted download", () => {
  test("ends as such, keeps its part, and goes on next time", async () => {
    const abort = new AbortController();
    hub.odd = (asked) => (isWeights(asked) ? { stallAfter: 6000 } : undefined);
    const onProgress: PullOptions["onProgress"] = ({ done, total }) => done >= total - WEIGHTS.length + 6000 && abort.abort();
    expect(await refusal(pull("lab/tiny", { signal: abort.signal, onProgress }))).toMatchInlineSnapshot(
      `"interrupted: the download was interrupted; it goes on next time"`,
    );
    hub.odd = () => undefined;
    hub.asked.length = 0;
    await pull();
    expect(hub.downloads().filter(isWeights)).toMatchObject([{ range: "bytes=6000-" }]);
    expect(await refusal(pull("lab/tiny", { signal: AbortSignal.abort() }))).toMatch(/^interrupted: /);
  });

  test("of a process that was killed is taken up, one of a living process waited for", async () => {
    mkdirSync(repo("blobs"), { recursive: true });
    const blob = repo("blobs", sha256(WEIGHTS));
    const partOf = (host: string, pid: number): string => `${blob}.sextant-${host}-${pid}-00000000.incomplete`;
    // No process has such a number: Linux ends at 2^22.
    writeFileSync(partOf(HOST, 2 ** 31 - 1), WEIGHTS.subarray(0, 3000));
    await pull();
    expect(hub.downloads().filter(isWeights)).toMatchObject([{ range: "bytes=3000-" }]);

    rmSync(cache, { recursive: true });
    mkdirSync(repo("blobs"), { recursive: true });
    hub.asked.length = 0;
    writeFileSync(partOf(HOST, process.ppid), WEIGHTS.subarray(0, 3000));
    const waiting = pull();
    setTimeout(() => {
      writeFileSync(blob, WEIGHTS);
      rmSync(partOf(HOST, process.ppid));
    }, 100);
    await waiting;
    expect(hub.downloads().filter(isWeights)).toEqual([]);
  });

  test("beside another of the same model downloads every file once", async () => {
    const [first, second] = await Promise.all([pull(), pull()]);
    expect(first.folder).toBe(second.folder);
    expect(hub.sent).toBeLessThan(first.bytes + 20_000);
    expect(hub.downloads().filter(isWeights)).toHaveLength(1);
    expect(blobs().filter((name) => name.includes("incomplete"))).toEqual([]);
  });
});

describe("wrong bytes", () => {
  test("are removed and told, and nothing of them is in a snapshot", async () => {
    const wrong = Buffer.from(WEIGHTS);
    wrong[wrong.length - 1]! ^= 1;
    hub.odd = (asked) => (isWeights(asked) ? { body: wrong } : undefined);
    expect(await refusal(pull())).toMatchInlineSnapshot(
      `"format: cannot download lab/tiny: the bytes of "model.safetensors" are not those that the hub lists, whose hash is f912fe3264739308b3e2ae290235b5bdce75409dd13955958c68d25172dd382d; they were removed"`,
    );
    expect(existsSync(repo("snapshots", COMMIT))).toBe(false);
    expect(blobs().filter((name) => name.startsWith(sha256(WEIGHTS)))).toEqual([]);
    rmSync(cache, { recursive: true });
    hub.odd = (asked) =>
      asked.path.endsWith("/config.json")
        ? { body: Buffer.from(FILES["config.json" as keyof typeof FILES].map((byte) => byte ^ 1)) }
        : undefined;
    expect(await refusal(pull())).toMatch(/config\.json/);
    hub.odd = () => undefined;
    await pull();
  });

  test("in what was left of an earlier download cost another download, no more", async () => {
    mkdirSync(repo("blobs"), { recursive: true });
    const left = `${repo("blobs", sha256(WEIGHTS))}.sextant-free-00000000.incomplete`;
    writeFileSync(left, Buffer.alloc(1000, 7));
    await pull();
    expect(isSame(snapshot("model.safetensors"), WEIGHTS)).toBe(true);
    rmSync(cache, { recursive: true });
    mkdirSync(repo("blobs"), { recursive: true });
    writeFileSync(left, Buffer.alloc(WEIGHTS.length + 1, 7));
    await pull();
    expect(isSame(snapshot("model.safetensors"), WEIGHTS)).toBe(true);
  });

  test("in number are told before they are all there", async () => {
    const told: string[] = [];
    for (const length of [{}, { noLength: true } as const])
      for (const body of [Buffer.concat([WEIGHTS, WEIGHTS]), WEIGHTS.subarray(0, 100)]) {
        hub.odd = (asked) => (isWeights(asked) ? { body, ...length } : undefined);
        told.push(await refusal(pull()));
        rmSync(cache, { recursive: true });
      }
    expect(told).toMatchInlineSnapshot(`
      [
        "format: cannot download lab/tiny: "model.safetensors" has 171528 bytes by the hub's list, 343056 are there",
        "format: cannot download lab/tiny: "model.safetensors" has 171528 bytes by the hub's list, 100 are there",
        "format: cannot download lab/tiny: "model.safetensors" has 171528 bytes by the hub's list, more came",
        "format: cannot download lab/tiny: "model.safetensors" has 171528 bytes by the hub's list, it ends after 100",
      ]
    `);
    hub.odd = (asked) =>
      isWeights(asked)
        ? { headers: { "content-range": "bytes 1-2/3" }, ...(asked.range === undefined && { breakAfter: 4000 }) }
        : undefined;
    expect(await refusal(pull())).toMatch(/asked for those from byte \d+ on, others came$/);
    hub.odd = () => undefined;
    await pull();
  });
});

describe("a hub that says no", () => {
  test.each([
    ["missing repository", "lab/none", undefined, {}],
    ["missing repository, with a token", "lab/none", "hf_x", {}],
    ["missing revision", "lab/tiny@v9", undefined, {}],
    ["gated", "lab/tiny", undefined, { status: 401, headers: { "x-error-code": "GatedRepo" } }],
    ["gated, with a token", "lab/tiny", "hf_x", { status: 403, headers: { "x-error-code": "GatedRepo" } }],
    ["refused token", "lab/tiny", "hf_x", { status: 401 }],
    ["forbidden", "lab/tiny", "hf_x", { status: 403 }],
    ["missing file", "lab/tiny", undefined, { status: 404 }],
    ["something else", "lab/tiny", undefined, { status: 418, headers: { "x-error-message": "tea" } }],
    ["busy for long", "lab/tiny", undefined, { status: 429, headers: { "retry-after": "3600" } }],
  ])("%s", async (_, model, token, odd) => {
    hub.odd = ({ path: asked }) => (asked.endsWith("/config.json") ? odd : undefined);
    expect(await refusal(pull(model, token === undefined ? {} : { token }))).toMatchSnapshot();
    expect(existsSync(repo("snapshots"))).toBe(existsSync(repo("blobs")));
  });

  test("for a while is asked again", async () => {
    let times = 0;
    hub.odd = () => [{ status: 429, headers: { "retry-after": "0" } }, { status: 500 }, { status: 502 }][times++];
    await pull();
    expect(times).toBeGreaterThan(3);
  });

  test("offline is not asked", async () => {
    expect(await refusal(pull("lab/tiny", { environment: { HF_HUB_OFFLINE: "1" } }))).toMatchInlineSnapshot(
      `"usage: cannot download lab/tiny: the hub is not to be asked. Instead: unset HF_HUB_OFFLINE"`,
    );
    expect(hub.asked).toEqual([]);
  });
});

describe("the token", () => {
  test("goes to the hub and to no other host", async () => {
    await pull("lab/tiny", { environment: { HF_TOKEN: "hf_secret\n" } });
    expect(new Set(hub.asked.map(({ host, token }) => `${host} ${token}`))).toEqual(new Set(["hub Bearer hf_secret", "cdn undefined"]));
  });

  test("goes along no redirect to elsewhere, and unsafe redirects are not followed", async () => {
    const elsewhere = hub.endpoint.replace("127.0.0.1", "localhost");
    hub.odd = ({ path: asked, token }) =>
      asked.startsWith("/api") && token ? { status: 307, headers: { location: `${elsewhere}${asked}` } } : undefined;
    await pull("lab/tiny", { token: "hf_secret" });
    expect(hub.asked.filter(({ path: asked }) => asked.startsWith("/api")).map(({ token }) => token)).toContain(undefined);
    for (const location of ["file:///etc/passwd", "ftp://x/y", "http://["]) {
      hub.odd = () => ({ status: 302, headers: { location } });
      expect(await refusal(pull())).toMatch(/redirects to .* which is not followed$/);
    }
    hub.odd = ({ path: asked }) => ({ status: 302, headers: { location: asked } });
    expect(await refusal(pull())).toMatch(/redirects more than 10 times$/);
  });
});

describe("an answer that is not to be trusted", () => {
  const wrong: readonly (readonly [what: string, entry: Record<string, unknown>])[] = [
    ["a path upwards", { path: "../../x" }],
    ["a path upwards inside", { path: "a/../../x" }],
    ["an absolute path", { path: "/x" }],
    ["a path of Windows", { path: "C:\\x" }],
    ["a drive", { path: "c:x" }],
    ["an empty path", { path: "" }],
    ["a path with NUL", { path: "a\0b" }],
    ["a path that is none", { path: 3 }],
    ["a folder upwards", { type: "directory", path: ".." }],
    ["a negative size", { size: -1 }],
    ["half a byte", { size: 0.5 }],
    ["an absurd size", { size: 1e30 }],
    ["no size", { size: undefined }],
    ["a hash upwards", { oid: "../../../../../../../../../../../../../../x" }],
    ["no hash", { oid: null }],
    ["a hash of LFS that is none", { lfs: { oid: "xyz", size: 3 } }],
  ];

  test.each(wrong)("%s", async (_, change) => {
    hub.list = (entry) => (entry["path"] === "config.json" ? { ...entry, ...change } : entry);
    expect(await refusal(pull())).toMatchSnapshot();
    expect(existsSync(cache)).toBe(false);
  });

  test.each([
    ["no JSON", "<html>"],
    ["null", "null"],
    ["no commit", "{}"],
    ["a commit upwards", '{"sha":"../x"}'],
    ["another commit", `{"sha":"${"1".repeat(40)}"}`],
  ])("%s", async (_, body) => {
    hub.odd = () => ({ body });
    expect(await refusal(pull(`lab/tiny@${COMMIT}`))).toMatchSnapshot();
  });

  test("lists without end are not followed", async () => {
    hub.odd = ({ path: asked }) =>
      asked.includes("/tree/") ? { body: "[]", headers: { link: `<${hub.endpoint}${asked}>; rel="next"` } } : undefined;
    expect(await refusal(pull())).toMatchInlineSnapshot(
      `"format: cannot download lab/tiny: the hub's answer is not to be trusted, it lists its files on more than 200 pages"`,
    );
  });

  test("files that no disk holds are refused before the first byte", async () => {
    hub.list = (entry) => (entry["path"] === "model.safetensors" ? { ...entry, lfs: { oid: "0".repeat(64), size: 2 ** 44 } } : entry);
    expect((await refusal(pull())).replace(/there are .* free/, "there are N free")).toMatchInlineSnapshot(
      `"file: cannot download lab/tiny: it takes 18 TB, and there are N free in CACHE/models--lab--tiny/blobs. Instead: make room, or name another disk's folder in HF_HUB_CACHE"`,
    );
    expect(hub.downloads()).toEqual([]);
  });
});

test("a cache that cannot be written to is named", async () => {
  writeFileSync(cache, "a file");
  expect(await refusal(pull())).toMatchInlineSnapshot(
    `"file: cannot write to the cache's folder CACHE/models--lab--tiny/blobs: a part of the path is a file, not a folder"`,
  );
});
