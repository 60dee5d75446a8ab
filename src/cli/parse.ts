/** @file A command's arguments, parsed and checked against its tables. Whatever is not in a table is refused. */
import { parseArgs } from "node:util";
import { SextantError } from "../base/errors.js";
import { GLOBAL_OPTIONS, type Command, type OptionRow, type OptionTable } from "./command.js";

/** What a command line says, once it is known to be well formed. */
export interface ParsedCall {
  readonly options: Readonly<Record<string, unknown>>;
  readonly arguments: readonly string[];
}

/** The values of the command's options and arguments; a `usage` error for anything else. `--help` alone suffices. */
export function parseCall(command: Command, argv: readonly string[]): ParsedCall {
  const table: OptionTable = { ...command.options, ...GLOBAL_OPTIONS };
  const { values, positionals } = parseRaw(table, joinNegative(argv, table));
  const options = Object.fromEntries(Object.entries(table).map(([name, row]) => [name, convert(name, row, values[name])]));
  if (!options["help"]) {
    checkArguments(command, positionals);
    for (const group of command.oneOf ?? []) checkGroup(group, values, true);
    for (const group of command.atMostOneOf ?? []) checkGroup(group, values, false);
  }
  return { options, arguments: positionals };
}

/** An error of use: exit code 2. */
export function usage(message: string): SextantError {
  return new SextantError("usage", message);
}

type RawValues = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

function parseRaw(table: OptionTable, argv: readonly string[]): { readonly values: RawValues; readonly positionals: string[] } {
  const options = Object.fromEntries(
    Object.entries(table).map(([name, { type, repeats }]) => [
      name,
      { type: type === "flag" ? ("boolean" as const) : ("string" as const), multiple: repeats === true },
    ]),
  );
  try {
    const help = { type: "boolean", short: "h" } as const;
    return parseArgs({ args: [...argv], options: { ...options, help }, allowPositionals: true, strict: true });
  } catch (error) {
    throw explain(error as NodeJS.ErrnoException, table);
  }
}

/** `--positions -1` as `--positions=-1`: what follows is a number, not an option. */
function joinNegative(argv: readonly string[], table: OptionTable): string[] {
  const out: string[] = [];
  for (const word of argv) {
    const row = table[out.at(-1)?.replace(/^--/, "") ?? ""];
    if (/^-\.?\d/.test(word) && row && row.type !== "flag" && out.at(-1)!.startsWith("--")) out[out.length - 1] += `=${word}`;
    else out.push(word);
  }
  return out;
}

function explain(error: NodeJS.ErrnoException, table: OptionTable): SextantError {
  const name = /'(?:-\w, )?--?([^ '<]+)/.exec(error.message)?.[1] ?? "";
  if (error.code === "ERR_PARSE_ARGS_UNKNOWN_OPTION") {
    const near = nearest(name, Object.keys(table));
    return usage(`unknown option ${error.message.includes(`'--${name}`) ? "--" : "-"}${name}${near ? `; did you mean --${near}?` : ""}`);
  }
  if (error.code !== "ERR_PARSE_ARGS_INVALID_OPTION_VALUE") return usage(error.message);
  const row = table[name];
  if (row?.type === "flag") return usage(`--${name} takes no value`);
  const dash = error.message.includes("ambiguous") ? ` (one that begins with a dash is written --${name}=…)` : "";
  return usage(`--${name} needs a value, ${row?.placeholder ?? "VALUE"}${dash}`);
}

function convert(name: string, row: OptionRow, raw: RawValues[string]): unknown {
  if (row.type === "flag") return raw === true;
  if (row.repeats) return (Array.isArray(raw) ? raw : []).map((value) => single(name, row, String(value)));
  return typeof raw === "string" ? single(name, row, raw) : row.default;
}

function single(name: string, row: OptionRow, value: string): string | number {
  if (row.choices && !row.choices.includes(value))
    throw usage(`--${name} must be one of ${row.choices.join(", ")}, got ${JSON.stringify(value)}`);
  if (row.type === "text") return value;
  const number = value.trim() === "" ? NaN : Number(value);
  const valid = row.type === "integer" ? Number.isSafeInteger(number) && number >= 0 : Number.isFinite(number);
  if (!valid)
    throw usage(`--${name} must be a ${row.type === "integer" ? "whole number, 0 or more" : "number"}, got ${JSON.stringify(value)}`);
  return number;
}

function checkArguments({ arguments: rows }: Command, positionals: readonly string[]): void {
  const missing = rows.find((row, i) => !row.optional && i >= positionals.length);
  if (missing) throw usage(`${missing.name} is missing: ${missing.meaning}`);
  if (positionals.length > rows.length) throw usage(`unexpected argument ${JSON.stringify(positionals[rows.length])}`);
}

function checkGroup(group: readonly string[], values: RawValues, required: boolean): void {
  const given = group.filter((name) => values[name] !== undefined);
  const spelled = (names: readonly string[], word: string): string => names.map((name) => `--${name}`).join(` ${word} `);
  if (given.length > 1) throw usage(`takes only one of ${spelled(given, "and")}`);
  if (required && given.length === 0) throw usage(`needs ${spelled(group, "or")}`);
}

/** The name nearest to `name`, one or (in longer names) two letters away, if there is one. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const [best] = names.map((other) => ({ other, distance: editDistance(name, other) })).toSorted((a, b) => a.distance - b.distance);
  return best && best.distance <= (name.length > 4 ? 2 : 1) ? best.other : undefined;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + Number(a[i - 1] !== b[j - 1])));
    row = next;
  }
  return row[b.length]!;
}
