/** @file What the benchmarks share: minima and medians as text, and the tables in docs/benchmarks.md, which nobody types. */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";

const PAGE = join(import.meta.dirname, "../docs/benchmarks.md");

/** Milliseconds as `minimum (median)`. */
export function best(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  return `${sorted[0]!.toFixed(1)} (${sorted[sorted.length >> 1]!.toFixed(1)})`;
}

/** Gives back the memory of the round before, as Python's counting of references does by itself. */
export async function collectGarbage(): Promise<void> {
  globalThis.gc?.();
  await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Puts a table between its markers on the page of benchmarks, with the machine and the day. */
export function publish(marker: string, table: string, rounds: number): void {
  const [before = "", rest = ""] = readFileSync(PAGE, "utf8").split(`<!-- ${marker} -->`);
  const after = rest.split(`<!-- /${marker} -->`)[1] ?? "";
  const machine = `${cpus().length} cores (${cpus()[0]?.model.trim()}), Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}`;
  const said = `Minimum (median) of ${rounds} rounds in turns, on ${machine}.`;
  writeFileSync(PAGE, `${before}<!-- ${marker} -->\n\n${said}\n\n${table}\n\n<!-- /${marker} -->${after}`);
}
