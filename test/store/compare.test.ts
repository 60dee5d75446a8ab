/** @file Comparing runs: what was planted is found, all of it and nothing else. */
import { describe, expect, test } from "vitest";
import { compareRuns, type Comparison } from "../../src/store/compare.js";
import { comparisonText } from "../../src/store/comparison-text.js";
import type { RunHead } from "../../src/store/records.js";
import type { StepOutput } from "../../src/store/step-output.js";
import type { Column, Table } from "../../src/store/table.js";
import { temporaryFolder } from "../formats/folder.js";
import { BASELINE, finding, HEAD, HEADS, STEPS, writeRun } from "./sample-run.js";

const { path } = temporaryFolder();
const first = writeRun(path("first"));
let made = 0;

/** What differs between the sample and a run with other steps or another head. */
function against(steps: Readonly<Record<string, StepOutput>>, head: RunHead = HEAD): Comparison {
  return compareRuns(first, writeRun(path(`other-${made++}`), { head, steps }));
}

/** The sample's table with columns and more of it changed. */
function withTable(change: (columns: readonly Column[]) => readonly Column[], more: Partial<Table> = {}): Record<string, StepOutput> {
  const [table] = BASELINE.tables!;
  return { ...STEPS, baseline: { ...BASELINE, tables: [{ ...table!, ...more, columns: change(table!.columns) }] } };
}

function withCell(name: string, row: number, value: Column["values"][number]): Record<string, StepOutput> {
  return withTable((columns) =>
    columns.map((column) => (column.name === name ? { ...column, values: column.values.with(row, value) } : column)),
  );
}

const AGREEING = {
  settings: [],
  steps: [],
  findings: { agree: 3, differ: [] },
  tables: { agree: 1, cells: 12, differ: [] },
  generations: { agree: 2, differ: [] },
};

describe("two runs", () => {
  test("of the same are equal, wherever, whenever and on whatever machine they were made", () => {
    const model = { ...HEAD.models["model"]!, path: "elsewhere", id: "copy", revision: "abc" };
    const machine = { ...HEAD.machine, cores: 64 };
    const comparison = against(STEPS, {
      ...HEAD,
      models: { model },
      machine,
      started: "2030-01-01T00:00:00.000Z",
      question: "In other words?",
    });
    expect(comparison).toEqual({ equal: true, ...AGREEING });
    expect(comparisonText(comparison)).toBe("Nothing differs. 3 findings, 1 table (12 cells) and 2 files of generations agree.");
  });

  test("of other settings are told by name", () => {
    const { settings, equal } = against(STEPS, {
      ...HEAD,
      studyVersion: 2,
      seed: 8,
      parameters: { layers: [0, 2], tasks: 100, extra: null },
      models: { model: { ...HEAD.models["model"]!, files: [{ path: "config.json", bytes: 10, sha256: "ef".repeat(32) }] } },
      tokenizers: {},
      engine: { ...HEAD.engine, runtime: "1.31.0" },
    });
    expect(equal).toBe(false);
    expect(settings).toEqual([
      { name: "studyVersion", a: 1, b: 2 },
      { name: "seed", a: 7, b: 8 },
      { name: "parameters.layers", a: [0, 1], b: [0, 2] },
      { name: "parameters.rate", a: 1e-3, b: null },
      { name: "models.model.config.json", a: "ab".repeat(32), b: "ef".repeat(32) },
      { name: "tokenizers.model", a: "cd".repeat(32), b: null },
      { name: "engine.runtime", a: "1.30.0", b: "1.31.0" },
    ]);
  });

  test("with other findings: beyond the tolerance, of another unit, on one side", () => {
    const [solved, length] = BASELINE.findings;
    const within = { ...solved!, value: 0.5 + 0.0099, interval: undefined, n: 50 } as never;
    expect(against({ ...STEPS, baseline: { ...BASELINE, findings: [within, length!] } })).toMatchObject({ equal: true });
    const changed = [
      finding("baseline.solved", 0.52, { tolerance: { absolute: 1, relative: 1 } }),
      finding("baseline.length", 0, { unit: "tokens" }),
    ];
    const heads = { ...HEADS, findings: [finding("heads.found", 3), finding("heads.more", 1)] };
    expect(against({ ...STEPS, baseline: { ...BASELINE, findings: changed }, heads }).findings).toEqual({
      agree: 0,
      differ: [
        { step: "baseline", id: "baseline.solved", kind: "value", a: 0.5, b: 0.52, allowed: 0.01 },
        { step: "baseline", id: "baseline.length", kind: "value", a: null, b: 0, allowed: 0.01 },
        { step: "heads", id: "heads.found", kind: "unit", a: "heads", b: "share" },
        { step: "heads", id: "heads.more", kind: "only", in: "b" },
      ],
    });
  });

  test.each<[string, Record<string, StepOutput>, object | undefined]>([
    ["a number within 1e-4", withCell("share", 2, 1 + 0.99e-4), undefined],
    [
      "a number beyond it",
      withCell("share", 2, 1.0002),
      { column: "share", cells: 1, rows: 3, row: 2, a: 1, b: 1.0002, allowed: 1e-6 + 1e-4 * 1.0002 },
    ],
    [
      "no number where there was NaN",
      withCell("share", 1, 0),
      { column: "share", cells: 1, rows: 3, row: 1, a: "NaN", b: 0, allowed: 1e-6 },
    ],
    [
      "a whole number that is nearly the same",
      withCell("task", 0, 30_003),
      { column: "task", cells: 1, rows: 3, row: 0, a: 30_000, b: 30_003, allowed: 0 },
    ],
    ["a text", withCell("answer", 1, ""), { column: "answer", cells: 1, rows: 3, row: 1, a: null, b: "" }],
    ["a truth value", withCell("solved", 2, false), { column: "solved", cells: 1, rows: 3, row: 2, a: null, b: false }],
  ])("with %s in a cell", (_, steps, found) => {
    const { tables } = against(steps);
    const differ = found ? [{ step: "baseline", table: "by-task", kind: "cells", ...found }] : [];
    expect(tables).toEqual({ agree: found ? 0 : 1, cells: found ? 11 : 12, differ });
  });

  test("name the cell that is furthest off", () => {
    const steps = withTable((columns) =>
      columns.map((column) => (column.name === "share" ? { ...column, values: [0.26, NaN, 3] } : column)),
    );
    expect(against(steps).tables.differ).toMatchObject([{ column: "share", cells: 2, row: 2, a: 1, b: 3 }]);
  });

  test("use the narrower of two tolerances of a table", () => {
    const wide = writeRun(path("wide"), { steps: withTable((columns) => columns, { tolerance: { absolute: 5, relative: 0 } }) });
    const other = (tolerance: Table["tolerance"], name: string): Comparison => {
      const steps = withTable(
        (columns) => columns.map((column) => (column.name === "task" ? { ...column, values: [30_001, 30_001, 30_002] } : column)),
        tolerance ? { tolerance } : {},
      );
      return compareRuns(wide, writeRun(path(name), { steps }));
    };
    expect(other({ absolute: 1, relative: 0 }, "one").tables.agree).toBe(1);
    expect(other({ absolute: 0.5, relative: 0 }, "half").tables.differ).toMatchObject([{ column: "task", allowed: 0.5 }]);
    expect(other(undefined, "default").tables.differ).toMatchObject([{ column: "task", allowed: 0 }]);
  });

  test("with other columns, rows, tables and steps", () => {
    const unit = withTable((columns) => columns.map((column) => (column.name === "share" ? { ...column, unit: "nats" } : column)));
    expect(against(unit).tables).toMatchObject({ agree: 0, cells: 0, differ: [{ kind: "columns" }] });
    const longer = withTable((columns) => columns.map((column) => ({ ...column, values: [...column.values, null] })));
    expect(against(longer).tables.differ).toEqual([{ step: "baseline", table: "by-task", kind: "rows", a: 3, b: 4 }]);
    const renamed = withTable((columns) => columns, { name: "by-tasks" });
    const shown = { ...renamed, baseline: { ...renamed["baseline"]!, figures: [] } };
    expect(against(shown).tables.differ).toEqual([
      { step: "baseline", table: "by-task", kind: "only", in: "a" },
      { step: "baseline", table: "by-tasks", kind: "only", in: "b" },
    ]);
    const { heads: _, ...without } = STEPS;
    const ran = { ...without, "other-model": { findings: [] }, later: { findings: [] } };
    expect(against(ran).steps).toEqual([
      { step: "heads", kind: "only", in: "a" },
      { step: "other-model", kind: "skipped", in: "a" },
      { step: "later", kind: "only", in: "b" },
    ]);
  });

  test("with other generations: how many rows, and the first", () => {
    const other = { searches: [{ text: "a\nb", task: 0 }, { task: 1, text: "x" }, { task: 2 }], more: [] };
    expect(against({ ...STEPS, baseline: { ...BASELINE, generations: other } }).generations).toEqual({
      agree: 0,
      differ: [
        { step: "baseline", name: "searches", kind: "rows", a: 2, b: 3, rows: 2, first: 1 },
        { step: "baseline", name: "none", kind: "only", in: "a" },
        { step: "baseline", name: "more", kind: "only", in: "b" },
      ],
    });
  });
});

