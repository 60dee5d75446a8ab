/**
 * @file What a command is: a row of the command table with its own table of options. Parsing, checks and help are derived from
 * these tables; a command's `run` gets typed values and returns what to print.
 */
import type { Progress } from "../runtime/model.js";

/** One option: how it is written, what it means, and what holds when it is absent. */
export interface OptionRow {
  readonly type: "text" | "integer" | "number" | "flag";
  /** What stands for the value in help; absent for flags. */
  readonly placeholder?: string;
  readonly meaning: string;
  readonly default?: string | number;
  /** May be given several times. */
  readonly repeats?: true;
  readonly choices?: readonly string[];
}

export type OptionTable = Readonly<Record<string, OptionRow>>;

type Single<R extends OptionRow> = R["type"] extends "flag" ? boolean : R["type"] extends "text" ? string : number;

type ValueOf<R extends OptionRow> = R extends { repeats: true }
  ? readonly Single<R>[]
  : R extends { default: string | number } | { type: "flag" }
    ? Single<R>
    : Single<R> | undefined;

/** The values of a table's options, by name. */
export type OptionValues<O extends OptionTable> = { readonly [K in keyof O]: ValueOf<O[K]> };

/** One positional argument. */
interface ArgumentRow {
  readonly name: string;
  readonly meaning: string;
  readonly optional?: true;
}

/** Options that every command has. */
export const GLOBAL_OPTIONS = {
  json: { type: "flag", meaning: "print one JSON document and nothing else" },
  color: {
    type: "text",
    placeholder: "WHEN",
    choices: ["always", "never", "auto"],
    default: "auto",
    meaning: "colours: always, never, or on a terminal",
  },
  help: { type: "flag", meaning: "show this help" },
} as const satisfies OptionTable;

/** What a running command may use besides its values. */
export interface Call<O extends OptionTable = OptionTable> {
  readonly options: OptionValues<O & typeof GLOBAL_OPTIONS>;
  /** Positional arguments, in the order of the command's table. */
  readonly arguments: readonly string[];
  readonly signal: AbortSignal;
  readonly colour: boolean;
  /** Terminal columns of the output. */
  readonly columns: number;
  readonly onProgress: (progress: Progress) => void;
  /** Prints at once, unless `--json` was given. */
  readonly say: (text: string) => void;
  /** Prints at once on standard error, also with `--json`: what is no part of the answer, but must not happen unsaid. */
  readonly note: (text: string) => void;
  /** Sets what is said when the run is interrupted: how to go on. */
  readonly advise: (advice: string) => void;
}

/** What a command found: the document for `--json`, and the text otherwise. */
export interface Output {
  readonly json: unknown;
  readonly text?: string;
  /** The work was done and its answer is no: exit code 1. */
  readonly failed?: boolean;
}

/** A command of `sextant`. */
export interface Command<O extends OptionTable = OptionTable> {
  readonly name: string;
  readonly summary: string;
  readonly arguments: readonly ArgumentRow[];
  readonly options: O;
  /** Of each group exactly one option must be given. */
  readonly oneOf?: readonly (readonly (keyof O & string)[])[];
  /** Of each group at most one option may be given. */
  readonly atMostOneOf?: readonly (readonly (keyof O & string)[])[];
  readonly examples: readonly string[];
  /** Ends by itself when it is interrupted, after it has saved what it has: it is waited for. */
  readonly endsItself?: true;
  readonly run: (call: Call<O>) => Promise<Output>;
}

/** The command, its option table typed for `run` and then forgotten, so that commands of any options fit in one list. */
export function defineCommand<const O extends OptionTable>(command: Command<O>): Command {
  return command as unknown as Command;
}
