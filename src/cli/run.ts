/** @file One run of the command line: finds the command, runs it, prints what it found or what went wrong, and gives the exit code. */
import { isSextantError, SextantError } from "../base/errors.js";
import type { Call, Command, Output } from "./command.js";
import { COMMANDS } from "./commands.js";
import { commandHelp, globalHelp, usageLine } from "./help.js";
import { nearest, parseCall, usage, type ParsedCall } from "./parse.js";
import { columnsOf, ProgressLine, usesColour, type Terminal } from "./terminal.js";
import { version } from "./version.js";

/** Exit codes: done, failed, used wrongly, interrupted. */
const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** Runs `sextant ARGV…` to its end and returns the exit code. */
export async function runCli(argv: readonly string[], terminal: Terminal): Promise<number> {
  const progress = new ProgressLine(terminal.err);
  let advice = "";
  const [name, ...rest] = argv;
  const command = COMMANDS.find((row) => row.name === name);
  try {
    if (!command) return answerWithoutCommand(name, terminal);
    const parsed = parseCall(command, rest);
    if (parsed.options["help"]) return print(terminal, commandHelp(command));
    const call = makeCall(parsed, terminal, { progress, advise: (text) => (advice = text) });
    const running = command.run(call);
    const output = await (command.endsItself ? running : Promise.race([running, interruption(terminal.signal)]));
    progress.clear();
    return printOutput(output, parsed, terminal);
  } catch (error) {
    progress.clear();
    return report(error, { argv, command, terminal, advice });
  }
}

function answerWithoutCommand(name: string | undefined, terminal: Terminal): number {
  if (name === undefined || name === "--help" || name === "-h" || name === "help") return print(terminal, globalHelp(COMMANDS));
  if (name === "--version" || name === "-v") return print(terminal, `${version()}\n`);
  if (name.startsWith("-")) throw usage(`a command comes first, got the option ${name}`);
  const near = nearest(
    name,
    COMMANDS.map((row) => row.name),
  );
  throw usage(`unknown command ${JSON.stringify(name)}${near ? `; did you mean ${near}?` : ""}`);
}

function makeCall(parsed: ParsedCall, terminal: Terminal, { progress, advise }: { progress: ProgressLine; advise: Call["advise"] }): Call {
  const options = parsed.options as Call["options"];
  return {
    options,
    arguments: parsed.arguments,
    signal: terminal.signal,
    colour: usesColour(String(options["color"]), terminal),
    columns: columnsOf(terminal),
    onProgress: (state) => progress.update(state),
    say: (text) => {
      progress.clear();
      if (!options["json"]) terminal.out.write(text);
    },
    note: (text) => {
      progress.clear();
      terminal.err.write(text);
    },
    advise,
  };
}

function printOutput({ json, text, failed }: Output, { options }: ParsedCall, terminal: Terminal): number {
  if (options["json"]) print(terminal, `${JSON.stringify(json, undefined, 2)}\n`);
  else if (text) print(terminal, text.endsWith("\n") ? text : `${text}\n`);
  return failed ? EXIT.failed : EXIT.done;
}

function print({ out }: Terminal, text: string): number {
  out.write(text);
  return EXIT.done;
}

interface Failure {
  readonly argv: readonly string[];
  readonly command: Command | undefined;
  readonly terminal: Terminal;
  /** What is said when the run was interrupted. */
  readonly advice: string;
}

/** Says on standard error what went wrong, as JSON where JSON was asked for. */
function report(thrown: unknown, { argv, command, terminal, advice }: Failure): number {
  const error = terminal.signal.aborted ? new SextantError("interrupted", `interrupted${advice && `; ${advice}`}`) : thrown;
  const kind = isSextantError(error) ? error.kind : "internal";
  const message = error instanceof Error ? error.message : String(error);
  if (argv.includes("--json")) terminal.err.write(`${JSON.stringify({ error: { kind, message } })}\n`);
  else terminal.err.write(describe(error, message, { kind, command, env: terminal.env }));
  if (kind === "usage") return EXIT.usage;
  return kind === "interrupted" ? EXIT.interrupted : EXIT.failed;
}

function describe(error: unknown, message: string, about: { kind: string; command: Command | undefined; env: Terminal["env"] }): string {
  const { kind, command, env } = about;
  const line = `sextant${command ? ` ${command.name}` : ""}: ${message}\n`;
  if (kind === "usage")
    return `${line}${command ? usageLine(command) : "usage: sextant COMMAND [arguments] [options]; `sextant --help` lists the commands"}\n`;
  const stack = error instanceof Error && (env["SEXTANT_DEBUG"] || kind === "internal") ? `${error.stack}\n` : "";
  return `${line}${stack}`;
}

/** Rejects when the run is interrupted; never resolves. */
function interruption(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => reject(new SextantError("interrupted", "interrupted"));
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
  });
}
