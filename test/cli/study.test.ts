/** @file `study` and `verify`: a run of the planted model, made, shown, made again and compared; and what is refused. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { smallStudy } from "../studies/planted-study.js";
import { sextant } from "./sextant.js";

const folder = mkdtempSync(join(tmpdir(), "study-"));
const run = join(folder, "run");
const study = smallStudy(folder);

/** `--set` for every leaf of the settings. */
function settings(parameters: object, prefix = ""): string[] {
  return Object.entries(parameters).flatMap(([key, value]) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? settings(value as object, `${prefix}${key}.`)
      : ["--set", `${prefix}${key}=${JSON.stringify(value)}`],
  );
}

const asked = ["study", "self-verification", study.model, "--out", run, "--threads", "1", ...settings(study.parameters)];
let first: Awaited<ReturnType<typeof sextant>>;
beforeAll(async () => {
  first = await sextant(asked);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

describe("study", () => {
  test("says what each step found, the answer, and where the report is", () => {
    expect([first.code, first.err], first.out).toEqual([0, ""]);
    expect(first.out).toMatch(/^1\/12 Searches, and the moments of judgement \(/m);
    expect(first.out).toMatch(/^12\/12 The probe in another model: left out, no other model was given$/m);
    expect(first.out).toContain("heads look back at the target");
    expect(first.out).toContain(`The report is ${run}/report.html`);
    expect(readFileSync(join(run, "report.html"), "utf8")).toContain("<h1>Self-verification");
  });

  test("lists the studies without a name", async () => {
    const { code, out } = await sextant(["study"]);
    expect([code, out.split("\n")[0]]).toEqual([0, "self-verification"]);
  });

  test("does not touch a whole run", async () => {
    const before = readFileSync(join(run, "run.json"));
    const { code, err } = await sextant(asked);
    expect([code, err]).toEqual([1, expect.stringContaining(run)]);
    expect(readFileSync(join(run, "run.json")).equals(before)).toBe(true);
  });

  test.each([
    [["study", "nothing"], 'there is no study "nothing"'],
    [["study", "self-verification", study.model, "--set", "probe"], "--set must be NAME=VALUE"],
    [["study", "self-verification", study.model, "--set", "probe.seeds={"], "no JSON"],
    [["study", "self-verification", study.model, "--set", "probe.seeds=1", "--set", "probe.seeds=2"], "set twice"],
    [["study", "self-verification", study.model, "--set", "probe.sheds=1"], "probe.sheds"],
    [["study", "self-verification", study.model, "--other", "friend=models/induction"], 'no role "friend"'],
    [["study", "self-verification", study.model, "--seed", "-1"], "--seed must be"],
  ])("refuses %j before anything is written", async (words, problem) => {
    const out = join(folder, "refused");
    const { code, err } = await sextant(words.length > 2 ? [...words, "--out", out] : words);
    expect([code, err]).toEqual([2, expect.stringContaining(problem)]);
    expect(existsSync(out)).toBe(false);
  });
});

describe("verify", () => {
  test("makes the run again, and finds every number the same", async () => {
    const { code, out, err } = await sextant(["verify", run, "--threads", "1"]);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toContain("Nothing differs.");
    expect(out).toContain(`The run was made again in ${run}.again, and every number agrees within its tolerance.`);
  }, 60_000);

  test("names a number that somebody changed, and the file it stands in", async () => {
    const path = join(run, "findings.json");
    const text = readFileSync(path, "utf8");
    const changed = text.replace(/("id": "heads\.looking"[^}]*?"value": )\d+/, "$17");
    expect(changed).not.toBe(text);
    writeFileSync(path, changed);
    const files = await sextant(["verify", run, "--files"]);
    expect([files.code, files.out]).toEqual([1, expect.stringMatching(/^findings\.json is changed/m)]);
    const again = await sextant(["verify", run, "--out", join(folder, "again"), "--threads", "1"]);
    expect(again.code).toBe(1);
    expect(again.out).toContain("the first run's findings.json is changed");
    expect(again.out).toMatch(/heads\.looking/);
    expect(again.out).toContain("not every number agrees");
    writeFileSync(path, text);
    const whole = await sextant(["verify", run, "--files"]);
    expect([whole.code, whole.out.trim()]).toEqual([0, "Every file is as it was written."]);
  }, 60_000);

  test("refuses another model, and a folder that is no run", async () => {
    const other = await sextant(["verify", run, "--model", "models/induction", "--out", join(folder, "other")]);
    expect([other.code, other.err]).toEqual([1, expect.stringContaining("models/induction")]);
    const none = await sextant(["verify", folder]);
    expect([none.code, none.err]).toEqual([1, expect.stringContaining("it has no run.json")]);
  });
});
