/**
 * @file Two runs held against each other: settings, findings, cells of tables, rows of generations. Machine and times are not compared, nor are tensors,
 * states and pictures, which the findings and tables come from or show. What differs is named, what agrees is counted.
 */
import { agrees, type Tolerance } from "./finding.js";
import type { StoredFinding } from "./records.js";
import { runPath } from "./run-paths.js";
import { differentSettings, isSameJson, type SettingDifference } from "./same.js";
import { readGenerations, type StoredStep } from "./step-folder.js";
import type { StoredRun } from "./stored-run.js";
import { rowCount, type Column, type Table } from "./table.js";

/** Which of the two runs has what the other lacks. */
export type Side = "a" | "b";

/** A finding that one run lacks, that has another unit, or whose values are further apart than the tolerance admits. */
export type FindingDifference = { readonly step: string; readonly id: string } & (
  | { readonly kind: "only"; readonly in: Side }
  | { readonly kind: "unit"; readonly a: string; readonly b: string }
  | NumbersApart
);

/** Two numbers, or a number and none; `allowed` is how far apart they might be. */
export interface NumbersApart {
  readonly kind: "value";
  readonly a: number | null;
  readonly b: number | null;
  readonly allowed: number;
}

/** A cell as JSON can hold it: what is not finite is a word. */
export type ComparedCell = number | string | boolean | null;

/** A table that one run lacks, that has other columns or another number of rows, or a column of which cells differ. */
export type TableDifference = { readonly step: string; readonly table: string } & (
  | { readonly kind: "only"; readonly in: Side }
  | { readonly kind: "columns"; readonly a: readonly string[]; readonly b: readonly string[] }
  | { readonly kind: "rows"; readonly a: number; readonly b: number }
  | CellsApart
);

/** Cells of one column that differ, and the one that differs most. */
export interface CellsApart {
  readonly kind: "cells";
  readonly column: string;
  readonly cells: number;
  readonly rows: number;
  /** The row, from 0, of the cell that is furthest beyond its tolerance; the first where they are no numbers. */
  readonly row: number;
  readonly a: ComparedCell;
  readonly b: ComparedCell;
  /** Of numbers. */
  readonly allowed?: number;
}

/** Generations that one run lacks, or whose rows differ. */
export type GenerationDifference = { readonly step: string; readonly name: string } & (
  | { readonly kind: "only"; readonly in: Side }
  | {
      readonly kind: "rows";
      readonly a: number;
      readonly b: number;
      /** Rows that differ, those that one run lacks among them. */
      readonly rows: number;
      /** The first of them, from 0. */
      readonly first: number;
    }
);

/** A step that one run lacks, or that one run skipped. */
export interface StepDifference {
  readonly step: string;
  readonly kind: "only" | "skipped";
  readonly in: Side;
}

/** What two runs have in common, as counts, and everything in which they differ. */
export interface Comparison {
  readonly equal: boolean;
  readonly settings: readonly SettingDifference[];
  readonly steps: readonly StepDifference[];
  readonly findings: { readonly agree: number; readonly differ: readonly FindingDifference[] };
  /** `cells` are those that agree. */
  readonly tables: { readonly agree: number; readonly cells: number; readonly differ: readonly TableDifference[] };
  readonly generations: { readonly agree: number; readonly differ: readonly GenerationDifference[] };
}

/** For tables that state no tolerance; whole numbers must then be equal, since they may be names, such as token ids. */
export const DEFAULT_TOLERANCE: Tolerance = { absolute: 1e-6, relative: 1e-4 };
const EXACT: Tolerance = { absolute: 0, relative: 0 };

/** Holds two runs against each other. Where they state different tolerances, the narrower counts. Reads the generations of both from the disk. */
export function compareRuns(a: StoredRun, b: StoredRun): Comparison {
  const settings = differentSettings(a.manifest, b.manifest);
  const steps = pairsOf(a.steps, b.steps, ({ name }) => name).flatMap(stepDifference);
  const findings = compareFindings(a.findings, b.findings);
  const tables = compareTables(a.steps, b.steps);
  const generations = compareGenerations(a, b);
  const differing = [settings, steps, findings.differ, tables.differ, generations.differ];
  return { equal: differing.every((list) => list.length === 0), settings, steps, findings, tables, generations };
}

interface Pair<T> {
  readonly key: string;
  readonly a: T | undefined;
  readonly b: T | undefined;
}

/** What two lists have under the same key, in the order of the first, then of the second. */
function pairsOf<T>(a: readonly T[], b: readonly T[], keyOf: (item: T) => string): Pair<T>[] {
  const [left, right] = [a, b].map((list) => new Map(list.map((item) => [keyOf(item), item])));
  return [...new Set([...left!.keys(), ...right!.keys()])].map((key) => ({ key, a: left!.get(key), b: right!.get(key) }));
}

function stepDifference({ key, a, b }: Pair<StoredStep>): StepDifference[] {
  if (!a || !b) return [{ step: key, kind: "only", in: a ? "a" : "b" }];
  if ((a.skipped === undefined) === (b.skipped === undefined)) return [];
  return [{ step: key, kind: "skipped", in: a.skipped === undefined ? "b" : "a" }];
}

function compareFindings(a: readonly StoredFinding[], b: readonly StoredFinding[]): Comparison["findings"] {
  const pairs = pairsOf(a, b, ({ id }) => id);
  const differ = pairs.flatMap(findingDifference);
  return { agree: pairs.length - differ.length, differ };
}

