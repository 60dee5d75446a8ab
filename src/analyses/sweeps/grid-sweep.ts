/** @file A grid of counterfactuals, swept and summed up: the usual way to ask which layer, position or head carries a behaviour. */
import { SextantError } from "../../base/errors.js";
import { sizeOf } from "../../base/tensor.js";
import type { Model } from "../../runtime/model.js";
import { isDistance } from "../../runtime/sweep/metrics.js";
import type { SweepOptions, SweepRequest, SweepResult, SweptMetric } from "../../runtime/sweep/request.js";
import { effectsOf, type EffectOptions, type Effects } from "./effects.js";
import { makeGrid, type Grid, type GridRequest } from "./grid.js";
import { patchPaths, type PathRequest } from "./path.js";

/** What a sweep over a grid found. */
export interface GridFinding {
  readonly grid: Grid;
  /** Which unedited run was changed. */
  readonly edited: "clean" | "corrupted";
  /** Raw values of every pair, by metric: row-major over the grid's cells, then pairs. */
  readonly raw: Readonly<Record<string, SweptMetric>>;
  readonly effects: Readonly<Record<string, Effects>>;
  readonly cost: SweepResult["cost"];
}

/** How effects are judged: everything but which run was edited. */
export type Judging = Omit<EffectOptions, "edited">;

export interface GridSweepRequest extends Omit<SweepRequest, "counterfactuals" | "read">, GridRequest {
  readonly judging?: Judging;
}

/** Sweeps a grid. */
export async function sweepGrid(model: Model, request: GridSweepRequest, options: SweepOptions = {}): Promise<GridFinding> {
  const grid = makeGrid(model.spec, request.pairs, request);
  return findingOf(request, grid, await model.sweep(sweepOf(request, grid), options));
}

/** The sweep that `sweepGrid` runs, to forecast it or to keep it. */
export function sweepOf(request: GridSweepRequest, grid: Grid): SweepRequest {
  const { pairs, metrics, at, beyondContext } = request;
  return {
    pairs,
    counterfactuals: grid.counterfactuals,
    metrics,
    direction: directionOf(request),
    ...(at !== undefined && { at }),
    ...(beyondContext && { beyondContext }),
  };
}

export interface GridPathRequest extends Omit<GridSweepRequest, "operation"> {
  readonly receivers: PathRequest["receivers"];
  readonly through?: PathRequest["through"];
}

/** Patches the paths from each place of a grid to the receivers. */
export async function sweepPaths(model: Model, request: GridPathRequest, options: SweepOptions = {}): Promise<GridFinding> {
  const grid = makeGrid(model.spec, request.pairs, request);
  const { counterfactuals: senders, ...rest } = sweepOf(request, grid);
  const { receivers, through } = request;
  return findingOf(request, grid, await patchPaths(model, { ...rest, senders, receivers, ...(through && { through }) }, options));
}

/** One direction for all pairs, since effects are counted from the run that is edited. */
function directionOf({ direction, pairs }: Pick<SweepRequest, "direction" | "pairs">): "denoise" | "noise" {
  return direction ?? (pairs.every(({ corrupted }) => corrupted) ? "denoise" : "noise");
}

function findingOf(request: GridSweepRequest | GridPathRequest, grid: Grid, { metrics, cost }: SweepResult): GridFinding {
  const edited = directionOf(request) === "denoise" ? "corrupted" : "clean";
  const effects = effectsByName(metrics, { ...request.judging, edited });
  return { grid, edited, raw: metrics, effects, cost };
}

/** The effects of every metric of a sweep. */
export function effectsByName(metrics: SweepResult["metrics"], options: Omit<EffectOptions, "isDistance">): Record<string, Effects> {
  return Object.fromEntries(
    Object.entries(metrics).map(([name, metric]) => [name, effectsOf(metric, { ...options, isDistance: isDistance(name) })]),
  );
}

/** Values of a grid as nested lists, in the grid's order of axes. */
export function nested(values: ArrayLike<unknown>, shape: readonly number[]): unknown[] {
  const [length = 0, ...rest] = shape;
  if (values.length !== sizeOf(shape) || length === 0)
    throw new SextantError("request", `${values.length} values do not fill [${shape.join(", ")}]`);
  if (rest.length === 0) return Array.from(values);
  const size = values.length / length;
  return Array.from({ length }, (_, i) => nested(Array.prototype.slice.call(values, i * size, (i + 1) * size) as unknown[], rest));
}
