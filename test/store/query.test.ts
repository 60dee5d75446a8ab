/** @file Listing runs and asking them: two runs and some that are broken, and SQL that wants more than to read them. */
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isSextantError } from "../../src/base/errors.js";
import { listRuns } from "../../src/store/list-runs.js";
import { queryRuns } from "../../src/store/query.js";
import { openRun } from "../../src/store/run-folder.js";
import type { StepOutput } from "../../src/store/step-output.js";
import { temporaryFolder } from "../formats/folder.js";
import { BASELINE, finding, HEAD, STEPS, writeRun } from "./sample-run.js";

const { path, write, refusal, root } = temporaryFolder();
const RUNS = path("runs");

writeRun(join(RUNS, "first"));
const second: StepOutput = {
  findings: [finding("baseline.solved", 0.75)],
  tables: [
    {
      name: "by-task",
      title: "Tasks",
      columns: [
        { name: "Share", type: "int", values: [1] },
        { name: "run", type: "text", values: ["mine"] },
        { name: "answer", type: "double", values: [-Infinity] },
      ],
    },
  ],
};
writeRun(join(RUNS, "a/b/second"), { head: { ...HEAD, seed: 8 }, steps: { baseline: second } });
writeRun(join(RUNS, "a/b/c/too-deep"));
writeRun(join(RUNS, ".hidden/run"));
const stopped = openRun(join(RUNS, "stopped"), HEAD);
stopped.writeStep("baseline", "", BASELINE, { ms: 1, peakMemory: 1 });
stopped.close();
write("runs/damaged/run.json", "{}");
writeRun(join(RUNS, "no-table"));
rmSync(join(RUNS, "no-table/steps/baseline/by-task.parquet"));
symlinkSync(RUNS, join(RUNS, "loop"), "dir");

/** `kind: message` of the error that a query ends in. */
async function complaint(sql: string): Promise<string> {
  try {
    await queryRuns(RUNS, sql);
  } catch (error) {
    if (isSextantError(error)) return `${error.kind}: ${error.message.replaceAll(root, "TMP")}`;
    throw error;
  }
  return "nothing was refused";
}

async function rowsOf(sql: string): Promise<unknown> {
  return (await queryRuns(RUNS, sql)).rows;
}

describe("the list of runs", () => {
  test("has whole ones three folders deep, and says what is wrong with others", () => {
    const whole = { study: "made-up", model: "lab/tiny", finished: "2026-01-01T00:01:00.000Z" };
    expect(listRuns(RUNS)).toEqual([
      { path: "a/b/second", ...whole, findings: 1, ms: 12.5 },
      { path: "damaged", broken: expect.stringContaining("run.json.format must be") as string },
      { path: "first", ...whole, findings: 3, ms: 37.5 },
      { path: "no-table", ...whole, findings: 3, ms: 37.5 },
      { path: "stopped", broken: "it was stopped before its end" },
    ]);
  });

  test("of a run is the run itself, of an empty folder empty, and of none an error", () => {
    mkdirSync(path("empty"));
    expect(listRuns(join(RUNS, "first")).map((run) => run.path)).toEqual(["."]);
    expect(listRuns(path("empty"))).toEqual([]);
    expect(refusal(() => listRuns(path("nowhere")))).toBe("file: cannot list the runs in TMP/nowhere: it does not exist");
  });
});

