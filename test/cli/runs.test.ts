/** @file `sextant runs` and `sextant diff`: what they print of two made-up runs, and wrong use. */
import { writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../formats/folder.js";
import { BASELINE, finding, HEAD, STEPS, writeRun } from "../store/sample-run.js";
import { sextant, sextantJson } from "./sextant.js";

const { path, write, root } = temporaryFolder();
const RUNS = path("runs");
writeRun(path("runs/first"));
writeRun(path("runs/second"), {
  head: { ...HEAD, seed: 8 },
  steps: { ...STEPS, baseline: { ...BASELINE, findings: [finding("baseline.solved", 0.75)] } },
});
write("runs/damaged/run.json", '{"format": "sextant", "\\u001b[31m": 0}');

async function said(...argv: readonly string[]): Promise<string> {
  const { code, out, err } = await sextant(argv);
  return `${code}\n${out}${err}`.replaceAll(root, "TMP");
}

describe("runs", () => {
  test("lists whole runs, then those that cannot be read", async () => {
    expect(await said("runs", RUNS)).toMatchInlineSnapshot(`
      "0
      run     study    model     finished                  findings   took
      first   made-up  lab/tiny  2026-01-01T00:01:00.000Z         3  38 ms
      second  made-up  lab/tiny  2026-01-01T00:01:00.000Z         2  38 ms

      1 run left out:
        damaged: TMP/runs/damaged/run.json has "\\u001b[31m", which is not known here
      "
    `);
    expect((await sextant(["runs", RUNS])).out).not.toContain("\u001b");
    expect(await sextantJson("runs", RUNS)).toMatchObject({
      folder: RUNS,
      runs: [{ path: "damaged" }, { path: "first", findings: 3 }, { path: "second", ms: 37.5 }],
    });
  });

  test("says where there are none, and takes the folder runs by itself", async () => {
    write("none/notes.txt", "x");
    expect(await said("runs", path("none"))).toBe("0\nThere are no runs in TMP/none.\n");
    const before = process.cwd();
    process.chdir(root);
    try {
      expect((await said("runs")).replaceAll("TMP/", "")).toBe((await said("runs", RUNS)).replaceAll("TMP/", ""));
    } finally {
      process.chdir(before);
    }
  });

  test("answers a query", async () => {
    const sql = "SELECT run, value, low, value / 3 AS third, {'a': 1} AS nested FROM findings WHERE id = 'baseline.solved' ORDER BY run";
    expect(await said("runs", RUNS, "--query", sql)).toMatchInlineSnapshot(`
      "0
      run     value  low     third  nested
      first     0.5  0.4  0.166667  {"a":1}
      second   0.75           0.25  {"a":1}

      2 rows

      1 run left out:
        damaged: TMP/runs/damaged/run.json has "\\u001b[31m", which is not known here
      "
    `);
    const { columns, rows } = await sextantJson<{ columns: string[]; rows: unknown[] }>("runs", RUNS, "--query", sql);
    expect([columns, rows]).toEqual([
      ["run", "value", "low", "third", "nested"],
      [
        ["first", 0.5, 0.4, 0.5 / 3, { a: 1 }],
        ["second", 0.75, null, 0.25, { a: 1 }],
      ],
    ]);
  });

  test("used wrongly ends with exit code 2", async () => {
    const wrong = [
      ["runs", RUNS, "--query", "DELETE FROM runs"],
      ["runs", RUNS, "--query", "SELECT * FROM read_csv('x.csv')"],
      ["runs", RUNS, "--query"],
      ["runs", RUNS, "more"],
      ["diff", RUNS],
      ["diff", "a", "b", "c"],
    ];
    const answers = await Promise.all(wrong.map((argv) => said(...argv)));
    expect(answers.map((answer) => answer.split("\n").slice(0, 2).join(" "))).toMatchInlineSnapshot(`
      [
        "2 sextant runs: a query is one SELECT: runs are read, not changed",
        "2 sextant runs: the query cannot be run: Permission Error: Cannot access file "x.csv" - file system operations are disabled by configuration",
        "2 sextant runs: --query needs a value, SQL",
        "2 sextant runs: unexpected argument "more"",
        "2 sextant diff: B is missing: the folder of another",
        "2 sextant diff: unexpected argument "c"",
      ]
    `);
  });
});

describe("diff", () => {
  test("of a run and itself finds nothing, exit code 0", async () => {
    expect(await said("diff", path("runs/first"), path("runs/first"))).toBe(
      "0\nNothing differs. 3 findings, 1 table (12 cells) and 2 files of generations agree.\n",
    );
  });

  test("of two runs names what differs, exit code 1", async () => {
    expect(await said("diff", path("runs/first"), path("runs/second"))).toMatchInlineSnapshot(`
      "1
      settings that differ: 1
        seed: 7 | 8

      findings that differ: 2
        baseline.length is only in the first
        baseline.solved: 0.5 | 0.75, 0.25 apart, 0.01 allowed

      1 finding, 1 table (12 cells) and 2 files of generations agree.
      "
    `);
    const { code, out } = await sextant(["diff", path("runs/first"), path("runs/second"), "--json"]);
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      a: path("runs/first"),
      equal: false,
      settings: [{ name: "seed", a: 7, b: 8 }],
      findings: { agree: 1 },
    });
  });

  test("refuses what is no whole run, and one whose files are not those that it wrote", async () => {
    writeRun(path("changed"));
    writeFileSync(path("changed/notes.txt"), "a stranger's file is no harm");
    expect((await sextant(["diff", path("changed"), path("runs/first")])).code).toBe(0);
    writeFileSync(path("changed/steps/heads/step.json"), "{}");
    const pairs = [
      [path("changed"), path("runs/first")],
      [path("runs/first"), path("none")],
    ];
    expect(await Promise.all(pairs.map((pair) => said("diff", ...pair)))).toMatchInlineSnapshot(`
      [
        "1
      sextant diff: cannot compare TMP/changed: its steps/heads/step.json is changed: it has 2 bytes, written were 490. Instead: restore the file, or run the study again
      ",
        "1
      sextant diff: cannot read TMP/none as a run: it has no run.json. Instead: name the folder that a study was run into
      ",
      ]
    `);
  });
});
