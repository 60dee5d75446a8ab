/** @file A comparison of two runs in words: what differs by name, what is furthest apart first, and how much agrees. */
import type { Comparison, FindingDifference, GenerationDifference, Side, StepDifference, TableDifference } from "./compare.js";
import { plainLine } from "./plain-line.js";

/** Lines of each kind before the rest is only counted. */
const MOST_LINES = 20;
const WIDEST = 160;

/** The comparison for a terminal: a section for each kind of thing that differs, at most 20 lines each, then what agrees. */
export function comparisonText(comparison: Comparison): string {
  const { equal, settings, steps, findings, tables, generations } = comparison;
  const sections = [
    section(
      "settings",
      settings.map(({ name, a, b }) => `${name}: ${valueText(a)} | ${valueText(b)}`),
    ),
    section("steps", steps.map(stepText)),
    section("findings", ranked(findings.differ).map(findingText)),
    section("tables", ranked(tables.differ).map(tableText)),
    section("generations", generations.differ.toSorted((a, b) => rowsOf(b) - rowsOf(a)).map(generationText)),
  ];
  const agreeing = `${counted(findings.agree, "finding")}, ${counted(tables.agree, "table")} (${counted(tables.cells, "cell")}) and ${counted(generations.agree, "file")} of generations agree.`;
  return [...sections.filter((text) => text !== ""), `${equal ? "Nothing differs. " : ""}${agreeing}`].join("\n\n");
}

function section(title: string, lines: readonly string[]): string {
  if (lines.length === 0) return "";
  const shown = lines.slice(0, MOST_LINES).map((line) => `  ${cut(line)}`);
  const rest = lines.length > MOST_LINES ? [`  … and ${lines.length - MOST_LINES} more`] : [];
  return [`${title} that differ: ${lines.length}`, ...shown, ...rest].join("\n");
}

/** What is only in one run, or of another shape, first; then by how many times the tolerance. */
function ranked<D extends FindingDifference | TableDifference>(differences: readonly D[]): D[] {
  return differences.toSorted((a, b) => compareSizes(sizeOf(b), sizeOf(a)));
}

type Size = readonly [times: number, distance: number];

function compareSizes(a: Size, b: Size): number {
  if (a[0] !== b[0]) return a[0] > b[0] ? 1 : -1;
  return a[1] === b[1] ? 0 : a[1] > b[1] ? 1 : -1;
}

function sizeOf(difference: FindingDifference | TableDifference): Size {
  if (difference.kind !== "value" && difference.kind !== "cells") return [Infinity, Infinity];
  const { a, b, allowed = 0 } = difference;
  if (typeof a !== "number" || typeof b !== "number") return [Infinity, Infinity];
  const distance = Math.abs(a - b);
  return [distance / allowed, distance];
}

function stepText({ step, kind, in: side }: StepDifference): string {
  return kind === "only" ? `${step} is only in ${nameOf(side)}` : `${step} was skipped in ${nameOf(side)} only`;
}

function findingText(difference: FindingDifference): string {
  const { id } = difference;
  if (difference.kind === "only") return `${id} is only in ${nameOf(difference.in)}`;
  if (difference.kind === "unit") return `${id} is in ${difference.a} | ${difference.b}`;
  return `${id}: ${apart(difference)}`;
}

function tableText(difference: TableDifference): string {
  const place = `${difference.step}/${difference.table}`;
  if (difference.kind === "only") return `${place} is only in ${nameOf(difference.in)}`;
  if (difference.kind === "rows") return `${place} has ${difference.a} | ${difference.b} rows`;
  if (difference.kind === "columns") return `${place} has the columns ${difference.a.join(", ")} | ${difference.b.join(", ")}`;
  const { column, cells, rows, row } = difference;
  return `${place}, ${column}: ${cells} of ${counted(rows, "cell")}, most in row ${row}: ${apart(difference)}`;
}

function generationText(difference: GenerationDifference): string {
  const place = `${difference.step}/${difference.name}`;
  if (difference.kind === "only") return `${place} are only in ${nameOf(difference.in)}`;
  const { a, b, rows, first } = difference;
  return `${place}: ${counted(rows, "row")} of ${a === b ? a : `${a} | ${b}`}, the first is row ${first}`;
}

function rowsOf(difference: GenerationDifference): number {
  return difference.kind === "only" ? Infinity : difference.rows;
}

function apart({ a, b, allowed }: { readonly a: unknown; readonly b: unknown; readonly allowed?: number }): string {
  if (typeof a !== "number" || typeof b !== "number") return `${valueText(a)} | ${valueText(b)}`;
  return `${a} | ${b}, ${digits(Math.abs(a - b))} apart, ${digits(allowed ?? 0)} allowed`;
}

function digits(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function valueText(value: unknown): string {
  return value === null ? "none" : JSON.stringify(value);
}

function nameOf(side: Side): string {
  return side === "a" ? "the first" : "the second";
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function cut(line: string): string {
  const plain = plainLine(line);
  return plain.length > WIDEST ? `${plain.slice(0, WIDEST - 1)}…` : plain;
}
