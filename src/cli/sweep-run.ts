/** @file One sweep over a grid as the command line does it: forecast, parts kept in a file, cells without an edge left out. */
import type { Effects } from "../analyses/sweeps/effects.js";
import { effectsByName, sweepOf, type GridSweepRequest } from "../analyses/sweeps/grid-sweep.js";
import { makeGrid, type Grid } from "../analyses/sweeps/grid.js";
import type { ModelSpec } from "../models/spec.js";
import type { SweepForecast, SweepPart, SweepRequest, SweepResult, SweptMetric } from "../runtime/sweep/request.js";
import type { Call } from "./command.js";
import type { Opened, RUN_OPTIONS } from "./inputs.js";
import { parseSize } from "./size.js";
import { cellsWithEdges } from "./sweep-edges.js";
import type { MEMORY_OPTIONS, STATE_OPTIONS } from "./sweep-options.js";
import { openState, type SweepState } from "./sweep-state.js";
import { counted, duration, gigaflops } from "./wording.js";

/** What a sweep found, over the cells of its grid. */
export interface Found {
  readonly grid: Pick<Grid, "axes" | "shape" | "ticks">;
  /** Of each cell that was swept its index in the grid; absent where all were. */
  readonly cells?: readonly number[];
  readonly edited: "clean" | "corrupted";
  /** By metric, over the cells that were swept. */
  readonly effects: Readonly<Record<string, Effects>>;
  readonly raw: Readonly<Record<string, SweptMetric>>;
  readonly cost: SweepResult["cost"];
}

type RunCall = Call<MemoryOptions & typeof STATE_OPTIONS>;
type MemoryOptions = typeof MEMORY_OPTIONS & Pick<typeof RUN_OPTIONS, "memory">;

/** What a sweep works in unless told: that much, and no more than a share of what the model may take, which leaves 0.3 beside weights. */
const [MOST_WORK, WORK_SHARE] = [2 ** 30, 0.25];

/** Sweeps a grid, having said what that will cost. */
export async function runGrid(call: RunCall, { model, folder, weights }: Opened, request: GridSweepRequest): Promise<Found> {
  const grid = makeGrid(model.spec, request.pairs, request);
  const cells = cellsOf(model.spec, grid, request);
  const sweep: SweepRequest = { ...sweepOf(request, grid), counterfactuals: cells.map((cell) => grid.counterfactuals[cell]!) };
  const budget = memoryOf(call);
  const forecast = model.forecastSweep(sweep, budget);
  call.say(`${forecastText(forecast)}\n`);
  const { state: path } = call.options;
  const state = path === undefined ? undefined : { path, ...openState(path, { folder, weights, request: sweep, forecast }) };
  try {
    const keeping = state ? keepingOf(call, state, { path: state.path, total: forecast.parts }) : {};
    const { metrics, cost } = await model.sweep(sweep, { ...budget, ...keeping, signal: call.signal, onProgress: call.onProgress });
    const edited = request.direction === "noise" ? "clean" : "corrupted";
    const effects = effectsByName(metrics, { edited });
    const isWhole = cells.length === grid.counterfactuals.length;
    return { grid, ...(!isWhole && { cells }), edited, effects, raw: metrics, cost };
  } finally {
    state?.close();
  }
}

/** The cells of a grid that can be swept, by their index. */
function cellsOf(spec: ModelSpec, grid: Grid, { operation, pairs, at }: GridSweepRequest): number[] {
  if (operation?.op !== "knockout") return [...grid.counterfactuals.keys()];
  return cellsWithEdges(spec, grid, { pairs, ...(at !== undefined && { at }) });
}

/** The memory that `--work-memory` allows, or a share of `--memory`, as options of a sweep. */
export function memoryOf({ options }: Pick<Call<MemoryOptions>, "options">): { memoryBudget?: number } {
  const { memory, "work-memory": work } = options;
  if (work !== undefined) return { memoryBudget: parseSize("work-memory", work) };
  return memory === undefined ? {} : { memoryBudget: Math.min(MOST_WORK, WORK_SHARE * parseSize("memory", memory)) };
}

/** Options that take up the parts of a state, and keep those that follow. */
function keepingOf(
  call: RunCall,
  state: SweepState,
  { path, total }: { path: string; total: number },
): { done: readonly SweepPart[]; onPart: (part: SweepPart) => void } {
  let count = state.done.length;
  const advise = (): void =>
    call.advise(`${count} of ${counted(total, "part")} ${count === 1 ? "is" : "are"} kept in ${path}; the same command goes on from there`);
  advise();
  if (count > 0) call.say(`${count} of ${counted(total, "part")} taken from ${path}\n`);
  const onPart = (part: SweepPart): void => {
    state.keep(part);
    count++;
    advise();
  };
  return { done: state.done, onPart };
}

function forecastText({ cells, unchanged, flops, naiveFlops, ms }: SweepForecast): string {
  const idle = unchanged > 0 ? `, of which ${unchanged} cannot change anything` : "";
  const time = ms === undefined ? "" : `, about ${duration(ms)}`;
  return `${counted(cells, "run")}${idle}: ${gigaflops(flops)} instead of ${gigaflops(naiveFlops)} in whole runs${time}`;
}
