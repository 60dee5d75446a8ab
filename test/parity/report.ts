/**
 * @file `docs/parity.md`: one row a model. Numbers are bounds, since the last bits differ between processors, and a bound that still
 * holds is kept, so that the page changes when the engine does and not when the machine does.
 */
import { readJsonObject } from "../../src/formats/json-file.js";
import type { Comparison, Difference } from "../reference/compare.js";
import { sharedPath } from "../shared.js";
import { LIMITS, logitsOf, pointsOf, type Measured } from "./measure.js";
import { FIXTURE_FOLDERS, REAL_MODELS, TINY_FOLDERS, type GoldenFolder } from "./subjects.js";

/** Everything that the page reports, by its headings. */
export interface ParityReport {
  readonly groups: readonly { readonly title: string; readonly rows: readonly Measured[] }[];
  /** `transformers 5.23.0` and the like, as the goldens say. */
  readonly versions: readonly string[];
}

/** How a folder is measured. */
export interface Measure {
  readonly golden: (folder: GoldenFolder) => Promise<Measured>;
  readonly real: (name: string) => Promise<Measured>;
}

/** Measures every golden folder; needs the shared ones. */
export async function measureAll({ golden, real }: Measure): Promise<ParityReport> {
  const groups = [
    { title: "Tiny random models of every family", rows: await inTurn(TINY_FOLDERS, golden) },
    { title: "Variants, kept in `test/fixtures/variants`", rows: await inTurn(FIXTURE_FOLDERS, golden) },
    { title: "Real models on real text", rows: await inTurn(REAL_MODELS, real) },
  ];
  return { groups, versions: versionsOf([...TINY_FOLDERS, ...FIXTURE_FOLDERS].map(({ folder }) => folder)) };
}

async function inTurn<T>(items: readonly T[], work: (item: T) => Promise<Measured>): Promise<Measured[]> {
  const done: Measured[] = [];
  for (const item of items) done.push(await work(item));
  return done;
}

function versionsOf(folders: readonly string[]): string[] {
  const goldens = [...folders, ...REAL_MODELS.map((name) => sharedPath("goldens", "real", name))].map((folder) =>
    readJsonObject(`${folder}/golden.json`),
  );
  return ["transformers", "torch"].flatMap((tool) => [...new Set(goldens.map((golden) => `${tool} ${String(golden[tool])}`))]);
}

/** A line for each comparison that failed, and each greedy continuation that went another way. */
export function disagreements({ groups }: ParityReport): string[] {
  return groups.flatMap(({ rows }) =>
    rows.flatMap((row) => [
      ...comparisonsOf(row).flatMap(({ agrees, message }) => (agrees ? [] : [message])),
      ...(row.greedy.problem ? [`✗ ${row.name}  greedy tokens: ${row.greedy.problem}`] : []),
    ]),
  );
}

function comparisonsOf({ clean, edited, short, continued }: Measured): Comparison[] {
  return [...clean, ...edited.map(({ comparison }) => comparison), ...(short ? [short] : []), ...(continued ? [continued] : [])];
}

/** The page. What `previous` says is kept where it holds. */
export function renderParity({ groups, versions }: ParityReport, previous = ""): string {
  const old = new Map(previous.split("\n").flatMap((line) => (line.startsWith("| ") ? [[cellsOf(line)[0]!, cellsOf(line)] as const] : [])));
  const tables = groups.map(({ title, rows }) =>
    [`## ${title}`, "", ...HEADER, ...rows.map((row) => rowText(row, old.get(row.name)))].join("\n"),
  );
  return `${introduction(versions)}\n${tables.join("\n\n")}\n`;
}

