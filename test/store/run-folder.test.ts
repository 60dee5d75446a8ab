/** @file The folder of a run: what goes in comes out; stopped anywhere it goes on; what is not its own is refused; what is changed is found. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { checkFiles } from "../../src/store/check-files.js";
import type { RunHead } from "../../src/store/records.js";
import { openRun } from "../../src/store/run-folder.js";
import { readGenerations } from "../../src/store/step-folder.js";
import { readRun } from "../../src/store/stored-run.js";
import { temporaryFolder } from "../formats/folder.js";
import { BASELINE, COST, finding, HEAD, HEADS, SKIPPED, STEPS, writeRun } from "./sample-run.js";

const { path, write, refusal } = temporaryFolder();
const FINISHED = { finished: "2026-01-01T00:01:00.000Z" };

/** All files below a folder with their bytes. */
function contents(folder: string, prefix = ""): Record<string, string> {
  return Object.fromEntries(
    readdirSync(join(folder, prefix), { withFileTypes: true }).flatMap((entry) => {
      const name = join(prefix, entry.name);
      return entry.isDirectory() ? Object.entries(contents(folder, name)) : [[name, readFileSync(join(folder, name), "latin1")]];
    }),
  );
}

/** A run of which the first step is there. */
function begun(name: string): string {
  const run = openRun(path(name), HEAD);
  run.writeStep("baseline", "The baseline", BASELINE, COST);
  run.close();
  return path(name);
}

describe("a whole run", () => {
  const folder = path("whole");
  const returned = writeRun(folder);
  const run = readRun(folder);

  test("has these files", () => {
    expect(Object.keys(contents(folder)).toSorted()).toEqual([
      "findings.json",
      "report.html",
      "run.json",
      "started.json",
      "steps/baseline/by-task.parquet",
      "steps/baseline/none.jsonl",
      "steps/baseline/searches.jsonl",
      "steps/baseline/step.json",
      "steps/baseline/tasks.svg",
      "steps/baseline/tensors.safetensors",
      "steps/heads/step.json",
      "steps/other-model/step.json",
    ]);
    expect(readFileSync(join(folder, "report.html"), "utf8")).toBe("<p>3</p>");
  });

  test("comes back as it was written", () => {
    expect(run).toEqual(returned);
    expect(run.findings).toEqual(Object.entries(STEPS).flatMap(([step, output]) => output.findings.map((one) => ({ step, ...one }))));
    const [baseline, heads, other] = run.steps;
    expect(baseline).toEqual({
      name: "baseline",
      title: "The baseline",
      ...COST,
      findings: BASELINE.findings,
      notes: BASELINE.notes,
      tables: BASELINE.tables,
      figures: BASELINE.figures,
      generations: ["searches", "none"],
    });
    expect([heads!.name, other!.skipped]).toEqual(["heads", SKIPPED.skipped]);
    expect(readGenerations(join(folder, "steps"), "baseline", "searches")).toEqual(BASELINE.generations!["searches"]);
    expect(run.manifest).toMatchObject({ ...HEAD, ...FINISHED, format: "sextant-run", version: 1, resumed: 0 });
  });

  test("knows of each of its files, and of no other", () => {
    expect(checkFiles(folder)).toEqual([]);
  });

  test("is not run again", () => {
    const before = contents(folder);
    expect(refusal(() => openRun(folder, HEAD))).toMatchInlineSnapshot(
      `"request: cannot run in TMP/whole: it holds a whole run. Instead: name a folder that is not there yet"`,
    );
    expect(contents(folder)).toEqual(before);
  });
});

