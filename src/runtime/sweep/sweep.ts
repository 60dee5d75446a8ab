/**
 * @file A sweep of counterfactuals: checked, planned, marched through part by part, measured. Each part's values are handed out as soon
 * as they are there, so that a sweep can be interrupted and taken up again.
 */
import { describeBytes } from "../../base/bytes.js";
import { must, refuse, SextantError } from "../../base/errors.js";
import { expandAddresses, type Place } from "../../models/address.js";
import { STREAM } from "../../models/block.js";
import type { ModelSpec } from "../../models/spec.js";
import { blocksUpTo, forecastForward } from "../forecast.js";
import type { Runner } from "../forward.js";
import type { ForwardRequest } from "../model.js";
import { prepareCounterfactuals, type PreparedCounterfactual } from "./cells.js";
import { March } from "./march.js";
import { prepareMetrics, type Metric } from "./metrics.js";
import { preparePairs, refuseStray, type PreparedPair } from "./pairs.js";
import { planSweep, startsOf, type PairGroup, type Part, type Plan } from "./plan.js";
import { Reader } from "./reader.js";
import { readOut } from "./readout.js";
import type { SweepForecast, SweepOptions, SweepPart, SweepRequest, SweepResult, SweptMetric } from "./request.js";
import { Schedule, variantsOf } from "./variants.js";

/** A sweep, ready to be run. */
export interface PreparedSweep {
  readonly pairs: readonly PreparedPair[];
  readonly counterfactuals: readonly PreparedCounterfactual[];
  readonly metrics: readonly Metric[];
  readonly reads: readonly Place[];
  readonly until: number;
  readonly measuredOnly: boolean;
  readonly plan: Plan;
}

/** Bytes to work in where the caller does not say: enough for matrix products at full speed. */
const BUDGET = 1 << 30;

const FIELDS: readonly string[] = [
  "pairs",
  "counterfactuals",
  "metrics",
  "direction",
  "at",
  "read",
  "beyondContext",
] satisfies (keyof SweepRequest)[];

/** The request held against the model, and how it will be done. */
export function prepareSweep(
  spec: ModelSpec,
  request: SweepRequest,
  options: Pick<SweepOptions, "measures" | "memoryBudget"> = {},
): PreparedSweep {
  const { memoryBudget = BUDGET } = options;
  if (!(memoryBudget > 0)) throw new SextantError("request", `memoryBudget must be a number of bytes above 0, got ${memoryBudget}`);
  refuseStray(request, FIELDS, "a sweep");
  const pairs = preparePairs(spec, request);
  const counterfactuals = prepareCounterfactuals(request.counterfactuals, { spec, pairs });
  const metrics = prepareMetrics(request.metrics, pairs, options.measures);
  const reads = expandAddresses(spec, request.read ?? []);
  checkReads(reads);
  if (metrics.length === 0 && reads.length === 0)
    throw new SextantError("request", "a sweep needs at least one metric to measure, or an address to read");
  const depth = spec.layers.length;
  const until = metrics.length > 0 ? depth : blocksUpTo(spec, reads);
  const measuredOnly = metrics.length > 0 && !reads.some(({ layer }) => layer === depth - 1);
  const allLogits = metrics.some(({ needs }) => needs === "all");
  const keepsUnchanged = reads.length > 0;
  const plan = planSweep({ spec, pairs, counterfactuals, until, measuredOnly, allLogits, keepsUnchanged, budget: memoryBudget });
  return { pairs, counterfactuals, metrics, reads, until, measuredOnly, plan };
}

function checkReads(reads: readonly Place[]): void {
  const refused = reads.find(({ point }) => point === "logits" || point === "head_out" || point.startsWith("final_"));
  if (!refused) return;
  const instead = refused.point === "head_out" ? `z.${refused.layer}` : "measure it: a metric, or a measure of your own, sees the logits";
  throw refuse({ what: `a sweep cannot read ${refused.address}`, why: "it is not computed for every counterfactual", instead }, "request");
}

/** What the sweep will cost. */
export function forecastSweep({ plan }: PreparedSweep, flopsPerMs?: number): SweepForecast {
  return flopsPerMs ? { ...plan.forecast, ms: plan.forecast.flops / flopsPerMs } : plan.forecast;
}

/** Throws where the memory does not hold what the sweep works in. */
export function refuseLargeSweep(sweep: PreparedSweep, spec: ModelSpec, limit: number): void {
  const { workingBytes } = sweep.plan.forecast;
  const lengths = sweep.pairs.map(({ base }) => base.length);
  const readBytes = sweep.counterfactuals.length * forecastForward(spec, readsOf(sweep, lengths)).resultBytes;
  if (workingBytes + readBytes <= limit) return;
  throw refuse(
    {
      what: `the sweep would work in ${describeBytes(workingBytes)} and return ${describeBytes(readBytes)} of what is read`,
      why: `there are ${describeBytes(limit)} of memory for it`,
      instead: "give a smaller memoryBudget, so that the sweep is done in more parts; read fewer points, or in fewer counterfactuals",
    },
    "memory",
  );
}

