/**
 * @file Writes the generated parts of the documentation from the tables that the program itself is made of: `npm run docs`. A test
 * fails when one of them is stale.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { COMMANDS } from "../src/cli/commands.js";
import { commandHelp, globalHelp } from "../src/cli/help.js";
import { runCli } from "../src/cli/run.js";
import { writeAtomic } from "../src/formats/atomic.js";
import { POINT_NAMES, pointRow, type PointName, type POINTS } from "../src/models/points.js";
import { MODEL_TYPES } from "../src/models/read-spec.js";
import type { EditKind } from "../src/runtime/edit.js";
import { METRIC_NAMES, METRICS } from "../src/runtime/sweep/metrics.js";
import { foreignNamesTable } from "./docs-names.js";
import { code, table } from "./markdown.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** A file of the repository and what it must hold. */
export interface GeneratedFile {
  /** From the root. */
  readonly path: string;
  readonly text: string;
}

/** Every file that is generated, wholly or between markers. */
export async function generatedFiles(): Promise<GeneratedFile[]> {
  return [
    { path: "README.md", text: withParts("README.md", { families: families() }) },
    { path: "docs/glossary.md", text: withParts("docs/glossary.md", { axes: axisTable(), points: pointTable(), edits: editTable() }) },
    { path: "docs/sweeps.md", text: withParts("docs/sweeps.md", { metrics: metricTable() }) },
    { path: "docs/cli.md", text: cliPage() },
    { path: "docs/names.md", text: foreignNamesTable() },
    { path: "docs/induction.svg", text: await picture() },
  ];
}

type Axis = (typeof POINTS)[PointName]["axes"][number];

/** The axes of points, and two of results that are no points'. */
const AXES: Readonly<Record<Axis | "step" | "layer", string>> = {
  batch: "rows of a request, each with its own tokens",
  pos: "positions of a row, counted from its start; zeros past a shorter row's end",
  query: "the position that attends",
  key: "the position attended to",
  head: "query heads of a layer",
  kv_head: "key/value heads of a layer; each serves `head / kv_head` query heads that stand together",
  d_head: "coordinates of a head",
  d_model: "coordinates of the residual stream",
  d_mlp: "hidden units of an MLP",
  expert: "experts of a layer",
  chosen: "the experts that a token goes to, best first",
  vocab: "token ids",
  one: "length 1: one number a position",
  step: "steps of a generation: 0 is the first new token",
  layer: "blocks, counted from 0",
};

interface EditRow {
  readonly formula: string;
  readonly fields: string;
  readonly note: string;
}

const EVERYWHERE = "any point but the edges";

// oxfmt-ignore
const EDITS: Readonly<Record<EditKind, EditRow>> = {
  set:         { fields: "`value`: a number, or a tensor whose axes are the point's last ones", formula: "x ← value", note: "any point; at edges too" },
  add:         { fields: "`vector`, `strength` (1)", formula: "x ← x + strength · vector", note: EVERYWHERE },
  scale:       { fields: "`by`", formula: "x ← by · x", note: "any point of floats; at edges too" },
  project_out: { fields: "`basis`: k rows", formula: "x ← x − Bᵀ B x", note: EVERYWHERE },
  clamp:       { fields: "`direction`, `min`, `max` (one may be absent)", formula: "with u the unit direction and c = x · u: x ← x + (clamp(c, min, max) − c) u", note: EVERYWHERE },
  interchange: { fields: "`value`, `basis`: k rows", formula: "x ← x + Bᵀ B (value − x)", note: EVERYWHERE },
  rotate:      { fields: "`plane`: two orthonormal rows, `angle` in degrees", formula: "with c the two coordinates of x in the plane: c ← ‖c‖ (cos angle, sin angle), the rest of x as it is", note: EVERYWHERE },
  knockout:    { fields: "none", formula: "score ← −∞, before softmax", note: "`attn_scores` only" },
};

function families(): string {
  return MODEL_TYPES.map(code).join(", ");
}

function axisTable(): string {
  return table(
    ["axis", "what it counts"],
    Object.entries(AXES).map(([axis, meaning]) => [code(axis), meaning]),
  );
}

function pointTable(): string {
  return table(
    ["address", "axes", "what it is"],
    POINT_NAMES.map((name) => {
      const { scope, axes, meaning, readOnly } = pointRow(name);
      const remark = readOnly ? `${meaning}; not to be edited: ${readOnly.why}, so ${readOnly.instead}` : meaning;
      return [code(scope === "layer" ? `${name}.LAYER` : name), axes.join(", "), remark];
    }),
  );
}

function editTable(): string {
  return table(
    ["op", "fields", "what happens to each selected vector x", "where"],
    Object.entries(EDITS).map(([op, { fields, formula, note }]) => [code(op), fields, formula, note]),
  );
}

function metricTable(): string {
  return table(
    ["metric", "what it is", "the pair names"],
    METRIC_NAMES.map((name) => [code(name), METRICS[name].meaning, METRICS[name].tokens.join(" and ") || "nothing"]),
  );
}

/** `sextant --help` and the help of every command, as they are printed. */
function cliPage(): string {
  const fenced = (text: string): string => `\`\`\`text\n${text.trimEnd()}\n\`\`\``;
  const introduction = [
    "# The command line",
    "What `sextant --help` and `sextant COMMAND --help` print. In the repository, `sextant` is `node bin/sextant.js`. The formats of files are in [formats.md](formats.md), the points in [glossary.md](glossary.md).",
    "This page is generated by `npm run docs`.",
  ];
  const pages = COMMANDS.flatMap((command) => [`## ${command.name}`, fenced(commandHelp(command))]);
  return `${[...introduction, fenced(globalHelp(COMMANDS)), ...pages].join("\n\n")}\n`;
}

const PROMPT = "the cat sat near Mira Hill while the dog saw Mira";

/** The picture of the README: the induction head's attention, as `sextant attend` draws it. */
async function picture(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "sextant-docs-"));
  const file = join(folder, "induction.svg");
  const silent = { write: () => true };
  const terminal = { out: silent, err: process.stderr, env: {}, signal: new AbortController().signal };
  try {
    const model = join(ROOT, "models/induction");
    await runCli(["attend", model, "--text", PROMPT, "--layer", "1", "--head", "2", "--svg", file], terminal);
    return readFileSync(file, "utf8");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The file with new text between `<!-- NAME -->` and `<!-- /NAME -->`, for each part. */
function withParts(path: string, parts: Readonly<Record<string, string>>): string {
  let text = readFileSync(join(ROOT, path), "utf8");
  for (const [name, part] of Object.entries(parts)) {
    const [start, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
    const [from, to] = [text.indexOf(start), text.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`${path} lacks ${start} … ${end}`);
    text = `${text.slice(0, from)}${start}\n\n${part}\n\n${text.slice(to)}`;
  }
  return text;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { path, text } of await generatedFiles()) writeAtomic(join(ROOT, path), [text]);
}
