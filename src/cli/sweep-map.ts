/** @file The map of a sweep, for a terminal, SVG and PNG: layers down, and one panel for each choice of the axes that are not drawn across. */
import type { Effect, Effects } from "../analyses/sweeps/effects.js";
import { stridesOf } from "../base/tensor.js";
import { heatMapSvg } from "../charts/heat-map.js";
import type { MapOptions, MapPanel } from "../charts/panels.js";
import { svgToPng } from "../charts/png.js";
import { divergingMap } from "../charts/terminal-map.js";
import { visibleToken } from "../charts/text.js";
import { writeAtomic } from "../formats/atomic.js";
import type { Call } from "./command.js";
import { tokenText } from "./inputs.js";
import type { PICTURE_OPTIONS } from "./sweep-options.js";
import { editedPrompt, overGrid, type SweepReport } from "./sweep-report.js";

/** A sweep's map: what all kinds of pictures are drawn from. */
export interface SweepMap {
  readonly panels: readonly MapPanel[];
  readonly options: MapOptions;
}

/** More cells than this, or more in a row, are no sight in a terminal. */
const MOST_CELLS = 6000;
const MOST_COLUMNS = 200;

/** Which metric of a report is drawn, and how its values are to be read. */
export interface Drawn {
  readonly metric: string;
  readonly effects: Effects;
  /** What an effect is drawn as: a share of clean − corrupted, where that is something, else the change itself. */
  readonly valueOf: (effect: Effect) => number;
  readonly unit: string;
}

/** The first metric of a report. */
export function drawnOf({ found, metrics }: Pick<SweepReport, "found" | "metrics">): Drawn {
  const [metric = ""] = metrics;
  const effects = found.effects[metric]!;
  const { gap } = effects.guard;
  if (gap === undefined || gap === 0) return { metric, effects, valueOf: ({ effect }) => effect, unit: `change of ${metric}` };
  return { metric, effects, valueOf: ({ effect }) => effect / gap, unit: "effect as a share of clean − corrupted" };
}

/** The map of the first metric. */
export function mapOf(report: SweepReport): SweepMap {
  const { found, window } = report;
  const { axes, shape, ticks } = found.grid;
  const { metric, effects, valueOf, unit } = drawnOf(report);
  const across = acrossOf(axes);
  const labels = ticks.map((list, axis) => list.map((tick) => tickLabel(tick, axes[axis]!, report)));
  const values = overGrid(found, effects.cells.map(valueOf));
  const marks = overGrid(
    found,
    effects.cells.map(({ isMarked }) => isMarked),
  );
  const panels = facetsOf(shape, across).map((at): MapPanel => {
    const rows = rowsOf(shape, across, at);
    const title = axes.flatMap((axis, i) =>
      i > 0 && i !== across ? [`${axis} ${placeLabel(labels[i]![at[i]!]!, ticks[i]![at[i]!]!)}`] : [],
    );
    return {
      ...(title.length > 0 && { title: title.join(", ") }),
      values: rows.map((row) => row.map((cell) => values[cell])),
      marked: rows.map((row) => row.map((cell) => marks[cell] ?? false)),
    };
  });
  return {
    panels,
    options: {
      rowLabels: labels[0]!,
      columnLabels: across === undefined ? ["all"] : labels[across]!,
      title: titleOf(report, metric),
      yLabel: window > 1 ? `layer (first of ${window})` : "layer",
      ...(across !== undefined && { xLabel: axes[across]! }),
      unit,
      markedMeans: markedMeans(effects),
    },
  };
}

/** The map as text, or a word on why there is none. */
export function mapText({ panels, options }: SweepMap, { colour, columns }: Pick<Call, "colour" | "columns">): string {
  const across = options.columnLabels.length;
  const cells = panels.length * options.rowLabels.length * across;
  if (cells > MOST_CELLS || across > MOST_COLUMNS)
    return `${options.title}: ${cells} cells are too many to draw here; --svg and --png draw them`;
  return divergingMap(panels, { ...options, colour, columns });
}

/** Writes the pictures that were asked for, and says so. */
export async function writePictures({ panels, options }: SweepMap, call: Call<typeof PICTURE_OPTIONS>): Promise<string[]> {
  const { svg, png } = call.options;
  if (svg === undefined && png === undefined) return [];
  const drawing = heatMapSvg(panels, options);
  if (svg !== undefined) writeAtomic(svg, [drawing]);
  if (png !== undefined) writeAtomic(png, [await svgToPng(drawing)]);
  return [svg, png].flatMap((path) => (path === undefined ? [] : [`written to ${path}`]));
}

/** What stands at a tick: a position's token where there is one prompt, else the tick itself. */
export function tickLabel(tick: number | string, axis: string, report: SweepReport): string {
  const prompt = ["pos", "query", "key"].includes(axis) ? editedPrompt(report) : undefined;
  const id = typeof tick === "number" ? prompt?.at(tick) : undefined;
  return id === undefined ? String(tick) : tokenText(report.tokenizer, id);
}

/** `6 Hill`, or the tick alone where nothing more is known of it. */
export function placeLabel(label: string, tick: number | string): string {
  return label === String(tick) ? label : `${tick} ${visibleToken(label)}`;
}

function titleOf({ operation, point, found }: SweepReport, metric: string): string {
  const side = `${found.edited} ${found.effects[metric]!.pairs > 1 ? "runs" : "run"}`;
  const done = {
    patch: `patched ${point}`,
    zero: `${point} set to 0`,
    mean: `${point} set to its mean`,
    knockout: "cut edges",
    path: `paths from ${point}`,
  };
  return `${metric} of the ${side} with ${done[operation]}`;
}

/** What a mark says, as `effectsOf` sets it. */
function markedMeans({ pairs, guard, cells }: Effects): string {
  const share = `at least 5% of ${guard.gap === undefined ? "the largest effect" : "clean − corrupted"}`;
  return pairs >= 6 && cells.some(({ q }) => q !== undefined) ? `${share}, q at most 0.05` : share;
}

/** The axis that is drawn across: the last one that is no head; undefined where the layer is alone. */
function acrossOf(axes: readonly string[]): number | undefined {
  const last = axes.findLastIndex((axis, i) => i > 0 && axis !== "head");
  if (last > 0) return last;
  return axes.length > 1 ? axes.length - 1 : undefined;
}

/** Every choice of indices on the axes that are neither down nor across; 0 on those. */
function facetsOf(shape: readonly number[], across: number | undefined): number[][] {
  const lengths = shape.map((length, axis) => (axis === 0 || axis === across ? 1 : length));
  return lengths.reduce<number[][]>((made, length) => made.flatMap((at) => Array.from({ length }, (_, i) => [...at, i])), [[]]);
}

/** The cells of a panel: layers down. */
function rowsOf(shape: readonly number[], across: number | undefined, at: readonly number[]): number[][] {
  const strides = stridesOf(shape);
  const first = at.reduce((sum, index, axis) => sum + index * strides[axis]!, 0);
  const [columns, step] = across === undefined ? [1, 0] : [shape[across]!, strides[across]!];
  return Array.from({ length: shape[0]! }, (_, row) =>
    Array.from({ length: columns }, (__, column) => first + row * strides[0]! + column * step),
  );
}
