/**
 * @file Where `--memory` is given on Linux, the program runs itself once more in a process whose C library is told to give freed memory back.
 * glibc otherwise keeps some of each block that was released, up to several times its size, and can be told only before a process starts.
 */
import { spawn } from "node:child_process";

const SETTING = "MALLOC_TRIM_THRESHOLD_";
/** glibc's own default at the start of a process, which it raises by itself unless it is told. */
const BYTES = "131072";

/** What shells give for a process that SIGTERM ended. */
const TERMINATED = 143;

/** Whether this process is not told yet, and should be. */
export function shouldRespawn(argv: readonly string[], env: Readonly<Record<string, string | undefined>>, system: string): boolean {
  return system === "linux" && env[SETTING] === undefined && argv.some((word) => word === "--memory" || word.startsWith("--memory="));
}

/** Runs the same command line in such a process; gives its exit code. A Ctrl-C at the terminal reaches that process by itself. */
export function respawn(): Promise<number> {
  const { execPath, execArgv, argv, env, stdin } = process;
  const child = spawn(execPath, [...execArgv, ...argv.slice(1)], { stdio: "inherit", env: { ...env, [SETTING]: BYTES } });
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  process.on("SIGINT", () => {
    if (!stdin.isTTY) child.kill("SIGINT");
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, killed) => resolve(code ?? (killed === "SIGTERM" ? TERMINATED : 1)));
  });
}
