/**
 * @file What a worker thread costs: loading, forward passes with every point read and with the last logits only, and a sweep with a measure of the
 * caller's, against the same model in this thread, in turns. Prints minima and medians in milliseconds.
 *
 * npm run bench:worker -- MODEL [TOKENS] [ROUNDS]
 */
import { loadModel, type ForwardRequest, type Model, type SweepRequest } from "../dist/index.js";
import { best, collectGarbage } from "./report.js";

const [folder = "models/induction", length = "128", count = "9"] = process.argv.slice(2);
const rounds = Number(count);

async function timed(work: () => Promise<unknown>): Promise<number> {
  await collectGarbage();
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** A line about work that both models do in turns; a first round is not counted. */
async function compare(name: string, models: readonly Model[], work: (model: Model) => Promise<unknown>): Promise<void> {
  const times = models.map((): number[] => []);
  for (let round = -1; round < rounds; round++) {
    for (const [i, model] of models.entries()) {
      const ms = await timed(() => work(model));
      if (round >= 0) times[i]!.push(ms);
    }
  }
  console.log(`${name}: here ${best(times[0]!)}, in a worker ${best(times[1]!)}`);
}

/** What a run takes besides computing: the way to the worker and back, and how much is brought back. */
async function wayOf(model: Model, request: ForwardRequest): Promise<string> {
  const ways: number[] = [];
  let bytes = 0;
  for (let round = 0; round < rounds; round++) {
    let spent = 0;
    const ms = await timed(async () => {
      const { activations, cost } = await model.forward(request);
      spent = cost.ms;
      bytes = Object.values(activations).reduce((sum, { data }) => sum + data.byteLength, 0);
    });
    ways.push(ms - spent);
  }
  return `the way there and back with ${(bytes / 2 ** 20).toFixed(1)} MiB: ${best(ways)}`;
}

const loads: [number[], number[]] = [[], []];
for (let round = 0; round < Math.min(rounds, 5); round++) {
  for (const [i, worker] of [false, true].entries()) {
    let model: Model | undefined;
    loads[i]!.push(await timed(async () => (model = await loadModel(folder, { threads: 2, worker }))));
    await model?.close();
  }
}
console.log(`loading: here ${best(loads[0])}, in a worker ${best(loads[1])}`);

const models = [await loadModel(folder, { threads: 2 }), await loadModel(folder, { threads: 2, worker: true })] as const;
const [local, remote] = models;
const { vocab, layers } = local.spec;
const tokens = [Array.from({ length: Number(length) }, (_, i) => (i * 7919 + 13) % vocab)];
const everything: ForwardRequest = { tokens, read: ["all"] };
const sweep: SweepRequest = {
  pairs: [{ clean: tokens[0]!.slice(0, 12) }],
  counterfactuals: Array.from({ length: 500 }, (_, i) => ({
    edits: [{ at: `z.${i % layers.length}`, op: "scale", by: i / 500, positions: [i % 12] } as const],
  })),
  metrics: ["mine"],
};
await compare("forward, every point", models, (model) => model.forward(everything));
await compare("forward, last logits", models, (model) => model.forward({ tokens }));
await compare("sweep, 500 cells, a measure of the caller's", models, (model) =>
  model.sweep(sweep, { measures: { mine: (logits) => logits[3]! } }),
);
console.log(await wayOf(remote, everything));
for (const model of models) await model.close();