describe("a step", () => {
  test("leaves state, tensors and generations to later ones, to the bit", () => {
    const run = openRun(begun("earlier"), HEAD);
    const { state, tensors, generations } = run.readStep("baseline");
    run.close();
    expect(state).toStrictEqual(BASELINE.state);
    expect(tensors).toStrictEqual(BASELINE.tensors);
    expect(generations).toEqual(BASELINE.generations);
  });

  test("that JSON cannot hold is an internal error, and leaves nothing", () => {
    const run = openRun(path("bad-steps"), HEAD);
    const write = (output: object) => () => run.writeStep("bad", "Bad", { findings: [], ...output }, COST);
    const bad = [
      { findings: [finding("a", NaN)] },
      { state: { deep: [{ x: -Infinity }] } },
      { state: { array: Float32Array.of(1) } },
      { state: { list: [undefined] } },
      { state: { big: 1n } },
      { generations: { rows: [{ p: NaN }] } },
      { findings: [finding("a", 1), finding("a", 2)] },
      { findings: [finding("a", 1)], skipped: "no" },
      { generations: { "../x": [] } },
      { figures: [{ name: "f", title: "", caption: "", svg: "", table: "none" }] },
      { tables: [{ name: "t", title: "", columns: [{ name: "x", type: "int", values: [0.5] }] }] },
    ];
    expect(bad.map((output) => refusal(write(output)))).toMatchInlineSnapshot(`
      [
        "internal: internal: bad.findings[0].value is NaN, which JSON cannot hold",
        "internal: internal: bad.state.deep[0].x is -Infinity, which JSON cannot hold",
        "internal: internal: bad.state.array is a Float32Array, which JSON cannot hold",
        "internal: internal: bad.state.list[0] is undefined, which JSON cannot hold",
        "internal: internal: bad.state.big is a bigint, which JSON cannot hold",
        "internal: internal: bad/rows[0].p is NaN, which JSON cannot hold",
        "internal: internal: step bad: the run has a finding a already",
        "internal: internal: step bad is skipped and has findings",
        "internal: internal: step bad: "../x" is no name of a file: letters, digits, - and _",
        "internal: internal: step bad: figure f shows table none, which the step lacks",
        "usage: table "" cannot be Parquet: column "x" is of int, row 0 is the number 0.5",
      ]
    `);
    expect(refusal(() => run.writeStep("Bad/", "", HEADS, COST))).toMatch(/^internal: .*is no name of a step/);
    expect(readdirSync(path("bad-steps/steps"))).toEqual([]);
    run.writeStep("bad", "Good", HEADS, COST);
    expect(refusal(() => run.writeStep("bad", "Twice", HEADS, COST))).toBe("internal: internal: step bad is there already");
    expect(refusal(() => run.writeStep("more", "More", HEADS, COST))).toMatch(/the run has a finding heads.found already/);
    expect(refusal(() => run.readStep("later"))).toBe("internal: internal: step later is not there yet");
    run.close();
  });
});

describe("a run that was stopped", () => {
  const whole = path("never-stopped");
  writeRun(whole);

  /** The same but for how often it was taken up. */
  const alike = (folder: string): Record<string, string> => {
    const { "run.json": _run, "started.json": _started, ...rest } = contents(folder);
    return rest;
  };

  test("between steps goes on to the same files", () => {
    const folder = begun("between");
    const run = openRun(folder, { ...HEAD, started: "2027-01-01T00:00:00.000Z", engine: { ...HEAD.engine, node: "22.0.0" } });
    expect([...run.finished]).toEqual(["baseline"]);
    expect(run.started).toMatchObject({ started: HEAD.started, resumed: 1 });
    run.close();
    const { manifest } = writeRun(folder);
    expect([manifest.resumed, manifest.started]).toEqual([2, HEAD.started]);
    expect(alike(folder)).toEqual(alike(whole));
    expect(checkFiles(folder)).toEqual([]);
  });

  test("while a step was written has the old state or the new one, and nothing in between", () => {
    const cases = {
      "half a step": { at: ".heads.0123456789ab.tmp", finished: ["baseline"] },
      "a step that is not in its place": { at: ".heads.new", finished: ["baseline", "heads"] },
    };
    for (const [name, { at, finished }] of Object.entries(cases)) {
      const folder = begun(name);
      cpSync(join(whole, "steps/heads"), join(folder, "steps", at), { recursive: true });
      for (const file of ["started.json", "pieces.journal"]) write(`${name}/.${file}.0123456789ab.tmp`, "half");
      const run = openRun(folder, HEAD);
      expect([...run.finished]).toEqual(finished);
      run.close();
      writeRun(folder);
      expect(alike(folder)).toEqual(alike(whole));
    }
  });

  test("in front of its first file begins", () => {
    write("empty/.started.json.0123456789ab.tmp", "half");
    expect(writeRun(path("empty")).manifest.resumed).toBe(0);
    expect(checkFiles(path("empty"))).toEqual([]);
  });

  test("while it was made whole is made whole again", () => {
    const folder = path("finishing");
    for (const gone of [["run.json"], ["run.json", "report.html"], ["run.json", "report.html", "findings.json"]]) {
      rmSync(folder, { recursive: true, force: true });
      cpSync(whole, folder, { recursive: true });
      for (const name of gone) rmSync(join(folder, name));
      expect(refusal(() => readRun(folder))).toMatch("it was stopped before its end. Instead: repeat its command, which goes on");
      writeRun(folder);
      expect(alike(folder)).toEqual(alike(whole));
    }
  });

  test("by an error in its report has no run.json, and goes on", () => {
    const folder = begun("report");
    const run = openRun(folder, HEAD);
    const fail = (): never => {
      throw new Error("no ink");
    };
    expect(() => run.finish(FINISHED, fail)).toThrow("no ink");
    run.close();
    expect(existsSync(join(folder, "run.json"))).toBe(false);
    writeRun(folder);
    expect(alike(folder)).toEqual(alike(whole));
  });
});

