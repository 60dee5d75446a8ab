/**
 * @file One forward request: checked, turned into a plan, run, and gathered. `pause.ts` and `generate.ts` stand on the same
 * pieces.
 */
import { refuse, SextantError } from "../base/errors.js";
import { tensor, type Tensor } from "../base/tensor.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { expandAddresses, parseAddress, stageOf, type Place } from "../models/address.js";
import { pointRow } from "../models/points.js";
import type { ModelSpec } from "../models/spec.js";
import { checkLogits, checkResume, checkTokens, logitPositions } from "./check-request.js";
import { Collector } from "./collect.js";
import { explainNonFinite, isFinite32 } from "./diagnose.js";
import { ownValue, type Engine, type Plan } from "./engine.js";
import { blocksUpTo } from "./forecast.js";
import { logitsOf } from "./logits.js";
import type { ForwardRequest, ForwardResult, LogitsRequest, RunOptions } from "./model.js";
import { makePass, type Pass } from "./pass.js";
import { prepareEdits } from "./prepare-edits.js";
import type { Held } from "./session.js";

/** Everything a run needs of its model. */
export interface Runner {
  readonly spec: ModelSpec;
  readonly engine: Engine;
  readonly checkpoint: Checkpoint;
}

/** A forward request, checked and prepared. */
export interface Prepared {
  readonly pass: Pass;
  readonly lengths: readonly number[];
  readonly plan: Plan;
  readonly collector: Collector;
  readonly logits: LogitsRequest | undefined;
  /** Whether `logits` was read as a point. */
  readonly logitsAsPoint: boolean;
  readonly hasEdits: boolean;
}

/** Checks a request against the model and says how to run it. */
export function prepare({ spec }: Runner, request: ForwardRequest, options: RunOptions): Prepared {
  checkTokens(spec, request.tokens, { beyondContext: request.beyondContext });
  const lengths = request.tokens.map((row) => row.length);
  const places = expandAddresses(spec, request.read ?? []);
  const logitsAsPoint = places.some(({ point }) => point === "logits");
  const reads = places.filter(({ point }) => point !== "logits");
  const logits = request.logits === false ? undefined : (request.logits ?? {});
  if (logits) checkLogits(spec, logits, lengths);
  const collector = new Collector(spec, reads);
  const edits = prepareEdits(spec, request.edits ?? [], { lengths, limits: lengths });
  const from = request.resume && resumedAt(spec, request.resume, lengths);
  if (request.resume) refuseBefore(request.resume.layer, { read: reads, edit: edits.map(({ place }) => place) });
  const until = logits || logitsAsPoint ? spec.layers.length : blocksUpTo(spec, reads);
  const plan: Plan = {
    reads,
    edits,
    collector,
    keepCache: false,
    until,
    ...(from && { from }),
    signal: options.signal,
    onBlock: (done, total) => options.onProgress?.({ stage: "blocks", done, total }),
  };
  return { pass: makePass(request.tokens), lengths, plan, collector, logits, logitsAsPoint, hasEdits: edits.length > 0 };
}

type Resume = NonNullable<ForwardRequest["resume"]>;

function resumedAt(spec: ModelSpec, from: Resume, lengths: readonly number[]): { layer: number; stream: Held } {
  checkResume(spec, from, lengths);
  return { layer: from.layer, stream: ownValue(from.resid.data, from.resid.shape) };
}

/** Throws when something is to be read or edited that a resumed run does not pass. */
function refuseBefore(layer: number, places: Readonly<Record<"read" | "edit", readonly Place[]>>): void {
  for (const [verb, list] of Object.entries(places)) {
    const early = list.find((place) => stageOf(place) < layer);
    if (early) throw new SextantError("request", `cannot ${verb} ${early.address}: the run resumes at layer ${layer}, behind it`);
  }
}

/** The result of a forward request. */
export async function forward(runner: Runner, request: ForwardRequest, options: RunOptions): Promise<Omit<ForwardResult, "cost">> {
  const prepared = prepare(runner, request, options);
  const { stream } = await runner.engine.runPass(prepared.pass, prepared.plan);
  return finish(runner, prepared, stream);
}

/** The result of a pass whose blocks have run. */
export async function finish(runner: Runner, prepared: Prepared, stream: Held): Promise<Omit<ForwardResult, "cost">> {
  const { engine, checkpoint, spec } = runner;
  const { pass, lengths, plan, collector, logits, logitsAsPoint } = prepared;
  if (!isFinite32(stream.data, pass)) throw explainNonFinite(checkpoint, spec, { hasEdits: prepared.hasEdits });
  const run = { engine, checkpoint, pass, plan };
  const asked = logits && (await logitsOf(stream, { ...run, positions: logitPositions(logits, lengths), tokens: logits.tokens }));
  const everywhere = logitsAsPoint ? await allLogits(stream, { run, asked, logits, lengths }) : undefined;
  if (
    !asked &&
    !everywhere &&
    plan.reads.some((place) => place.layer === undefined && pointRow(place.point).scope === "model" && stageOf(place) === Infinity)
  ) {
    const normed = await engine.normalise({ ...stream, dims: [pass.rows.length * pass.width, spec.dModel] }, { pass, plan });
    if (!isFinite32(normed.data, pass)) throw explainNonFinite(checkpoint, spec, { hasEdits: prepared.hasEdits });
  }
  const activations = collector.finish(lengths);
  return { activations: everywhere ? { ...activations, logits: everywhere } : activations, ...(asked && { logits: asked }), lengths };
}

/** Logits everywhere, as a point; what was computed already is not computed again. */
async function allLogits(
  stream: Held,
  given: {
    run: Pick<Parameters<typeof logitsOf>[1], "engine" | "checkpoint" | "pass" | "plan">;
    asked: Tensor<Float32Array> | undefined;
    logits: LogitsRequest | undefined;
    lengths: readonly number[];
  },
): Promise<Tensor> {
  const { run, asked, logits, lengths } = given;
  if (asked && logits?.positions === "all" && !logits.tokens) return tensor(asked.data.slice(), asked.shape, asked.axes);
  const plan = asked ? { ...run.plan, reads: [] } : run.plan;
  return logitsOf(stream, { ...run, plan, positions: logitPositions({ positions: "all" }, lengths) });
}

/** The place of an address that a run can stop at. */
export function stoppable({ spec }: Runner, address: string): Place {
  const place = parseAddress(spec, address);
  if (place.point === "logits")
    throw refuse({ what: "cannot stop at logits", why: "nothing runs after it", instead: "use the logits of forward" }, "request");
  return place;
}
