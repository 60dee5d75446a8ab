/** @file The version of Sextant, and what a result was made on, in words. */
import { sextantVersion } from "../studies/made-on.js";

/** The version in `package.json`. */
export const version = sextantVersion;

/** Version of Sextant, Node and platform. */
export function madeWith(): string {
  return `Sextant ${version()}, Node ${process.versions.node}, ${process.platform} ${process.arch}.`;
}
