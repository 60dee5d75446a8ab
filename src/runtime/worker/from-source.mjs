/** @file Runs the worker's program from its source, as tests and `npx tsx` do. It is not part of the package. */
import { register } from "tsx/esm/api";

register();
await import("./main.ts");