describe("the text of a comparison", () => {
  test("names what differs, the largest first", () => {
    const findings = [finding("baseline.solved", 0.52), finding("baseline.length", 900, { unit: "tokens" })];
    const steps = {
      baseline: {
        ...BASELINE,
        ...withCell("share", 0, 0.5)["baseline"],
        findings,
        generations: { searches: [{ task: 0, text: "a\nb" }], none: [] },
      },
      heads: { ...HEADS, findings: [finding("heads.found", 4, { unit: "heads", tolerance: { absolute: 0, relative: 0 } })] },
    };
    expect(`\n${comparisonText(against(steps, { ...HEAD, seed: 8 }))}\n`).toMatchInlineSnapshot(`
      "
      settings that differ: 1
        seed: 7 | 8

      steps that differ: 1
        other-model is only in the first

      findings that differ: 3
        baseline.length: none | 900
        heads.found: 3 | 4, 1 apart, 0 allowed
        baseline.solved: 0.5 | 0.52, 0.02 apart, 0.01 allowed

      tables that differ: 1
        baseline/by-task, share: 1 of 3 cells, most in row 0: 0.25 | 0.5, 0.25 apart, 0.000051 allowed

      generations that differ: 1
        baseline/searches: 1 row of 2 | 1, the first is row 1

      0 findings, 0 tables (11 cells) and 1 file of generations agree.
      "
    `);
  });

  test("is short whatever differs, and cannot steer a terminal", () => {
    const many = Array.from({ length: 500 }, (_, i) => finding(`many.${i}\u001b[31m`, i));
    const text = comparisonText(against({ ...STEPS, many: { findings: many } }, { ...HEAD, parameters: { text: "x".repeat(1000) } }));
    expect(text.split("\n").length).toBeLessThan(40);
    expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(162);
    expect(text).toContain("… and 480 more");
    expect(text).not.toContain("\u001b");
  });
});
