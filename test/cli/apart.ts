/** @file Runs the command line in a process of its own, as it is written. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

/** What `sextant ARGV…` writes in a process of its own. */
export function sextantApart(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--import", "tsx", MAIN, ...argv], {
    encoding: "utf8",
    timeout: 60_000,
    killSignal: "SIGKILL",
    env: { ...process.env, ...env },
  });
  return { code: status, out: stdout, err: stderr };
}
