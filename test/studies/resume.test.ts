/** @file A run that is stopped, however it is stopped, goes on to what an undisturbed one finds; what is there is never lost or mixed up. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.js";
import { damagedFiles } from "../../src/store/check-files.js";
import { compareRuns } from "../../src/store/compare.js";
import { readRun, type StoredRun } from "../../src/store/stored-run.js";
import { temporaryFolder } from "../formats/folder.js";
import { buildPlantedModel } from "./planted/planted-model.js";
import { runPlanted, smallStudy, type PlantedStudy } from "./planted-study.js";

const { root, path } = temporaryFolder();

let small: PlantedStudy;
let whole: StoredRun;
/** Things that happen in an undisturbed run. */
let events = 0;
beforeAll(async () => {
  small = smallStudy(root);
  const count = (): void => void events++;
  await runPlanted(small, path("whole"), { onStep: count, onProgress: count });
  whole = readRun(path("whole"));
});

/** Every file below a folder with its hash. */
function bytesOf(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name)).toSorted();
  return Object.fromEntries(
    paths.map((file) => [file.slice(folder.length + 1), createHash("sha256").update(readFileSync(file)).digest("hex")]),
  );
}

/** Demands that a run is, but for times, the undisturbed one. */
function expectSame(folder: string): void {
  const run = readRun(folder);
  const comparison = compareRuns(whole, run);
  expect({ ...comparison, findings: comparison.findings.differ, tables: comparison.tables.differ }).toMatchObject({
    equal: true,
    findings: [],
    tables: [],
  });
  expect(damagedFiles(folder, run.manifest)).toEqual([]);
  // Steps hold the time that they took; reports and manifests, when. All else is the same to the byte.
  const lasting = (files: Record<string, string>): Record<string, string> =>
    Object.fromEntries(Object.entries(files).filter(([name]) => !/(?:step|run|started)\.json$|report\.html$/.test(name)));
  expect(lasting(bytesOf(folder))).toEqual(lasting(bytesOf(whole.folder)));
  expect(readFileSync(join(folder, "findings.json"), "utf8")).toBe(readFileSync(join(whole.folder, "findings.json"), "utf8"));
}

/** Runs in a process of its own, killed a few milliseconds after so many things have happened; what ended it. */
function killedAfter(folder: string, count: number, milliseconds: number): Promise<string | null> {
  const program = fileURLToPath(new URL("planted-study.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", program, JSON.stringify(small), folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let happened = 0;
  child.stdout.on("data", (text: Buffer) => {
    const before = happened;
    happened += text.length;
    if (before < count && happened >= count) setTimeout(() => child.kill("SIGKILL"), milliseconds);
  });
  return new Promise((done) => child.on("close", (_, signal) => done(signal)));
}

test("a run killed at random moments finds what an undisturbed one does", async () => {
  const folder = path("killed");
  const random = seededRandom(5);
  const stepsThere: number[] = [];
  let kills = 0;
  for (let round = 0; round < 4; round++) {
    kills += (await killedAfter(folder, 1 + Math.floor((events / 2) * random()), 60 * random())) === "SIGKILL" ? 1 : 0;
    stepsThere.push(
      existsSync(join(folder, "steps")) ? readdirSync(join(folder, "steps")).filter((name) => !name.startsWith(".")).length : 0,
    );
  }
  // On a busy machine a run may end before the signal comes.
  expect(kills).toBeGreaterThan(0);
  expect(stepsThere).toEqual(stepsThere.toSorted((a, b) => a - b));
  if (!existsSync(join(folder, "run.json"))) await runPlanted(small, folder);
  expectSame(folder);
  expect(readRun(folder).manifest.resumed).toBeGreaterThan(0);
});

describe("a run interrupted in the midst of a step", () => {
  const folder = path("interrupted");
  const continued: string[] = [];
  beforeAll(async () => {
    const controller = new AbortController();
    const onProgress = ({ stage, done }: { readonly stage: string; readonly done: number }): void => {
      if (stage === "Units and heads switched off" && done === 4) controller.abort();
    };
    await expect(runPlanted(small, folder, { signal: controller.signal, onProgress })).rejects.toThrow(/abort|interrupt/i);
  });

  test("leaves the steps before it whole, and its own pieces in the journal", () => {
    expect(readdirSync(join(folder, "steps")).toSorted()).toEqual(["channels", "heads", "lens", "probe", "searches", "steer", "units"]);
    const pieces = readFileSync(join(folder, "pieces.journal"), "utf8");
    expect(pieces).toContain("ablation.units_random");
    expect(pieces).not.toContain("ablation.heads_all");
    expect(existsSync(join(folder, "run.json"))).toBe(false);
  });

  test("is not mixed up with one of other settings or of another model, and loses nothing by the attempt", async () => {
    const before = bytesOf(folder);
    const other = { ...small, parameters: { ...small.parameters, lens: { top: 3 } } };
    await expect(runPlanted(other, folder)).rejects.toThrow("it holds a run with other settings: parameters.lens");
    const model = path("other-noise");
    buildPlantedModel(model, 2);
    await expect(runPlanted({ ...small, model }, folder)).rejects.toThrow("other settings: models.model.model.safetensors");
    const unknown = { ...small, parameters: { lens: { most: 3 } } };
    await expect(runPlanted(unknown, folder)).rejects.toThrow("cannot set lens.most");
    expect(bytesOf(folder)).toEqual(before);
  });

  test("goes on where it stopped, to what an undisturbed one finds", async () => {
    await runPlanted(small, folder, { onStep: ({ step, state }) => void continued.push(`${step} ${state}`) });
    expect(continued.slice(0, 9)).toEqual([
      ...["searches", "probe", "lens", "steer", "units", "heads", "channels"].map((step) => `${step} was there`),
      "ablation begins",
      "ablation done",
    ]);
    expectSame(folder);
    expect(readRun(folder).manifest.resumed).toBe(1);
    expect(existsSync(join(folder, "pieces.journal"))).toBe(false);
  });
});

test("a whole run is not run into again", async () => {
  const before = bytesOf(whole.folder);
  await expect(runPlanted(small, whole.folder)).rejects.toMatchObject({
    kind: "request",
    message: expect.stringContaining("it holds a whole run") as string,
  });
  expect(bytesOf(whole.folder)).toEqual(before);
});
