/** @file Runs as tables for queries: `runs`, `findings`, `steps`, and one table for each table that steps left, over all runs. */
import { SextantError } from "../base/errors.js";
import { mainModel } from "./list-runs.js";
import type { StoredRun } from "./stored-run.js";
import type { Column } from "./table.js";

type Type = Column["type"];
type Cell = Column["values"][number];

/** A table as a database wants it. */
export interface QueryTable {
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly type: Type }[];
  readonly rows: readonly (readonly Cell[])[];
}

/** A run with the path that queries call it by. */
export interface NamedRun {
  readonly path: string;
  readonly run: StoredRun;
}

/** A column: its name, its type, and its value of an item. */
type ColumnRow<T> = readonly [name: string, type: Type, of: (item: T) => Cell | undefined];

type FindingOf = NamedRun & { readonly finding: NamedRun["run"]["findings"][number] };
type StepOf = NamedRun & { readonly step: NamedRun["run"]["manifest"]["steps"][number] };

const OF_RUN = [
  ["run", "text", ({ path }) => path],
  ["study", "text", ({ run }) => run.manifest.study],
  ["model", "text", ({ run }) => mainModel(run.manifest)],
] as const satisfies readonly ColumnRow<NamedRun>[];

const OF_RUNS: readonly ColumnRow<NamedRun>[] = [
  ...OF_RUN,
  ["study_version", "double", ({ run }) => run.manifest.studyVersion],
  ["seed", "double", ({ run }) => run.manifest.seed],
  ["parameters", "text", ({ run }) => JSON.stringify(run.manifest.parameters)],
  ["started", "text", ({ run }) => run.manifest.started],
  ["finished", "text", ({ run }) => run.manifest.finished],
  ["resumed", "int", ({ run }) => run.manifest.resumed],
  ["ms", "double", ({ run }) => run.steps.reduce((sum, { ms }) => sum + ms, 0)],
  ["findings", "int", ({ run }) => run.findings.length],
];

const OF_FINDINGS: readonly ColumnRow<FindingOf>[] = [
  ...OF_RUN,
  ["step", "text", ({ finding }) => finding.step],
  ["id", "text", ({ finding }) => finding.id],
  ["title", "text", ({ finding }) => finding.title],
  ["value", "double", ({ finding }) => finding.value],
  ["unit", "text", ({ finding }) => finding.unit],
  ["low", "double", ({ finding }) => finding.interval?.low],
  ["high", "double", ({ finding }) => finding.interval?.high],
  ["n", "double", ({ finding }) => finding.n],
  ["note", "text", ({ finding }) => finding.note],
];

const OF_STEPS: readonly ColumnRow<StepOf>[] = [
  ...OF_RUN,
  ["step", "text", ({ step }) => step.name],
  ["title", "text", ({ step }) => step.title],
  ["ms", "double", ({ step }) => step.ms],
  ["peak_memory", "double", ({ step }) => step.peakMemory],
  ["skipped", "text", ({ step }) => step.skipped],
  ["findings", "int", ({ step, run }) => run.findings.filter((finding) => finding.step === step.name).length],
  ["bytes", "double", ({ step }) => step.files.reduce((sum, { bytes }) => sum + bytes, 0)],
];

/** `runs`, `findings` and `steps`: a row for each run, for each finding, for each step of each run. */
export function fixedTables(runs: readonly NamedRun[]): QueryTable[] {
  const findings = runs.flatMap((named) => named.run.findings.map((finding) => ({ ...named, finding })));
  const steps = runs.flatMap((named) => named.run.manifest.steps.map((step) => ({ ...named, step })));
  return [tableFrom("runs", OF_RUNS, runs), tableFrom("findings", OF_FINDINGS, findings), tableFrom("steps", OF_STEPS, steps)];
}

function tableFrom<T>(name: string, columns: readonly ColumnRow<T>[], items: readonly T[]): QueryTable {
  return {
    name,
    columns: columns.map(([column, type]) => ({ name: column, type })),
    rows: items.map((item) => columns.map(([, , of]) => of(item) ?? null)),
  };
}

interface Part {
  readonly path: string;
  readonly columns: readonly Column[];
}

interface Parts {
  readonly step: string;
  readonly table: string;
  readonly parts: Part[];
}

/**
 * One table for each table of the runs' steps: `<step>_<table>`, with `_` for `-`, in front a column `run`, then the columns of all runs by name; null where
 * a run's table lacks one. Whole numbers beside doubles become doubles, other mixtures text.
 */
export function stepTables(runs: readonly NamedRun[]): QueryTable[] {
  const groups = new Map<string, Parts>();
  for (const { path, run } of runs)
    for (const { name: step, tables } of run.steps)
      for (const { name: table, columns } of tables) {
        const name = `${step}_${table}`.replaceAll("-", "_");
        const key = name.toLowerCase();
        const group = groups.get(key) ?? { step, table, parts: [] };
        if (group.step !== step || group.table !== table) throw clash(name, group, { step, table });
        group.parts.push({ path, columns });
        groups.set(key, group);
      }
  return [...groups].map(([name, { parts }]) => union(name, parts));
}

function clash(name: string, a: Pick<Parts, "step" | "table">, b: Pick<Parts, "step" | "table">): SextantError {
  return new SextantError(
    "request",
    `${a.step}/${a.table} and ${b.step}/${b.table} would both be the table ${name}: query their runs apart`,
  );
}

function union(name: string, parts: readonly Part[]): QueryTable {
  // A database does not tell small letters from large ones.
  const types = new Map<string, { name: string; type: Type }>();
  for (const { columns } of parts)
    for (const column of columns) {
      const key = column.name.toLowerCase();
      const known = types.get(key);
      types.set(key, { name: known?.name ?? column.name, type: known ? commonType(known.type, column.type) : column.type });
    }
  const names = [...types.keys()];
  const rows = parts.flatMap(({ path, columns }) => {
    const own = new Map(columns.map((column) => [column.name.toLowerCase(), column.values]));
    const count = columns[0]?.values.length ?? 0;
    return Array.from({ length: count }, (_, row) => [
      path,
      ...names.map((key) => castTo(types.get(key)!.type, own.get(key)?.[row] ?? null)),
    ]);
  });
  // The run's own name comes first; a table's column of that name stands behind it as `run_`.
  const columns = [...types.values()].map((column) =>
    column.name.toLowerCase() === "run" ? { ...column, name: freeName(types) } : column,
  );
  return { name, columns: [{ name: "run", type: "text" }, ...columns], rows };
}

function freeName(taken: ReadonlyMap<string, unknown>): string {
  let name = "run_";
  while (taken.has(name)) name += "_";
  return name;
}

function commonType(a: Type, b: Type): Type {
  if (a === b) return a;
  const isNumber = (type: Type): boolean => type === "int" || type === "double";
  return isNumber(a) && isNumber(b) ? "double" : "text";
}

function castTo(type: Type, value: Cell): Cell {
  return type === "text" && value !== null ? String(value) : value;
}
