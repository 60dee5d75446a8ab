/** @file What a result was made on, in words. */
import { fileURLToPath } from "node:url";
import { readJsonObject } from "../formats/json.js";

/** Version of Sextant, Node and platform. */
export function machineText(): string {
  const { version } = readJsonObject(fileURLToPath(new URL("../../package.json", import.meta.url)));
  return `Sextant ${String(version)}, Node ${process.versions.node}, ${process.platform} ${process.arch}.`;
}
