/**
 * @file Stops a run at an address and continues it: the way to apply a function of one's own to an activation. What is kept of
 * the stopped run is the residual stream in front of its block, a plain tensor; continuing computes that one block again, with
 * the given value in place of its own.
 */
import { SextantError } from "../base/errors.js";
import { tensor, type Tensor } from "../base/tensor.js";
import { inForwardOrder, stageOf, type Place } from "../models/address.js";
import { pointRow } from "../models/points.js";
import type { ModelSpec } from "../models/spec.js";
import { checkTensor } from "./check-request.js";
import { Collector } from "./collect.js";
import { ownValue, type Plan } from "./engine.js";
import { finish, prepare, stoppable, type Prepared, type Runner } from "./forward.js";
import type { ForwardRequest, ForwardResult, PausedRun, RunOptions } from "./model.js";

/** Name of the stream in front of the stopped block among what is kept. */
const BEFORE = "resid_before";

/** Runs a request up to an address. */
export async function pause(runner: Runner, address: string, request: ForwardRequest, options: RunOptions): Promise<PausedRun> {
  const place = stoppable(runner, address);
  const read = [...(request.read ?? []).filter((text) => text !== "logits"), place.address];
  const before = streamBefore(runner.spec, place);
  if (before) read.push(before.address);
  const prepared = prepare(runner, { ...request, read, logits: false }, options);
  const isPassed = (other: Place): boolean => inForwardOrder(other, place) <= 0;
  const wanted = prepared.plan.reads.filter((other) => isPassed(other) || other.address === before?.address);
  const passed = prepared.plan.edits.filter((edit) => isPassed(edit.place));
  const run = withPlan(runner.spec, prepared, { reads: wanted, edits: passed, until: stopLayer(runner.spec, place) });
  const { stream } = await runner.engine.runPass(run.pass, run.plan);
  const { activations } = await finish(runner, { ...run, logits: undefined, logitsAsPoint: false }, stream);
  const { [place.address]: value, ...others } = activations;
  if (!value) throw new SextantError("internal", `internal: the run did not reach ${place.address}`);
  const kept = before ? activations[before.address] : undefined;
  const asked = new Set(prepare(runner, { ...request, logits: false }, options).plan.reads.map((other) => other.address as string));
  return {
    address: place.address,
    request,
    value,
    rest: kept ? copies({ [BEFORE]: kept }) : {},
    activations: Object.fromEntries(Object.entries(others).filter(([name]) => asked.has(name) && name !== place.address)),
  };
}

/** Runs on from an address with `value` there. */
export async function resume(runner: Runner, paused: PausedRun, value: Tensor, options: RunOptions): Promise<Omit<ForwardResult, "cost">> {
  const place = stoppable(runner, paused.address);
  checkValue(paused, place, value);
  const prepared = prepare(runner, paused.request, options);
  const isAhead = (other: Place): boolean => inForwardOrder(other, place) >= 0;
  const reads = prepared.plan.reads.filter(isAhead);
  const before = streamBefore(runner.spec, place);
  const kept = paused.rest[BEFORE];
  const edits = prepared.plan.edits.filter((edit) => stageOf(edit.place) >= stageOf(place) && !isSpent(edit.place, place));
  const from = place.point === "resid_post" || place.point === "resid_pre" ? value : kept;
  const layer = fromLayer(runner.spec, place);
  if (layer !== undefined && !from) throw new SextantError("request", "runFrom: the stopped run lacks the stream it was stopped in");
  const run = withPlan(runner.spec, prepared, {
    reads: reads.filter((other) => !(before && other.address === before.address && other.address !== place.address)),
    edits,
    replace: isStream(place) ? undefined : { address: place.address, data: value.data },
    ...(layer !== undefined && from && { from: { layer, stream: ownValue(from.data, from.shape) } }),
  });
  if (place.point === "resid_post" && reads.some((other) => other.address === place.address))
    run.collector.take(place.address, run.pass, value.data.slice());
  const { stream } = await runner.engine.runPass(run.pass, run.plan);
  const result = await finish(runner, run, stream);
  return { ...result, activations: { ...copies(paused.activations), ...result.activations } };
}

/** Tensors of the result's own, so that it shares none with the stopped run. */
function copies(tensors: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(tensors).map(([name, { data, shape, axes }]) => [name, tensor(data.slice(), shape, axes)]));
}

function withPlan(spec: ModelSpec, prepared: Prepared, change: { readonly [K in keyof Plan]?: Plan[K] | undefined }): Prepared {
  const reads = change.reads ?? prepared.plan.reads;
  const collector = new Collector(spec, reads);
  const plan = Object.fromEntries(Object.entries({ ...prepared.plan, ...change, collector }).filter(([, value]) => value !== undefined));
  return { ...prepared, collector, plan: plan as unknown as Plan };
}

function isStream({ point }: Place): boolean {
  return point === "resid_pre" || point === "resid_post";
}

/** The stream to keep: in front of the place's block, or of the last norm; none in front of the embedding. */
function streamBefore(spec: ModelSpec, place: Place): Place | undefined {
  if (isStream(place)) return undefined;
  const layer = place.layer ?? (stageOf(place) === Infinity ? spec.layers.length : undefined);
  if (layer === undefined) return undefined;
  if (layer < spec.layers.length) return { address: `resid_pre.${layer}`, point: "resid_pre", layer };
  return { address: `resid_post.${layer - 1}`, point: "resid_post", layer: layer - 1 };
}

function stopLayer(spec: ModelSpec, place: Place): number {
  const stage = stageOf(place);
  return stage === Infinity ? spec.layers.length : stage + 1;
}

/** The first block to run on with; undefined where that is the embedding. */
function fromLayer(spec: ModelSpec, place: Place): number | undefined {
  if (place.layer !== undefined) return place.point === "resid_post" ? place.layer + 1 : place.layer;
  return stageOf(place) === Infinity ? spec.layers.length : undefined;
}

/** Whether an edit is already in the values that were kept. */
function isSpent(edit: Place, stop: Place): boolean {
  if (edit.address === stop.address) return true;
  if (stop.point === "resid_post") return edit.layer === stop.layer;
  return edit.point === "resid_pre" && edit.layer === stop.layer;
}

function checkValue(paused: PausedRun, place: Place, value: Tensor): void {
  const { dtype } = pointRow(place.point);
  const mayBeMasked = place.point === "attn_scores";
  checkTensor(`runFrom: ${place.address}`, value, { shape: paused.value.shape, dtype, mayBeMasked });
}
