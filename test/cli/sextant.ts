/** @file Runs the command line in this process and catches what it writes. */
import { fileURLToPath } from "node:url";
import { runCli } from "../../src/cli/run.js";

/** The small model that comes with Sextant. */
export const MODEL = fileURLToPath(new URL("../../models/induction", import.meta.url));

export interface Caught {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** What `sextant ARGV…` writes, and its exit code; `signal` interrupts it, `terminal` makes its streams terminals. */
export async function sextant(
  argv: readonly string[],
  options: { signal?: AbortSignal; terminal?: boolean; env?: Record<string, string> } = {},
): Promise<Caught> {
  const { signal = new AbortController().signal, terminal = false, env = {} } = options;
  const [out, err] = [catcher(terminal), catcher(terminal)];
  const code = await runCli(argv, { out, err, env, signal });
  return { code, out: out.text(), err: err.text() };
}

/** The JSON document that a run printed. */
export async function sextantJson<T>(...argv: readonly string[]): Promise<T> {
  const { out, err } = await sextant([...argv, "--json"]);
  if (err) throw new Error(err);
  return JSON.parse(out) as T;
}

function catcher(terminal: boolean): { write: (text: string) => void; text: () => string; isTTY: boolean; columns?: number } {
  let all = "";
  const write = (text: string): void => void (all += text);
  return { write, text: () => all, isTTY: terminal, ...(terminal && { columns: 90 }) };
}
