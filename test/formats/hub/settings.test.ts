/** @file Settings from options and environment, as Python's `huggingface_hub` reads them. */
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { hubSettings, type Environment } from "../../../src/formats/hub/settings.js";
import { temporaryFolder } from "../folder.js";

const { path, write, refusal } = temporaryFolder();
const NOWHERE = { HF_HOME: path("nowhere") };

test.each<readonly [Environment, string]>([
  [{}, join(homedir(), ".cache", "huggingface", "hub")],
  [{ XDG_CACHE_HOME: "/x" }, resolve("/x/huggingface/hub")],
  [{ XDG_CACHE_HOME: "/x", HF_HOME: "/h" }, resolve("/h/hub")],
  [{ HF_HOME: "~/h" }, join(homedir(), "h", "hub")],
  [{ HF_HOME: "" }, join(homedir(), ".cache", "huggingface", "hub")],
  [{ HF_HOME: "/h", HUGGINGFACE_HUB_CACHE: "/c" }, resolve("/c")],
  [{ HF_HOME: "/h", HUGGINGFACE_HUB_CACHE: "/c", HF_HUB_CACHE: "/d" }, resolve("/d")],
])("the cache under %o is %s", (environment, cache) => {
  expect(hubSettings({ environment: { ...environment, HF_TOKEN: "x" } }).cache).toBe(cache);
  expect(hubSettings({ environment, token: "x", cache: "/own" }).cache).toBe(resolve("/own"));
});

describe("the token", () => {
  write("home/token", "hf_file\n");
  write("other", " hf_other ");
  write("empty", "\n");
  test.each<readonly [Environment, string | undefined]>([
    [{ HF_HOME: path("home") }, "hf_file"],
    [{ HF_HOME: path("home"), HF_TOKEN_PATH: path("other") }, "hf_other"],
    [{ HF_HOME: path("home"), HF_TOKEN_PATH: path("empty") }, undefined],
    [{ HF_HOME: path("home"), HUGGING_FACE_HUB_TOKEN: "hf_old" }, "hf_old"],
    [{ HF_HOME: path("home"), HUGGING_FACE_HUB_TOKEN: "hf_old", HF_TOKEN: "hf_env" }, "hf_env"],
    [{ HF_HOME: path("home"), HF_TOKEN: "hf_env", HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" }, undefined],
    [NOWHERE, undefined],
  ])("under %o is %s", (environment, token) => {
    expect(hubSettings({ environment }).token).toBe(token);
    expect(hubSettings({ environment, token: "own" }).token).toBe("own");
  });

  test("that would break a header is refused, and not shown", () => {
    const said = refusal(() => hubSettings({ environment: NOWHERE, token: "hf_secret\r\nHost: x" }));
    expect(said).toBe("usage: the hub's token has characters that no token has");
  });
});

test.each([
  ["1", true],
  ["true", true],
  ["ON", true],
  ["yes", true],
  ["0", false],
  ["", false],
  ["no", false],
])("HF_HUB_OFFLINE=%s is %s", (value, offline) => {
  expect(hubSettings({ environment: { ...NOWHERE, HF_HUB_OFFLINE: value } }).offline).toBe(offline);
  expect(hubSettings({ environment: { ...NOWHERE, TRANSFORMERS_OFFLINE: value } }).offline).toBe(offline);
  expect(hubSettings({ environment: { ...NOWHERE, HF_HUB_OFFLINE: value }, offline: !offline }).offline).toBe(!offline);
});

test("the hub's address is HF_ENDPOINT, without slashes at its end, and must be one", () => {
  expect(hubSettings({ environment: NOWHERE }).endpoint).toBe("https://huggingface.co");
  expect(hubSettings({ environment: { ...NOWHERE, HF_ENDPOINT: "https://mirror.example/hf//" } }).endpoint).toBe(
    "https://mirror.example/hf",
  );
  for (const endpoint of ["mirror", "ftp://x", "https://user:secret@x", "https://x?y", "https://x#y"])
    expect(refusal(() => hubSettings({ environment: NOWHERE, endpoint }))).toMatch(/^usage: the hub's address must be like/);
});