describe("a query", () => {
  test("reads findings of all whole runs, and names those left out", async () => {
    const answer = await queryRuns(RUNS, "SELECT run, value, low, n, unit, step FROM findings WHERE id = 'baseline.solved' ORDER BY value");
    expect(answer.columns).toEqual(["run", "value", "low", "n", "unit", "step"]);
    expect(answer.rows).toEqual([
      ["first", 0.5, 0.4, 100, "share", "baseline"],
      ["a/b/second", 0.75, null, null, "share", "baseline"],
    ]);
    expect(answer.broken.map((run) => run.path).toSorted()).toEqual(["damaged", "no-table", "stopped"]);
  });

  test("reads runs and steps", async () => {
    expect(await rowsOf("SELECT run, seed, parameters->>'tasks', findings, ms FROM runs ORDER BY seed")).toEqual([
      ["first", 7, "100", 3, 37.5],
      ["a/b/second", 8, "100", 1, 12.5],
    ]);
    expect(await rowsOf("SELECT step, findings, skipped, bytes > 0 FROM steps WHERE run = 'first'")).toEqual([
      ["baseline", 2, null, true],
      ["heads", 1, null, true],
      ["other-model", 0, "there is no other model", true],
    ]);
  });

  test("reads tables of steps, their columns united by name", async () => {
    const answer = await queryRuns(RUNS, "SELECT * FROM baseline_by_task ORDER BY run DESC, task");
    expect(answer.columns).toEqual(["run", "Share", "run_", "answer", "task", "solved"]);
    expect(answer.rows).toEqual([
      ["first", 0.25, null, "1 + 2", 30_000, true],
      ["first", "NaN", null, null, 30_001, false],
      ["first", 1, null, "", 30_002, null],
      ["a/b/second", 1, "mine", "-Infinity", null, null],
    ]);
  });

  test("gives values that JSON can hold", async () => {
    const sql =
      "SELECT 9007199254740993::BIGINT, DATE '2026-01-02', ['a', NULL], {'x': 1::BIGINT}, 'Infinity'::DOUBLE, '\\xFF'::BLOB, 1.5::DECIMAL(3,1)";
    expect(await rowsOf(sql)).toEqual([["9007199254740993", "2026-01-02T00:00:00.000Z", ["a", null], { x: 1 }, "Infinity", "ff", 1.5]]);
  });

  test("describes itself", async () => {
    expect(await rowsOf("SHOW TABLES")).toEqual([["baseline_by_task"], ["findings"], ["runs"], ["steps"]]);
    expect(await rowsOf("SELECT column_name FROM (DESCRIBE steps)")).toContainEqual(["peak_memory"]);
  });

  test("of no runs has the three tables", async () => {
    expect(await queryRuns(path("empty"), "SELECT count(*) FROM runs, findings, steps")).toEqual({
      columns: ["count_star()"],
      rows: [[0]],
      broken: [],
    });
  });

  test("that is wrong is an error of use", async () => {
    const wrong = [
      "SELEC 1",
      "",
      "-- nothing",
      "SELECT 1; SELECT 2",
      "SELECT * FROM finding",
      "SELECT nothing FROM runs",
      "SELECT * FROM range(200000)",
    ];
    expect(await Promise.all(wrong.map(complaint))).toMatchInlineSnapshot(`
      [
        "usage: the query cannot be run: Parser Error: syntax error at or near "SELEC"",
        "usage: a query is one SELECT, got nothing",
        "usage: a query is one SELECT, got nothing",
        "usage: a query is one SELECT, got 2 statements",
        "usage: the query cannot be run: Catalog Error: Table with name finding does not exist!; there are runs, findings, steps, baseline_by_task",
        "usage: the query cannot be run: Binder Error: Referenced column "nothing" not found in FROM clause!",
        "usage: the query gives more than 100000 rows: add a LIMIT",
      ]
    `);
  });

  test("can read and write nothing but what was loaded", async () => {
    const secret = write("secret.csv", "secret\n1\n");
    const out = path("out.csv");
    // oxfmt-ignore
    const reads = [
      `SELECT * FROM read_csv('${secret}')`, `SELECT * FROM '${secret}'`, `SELECT * FROM read_text('${secret}')`, `SELECT * FROM glob('${root}/*')`,
      `SELECT * FROM query('SELECT * FROM read_csv(''${secret}'')')`, `SELECT * FROM parquet_metadata('${join(RUNS, "first/steps/baseline/by-task.parquet")}')`,
      `SELECT * FROM sniff_csv('${secret}')`, `SELECT * FROM read_blob('${secret}')`, `SELECT * FROM read_json('${secret}')`, "SELECT getenv('PATH')",
    ];
    // oxfmt-ignore
    const writes = [
      `COPY runs TO '${out}'`, `EXPORT DATABASE '${out}'`, `ATTACH '${out}'`, "INSERT INTO runs (run) VALUES ('x')", "DELETE FROM findings", "DROP TABLE runs",
      "UPDATE runs SET run = 'x'", "CREATE TABLE t AS SELECT 1", "SET enable_external_access = true", "RESET lock_configuration", "INSTALL httpfs", "LOAD httpfs",
      "EXPLAIN ANALYZE DELETE FROM runs", "CALL duckdb_settings()", "BEGIN", "PREPARE p AS SELECT 1", "VACUUM", "CREATE MACRO m() AS 1", "USE memory",
    ];
    for (const sql of [...reads, ...writes])
      expect([sql, await complaint(sql)]).toEqual([
        sql,
        expect.stringMatching(/^usage: (?:the query cannot be run|a query is one SELECT)/),
      ]);
    expect(existsSync(out)).toBe(false);
    expect(readFileSync(secret, "utf8")).toBe("secret\n1\n");
  });

  test("stops when it is interrupted", async () => {
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 200);
    const long = queryRuns(path("empty"), "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range % 7 = b.range % 11", {
      signal: abort.signal,
    });
    await expect(long).rejects.toMatchObject({ kind: "interrupted" });
  });

  test("refuses two tables of one name", async () => {
    const table = { ...second.tables![0]! };
    writeRun(path("clash/one"), {
      steps: { "a-b": { findings: [], tables: [{ ...table, name: "c" }] }, a: { findings: [], tables: [{ ...table, name: "b-c" }] } },
    });
    await expect(queryRuns(path("clash"), "SELECT 1")).rejects.toThrow(
      "a-b/c and a/b-c would both be the table a_b_c: query their runs apart",
    );
  });

  test("takes names as they come", async () => {
    const columns = [{ name: 'odd " name; DROP TABLE runs', type: "int" as const, values: [2 ** 40] }];
    writeRun(path("odd/one"), { steps: { odd: { findings: [], tables: [{ name: "t", title: "", columns }] } } });
    expect((await queryRuns(path("odd"), "SELECT * FROM odd_t")).rows).toEqual([["one", 2 ** 40]]);
    writeFileSync(path("odd/one/steps/odd/t.parquet"), "PAR1");
    expect((await queryRuns(path("odd"), "SELECT * FROM runs")).broken).toEqual([
      { path: "one", broken: expect.stringContaining("is no Parquet table of ours") as string },
    ]);
  });
});

test("the sample has a table to query", () => expect(STEPS.baseline.tables?.[0]?.name).toBe("by-task"));
