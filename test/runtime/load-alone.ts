/** @file Reads the weights of the GGUF file that the first argument names, once the file that the second one names is there, and prints their sum. */
import { existsSync } from "node:fs";
import { openModelCheckpoint } from "../../src/runtime/gguf-model.js";

const [, , path = "", start = ""] = process.argv;
process.stdout.write("ready\n");
while (!existsSync(start)) await new Promise((resolve) => setTimeout(resolve, 1));
try {
  const checkpoint = openModelCheckpoint(path);
  const sums = [...checkpoint.tensors.keys()].map((name) => checkpoint.readFloat32(name).reduce((sum, value) => sum + value, 0));
  checkpoint.close();
  process.stdout.write(`sum ${sums.reduce((sum, value) => sum + value, 0)}\n`);
} catch (error) {
  process.stdout.write(`failed ${(error as Error).message}\n`);
}
