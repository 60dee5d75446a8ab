/** @file The version of Sextant, and what a result was made on, in words. */
import { fileURLToPath } from "node:url";
import { readJsonObject } from "../formats/json.js";

/** The version in `package.json`. */
export function version(): string {
  return String(readJsonObject(fileURLToPath(new URL("../../package.json", import.meta.url)))["version"]);
}

/** Version of Sextant, Node and platform. */
export function madeWith(): string {
  return `Sextant ${version()}, Node ${process.versions.node}, ${process.platform} ${process.arch}.`;
}
