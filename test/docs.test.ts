/** @file The documentation is true: programs and commands in it run and print what stands there, links lead somewhere, tables are not stale. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { format } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { generatedFiles } from "../scripts/docs.js";
import { tensor } from "../src/base/tensor.js";
import { loadModel } from "../src/runtime/load.js";
import { parseEdits } from "../src/runtime/parse-edits.js";
import { sextant } from "./cli/sextant.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PAGES = [...markdownIn(""), ...markdownIn("docs")];
const LONGEST: Readonly<Record<string, number>> = { "README.md": 150, "ARCHITECTURE.md": 300, "CONTRIBUTING.md": 100 };

/** A fenced block: what stands behind the fence, and the text inside. */
interface Block {
  readonly page: string;
  readonly kind: string;
  readonly line: number;
  readonly text: string;
}

const blocks = PAGES.flatMap(blocksOf);
const named = (kind: string): (Block & { name: string })[] =>
  blocks.filter((block) => block.kind === kind).map((block) => ({ ...block, name: `${block.page}:${block.line}` }));

describe("pages", () => {
  test.each(PAGES)("%s has links that lead somewhere, names files that exist, and is short enough", (page) => {
    const text = read(page);
    for (const [, target = ""] of prose(text).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = "", anchor] = target.split("#");
      const file = path ? join(dirname(page), path) : page;
      expect(existsSync(join(ROOT, file)), `${page} links to ${target}`).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(read(file)), `${page} links to ${target}`).toContain(anchor);
    }
    for (const [, path = ""] of prose(text).matchAll(/`((?:src|test|scripts|bench|docs|examples|models|bin)\/[\w./-]+)`/g)) {
      expect(existsSync(join(ROOT, path)), `${page} speaks of ${path}`).toBe(true);
    }
    expect(text.split("\n").length - 1).toBeLessThanOrEqual(LONGEST[page] ?? Infinity);
  });

  test("hold what the program's own tables say: run `npm run docs`", async () => {
    for (const { path, text } of await generatedFiles()) expect(read(path), path).toBe(text);
  });
});

describe("programs", () => {
  mkdirSync(join(ROOT, ".cache"), { recursive: true });
  const folder = mkdtempSync(join(ROOT, ".cache", "docs-"));
  const programs = [...named("ts"), ...named("ts run")].map((block, index) => ({ ...block, file: join(folder, `block-${index}.ts`) }));

  beforeAll(() => {
    for (const { file, text } of programs) writeFileSync(file, `${text}\nexport {};\n`);
    const config = { extends: "../../tsconfig.test.json", compilerOptions: { rootDir: "../.." }, include: ["./*.ts"] };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  afterEach(() => void vi.restoreAllMocks());

  test("compile", () => {
    const compiler = join(ROOT, "node_modules", ".bin", "tsc");
    const problems = output(() =>
      execFileSync(compiler, ["-p", folder], { cwd: ROOT, encoding: "utf8", shell: process.platform === "win32" }),
    );
    expect(problems).toBe("");
  });

  test.each(programs.filter(({ kind }) => kind === "ts run"))("$name runs and prints what its comments say", async ({ text, file }) => {
    const printed: string[] = [];
    vi.spyOn(console, "log").mockImplementation((...values: unknown[]) => void printed.push(format(...values)));
    await elsewhere(() => import(file));
    const promised = [...text.matchAll(/console\.log\(.*\); \/\/ (.*)/g)].map(([, comment]) => comment!);
    expect(printed).toHaveLength(promised.length);
    printed.forEach((line, i) => expect(promised[i]!.slice(0, line.length)).toBe(line));
  });
});

describe("commands", () => {
  test.each(named("sh").filter(({ text }) => commandsOf(text).length > 0))("of $name run", async ({ page, line, text }) => {
    const shown = blocks.find((block) => block.kind === "text" && block.page === page && block.line === line + text.split("\n").length + 3);
    let printed = "";
    for (const command of commandsOf(text)) {
      const { code, out, err } = await elsewhere(() => sextant(wordsOf(command)));
      expect([code, err], command).toEqual([0, ""]);
      printed += out;
    }
    if (shown) expect(printed.trim().replaceAll("\n ", "\n")).toBe(shown.text);
  });
});

describe("edits", () => {
  const vectors = new Map([
    [
      "direction",
      tensor(
        Float32Array.from({ length: 64 }, (_, i) => Math.cos(i)),
        [64],
      ),
    ],
    [
      "plane",
      tensor(
        Float32Array.from({ length: 128 }, (_, i) => Number(i === 3 || i === 64 + 40)),
        [2, 64],
      ),
    ],
  ]);

  test.each(named("json edits"))("of $name can be made", async ({ text }) => {
    const edits = parseEdits(JSON.parse(text), vectors);
    const model = await loadModel(join(ROOT, "models/induction"));
    const { tokens } = await model.generate({ tokens: [[0, 1, 33, 11, 1]], maxNew: 6, edits });
    expect(tokens[0]).toHaveLength(6);
    await model.close();
  });
});

function markdownIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder)).flatMap((name) => (name.endsWith(".md") ? [join(folder, name)] : []));
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

function blocksOf(page: string): Block[] {
  const text = read(page);
  return [...text.matchAll(/^```(\S.*)\n([\s\S]*?)\n```$/gm)].map(({ 1: kind = "", 2: inside = "", index }) => ({
    page,
    kind,
    line: text.slice(0, index).split("\n").length,
    text: inside,
  }));
}

/** The page without its fenced blocks. */
function prose(text: string): string {
  return text.replaceAll(/^```\S.*\n[\s\S]*?\n```$/gm, "");
}

/** The anchors that headings give. */
function anchorsOf(text: string): string[] {
  return [...prose(text).matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** The lines that call this program, without its name. */
function commandsOf(text: string): string[] {
  return text.split("\n").flatMap((line) => /^(?:npx sextant|sextant|node bin\/sextant\.js) (.*)$/.exec(line)?.[1] ?? []);
}

/** The words of a command line, quotes removed. */
function wordsOf(command: string): string[] {
  return [...command.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, double, single, plain]) => double ?? single ?? plain ?? "");
}

/** Does the work in a folder of its own, which sees the repository's models and examples, so that what is written there is gone afterwards. */
async function elsewhere<T>(work: () => Promise<T>): Promise<T> {
  const [before, folder] = [process.cwd(), mkdtempSync(join(tmpdir(), "sextant-docs-test-"))];
  for (const name of ["models", "examples"]) symlinkSync(resolve(ROOT, name), join(folder, name), "junction");
  process.chdir(folder);
  try {
    return await work();
  } finally {
    process.chdir(before);
    rmSync(folder, { recursive: true });
  }
}

/** What a program printed, also when it failed. */
function output(run: () => string): string {
  try {
    return run();
  } catch (error) {
    return (error as { stdout?: string }).stdout ?? String(error);
  }
}
