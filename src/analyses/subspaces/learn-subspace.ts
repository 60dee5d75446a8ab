/**
 * @file A subspace of the values at one site that carries a variable: learned by exchanging it between the runs of two prompts, x + Σ wᵢ Pᵢ (s − x), so that
 * the base's run says what the source's variable demands. Rotations (DAS), masks on singular vectors (DCM), masks on units and heads (DBM).
 *
 * When it misleads: exchanging may work through directions that the model does not use by itself (Makelov et al. 2023, arXiv 2311.17030; disputed in part by
 * Wu et al. 2024, arXiv 2401.12631), and with many dimensions and few pairs training fits the pairs. So every result has placebos beside it, and test pairs should hold
 * words that training never saw. Shuffled labels also show what the mix of answers alone can buy. A subspace that works need not be the only one, and a mask on a
 * metric that saturates keeps just enough of it. A difference such as logits[-1,source]-logits[-1,base] also rewards what only erases the base's answer; `answer` does less so.
 */
import { SextantError } from "../../base/errors.js";
import { tensor } from "../../base/tensor.js";
import type { Model, RunOptions } from "../../runtime/model.js";
import { cachePairs, type CachedPair } from "./cached-pairs.js";
import type { Settled } from "./learner.js";
import { learnersOf, trainingOf } from "./methods.js";
import { runPlacebos, withShuffledLabels } from "./placebos.js";
import type { InterchangePair, InterchangeScore, LearnedSubspace, SubspaceRequest, SubspaceResult } from "./request.js";
import { runPairs, scoreOf, type Bench, type Change } from "./run-pairs.js";
import { siteIn } from "./site.js";
import { trainSubspace } from "./train-subspace.js";

/** Learns a subspace, tests it, and runs its placebos. Progress: stages `read`, `train`, `shuffled` and `placebos`. */
export async function learnSubspace(model: Model, request: SubspaceRequest, options: RunOptions = {}): Promise<SubspaceResult> {
  checkRequest(request);
  const { method, seed, placeboSeeds = 5 } = request;
  const site = siteIn(model.spec, request.site);
  const training = trainingOf(method);
  const bench: Bench = { model, site, signal: options.signal };
  const { train, validation, test } = await readSides(bench, request, options);
  const source = learnersOf(method, site, train);
  const report = (stage: string) => (done: number, total: number) => options.onProgress?.({ stage, done, total });

  const learner = source.make(seed);
  const untrained = learner.settle();
  const trained = await trainSubspace(bench, learner, { train, validation, training, seed, onStep: report("train") });
  const astray = await trainSubspace(bench, source.make(seed), {
    train: withShuffledLabels(train, seed),
    validation: validation.length > 1 ? withShuffledLabels(validation, seed + 1) : [],
    training,
    seed,
    onStep: report("shuffled"),
  });

  const score = async (change?: Change): Promise<InterchangeScore> => scoreOf(await runPairs(bench, test, change), seed);
  const { kept: found, epoch, history } = trained;
  const { components } = source;
  const job = { test, found, components, untrained, shuffledLabels: astray.kept, seed, seeds: placeboSeeds };
  return {
    kind: method.kind,
    site: request.site,
    width: site.width,
    found: plain(found, site.width),
    ...(components?.singularValues && { singularValues: components.singularValues }),
    epoch,
    history,
    test: await score(found.change),
    ceiling: await score((difference) => difference),
    floor: await score(),
    placebos: await runPlacebos(bench, job, report("placebos")),
  };
}

async function readSides(
  bench: Bench,
  request: SubspaceRequest,
  { signal, onProgress }: RunOptions,
): Promise<Record<"train" | "validation" | "test", CachedPair[]>> {
  const read = async (name: string, pairs: readonly InterchangePair[], done: number): Promise<CachedPair[]> => {
    const cached = await cachePairs(bench.model, bench.site, { pairs, name }, signal ? { signal } : {});
    onProgress?.({ stage: "read", done, total: 3 });
    return cached;
  };
  const train = await read("train", request.train, 1);
  const validation = await read("validation", request.validation ?? [], 2);
  return { train, validation, test: await read("test", request.test, 3) };
}

function checkRequest({ train, validation = [], test, seed, placeboSeeds = 5 }: SubspaceRequest): void {
  if (!Array.isArray(train) || train.length < 2)
    throw new SextantError("request", "train: at least two pairs are needed, since labels are shuffled among them");
  if (!Array.isArray(test) || test.length === 0) throw new SextantError("request", "test: at least one pair is needed");
  if (!Number.isInteger(seed)) throw new SextantError("request", `seed must be a whole number, got ${seed}`);
  if (!Number.isInteger(placeboSeeds) || placeboSeeds < 1)
    throw new SextantError(
      "request",
      `placeboSeeds must be a whole number above 0, got ${placeboSeeds}: a subspace without placebos says little`,
    );
  const known = new Set([...train, ...validation].map(keyOf));
  const leak = test.findIndex((pair) => known.has(keyOf(pair)));
  if (leak >= 0)
    throw new SextantError(
      "request",
      `test[${leak}] is a training or validation pair too: the test would measure memory; take it out of one of them`,
    );
}

function keyOf({ base, source, positions, sourcePositions }: InterchangePair): string {
  return JSON.stringify([base, source, positions, sourcePositions]);
}

function plain({ rank, rows, selected, mask }: Settled, width: number): LearnedSubspace {
  const data = new Float32Array((rows?.length ?? 0) * width);
  rows?.forEach((row, i) => data.set(row, i * width));
  return {
    rank,
    ...(rows && rows.length > 0 && { basis: tensor(data, [rows.length, width], ["component", "unit"]) }),
    ...(selected && { selected }),
    ...(mask && { mask }),
  };
}
