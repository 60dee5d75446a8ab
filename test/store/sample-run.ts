/** @file A small made-up run with everything in it: what the tests of the store write, damage and compare. */
import { tensor } from "../../src/base/tensor.js";
import type { Finding } from "../../src/store/finding.js";
import type { RunHead } from "../../src/store/records.js";
import { openRun } from "../../src/store/run-folder.js";
import type { StoredRun } from "../../src/store/stored-run.js";
import type { StepOutput } from "../../src/store/step-output.js";
import { tableOf } from "../../src/store/table.js";

export const HEAD: RunHead = {
  study: "made-up",
  studyVersion: 1,
  question: "What is stored?",
  parameters: { tasks: 100, layers: [0, 1], rate: 1e-3 },
  models: {
    model: {
      path: "models/tiny",
      id: "lab/tiny",
      revision: null,
      family: "llama",
      parameters: 1000,
      files: [{ path: "config.json", bytes: 10, sha256: "ab".repeat(32) }],
    },
  },
  tokenizers: { model: "cd".repeat(32) },
  engine: { sextant: "0.3.0", runtime: "1.30.0", node: "20.19.0", dtype: "float32" },
  seed: 7,
  machine: { platform: "linux", arch: "x64", cpu: "made up", cores: 2, memory: 2 ** 33 },
  started: "2026-01-01T00:00:00.000Z",
};

export const COST = { ms: 12.5, peakMemory: 2 ** 28 };

export function finding(id: string, value: number | null, more: Partial<Finding> = {}): Finding {
  return { id, title: `the ${id}`, value, unit: "share", tolerance: { absolute: 0.01, relative: 0 }, ...more };
}

/** What a first step leaves: some of everything. */
export const BASELINE: StepOutput = {
  findings: [
    finding("baseline.solved", 0.5, {
      interval: { low: 0.4, high: 0.6, level: 0.95, method: "wilson" },
      n: 100,
      controls: [{ name: "chance", value: 0.1 }],
      published: { value: 0.7, source: "a paper", differs: "another model" },
      note: "a note",
    }),
    finding("baseline.length", null, { unit: "tokens", note: "there are none" }),
  ],
  state: { third: 1 / 3, tiny: 5e-324, negative: -0, list: [1e21, -0, 0.1], nested: { heads: [[0, 1]], name: "ä\u2028" } },
  tables: [
    tableOf(
      { name: "by-task", title: "Tasks" },
      [
        { name: "task", type: "int" },
        { name: "share", type: "double", unit: "share" },
        { name: "answer", type: "text" },
        { name: "solved", type: "boolean" },
      ],
      [
        { task: 30_000, share: 0.25, answer: "1 + 2", solved: true },
        { task: 30_001, share: NaN, answer: null, solved: false },
        { task: 30_002, share: 1, answer: "", solved: null },
      ],
    ),
  ],
  tensors: {
    direction: tensor(Float32Array.of(0.1, -0, NaN, 3), [2, 2], ["layer", "d_model"]),
    ids: tensor(Int32Array.of(1, -2), [2], ["pos"]),
  },
  generations: {
    searches: [
      { task: 0, text: "a\nb" },
      { task: 1, text: "" },
    ],
    none: [],
  },
  figures: [{ name: "tasks", title: "Tasks", caption: "A bar a task.", svg: "<svg/>", table: "by-task" }],
  notes: ["A caveat."],
};

export const HEADS: StepOutput = {
  findings: [finding("heads.found", 3, { unit: "heads", tolerance: { absolute: 0, relative: 0 } })],
  state: { heads: [3] },
};
export const SKIPPED: StepOutput = { findings: [], skipped: "there is no other model" };

/** The steps of the run, in order. */
export const STEPS = { baseline: BASELINE, heads: HEADS, "other-model": SKIPPED } as const satisfies Readonly<Record<string, StepOutput>>;

/** Runs all steps that are not there yet, makes the run whole, and gives it back. */
export function writeRun(
  folder: string,
  { head = HEAD, steps = STEPS }: { head?: RunHead; steps?: Readonly<Record<string, StepOutput>> } = {},
): StoredRun {
  const run = openRun(folder, head);
  try {
    for (const [name, output] of Object.entries(steps)) if (!run.finished.has(name)) run.writeStep(name, `The ${name}`, output, COST);
    return run.finish({ finished: "2026-01-01T00:01:00.000Z" }, ({ findings }) => `<p>${findings.length}</p>`);
  } finally {
    run.close();
  }
}