describe("pieces", () => {
  test("outlive a stop, belong to their step, and go when it is whole", () => {
    const folder = path("pieces");
    const first = openRun(folder, HEAD);
    const value = { third: 1 / 3, negative: -0, list: [1, null, "x"] };
    expect(existsSync(join(folder, "pieces.journal"))).toBe(false);
    first.pieces("baseline").put("a", value);
    first.pieces("heads").put("a", [-0]);
    expect(first.pieces("baseline").get("a")).toStrictEqual(value);
    first.close();
    const second = openRun(folder, HEAD);
    expect([second.pieces("baseline").get("a"), second.pieces("heads").get("a")]).toStrictEqual([value, [-0]]);
    expect([second.pieces("baseline").get("b"), second.pieces("other").get("a")]).toEqual([undefined, undefined]);
    second.writeStep("baseline", "", BASELINE, COST);
    expect(second.pieces("baseline").get("a")).toBeUndefined();
    expect(second.pieces("heads").get("a")).toStrictEqual([-0]);
    second.writeStep("heads", "", HEADS, COST);
    expect(existsSync(join(folder, "pieces.journal"))).toBe(false);
    second.pieces("later").put("b", 1);
    second.finish(FINISHED, () => "");
    expect(readdirSync(folder).toSorted()).toEqual(["findings.json", "report.html", "run.json", "started.json", "steps"]);
    expect(refusal(() => second.pieces("later"))).toMatch(/^internal: internal: the run in .* is whole$/);
  });

  test("of a step whose folder came last before a stop are forgotten", () => {
    const folder = path("late");
    const run = openRun(folder, HEAD);
    run.pieces("baseline").put("a", 1);
    cpSync(join(folder, "pieces.journal"), path("kept.journal"));
    run.writeStep("baseline", "", BASELINE, COST);
    run.close();
    renameSync(path("kept.journal"), join(folder, "pieces.journal"));
    openRun(folder, HEAD).close();
    expect(existsSync(join(folder, "pieces.journal"))).toBe(false);
  });

  test("that JSON cannot hold, and keys that come twice, are internal errors", () => {
    const run = openRun(path("bad-pieces"), HEAD);
    const pieces = run.pieces("s");
    pieces.put("k", 0);
    const bad = [() => pieces.put("n", { x: [NaN] }), () => pieces.put("u", undefined), () => pieces.put("k", 0)];
    expect(bad.map(refusal)).toMatchInlineSnapshot(`
      [
        "internal: internal: piece n of step s: value.x[0] is NaN, which JSON cannot hold",
        "internal: internal: piece u of step s: value is undefined, which JSON cannot hold",
        "internal: internal: step s has the piece "k" already",
      ]
    `);
    run.close();
    expect(readFileSync(path("bad-pieces/pieces.journal"), "utf8").split("\n")).toHaveLength(3);
  });

  test("torn at the end lose the last one only", () => {
    const folder = path("torn");
    const run = openRun(folder, HEAD);
    for (const key of ["a", "b"]) run.pieces("s").put(key, key);
    run.close();
    const journal = join(folder, "pieces.journal");
    writeFileSync(journal, readFileSync(journal).subarray(0, -3));
    const again = openRun(folder, HEAD);
    expect(["a", "b"].map((key) => again.pieces("s").get(key))).toEqual(["a", undefined]);
    again.close();
  });
});

