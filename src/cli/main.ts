/** @file The program `sextant`: streams and signals of the process around one run of the command line. */
import { setFlagsFromString } from "node:v8";
import { respawn, shouldRespawn } from "./frugal-process.js";
import { runCli } from "./run.js";

/**
 * V8 marks its heap in a thread beside the main one each time some 40 MB of tensors have been made. That thread takes a core from the matrix products: gradients
 * at all points of 128 tokens of GPT-2 small's shape take 340 ms without it and 410 with it, on two cores.
 */
setFlagsFromString("--no-concurrent-marking");

const argv = process.argv.slice(2);
if (shouldRespawn(argv, process.env, process.platform)) process.exitCode = await respawn();
else await runHere();

async function runHere(): Promise<void> {
  const controller = new AbortController();

  /** The first Ctrl-C stops the work in good order, a second one at once. Files are written whole or not at all. */
  process.on("SIGINT", () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  });

  /** `sextant … | head` closes the pipe early, which is no failure. */
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

  const { stdout: out, stderr: err, env } = process;
  process.exitCode = await runCli(argv, { out, err, env, signal: controller.signal });
  if (controller.signal.aborted) process.exit();
}