function findingDifference({ key: id, a, b }: Pair<StoredFinding>): FindingDifference[] {
  const step = (a ?? b)!.step;
  if (!a || !b) return [{ step, id, kind: "only", in: a ? "a" : "b" }];
  if (a.unit !== b.unit) return [{ step, id, kind: "unit", a: a.unit, b: b.unit }];
  const tolerance = narrower(a.tolerance, b.tolerance);
  if (agrees(a.value, b.value, tolerance)) return [];
  return [{ step, id, kind: "value", a: a.value, b: b.value, allowed: allowedOf(a.value, b.value, tolerance) }];
}

function narrower(a: Tolerance, b: Tolerance): Tolerance {
  return { absolute: Math.min(a.absolute, b.absolute), relative: Math.min(a.relative, b.relative) };
}

function allowedOf(a: number | null, b: number | null, { absolute, relative }: Tolerance): number {
  const largest = Math.max(...[a, b].map((value) => (value !== null && Number.isFinite(value) ? Math.abs(value) : 0)));
  return absolute + relative * largest;
}

interface NamedTable {
  readonly step: string;
  readonly table: Table;
}

function compareTables(a: readonly StoredStep[], b: readonly StoredStep[]): Comparison["tables"] {
  const all = (steps: readonly StoredStep[]): NamedTable[] =>
    steps.flatMap(({ name, tables }) => tables.map((table) => ({ step: name, table })));
  const compared = pairsOf(all(a), all(b), ({ step, table }) => `${step}/${table.name}`).map(compareTable);
  return {
    agree: compared.filter(({ differ }) => differ.length === 0).length,
    cells: compared.reduce((sum, { cells }) => sum + cells, 0),
    differ: compared.flatMap(({ differ }) => differ),
  };
}

function compareTable({ a, b }: Pair<NamedTable>): { cells: number; differ: TableDifference[] } {
  const { step, table } = (a ?? b)!;
  const place = { step, table: table.name };
  if (!a || !b) return { cells: 0, differ: [{ ...place, kind: "only", in: a ? "a" : "b" }] };
  const [left, right] = [a.table, b.table];
  const heads = [left, right].map(({ columns }) => columns.map(headOf));
  if (!isSameJson(heads[0], heads[1])) return { cells: 0, differ: [{ ...place, kind: "columns", a: heads[0]!, b: heads[1]! }] };
  const rows = [left, right].map(rowCount);
  if (rows[0] !== rows[1]) return { cells: 0, differ: [{ ...place, kind: "rows", a: rows[0]!, b: rows[1]! }] };
  const differ = left.columns.flatMap((column, index) => compareColumn(column, right.columns[index]!, toleranceOf(left, right, column)));
  const apart = differ.reduce((sum, { cells }) => sum + cells, 0);
  return { cells: rows[0]! * left.columns.length - apart, differ: differ.map((difference) => ({ ...place, ...difference })) };
}

/** A column's name, type and unit in words. */
function headOf({ name, type, unit }: Column): string {
  return `${name} (${type}${unit === undefined ? "" : `, ${unit}`})`;
}

function toleranceOf(a: Table, b: Table, { type }: Column): Tolerance {
  const otherwise = type === "int" ? EXACT : DEFAULT_TOLERANCE;
  return narrower(a.tolerance ?? otherwise, b.tolerance ?? otherwise);
}

function compareColumn(a: Column, b: Column, tolerance: Tolerance): CellsApart[] {
  let cells = 0;
  let worst: { row: number; excess: number } | undefined;
  for (let row = 0; row < a.values.length; row++) {
    const excess = excessOf(a.values[row]!, b.values[row]!, tolerance);
    if (excess === undefined) continue;
    cells++;
    if (worst === undefined || excess > worst.excess) worst = { row, excess };
  }
  if (worst === undefined) return [];
  const [one, other] = [a.values[worst.row]!, b.values[worst.row]!];
  const isNumber = a.type === "int" || a.type === "double";
  const allowed = isNumber ? allowedOf(one as number | null, other as number | null, tolerance) : undefined;
  const found = { kind: "cells", column: a.name, cells, rows: a.values.length, row: worst.row, a: wordOf(one), b: wordOf(other) } as const;
  return [{ ...found, ...(allowed !== undefined && { allowed }) }];
}

type Cell = Column["values"][number];

/** By how much two cells differ beyond the tolerance, undefined where they agree, infinite where they are not both numbers. */
function excessOf(a: Cell, b: Cell, tolerance: Tolerance): number | undefined {
  if (typeof a !== "number" || typeof b !== "number") return a === b ? undefined : Infinity;
  if (agrees(a, b, tolerance)) return undefined;
  return Number.isNaN(a - b) ? Infinity : Math.abs(a - b) - allowedOf(a, b, tolerance);
}

function wordOf(cell: Cell): ComparedCell {
  return typeof cell === "number" && !Number.isFinite(cell) ? String(cell) : cell;
}

function compareGenerations(a: StoredRun, b: StoredRun): Comparison["generations"] {
  const all = ({ steps }: StoredRun): { step: string; name: string }[] =>
    steps.flatMap((step) => step.generations.map((name) => ({ step: step.name, name })));
  const pairs = pairsOf(all(a), all(b), ({ step, name }) => `${step}/${name}`);
  const differ = pairs.flatMap((pair): GenerationDifference[] => {
    const { step, name } = (pair.a ?? pair.b)!;
    if (!pair.a || !pair.b) return [{ step, name, kind: "only", in: pair.a ? "a" : "b" }];
    const [left, right] = [a, b].map(({ folder }) => readGenerations(runPath(folder, "steps"), step, name));
    const longest = Math.max(left!.length, right!.length);
    const rows = Array.from({ length: longest }, (_, row) => row).filter((row) => !isSameJson(left![row], right![row]));
    return rows.length > 0 ? [{ step, name, kind: "rows", a: left!.length, b: right!.length, rows: rows.length, first: rows[0]! }] : [];
  });
  return { agree: pairs.length - differ.length, differ };
}