describe("a folder that is not the run's", () => {
  test.each<[string, (folder: string) => RunHead]>([
    ["another study", () => ({ ...HEAD, study: "other" })],
    ["another version", () => ({ ...HEAD, studyVersion: 2 })],
    ["other parameters", () => ({ ...HEAD, parameters: { ...HEAD.parameters, tasks: 101, more: true, layers: [0], rate: 2 } })],
    ["another seed", () => ({ ...HEAD, seed: 8 })],
    ["another model", () => ({ ...HEAD, models: { ...HEAD.models, other: HEAD.models["model"]! } })],
    [
      "other weights",
      () => ({
        ...HEAD,
        models: { model: { ...HEAD.models["model"]!, files: [{ path: "config.json", bytes: 10, sha256: "ef".repeat(32) }] } },
      }),
    ],
    ["another tokenizer", () => ({ ...HEAD, tokenizers: { model: "ef".repeat(32) } })],
    ["another engine", () => ({ ...HEAD, engine: { ...HEAD.engine, dtype: "float64" } })],
    ["a stranger's file", (folder) => (writeFileSync(join(folder, "notes.txt"), "mine"), HEAD)],
    ["a stranger's step", (folder) => (writeFileSync(join(folder, "steps/Notes.txt"), "mine"), HEAD)],
    ["a file that was changed", (folder) => (writeFileSync(join(folder, "steps/baseline/tasks.svg"), "<gvs/>"), HEAD)],
    ["a file that is gone", (folder) => (rmSync(join(folder, "steps/baseline/searches.jsonl")), HEAD)],
    ["a bad start", (folder) => (writeFileSync(join(folder, "started.json"), '{"format":"sextant-started"}'), HEAD)],
    ["no start", (folder) => (rmSync(join(folder, "started.json")), HEAD)],
    ["another journal", (folder) => (writeFileSync(join(folder, "pieces.journal"), "mine\n"), HEAD)],
  ])("%s is refused and left as it is", (name, change) => {
    const folder = begun(name.replaceAll(/\W/g, "-"));
    const head = change(folder);
    const before = contents(folder);
    expect(refusal(() => openRun(folder, head)).replace(`TMP/${name.replaceAll(/\W/g, "-")}`, "RUN")).toMatchSnapshot();
    expect(contents(folder)).toEqual(before);
  });

  test("other things are refused", () => {
    write("things/photo.png", "p");
    write("file", "f");
    const said = ["things", "file"].map((name) => refusal(() => openRun(path(name), HEAD)));
    expect([...said, refusal(() => readRun(path("things"))), refusal(() => readRun(path("nowhere")))]).toMatchInlineSnapshot(`
      [
        "request: cannot run in TMP/things: it holds photo.png, which is of no run that was stopped. Instead: name a folder that is not there yet",
        "file: cannot run in TMP/file: it is a file",
        "file: cannot read TMP/things as a run: it has no run.json. Instead: name the folder that a study was run into",
        "file: cannot open TMP/nowhere: it does not exist",
      ]
    `);
  });
});

describe("a whole run that was tampered with", () => {
  const folder = path("tampered");
  writeRun(folder);

  test.each<[string, (file: (name: string) => string) => void, readonly string[]]>([
    ["a changed byte", (file) => writeFileSync(file("report.html"), "<p>4</p>"), ["report.html is changed"]],
    [
      "a longer file",
      (file) => writeFileSync(file("steps/heads/step.json"), "{}"),
      [expect.stringMatching(/^steps\/heads\/step.json is changed: it has 2 bytes, written were \d+$/)],
    ],
    ["a file that is gone", (file) => rmSync(file("steps/baseline/by-task.parquet")), ["steps/baseline/by-task.parquet is missing"]],
    ["a new file", (file) => writeFileSync(file("steps/baseline/new.txt"), ""), ["steps/baseline/new.txt is unknown"]],
    ["a new folder", (file) => mkdirSync(file("a/b/c/d/e/f"), { recursive: true }), ["a/b/c/d/e is unknown"]],
    [
      "another start",
      (file) => writeFileSync(file("started.json"), readFileSync(file("started.json"), "utf8").replace('"seed": 7', '"seed": 8')),
      ["started.json is changed"],
    ],
    ["no start", (file) => rmSync(file("started.json")), ["started.json is missing"]],
  ])("%s is found by name", (_, change, found) => {
    const copy = path("copy");
    rmSync(copy, { recursive: true, force: true });
    cpSync(folder, copy, { recursive: true });
    change((name) => join(copy, name));
    expect(checkFiles(copy)).toEqual(found);
  });

  test("files that lead out of the folder, and fields that are not known, are refused", () => {
    const text = readFileSync(join(folder, "run.json"), "utf8");
    const bad = {
      up: text.replace('"report.html"', '"../report.html"'),
      absolute: text.replace('"report.html"', '"/etc/hosts"'),
      step: text.replace('"name": "heads"', '"name": "../heads"'),
      unknown: text.replace('"seed": 7', '"seed": 7, "sed": 8'),
      later: text.replace('"version": 1', '"version": 2'),
      half: text.slice(0, 100),
    };
    const said = Object.entries(bad).map(([name, content]) => {
      write(`bad-${name}/run.json`, content);
      return refusal(() => readRun(path(`bad-${name}`))).replace(/JSON: .*/, "JSON: …");
    });
    expect(said).toMatchInlineSnapshot(`
      [
        "format: TMP/bad-up/run.json.files[1].path must be a path below the folder, got the string "../report.html"",
        "format: TMP/bad-absolute/run.json.files[1].path must be a path below the folder, got the string "/etc/hosts"",
        "format: TMP/bad-step/run.json.steps[1].name must be a step's name, got the string "../heads"",
        "format: TMP/bad-unknown/run.json has "sed", which is not known here",
        "format: TMP/bad-later/run.json.version must be 1, got the number 2",
        "format: TMP/bad-half/run.json is not JSON: …",
      ]
    `);
  });
});
