/** @file Runs `dying-worker.ts` in a worker thread, from its source. */
import { register } from "tsx/esm/api";

register();
await import("./dying-worker.ts");