/** A plain run that reads as much as each counterfactual does. */
function readsOf({ reads }: PreparedSweep, lengths: readonly number[]): ForwardRequest {
  const longest = Math.max(...lengths);
  return { tokens: lengths.map(() => Array.from({ length: longest }, () => 0)), read: reads.map(({ address }) => address), logits: false };
}

/** A sweep's result without its cost, and what it computed. */
export async function runSweep(
  runner: Runner,
  sweep: PreparedSweep,
  options: SweepOptions,
): Promise<Omit<SweepResult, "cost"> & { readonly flops: number }> {
  const { pairs, counterfactuals, metrics, reads, plan } = sweep;
  const lengths = pairs.map(({ base }) => base.length);
  const reader = new Reader({ spec: runner.spec, places: reads, counterfactuals: counterfactuals.length, lengths });
  const table = new Table(sweep);
  const done = doneParts(sweep, options.done ?? []);
  let [index, flops] = [0, 0];
  const context: Context = { runner, sweep, options, reader, count: (more) => (flops += more) };
  for (const group of plan.groups) {
    const begun = beginning(context, group);
    for (const part of group.parts) {
      const known = done.get(index);
      const values = known ?? { index, ...(await runPart(context, { group, part, begun, done: index })) };
      table.take(group, part, values);
      if (!known) options.onPart?.(values);
      index++;
    }
  }
  return { metrics: table.finish(metrics), activations: reader.finish(), flops };
}

/** Parts that need not be run, by their index; where something is read, all are run. */
function doneParts({ reads, plan }: PreparedSweep, given: readonly SweepPart[]): Map<number, SweepPart> {
  const stray = given.find(({ index }) => !Number.isInteger(index) || index < 0 || index >= plan.forecast.parts);
  if (stray) throw notOurs(stray.index);
  return new Map((reads.length > 0 ? [] : given).map((part) => [part.index, part]));
}

interface Context {
  readonly runner: Runner;
  readonly sweep: PreparedSweep;
  readonly options: SweepOptions;
  readonly reader: Reader;
  /** Told of the arithmetic that was done. */
  readonly count: (flops: number) => void;
}

/** Streams of a group's unedited runs, in front of layers. */
type Streams = ReadonlyMap<number, Float32Array>;

/**
 * Gives the streams from where a group's parts start, computed when first asked for. They have a march of their own, so that a part is
 * the same to the last bit whichever others were done before.
 */
function beginning({ runner, sweep, options, reader, count }: Context, group: PairGroup): () => Promise<Streams> {
  const { pairs, counterfactuals, reads, until } = sweep;
  const keepAt = new Set(reads.length > 0 ? [] : startsOf(group, until));
  let streams: Streams | undefined;
  return async () => {
    if (streams || keepAt.size === 0) return (streams ??= new Map());
    const schedule = new Schedule(variantsOf([], { pairs, counterfactuals, group: group.pairs }), pairs);
    reader.follow(schedule.variants);
    const last = Math.max(...keepAt);
    const march = new March({ engine: runner.engine, schedule, until: last, measuredOnly: false, reader, keepAt, signal: options.signal });
    const behind = await march.run();
    count(march.flops);
    return (streams = new Map([...march.kept, [last, behind.data(STREAM.in).slice() as Float32Array]]));
  };
}

interface PartRun {
  readonly group: PairGroup;
  readonly part: Part;
  /** Gives the streams from where parts of the group can start. */
  readonly begun: () => Promise<Streams>;
  /** Parts in front of this one. */
  readonly done: number;
}

async function runPart(context: Context, run: PartRun): Promise<Omit<SweepPart, "index">> {
  const { runner, sweep, options, reader, count } = context;
  const { group, part, begun, done } = run;
  const { engine, checkpoint, spec } = runner;
  const { pairs, counterfactuals, metrics, until, measuredOnly, plan } = sweep;
  const streams: Streams = part.from > 0 ? await begun() : new Map();
  const schedule = new Schedule(variantsOf(part.cells, { pairs, counterfactuals, group: group.pairs }), pairs);
  reader.follow(schedule.variants);
  const layer = Math.max(0, ...[...streams.keys()].filter((start) => start <= part.from));
  const stream = streams.get(layer);
  const from = stream && { layer, stream };
  const first = from?.layer ?? 0;
  const scale = until - first;
  let blocks = 0;
  const onLayer = (): void => {
    const share = ++blocks / Math.max(1, scale);
    options.onProgress?.({
      stage: "sweep",
      done: Math.floor((done + share) * spec.layers.length),
      total: plan.forecast.parts * spec.layers.length,
    });
  };
  const march = new March({ engine, schedule, until, measuredOnly, reader, from, signal: options.signal, onLayer });
  const batch = await march.run();
  count(march.flops);
  if (metrics.length === 0) return { values: [], clean: [], corrupted: [] };
  const values = await readOut(batch, { engine, checkpoint, pairs, schedule, metrics });
  return flattened(values, schedule, { metrics: metrics.length, pairs });
}

