/** @file Help, made from the tables of commands and options: the global page, a command's page, and its usage line. */
import { GLOBAL_OPTIONS, type Command, type OptionRow, type OptionTable } from "./command.js";

/** The page that `sextant --help` prints. */
export function globalHelp(commands: readonly Command[]): string {
  const options = { ...GLOBAL_OPTIONS, version: { type: "flag", meaning: "print the version" } } as const satisfies OptionTable;
  return [
    "Sextant measures and steers the inside of language models.",
    "",
    "usage: sextant COMMAND [arguments] [options]",
    "",
    "commands",
    ...columns(commands.map(({ name, summary }) => [name, summary])),
    "",
    "options",
    ...optionLines(options),
    "",
    "MODEL is a folder with config.json, model.safetensors (or its shards) and, for text, tokenizer.json; or a GGUF file.",
    "`sextant COMMAND --help` explains a command. Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted.",
    "",
  ].join("\n");
}

/** The page that `sextant COMMAND --help` prints. */
export function commandHelp(command: Command): string {
  const args = command.arguments.map(({ name, meaning }): [string, string] => [name, meaning]);
  return [
    command.summary,
    "",
    usageLine(command),
    "",
    ...(args.length > 0 ? ["arguments", ...columns(args), ""] : []),
    "options",
    ...optionLines({ ...command.options, ...GLOBAL_OPTIONS }),
    "",
    "examples",
    ...command.examples.map((example) => `  sextant ${example}`),
    "",
  ].join("\n");
}

/** `usage: sextant lens MODEL (--text STRING | --tokens JSON) [options]` */
export function usageLine({ name, arguments: args, oneOf = [], options }: Command): string {
  const positional = args.map((row) => (row.optional ? `[${row.name}]` : row.name));
  const required = oneOf.map((group) => {
    const spelled = group.map((option) => spell(option, options[option]!)).join(" | ");
    return group.length > 1 ? `(${spelled})` : spelled;
  });
  return ["usage: sextant", name, ...positional, ...required, "[options]"].join(" ");
}

function optionLines(options: OptionTable): string[] {
  return columns(Object.entries(options).map(([name, row]) => [spell(name, row), describe(row)]));
}

function spell(name: string, { placeholder }: OptionRow): string {
  return placeholder ? `--${name} ${placeholder}` : `--${name}`;
}

function describe({ meaning, repeats, default: value }: OptionRow): string {
  const notes = [...(repeats ? ["may be repeated"] : []), ...(value === undefined ? [] : [`default ${value}`])];
  return notes.length > 0 ? `${meaning} (${notes.join("; ")})` : meaning;
}

const WIDEST = 30;
const LINE = 110;

/** Two columns, the second wrapped. */
function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.min(WIDEST, Math.max(...rows.map(([left]) => left.length)));
  return rows.flatMap(([left, right]) => {
    const lines = wrap(right, LINE - width - 4);
    const own = left.length > width ? [`  ${left}`, ...lines.map((line) => `${" ".repeat(width + 4)}${line}`)] : undefined;
    return own ?? lines.map((line, i) => `  ${(i === 0 ? left : "").padEnd(width)}  ${line}`);
  });
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