function introduction(versions: readonly string[]): string {
  return `# Parity with Hugging Face transformers

The engine against ${versions.join(", ")} (CPU, float32, eager attention). Made by \`npm run parity\`; a test measures everything
again and fails when a bound does not hold or is far too wide. The goldens of the tiny and the real models lie in \`../shared/goldens\`
(or where \`SEXTANT_SHARED\` says), those of the variants were made by \`test/oracle/variants.py\`.

- **logits**: largest absolute difference at any position and token.
- **points**: how many activations were compared, and the one with the largest difference, relative to the largest value of that activation.
- **1 − cosine**: of the activation whose direction differs most.
- **edits**: how many edit cases, and the one whose logits differ most.
- **greedy**: tokens of the greedy continuation, with the key/value cache, that are the same, and the difference of their logits.
- **short row**: logits of a row padded beside a longer one against the same row alone in \`transformers\`.
`;
}

const TITLES = [
  "model",
  "family",
  "logits",
  "points",
  "worst point",
  "1 − cosine",
  "edits",
  "worst edit",
  "greedy",
  "logits of greedy",
  "short row",
];
const HEADER = [`| ${TITLES.join(" | ")} |`, `|${TITLES.map(() => "---").join("|")}|`];

function cellsOf(line: string): string[] {
  return line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim());
}

/** What a cell says, and whether an older text still says the truth and not too little. */
interface Cell {
  readonly text: string;
  readonly holds: (old: string) => boolean;
}

function rowText(row: Measured, old: readonly string[] = []): string {
  const cells = cellsFor(row).map(({ text, holds }, i) => (holds(old[i] ?? "") ? old[i]! : text));
  return `| ${cells.join(" | ")} |`;
}

function cellsFor(row: Measured): Cell[] {
  const [points, { greedy }] = [pointsOf(row), row];
  const edits = row.edited.map(({ name, comparison }) => [name, largest(comparison.differences.map(({ maxAbs }) => maxAbs))] as const);
  const over = (list: readonly Difference[] | undefined): Cell =>
    list ? bound(largest(list.map(({ maxAbs }) => maxAbs)), ON_LOGITS) : exactly("");
  return [
    exactly(row.name),
    exactly(row.family),
    over(logitsOf(row)),
    exactly(String(points.length)),
    worst(
      points.map(({ address, relative }) => [address, relative]),
      ON_POINTS,
    ),
    bound(largest(points.map(({ cosine }) => 1 - cosine)), ON_COSINE),
    exactly(edits.length === 0 ? "" : String(edits.length)),
    worst(edits, ON_LOGITS),
    exactly(`${greedy.equal} of ${greedy.total}`),
    over(row.continued?.differences),
    over(row.short?.differences),
  ];
}

const ON_LOGITS = { floor: 1e-7, limit: LIMITS.logits };
const ON_POINTS = { floor: 1e-7, limit: LIMITS.relative };
const ON_COSINE = { floor: 1e-12, limit: LIMITS.cosine };

function largest(values: readonly number[]): number {
  return Math.max(0, ...values);
}

function exactly(text: string): Cell {
  return { text, holds: (old) => old === text };
}

/**
 * `< 1e-5`: a power of ten with room for a factor of two, from `floor` up to `limit`, above which the tests fail. An older bound
 * holds up to ten times that.
 */
function bound(value: number, { floor, limit }: { floor: number; limit: number }): Cell {
  const roomy = Math.max(floor, 10 ** Math.ceil(Math.log10(2 * value)));
  const fresh = value < limit ? Math.min(roomy, limit) : roomy;
  return {
    text: `< ${fresh.toExponential(0)}`,
    holds: (old) => {
      const said = Number(/^< (\de[-+]\d+)$/.exec(old)?.[1]);
      return value < said && said <= 10.5 * fresh;
    },
  };
}

/** The name of the largest value and its bound. An older name holds while its own value is within ten times of the largest. */
function worst(values: readonly (readonly [string, number])[], range: { floor: number; limit: number }): Cell {
  const [name, value] = values.reduce((most, item) => (item[1] > most[1] ? item : most), values[0] ?? ["", 0]);
  if (name === "") return exactly("");
  return {
    text: `\`${name}\` ${bound(value, range).text}`,
    holds: (old) => {
      const [, oldName, limit = ""] = /^`(.+)` (<.+)$/.exec(old) ?? [];
      return values.some((item) => item[0] === oldName && item[1] >= value / 10) && bound(value, range).holds(limit);
    },
  };
}
