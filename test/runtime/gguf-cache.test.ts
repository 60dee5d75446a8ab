/** @file The cache of weights under bad conditions: two writers at once, a limit on the size of files, dead writers, files that vanish. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fillCache } from "../../src/formats/made-files.js";
import { openModelCheckpoint } from "../../src/runtime/gguf-model.js";
import { temporaryFolder } from "../formats/folder.js";

const { path, write, refusal } = temporaryFolder();
const LLAMA = fileURLToPath(new URL("../fixtures/gguf/llama.gguf", import.meta.url));
const PROGRAM = fileURLToPath(new URL("load-alone.ts", import.meta.url));

const before = process.env["SEXTANT_CACHE"];
beforeAll(() => void (process.env["SEXTANT_CACHE"] = path("cache")));
afterAll(() => {
  if (before === undefined) delete process.env["SEXTANT_CACHE"];
  else process.env["SEXTANT_CACHE"] = before;
});

/** What is in a cache, but for its clock and marks. */
function contents(name: string): string[] {
  return readdirSync(path(`${name}/gguf`)).filter((entry) => entry !== ".now" && !entry.endsWith(".used"));
}

interface Child {
  readonly isReady: Promise<void>;
  readonly said: Promise<string>;
}

/** A process that reads the weights through that cache, its files no larger than so many KiB. */
function loading(cache: string, start: string, limit?: number): Child {
  const command = [process.execPath, "--import", "tsx", PROGRAM, LLAMA, start].map((word) => `'${word}'`).join(" ");
  const shell = limit === undefined ? command : `ulimit -f ${limit}; ${command}`;
  const env = { ...process.env, SEXTANT_CACHE: path(cache), TSX_DISABLE_CACHE: "1" };
  const child = spawn("bash", ["-c", shell], { stdio: ["ignore", "pipe", "inherit"], env });
  let out = "";
  const isReady = new Promise<void>((done) => {
    child.stdout.on("data", (text: Buffer) => {
      out += text.toString();
      if (out.includes("ready")) done();
    });
    child.on("close", () => done());
  });
  return { isReady, said: new Promise((done) => child.on("close", () => done(out.replace("ready\n", "").trim()))) };
}

test("two processes that read a file at once both succeed, and a third that may not write says why", { timeout: 60_000 }, async () => {
  const children = [loading("both", path("go")), loading("both", path("go")), loading("limited", path("go"), 16)] as const;
  await Promise.all(children.map(({ isReady }) => isReady));
  write("go", "");
  const [one, other, limited] = await Promise.all(children.map(({ said }) => said));
  expect(one).toMatch(/^sum -?\d/);
  expect(other).toBe(one);
  expect(contents("both")).toEqual([expect.stringMatching(/^[0-9a-f]{64}-\d+\.safetensors$/)]);
  expect(limited).toMatch(/^failed cannot write .*\.safetensors: the file would be larger than the system allows \(ulimit -f\)$/);
  expect(contents("limited")).toEqual([]);
});

describe("writers that take turns", () => {
  const bytes = 12;
  const pieces = (): Uint8Array[] => [Uint8Array.of(1, 2, 3, 4), Uint8Array.of(5, 6, 7, 8), Uint8Array.of(9, 10, 11, 12)];
  const whole = Buffer.concat(pieces());

  test("leave one whole file, whoever ends first", () => {
    const at = path("turns/gguf/x.safetensors");
    const [first, second] = [fillCache({ path: at, bytes }, pieces), fillCache({ path: at, bytes }, pieces)];
    const steps = [first, second, second, first, second, second, first, first].map((writer) => {
      const { done } = writer.next();
      return `${done ? "done" : "wrote"}, ${existsSync(at) ? readFileSync(at).length : "no file"}`;
    });
    expect(steps.slice(0, 5)).toEqual(Array.from({ length: 5 }, () => "wrote, no file"));
    expect(steps.at(-1)).toBe("done, 12");
    expect(readFileSync(at).equals(whole)).toBe(true);
    expect(contents("turns")).toEqual(["x.safetensors"]);
  });

  test("and one that dies half-way hinder nobody; what it left is gone a day later", () => {
    const at = path("dead/gguf/x.safetensors");
    fillCache({ path: at, bytes }, pieces).next();
    const [left] = contents("dead");
    expect(left).toMatch(/\.tmp$/);
    for (const _ of fillCache({ path: at, bytes }, pieces)) expect(contents("dead")).toContain(left);
    expect(readFileSync(at).equals(whole)).toBe(true);
    const twoDaysAgo = Date.now() / 1000 - 2 * 86_400;
    utimesSync(path(`dead/gguf/${left}`), twoDaysAgo, twoDaysAgo);
    for (const _ of fillCache({ path: path("dead/gguf/y.safetensors"), bytes }, pieces));
    expect(contents("dead")).toEqual(["x.safetensors", "y.safetensors"]);
  });

  test("and one whose content fails leave nothing", () => {
    const at = path("failing/gguf/x.safetensors");
    const failing = function* (): Generator<Uint8Array> {
      yield Uint8Array.of(1);
      throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    };
    const fill = (): void => {
      for (const _ of fillCache({ path: at, bytes }, failing));
    };
    expect(refusal(fill)).toBe("file: cannot write TMP/failing/gguf/x.safetensors: the disk is full");
    expect(contents("failing")).toEqual([]);
  });
});

test("a file of the cache that vanishes while it is looked at does not matter", () => {
  mkdirSync(path("cache/gguf"), { recursive: true });
  symlinkSync(path("nowhere"), path("cache/gguf/gone.safetensors"));
  openModelCheckpoint(LLAMA).makeFiles();
  expect(contents("cache").length).toBe(2);
});

test("a file in the place of the cache's folder is named", () => {
  writeFileSync(path("file"), "");
  process.env["SEXTANT_CACHE"] = path("file");
  expect(refusal(() => openModelCheckpoint(LLAMA).makeFiles())).toBe(
    "file: cannot use the folder TMP/file/gguf: a part of the path is a file, not a folder",
  );
  process.env["SEXTANT_CACHE"] = path("cache");
});
