/**
 * @file Generation: a pass over the prompts, then one over each new token, with cached keys and values. Rows have prompts of any
 * lengths and end on their own. Edits see absolute positions, so that a cached step and a recomputation do the same.
 */
import { must, SextantError } from "../base/errors.js";
import { tensor, type Tensor } from "../base/tensor.js";
import { expandAddresses, type Place } from "../models/address.js";
import type { ModelSpec } from "../models/spec.js";
import { checkGeneration } from "./check-request.js";
import { Collector } from "./collect.js";
import { explainNonFinite, isFinite32 } from "./diagnose.js";
import { throwIfAborted, type Plan } from "./engine.js";
import type { Runner } from "./forward.js";
import { logitsOf } from "./logits.js";
import type { GenerateOptions, GenerateRequest, GenerateResult } from "./model.js";
import { makePass, releaseCache, type Cache, type Pass } from "./pass.js";
import { prepareEdits } from "./prepare-edits.js";
import { samplersOf, type Sampler } from "./sampling.js";

/** A row as it grows. */
interface Row {
  readonly prompt: readonly number[];
  readonly made: number[];
  readonly sample: Sampler;
  readonly logits: Float32Array[];
  finish: GenerateResult["finish"][number] | undefined;
}

interface Job {
  readonly runner: Runner;
  readonly request: GenerateRequest;
  readonly options: GenerateOptions;
  readonly rows: readonly Row[];
  readonly plan: Omit<Plan, "collector">;
  /** What is read; a new one at each step that computes everything anew. */
  collector: Collector;
  readonly stopTokens: ReadonlySet<number>;
}

/** The continuation of every row. */
export async function generate(runner: Runner, request: GenerateRequest, options: GenerateOptions): Promise<Omit<GenerateResult, "cost">> {
  const job = prepareJob(runner, request, options);
  let pass = makePass(request.tokens);
  let cache: Cache | undefined;
  try {
    for (let step = 0; step < request.maxNew; step++) {
      throwIfAborted(options.signal);
      const done = await runStep(job, pass);
      releaseCache(cache);
      cache = done.cache;
      await choose(job, done.logits, step);
      options.onProgress?.({ stage: "tokens", done: step + 1, total: request.maxNew });
      if (job.rows.every((row) => row.finish !== undefined) || step + 1 === request.maxNew) break;
      pass = nextPass(job, cache);
    }
  } finally {
    releaseCache(cache);
  }
  return resultOf(job);
}

function prepareJob(runner: Runner, request: GenerateRequest, options: GenerateOptions): Job {
  const { spec } = runner;
  const { tokens, maxNew, stopStrings } = request;
  checkGeneration(spec, request);
  if (stopStrings?.length && !options.decode) throw new SextantError("request", "stopStrings need a decode function in the options");
  const lengths = tokens.map((row) => row.length);
  const reads = readsOf(spec, request);
  const edits = prepareEdits(spec, request.edits ?? [], { lengths, limits: lengths.map((length) => length + maxNew - 1) });
  const samplers = samplersOf(request.sampling, tokens);
  const rows = tokens.map((prompt, index): Row => ({
    prompt,
    made: [],
    sample: must(samplers[index], `sampler ${index}`),
    logits: [],
    finish: undefined,
  }));
  const plan = { reads, edits, keepCache: request.recompute !== true, signal: options.signal };
  return {
    runner,
    request,
    options,
    rows,
    plan,
    collector: new Collector(spec, reads),
    stopTokens: new Set(request.stopTokens ?? spec.special.eos),
  };
}

/** The places to read; `all` is all but the logits, which have their own switch. */
function readsOf(spec: ModelSpec, { read = [] }: GenerateRequest): Place[] {
  const isLogits = ({ point }: Place): boolean => point === "logits";
  const named = read.filter((text) => text.trim() !== "all");
  if (expandAddresses(spec, named).some(isLogits))
    throw new SextantError("request", "generate: ask for logits with `logits: true`, not as a point");
  return expandAddresses(spec, read).filter((place) => !isLogits(place));
}

async function runStep(job: Job, pass: Pass): Promise<{ cache: Cache | undefined; logits: Tensor<Float32Array> }> {
  const { engine, checkpoint, spec } = job.runner;
  if (job.request.recompute) job.collector = new Collector(spec, job.plan.reads);
  const plan = { ...job.plan, collector: job.collector };
  const { stream, cache } = await engine.runPass(pass, plan);
  if (!isFinite32(stream.data, pass)) throw explainNonFinite(checkpoint, spec, { hasEdits: plan.edits.length > 0 });
  const positions = pass.rows.map((row) => [Math.max(row.length - 1, 0)]);
  const logits = await logitsOf(stream, { engine, checkpoint, pass, plan, positions });
  stream.release();
  return { cache, logits };
}

/** Takes each live row's next token. */
async function choose(job: Job, logits: Tensor<Float32Array>, step: number): Promise<void> {
  const vocab = logits.shape[2] ?? 0;
  for (const [index, row] of job.rows.entries()) {
    if (row.finish !== undefined) continue;
    const mine = logits.data.subarray(index * vocab, (index + 1) * vocab);
    const token = row.sample(mine, [...row.prompt, ...row.made]);
    row.made.push(token);
    if (job.request.logits) row.logits.push(mine.slice());
    job.options.onToken?.({ row: index, step, token });
    row.finish = await finishOf(job, row, token);
  }
}

async function finishOf({ request, options, stopTokens }: Job, { made }: Row, token: number): Promise<Row["finish"]> {
  if (stopTokens.has(token)) return "stop_token";
  const { stopStrings = [] } = request;
  if (stopStrings.length > 0) {
    const text = await must(options.decode, "decode")(made);
    if (stopStrings.some((stop) => text.includes(stop))) return "stop_string";
  }
  return made.length >= request.maxNew ? "length" : undefined;
}

/**
 * The next pass: the newest token of each live row behind the cache, or the whole rows where everything is computed anew: on
 * demand, and where the rotary factors of cached keys change (`recomputeAt`).
 */
function nextPass({ rows, request, runner }: Job, cache: Cache | undefined): Pass {
  const whole = (row: Row): number[] => [...row.prompt, ...row.made];
  const isCrossing = rows.some((row) => row.finish === undefined && whole(row).length === runner.spec.recomputeAt);
  if (request.recompute || !cache || isCrossing) {
    return makePass(rows.map((row) => (row.finish === undefined ? whole(row) : whole(row).slice(0, -1))));
  }
  return makePass(
    rows.map((row) => (row.finish === undefined ? row.made.slice(-1) : [])),
    cache,
  );
}

function resultOf({ rows, collector, request, runner }: Job): Omit<GenerateResult, "cost"> {
  const lengths = rows.map((row) => row.prompt.length + Math.max(row.made.length - 1, 0));
  const result = {
    tokens: rows.map((row) => row.made),
    finish: rows.map((row) => row.finish ?? ("length" as const)),
    activations: collector.finish(lengths),
    lengths,
  };
  return request.logits ? { ...result, logits: stackedLogits(rows, runner.spec.vocabOut) } : result;
}

/** Batch, step, vocab; zeros past a row's end. */
function stackedLogits(rows: readonly Row[], vocab: number): Tensor<Float32Array> {
  const steps = Math.max(...rows.map((row) => row.logits.length));
  const out = new Float32Array(rows.length * steps * vocab);
  rows.forEach((row, index) => row.logits.forEach((logits, step) => out.set(logits, (index * steps + step) * vocab)));
  return tensor(out, [rows.length, steps, vocab], ["batch", "step", "vocab"]);
}