/** Values by variant as a part: row-major over metric and cell, and over metric and pair. */
function flattened(
  values: readonly Float64Array[],
  { variants }: Schedule,
  { metrics, pairs }: { metrics: number; pairs: readonly PreparedPair[] },
): Omit<SweepPart, "index"> {
  const every = Array.from({ length: metrics }, (_, metric) => metric);
  const cells = variants.flatMap(({ cell }, variant) => (cell ? [variant] : []));
  const bases = variants.flatMap(({ base, cell }, variant) => (!cell && base === variant ? [variant] : []));
  const side = (which: "clean" | "corrupted", variant: number): number | undefined => {
    const { pair, base, source } = must(variants[variant], "a base");
    const isBase = (must(pairs[pair], "a pair").cleanIs === "base") === (which === "clean");
    if (isBase) return base;
    return source === base ? undefined : source;
  };
  const valueOf = (metric: number, variant: number | undefined): number | null =>
    variant === undefined ? null : values[variant]![metric]!;
  return {
    values: every.flatMap((metric) => cells.map((variant) => values[variant]![metric]!)),
    clean: every.flatMap((metric) => bases.map((base) => must(valueOf(metric, side("clean", base)), "a clean run"))),
    corrupted: every.flatMap((metric) => bases.map((base) => valueOf(metric, side("corrupted", base)))),
  };
}

function areNumbers(values: readonly unknown[], count: number): boolean {
  return values.length === count && values.every((value) => typeof value === "number");
}

function notOurs(part: number): SextantError {
  return new SextantError("request", `done: part ${part} is of another sweep, or of this one with another memoryBudget`);
}

/** Where the values of all parts come together. */
class Table {
  readonly #sweep: PreparedSweep;
  readonly #values: readonly Float64Array[];
  readonly #clean: readonly Float64Array[];
  readonly #corrupted: readonly Float64Array[];
  /** Which cells some part had. */
  readonly #isRun: Uint8Array;

  constructor(sweep: PreparedSweep) {
    const { metrics, pairs, counterfactuals } = sweep;
    this.#sweep = sweep;
    this.#values = metrics.map(() => new Float64Array(pairs.length * counterfactuals.length));
    this.#isRun = new Uint8Array(pairs.length * counterfactuals.length);
    this.#clean = metrics.map(() => new Float64Array(pairs.length).fill(NaN));
    this.#corrupted = metrics.map(() => new Float64Array(pairs.length).fill(NaN));
  }

  take(group: PairGroup, { cells }: Part, part: SweepPart): void {
    const { metrics, pairs } = this.#sweep;
    const unedited = metrics.length * group.pairs.length;
    const fits =
      areNumbers(part.values, metrics.length * cells.length) && areNumbers(part.clean, unedited) && part.corrupted.length === unedited;
    if (!fits) throw notOurs(part.index);
    for (const { pair, counterfactual } of cells) this.#isRun[counterfactual * pairs.length + pair] = 1;
    metrics.forEach((_, metric) => {
      cells.forEach(({ pair, counterfactual }, i) => {
        this.#values[metric]![counterfactual * pairs.length + pair] = part.values[metric * cells.length + i]!;
      });
      group.pairs.forEach((pair, i) => {
        this.#clean[metric]![pair] = part.clean[metric * group.pairs.length + i]!;
        this.#corrupted[metric]![pair] = part.corrupted[metric * group.pairs.length + i] ?? NaN;
      });
    });
  }

  /** The metrics; cells that no part had cannot differ from the run that they change. */
  finish(metrics: readonly Metric[]): Record<string, SweptMetric> {
    const { pairs } = this.#sweep;
    return Object.fromEntries(
      metrics.map(({ name }, metric) => {
        const [clean, corrupted] = [this.#clean[metric]!, this.#corrupted[metric]!];
        const values = this.#values[metric]!.map((value, i) => {
          if (this.#isRun[i]) return value;
          const pair = i % pairs.length;
          return must(pairs[pair], "a pair").cleanIs === "base" ? clean[pair]! : corrupted[pair]!;
        });
        return [name, { clean, values, ...(pairs.every(({ source }) => source) && { corrupted }) }];
      }),
    );
  }
}
