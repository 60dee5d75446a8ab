/** @file The layers of ARCHITECTURE.md, checked: each folder imports only the folders in its row, and each door to the outside has its keepers. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

// oxfmt-ignore
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base:     [],
  formats:  ["base"],
  graph:    ["base"],
  models:   ["base", "formats", "graph"],
  runtime:  ["base", "formats", "graph", "models"],
  browser:  ["base", "formats", "models", "graph", "runtime"],
  analyses: ["base", "models", "runtime"],
  tasks:    ["base", "formats"],
  training: ["base", "formats", "graph", "models", "runtime", "tasks"],
  charts:   ["base"],
  store:    ["base", "formats"],
  report:   ["base", "charts", "store"],
  studies:  ["base", "formats", "models", "runtime", "analyses", "tasks", "training", "charts", "store", "report"],
  cli:      ["base", "formats", "models", "runtime", "analyses", "tasks", "training", "charts", "store", "studies", "report"],
};

/** What may be named where: packages, parts of Node, globals. Whatever package has no row here is refused. */
// oxfmt-ignore
const DOORS: readonly (readonly [what: string, where: RegExp])[] = [
  ["onnxruntime-node",        /^(runtime\/session|browser\/web-host)\.ts$/],
  ["pbf",                     /^graph\/emit\.ts$/],
  ["fflate",                  /^formats\//],
  ["hyparquet",               /^formats\/parquet\.ts$/],
  ["hyparquet-writer",        /^formats\/parquet\.ts$/],
  ["@duckdb/node-api",        /^store\/query\.ts$/],
  ["@huggingface/jinja",      /^formats\/chat\.ts$/],
  ["@huggingface/tokenizers", /^formats\/tokens\//],
  ["@resvg/resvg-js",         /^charts\/png\.ts$/],
  ["@huggingface/hub",        /^formats\/hub\/listing\.ts$/],
  ["node:fs",                 /^(formats|store)\//],
  ["node:zlib",               /^formats\//],
  ["node:crypto",             /^(formats|store)\//],
  ["node:module",             /^(charts\/png|runtime\/provider-files)\.ts$/],
  ["node:path",               /^(formats|runtime|store|studies|cli)\//],
  ["node:os",                 /^(formats\/hub\/|runtime\/|studies\/made-on)/],
  ["node:process",            /^(formats\/hub\/|runtime\/(cache-folder|provider-files|worker\/open-worker)\.ts$|studies\/made-on\.ts$)/],
  ["node:url",                /^(cli\/|studies\/made-on)/],
  ["node:child_process",      /^cli\/(frugal-process|commands\/devices)\.ts$/],
  ["node:util",               /^cli\//],
  ["node:v8",                 /^cli\/main\.ts$/],
  ["node:worker_threads",     /^runtime\/worker\/(main|open-worker)\.ts$/],
];

/** Globals that reach out of the program. */
const GLOBALS: readonly (readonly [what: RegExp, where: RegExp])[] = [
  [/\bconsole\./, /^cli\//],
  [/\bprocess\./, /^cli\//],
  [/\bfetch\(/, /^(formats\/hub\/request|browser\/fetch-files)\.ts$/],
  [/\bMath\.random/, /^$/],
  [/\bDate\.now/, /^formats\/hub\/partial-file\.ts$/],
  [/\bnew Date\(\)/, /^studies\/made-on\.ts$/],
];

const SOURCE = fileURLToPath(new URL("../src", import.meta.url));
const files = readdirSync(SOURCE, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
const sources = files.map((file) => ({
  file: file.replaceAll("\\", "/"),
  code: readFileSync(`${SOURCE}/${file}`, "utf8").replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, ""),
}));

test("every folder of src has its row", () => {
  const folders = new Set(sources.map(({ file }) => file.split("/")).flatMap(([folder, ...rest]) => (rest.length > 0 ? [folder] : [])));
  expect(folders).toEqual(new Set(Object.keys(MAY_IMPORT)));
});

test.each(sources)("$file stays in its layer", ({ file, code }) => {
  for (const name of importsOf(code)) {
    if (name.startsWith(".")) expect(allowedFrom(file), `${file} imports ${name}`).toContain(folderOf(file, name));
    else expect(keeperOf(name)?.test(file), `${file} imports ${name}`).toBe(true);
  }
  for (const [what, where] of GLOBALS) if (what.test(code)) expect(file, `uses ${what.source}`).toMatch(where);
});

test.each(["index.ts", "browser.ts"])("%s names what it exports, and only the command line is not for import", (entry) => {
  const { code } = sources.find(({ file }) => file === entry)!;
  expect(code).not.toMatch(/export \*/);
  expect(importsOf(code).filter((name) => name.startsWith("./cli/"))).toEqual([]);
  expect(code.split("\n").length).toBeLessThanOrEqual(300);
});

/** What a file imports, statically, dynamically, as types or to pass on. */
function importsOf(code: string): string[] {
  return [...code.matchAll(/(?:\bfrom |\bimport\(|^import )"([^"]+)"/gm)].map(([, name]) => name!);
}

function folderOf(file: string, name: string): string {
  const path = new URL(name, `file:///${file}`).pathname.slice(1).split("/");
  return path.length > 1 ? path[0]! : "";
}

function allowedFrom(file: string): readonly string[] {
  const [folder = "", ...rest] = file.split("/");
  if (rest.length === 0) return Object.keys(MAY_IMPORT).filter((other) => other !== "cli");
  return [folder, ...MAY_IMPORT[folder]!];
}

function keeperOf(name: string): RegExp | undefined {
  return DOORS.find(([what]) => name === what || name.startsWith(`${what}/`))?.[1];
}
