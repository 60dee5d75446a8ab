/**
 * @file SQL over runs, by DuckDB in memory. The tables are loaded first; then its access to disk and network is shut and its settings are locked, so that a
 * query can read what was loaded and nothing else. One SELECT at a time. DuckDB is imported when a query is made, since it is large.
 */
import { join } from "node:path";
import type { DuckDBAppender, DuckDBConnection, JS } from "@duckdb/node-api";
import { SextantError } from "../base/errors.js";
import { listRuns, orBroken, type BrokenRun } from "./list-runs.js";
import { fixedTables, stepTables, type NamedRun, type QueryTable } from "./query-tables.js";
import { readRun } from "./stored-run.js";
import type { Column } from "./table.js";

/** A value of an answer as JSON has it: what is not finite, and whole numbers beyond 2^53, are words. */
export type AnswerCell = string | number | boolean | null | readonly AnswerCell[] | { readonly [key: string]: AnswerCell };

/** What a query gave. */
export interface QueryAnswer {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly AnswerCell[])[];
  /** Runs that were left out, and why. */
  readonly broken: readonly BrokenRun[];
}

const MOST_ROWS = 100_000;
/** Tables that a message lists. */
const MOST_NAMES = 24;
const OPTIONS = { autoinstall_known_extensions: "false", autoload_known_extensions: "false", temp_directory: "" };

/**
 * What a SELECT over the whole runs below the folder gives. Tables: `runs`, `findings`, `steps`, and `<step>_<table>` for each table of a step (`_` for `-`), each
 * with a column `run`. Mistakes in the SQL, other statements, and more than 100 000 rows are `usage` errors.
 */
export async function queryRuns(folder: string, sql: string, { signal }: { readonly signal?: AbortSignal } = {}): Promise<QueryAnswer> {
  const { runs, broken } = readAll(folder);
  const { DuckDBInstance } = await import("@duckdb/node-api");
  const instance = await DuckDBInstance.create(":memory:", OPTIONS);
  const connection = await instance.connect();
  const stop = (): void => connection.interrupt();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const tables = [...fixedTables(runs), ...stepTables(runs)];
    for (const table of tables) await load(connection, table);
    await connection.run("SET enable_external_access = false");
    await connection.run("SET lock_configuration = true");
    return { ...(await answer(connection, sql, tables)), broken };
  } catch (error) {
    if (signal?.aborted) throw new SextantError("interrupted", "interrupted", { cause: error });
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
    connection.closeSync();
    instance.closeSync();
  }
}

function readAll(folder: string): { readonly runs: NamedRun[]; readonly broken: BrokenRun[] } {
  const found = listRuns(folder).map((row): NamedRun | BrokenRun =>
    "broken" in row ? row : orBroken(row.path, () => ({ path: row.path, run: readRun(join(folder, row.path)) })),
  );
  return { runs: found.filter((one) => "run" in one), broken: found.filter((one) => "broken" in one) };
}

type Type = Column["type"];

const SQL_TYPES: { readonly [T in Type]: string } = { int: "BIGINT", double: "DOUBLE", text: "VARCHAR", boolean: "BOOLEAN" };

const APPEND: { readonly [T in Type]: (appender: DuckDBAppender, value: string | number | boolean) => void } = {
  int: (appender, value) => appender.appendBigInt(BigInt(value)),
  double: (appender, value) => appender.appendDouble(Number(value)),
  text: (appender, value) => appender.appendVarchar(String(value)),
  boolean: (appender, value) => appender.appendBoolean(value === true),
};

async function load(connection: DuckDBConnection, { name, columns, rows }: QueryTable): Promise<void> {
  const list = columns.map((column) => `${quoted(column.name)} ${SQL_TYPES[column.type]}`);
  await connection.run(`CREATE TABLE ${quoted(name)} (${list.join(", ")})`);
  const appender = await connection.createAppender(name);
  for (const row of rows) {
    row.forEach((value, index) => {
      if (value === null) appender.appendNull();
      else APPEND[columns[index]!.type](appender, value);
    });
    appender.endRow();
  }
  appender.closeSync();
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

async function answer(connection: DuckDBConnection, sql: string, tables: readonly QueryTable[]): Promise<Omit<QueryAnswer, "broken">> {
  const { StatementType } = await import("@duckdb/node-api");
  // Without a statement, DuckDB speaks of a native callback.
  if (/^(?:\s|--.*(?:\n|$))*$/.test(sql)) throw new SextantError("usage", "a query is one SELECT, got nothing");
  const statements = await told(tables, () => connection.extractStatements(sql));
  if (statements.count !== 1) throw new SextantError("usage", `a query is one SELECT, got ${statements.count} statements`);
  const prepared = await told(tables, () => statements.prepare(0));
  if (prepared.statementType !== StatementType.SELECT) throw new SextantError("usage", "a query is one SELECT: runs are read, not changed");
  const reader = await told(tables, () => prepared.streamAndReadUntil(MOST_ROWS + 1));
  if (reader.currentRowCount > MOST_ROWS) throw new SextantError("usage", `the query gives more than ${MOST_ROWS} rows: add a LIMIT`);
  return { columns: reader.deduplicatedColumnNames(), rows: reader.getRowsJS().map((row) => row.map(cellOf)) };
}

/** What the action gives; what DuckDB says against the SQL as an error of use, with the tables there are where one is missing. */
async function told<T>(tables: readonly QueryTable[], action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const said = (error as Error).message.replace(/^Failed to extract statements: /, "").split("\n");
    const hint = /Table with name .* does not exist/.test(said[0]!) ? `; there are ${listOf(tables)}` : "";
    throw new SextantError("usage", `the query cannot be run: ${said[0]}${hint}`, { cause: error });
  }
}

function listOf(tables: readonly QueryTable[]): string {
  const names = tables.map(({ name }) => name);
  const more = names.length > MOST_NAMES ? [`${names.length - MOST_NAMES} more`] : [];
  return [...names.slice(0, MOST_NAMES), ...more].join(", ");
}

function cellOf(value: JS): AnswerCell {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(cellOf);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, cellOf(item as JS)]));
}
