/** @file A small made-up run to make reports of. */
import { barsSvg } from "../../src/charts/bars.js";
import type { ReportedRun, ReportedStep } from "../../src/report/reported-run.js";
import type { RunFile } from "../../src/store/manifest.js";
import { tableOf, type Table } from "../../src/store/table.js";

const file = (path: string, bytes = 2048): RunFile => ({ path, bytes, sha256: "0123456789abcdef".repeat(4) });

export const OUTCOMES: Table = tableOf(
  { name: "outcomes", title: "Outcomes of interventions" },
  [
    { name: "intervention", type: "text" },
    { name: "disabled", type: "double", unit: "share" },
    { name: "cases", type: "int" },
    { name: "is_placebo", type: "boolean" },
  ],
  [
    { intervention: "three heads off", disabled: 0.953333333333, cases: 300, is_placebo: false },
    { intervention: "three random heads off", disabled: 0.01, cases: 300, is_placebo: true },
    { intervention: "rescue", cases: 0 },
  ],
);

/** A table with so many rows. */
export function longTable(rows: number): Table {
  return tableOf(
    { name: "tokens", title: "Tokens" },
    [
      { name: "token", type: "text" },
      { name: "cosine", type: "double", unit: "cosine" },
    ],
    Array.from({ length: rows }, (_, i) => ({ token: ` token ${i}`, cosine: Math.sin(i) })),
  );
}

export const SEARCHES: ReportedStep = {
  name: "searches",
  title: "Searches",
  about: "The model writes searches, and each judgement is held against arithmetic.",
  notes: ["Searches end after 200 tokens."],
  findings: [
    { id: "searches.solved", title: "tasks solved", value: 0.5, unit: "share", n: 600, tolerance: { absolute: 0, relative: 0 } },
    {
      id: "searches.rescued",
      title: "cases rescued",
      value: null,
      unit: "share",
      note: "no case was left",
      tolerance: { absolute: 0, relative: 0 },
    },
  ],
  tables: [longTable(60)],
  figures: [],
};

export const ABLATION: ReportedStep = {
  name: "ablation",
  title: "Heads off",
  about: "Heads are switched off while the model judges a right result.",
  notes: [],
  findings: [
    {
      id: "ablation.heads_3.disabled",
      title: "cases in which three heads off disable verification",
      value: 0.953333333333,
      unit: "share",
      interval: { low: 0.9232, high: 0.972, level: 0.95, method: "wilson" },
      n: 300,
      controls: [
        { name: "three random heads", value: 0.01, interval: { low: 0.002, high: 0.03, level: 0.95, method: "wilson" } },
        { name: "nothing off", value: 0 },
      ],
      published: {
        value: 0.9533,
        source: "Lee et al. 2025, notebook",
        differs: "300 cases of a model of 3B; the heads were another three.",
      },
      tolerance: { absolute: 0.01, relative: 0 },
    },
  ],
  tables: [OUTCOMES],
  figures: [
    {
      name: "outcomes",
      title: "What becomes of verification",
      caption: "Three heads disable it, random ones do not.",
      svg: barsSvg([{ label: "three heads off", value: 0.95 }], { unit: "share", width: 400, title: "Disabled" }),
      table: "outcomes",
    },
  ],
};

const TRANSFER: ReportedStep = {
  name: "transfer",
  title: "Transfer",
  about: "The probe is carried over to another model.",
  notes: [],
  skipped: "No other model was given.",
  findings: [],
  tables: [],
  figures: [],
};

/** The run with its steps; whatever is given replaces its own. */
export function madeUpRun(changes: Partial<ReportedRun> = {}): ReportedRun {
  const steps = changes.steps ?? [SEARCHES, ABLATION, TRANSFER];
  return {
    about: {
      title: "How a model verifies itself",
      question: "Which parts of the model decide that a result is right?",
      source: "Lee et al. 2025",
      summary: ["Three heads off disable verification in 95.3 % of 300 cases.", "Random heads do so in 1 %."],
    },
    command: "sextant study self-verification model --out run",
    manifest: {
      format: "sextant-run",
      version: 1,
      study: "self-verification",
      studyVersion: 2,
      question: "Which parts of the model decide that a result is right?",
      parameters: { cases: 300, layers: [1, 2], threshold: 0.1 },
      models: {
        model: { path: "model", id: "countdown-tiny", revision: null, family: "llama", parameters: 11_000_000, files: [file("model.safetensors", 44_000_000)] }, // oxfmt-ignore
      },
      tokenizers: { model: "fedcba9876543210".repeat(4) },
      engine: { sextant: "0.3.0", runtime: "1.30.0", node: "20.20.2", dtype: "float32" },
      seed: 7,
      machine: { platform: "linux", arch: "x64", cpu: "A CPU", cores: 2, memory: 16 * 2 ** 30 },
      started: "2026-01-02T03:04:05.000Z",
      finished: "2026-01-02T04:04:05.000Z",
      resumed: 1,
      steps: steps.map(({ name, title, notes, skipped, tables }, i) => ({
        name,
        title,
        ms: 1500 * 60 ** i,
        peakMemory: (i + 1) * 2 ** 29,
        notes,
        files: tables.map((table) => file(`steps/${name}/${table.name}.parquet`)),
        ...(skipped === undefined ? {} : { skipped }),
      })),
      files: [file("findings.json")],
    },
    ...changes,
    steps,
  };
}
