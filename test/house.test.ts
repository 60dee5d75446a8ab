/** @file House rules that no other tool checks, over all text files of the repository. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** What is made by tools and not kept. */
const MADE = new Set(["node_modules", "dist", "dist-bench", "coverage", ".git", ".cache"]);
const TEXT = /(?:\.(?:ts|js|py|sh|md|json|txt|svg)|\.ci\/run|LICENSE|\.npmrc|\.gitignore)$/;

const files = filesIn("").filter((path) => TEXT.test(path) && path !== "package-lock.json");
const code = files.filter((path) => path.endsWith(".ts"));

describe("text files", () => {
  test("name no place on the machine they were written on", () => {
    const place = new RegExp(`(?<![\\w.@~*)}\\]:-])/(?:${["work", "tmp", "opt", "home", "root", "Users", "mnt"].join("|")})/[\\w.]`);
    const found = files.flatMap((path) =>
      linesOf(path).flatMap((line, i) => (place.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
    );
    expect(found).toEqual([]);
  });

  test("end with one newline and have no carriage returns", () => {
    expect(files.filter((path) => !/[^\n]\n$/.test(read(path)) || read(path).includes("\r"))).toEqual([]);
  });
});

describe("programs", () => {
  test("say at their head what they are", () => {
    const programs = code.filter((path) => path !== "vitest.config.ts" && !path.endsWith(".test.ts"));
    expect(programs.filter((path) => !/^\/\*\*(?: |\n \* )@file /.test(read(path)))).toEqual([]);
  });

  test("export by name", () => {
    expect(code.filter((path) => path !== "vitest.config.ts" && /^export default\b/m.test(read(path)))).toEqual([]);
  });

  test("never silence the compiler, and the linter only in tests, for one line and rule", () => {
    const silencer = /@ts-(?:ignore|nocheck|expect-error)|(?:ox|es)lint-(?:disable(?!-next-line [a-z])|enable)/;
    const gag = /(?:ox|es)lint-disable/;
    expect(code.filter((path) => path !== "test/house.test.ts" && silencer.test(read(path)))).toEqual([]);
    expect(code.filter((path) => !path.startsWith("test/") && gag.test(read(path)))).toEqual([]);
  });

  test("are in no folder of leftovers", () => {
    expect(code.filter((path) => /(?:^|\/)(?:utils?|helpers?|misc|common|types)(?:\/|\.ts$)/.test(path))).toEqual([]);
  });
});

describe("tests", () => {
  test("that may be skipped have a row in test/SKIPS.md, and no others do", () => {
    const skipping = code.filter((path) => /^\s*(?:describe|it|test)\.(?:skip|skipIf|runIf|todo)\(/m.test(read(path)));
    const rows = [...read("test/SKIPS.md").matchAll(/^\| `([^`]+)`/gm)].map(([, path]) => path);
    expect(new Set(rows)).toEqual(new Set(skipping));
  });

  test("run all", () => {
    expect(code.filter((path) => /^\s*(?:describe|it|test)\.only\(/m.test(read(path)))).toEqual([]);
  });
});

describe("package.json", () => {
  const manifest = JSON.parse(read("package.json")) as Record<string, Record<string, string>> & { version: string };

  test("pins every package to one version", () => {
    const wanted = Object.entries({ ...manifest["dependencies"], ...manifest["devDependencies"] });
    expect(wanted.filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))).toEqual([]);
  });

  test("lets no package run install scripts", () => {
    expect(Object.values(manifest["allowScripts"]!)).not.toContain(true);
  });

  test("has its version in the changelog, and its least Node in the README", () => {
    expect(read("CHANGELOG.md")).toContain(`\n## ${manifest.version}\n`);
    expect(read("README.md")).toContain(`Node ${manifest["engines"]!["node"]!.replace(">=", "")} or later`);
  });

  test("defends each dependency in ARCHITECTURE.md", () => {
    const rows = Object.keys(manifest["dependencies"]!).filter((name) => !new RegExp(`^\\| ${name} `, "m").test(read("ARCHITECTURE.md")));
    expect(rows).toEqual([]);
  });
});

/** Paths from the root, with slashes. */
function filesIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder ? `${folder}/${entry.name}` : entry.name;
    if (MADE.has(entry.name)) return [];
    if (entry.isDirectory()) return filesIn(path);
    return entry.isFile() ? [path] : [];
  });
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

function linesOf(path: string): string[] {
  return read(path).split("\n");
}
