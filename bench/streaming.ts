/**
 * @file What it costs to run a model in less memory than its weights take: the same work on the same model with several limits, in turns, in
 * one run; logits are compared bit for bit before a time counts. The checkpoint is in the system's cache of files: a disk that must be read
 * adds its own time.
 *
 * npm run bench:streaming -- --model DIR [--rounds N] [--write]
 */
import { parseArgs } from "node:util";
import { forecastMemory, loadModel, openCheckpoint, type Model } from "../dist/index.js";
import { best, collectGarbage, publish } from "./report.js";

const { values: options } = parseArgs({
  options: { model: { type: "string" }, rounds: { type: "string", default: "7" }, write: { type: "boolean", default: false } },
});

const tokens = (rows: number, count: number): number[][] =>
  Array.from({ length: rows }, (_, row) => Array.from({ length: count }, (__, i) => (i * 7919 + row * 31 + 13) % 50257));

interface Work {
  readonly name: string;
  readonly run: (model: Model) => Promise<{ readonly logits?: { readonly data: Float32Array } | undefined }>;
}

const WORKS: readonly Work[] = [
  { name: "forward, 1 × 8 tokens", run: (model) => model.forward({ tokens: tokens(1, 8) }) },
  { name: "forward, 8 × 64 tokens", run: (model) => model.forward({ tokens: tokens(8, 64) }) },
  {
    name: "generation, 4 rows of 8 tokens, 6 new",
    run: (model) => model.generate({ tokens: tokens(4, 8), maxNew: 6, stopTokens: [], logits: true }),
  },
];

/** A model with a limit. */
interface Limited {
  readonly name: string;
  readonly model: Model;
  readonly stays: string;
  readonly read: string;
}

async function limited(folder: string): Promise<Limited[]> {
  const whole = await loadModel(folder, { threads: 2 });
  const checkpoint = openCheckpoint(folder);
  const { resident, least } = forecastMemory(whole.spec, checkpoint.tensors);
  const found: Limited[] = [{ name: "100 %", model: whole, stays: "all", read: "" }];
  const limits = [
    ...[0.75, 0.5, 0.25].map((share) => [`${100 * share} %`, share * resident] as const),
    [`least, ${percent(least / resident)}`, least] as const,
  ];
  for (const [name, limit] of limits) {
    const { residence, readPerPass } = forecastMemory(whole.spec, checkpoint.tensors, limit);
    const model = await loadModel(folder, { threads: 2, memoryLimit: limit });
    found.push({
      name,
      model,
      stays: `${residence?.blocks} of ${whole.spec.layers.length} blocks`,
      read: `${Math.round(readPerPass / 1e6)}`,
    });
  }
  checkpoint.close();
  return found;
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

function sameBits(work: Work, ours: Float32Array | undefined, theirs: Float32Array | undefined): void {
  if (!ours || !theirs || ours.length !== theirs.length || ours.some((value, i) => value !== theirs[i]))
    throw new Error(`${work.name}: not the same logits`);
}

async function rowsOf(work: Work, models: readonly Limited[], rounds: number): Promise<string[]> {
  const times = models.map((): number[] => []);
  for (let round = -1; round < rounds; round++) {
    let reference: Float32Array | undefined;
    for (const [index, { model }] of models.entries()) {
      await collectGarbage();
      const start = performance.now();
      const { logits } = await work.run(model);
      const ms = performance.now() - start;
      if (round >= 0) times[index]!.push(ms);
      reference ??= logits?.data;
      sameBits(work, logits?.data, reference);
    }
  }
  const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[list.length >> 1]!;
  return models.map(({ name, stays, read }, index) => {
    const ratio = median(times[index]!) / median(times[0]!);
    return `| ${work.name} | ${name} | ${stays} | ${read} | ${best(times[index]!)} | ${index === 0 ? "" : ratio.toFixed(2)} |`;
  });
}

async function main(folder: string): Promise<void> {
  const rounds = Number(options.rounds);
  const table = ["| work | memory, of the weights | what stays | MB read a pass | ms | of resident |", "|---|---|---|--:|--:|--:|"];
  const models = await limited(folder);
  for (const work of WORKS) {
    const rows = await rowsOf(work, models, rounds);
    console.log(rows.join("\n"));
    table.push(...rows);
  }
  for (const { model } of models) await model.close();
  if (options.write) publish("streaming", table.join("\n"), rounds);
}

if (!options.model) {
  console.error("npm run bench:streaming -- --model DIR [--rounds N] [--write]");
  process.exitCode = 2;
} else await main(options.model);
