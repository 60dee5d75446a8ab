/** @file What the peers that run in Node share: a line of JSON in, a line of JSON out, with the process's memory; errors are answers. */
import { readFileSync } from "node:fs";
import { stdin, stdout } from "node:process";
import { createInterface } from "node:readline";

/** Answers each request `{ op, … }` by the function of that name, until `{ op: "exit" }` or the end of the input. */
export async function serve(operations) {
  for await (const line of createInterface({ input: stdin })) {
    const { op, ...request } = JSON.parse(line);
    if (op === "exit") break;
    stdout.write(`${JSON.stringify(await answer(operations[op], request))}\n`);
  }
  process.exit(0);
}

async function answer(operation, request) {
  try {
    const start = performance.now();
    const made = await operation(request);
    return { ms: performance.now() - start, ...made, ...memory() };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

/** MiB of the process now and at its largest, as Linux counts them. */
function memory() {
  const status = readFileSync("/proc/self/status", "utf8");
  const of = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? Number.NaN) / 1024;
  return { rss_mb: of("VmRSS"), peak_mb: of("VmHWM") };
}
