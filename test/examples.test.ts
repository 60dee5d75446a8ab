/** @file Every program in `examples/` runs, and prints what its last comment says. */
import { readdirSync, readFileSync } from "node:fs";
import { afterEach, expect, test, vi } from "vitest";

const FOLDER = new URL("../examples/", import.meta.url);
const NAMES = readdirSync(FOLDER).flatMap((name) => (name.endsWith(".ts") ? [name.slice(0, -3)] : []));

afterEach(() => void vi.restoreAllMocks());

test.each(NAMES)("%s", async (name) => {
  const lines: string[] = [];
  vi.spyOn(console, "log").mockImplementation((line: string) => void lines.push(line));
  await import(`../examples/${name}.ts`);
  expect(lines.join("\n")).toBe(promised(readFileSync(new URL(`${name}.ts`, FOLDER), "utf8")));
});

/** The comment lines behind `// Prints:`. */
function promised(source: string): string {
  const [, comment = ""] = source.split("\n// Prints:\n");
  return comment.trimEnd().replaceAll(/^\/\/ /gm, "");
}
