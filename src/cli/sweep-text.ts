/** @file What a sweep found, for people: the unedited runs, a warning where nothing can be read from it, the map, the largest cells. */
import type { Effect } from "../analyses/sweeps/effects.js";
import { digits } from "../charts/panels.js";
import { table, type TableCell } from "../charts/terminal.js";
import { METRICS } from "../runtime/sweep/metrics.js";
import type { Answer, MetricName } from "../runtime/sweep/request.js";
import type { Call } from "./command.js";
import { tokenText } from "./inputs.js";
import { drawnOf, mapText, placeLabel, tickLabel, type SweepMap } from "./sweep-map.js";
import { overGrid, type SweepReport } from "./sweep-report.js";
import { shown } from "./tables.js";
import { counted, duration, gigaflops } from "./wording.js";

/** The largest cells that are listed. */
const LISTED = 10;
/** Effects below this share of the largest are not listed. */
const LEAST = 1e-3;

type Look = Pick<Call, "colour" | "columns">;

/** The text of a sweep; `written` says which files were made. */
export function sweepText(report: SweepReport, map: SweepMap, { call, written }: { call: Look; written: readonly string[] }): string {
  const { found, more } = report;
  const { effects } = drawnOf(report);
  const { warning } = effects.guard;
  const { ms, flops } = found.cost;
  const blocks = [
    [...report.metrics.map((metric) => runsLine(report, metric)), ...leftOut(report), ...(more?.lines ?? [])].join("\n"),
    ...(warning === undefined ? [] : [`WARNING: ${warning}${warning.endsWith("?") ? "" : "."}`]),
    mapText(map, call),
    ...largest(report, call),
    [`done in ${duration(ms)}, ${gigaflops(flops)}`, ...written].join("\n"),
  ];
  return `\n${blocks.join("\n\n")}`;
}

/** What the unedited runs score. */
function runsLine(report: SweepReport, metric: string): string {
  const { clean, corrupted, pairs } = report.found.effects[metric]!;
  const other = corrupted === undefined ? "" : `, corrupted ${digits(corrupted, 4)}`;
  const over = pairs > 1 ? ` (means of ${pairs} pairs)` : "";
  return `${metric}${answersOf(report, metric)}: clean ${digits(clean, 4)}${other}${over}`;
}

/** Which tokens the metric is of, where there is one pair. */
function answersOf({ pairs, tokenizer }: SweepReport, metric: string): string {
  const { tokens } = METRICS[metric as MetricName];
  const [pair] = pairs;
  if (!pair || pairs.length > 1) return "";
  const look = { name: (id: number) => tokenText(tokenizer, id) };
  const said = (answer: Answer = []): string => {
    const names = [answer].flat().map((token) => shown({ token }, look));
    return `“${names.join("”, “")}”`;
  };
  return tokens.map((name) => ` ${name === "answer" ? "of" : "against"} ${said(pair[name])}`).join("");
}

function leftOut({ found }: SweepReport): string[] {
  if (!found.cells) return [];
  const count = found.grid.shape.reduce((product, length) => product * length, 1) - found.cells.length;
  return [`${counted(count, "cell")} left out: no edge is there, or it is the only one of its query`];
}

/** The cells with the largest effects, if any has one. */
function largest(report: SweepReport, { colour, columns }: Look): string[] {
  const { found } = report;
  const { effects, metric } = drawnOf(report);
  const size = ({ effect }: Effect): number => Math.abs(effect);
  const least = LEAST * effects.guard.largest;
  const rows = overGrid(found, effects.cells)
    .flatMap((effect, cell) => (effect && size(effect) > least ? [{ effect, cell }] : []))
    .toSorted((a, b) => size(b.effect) - size(a.effect));
  if (rows.length === 0) return [];
  const { axes } = found.grid;
  const isCertain = effects.pairs > 1;
  const isNormalised = effects.corrupted !== undefined;
  const header = [...axes, metric, ...(isNormalised ? ["normalised"] : []), "effect", ...(isCertain ? ["95%", "q"] : [])];
  const align = header.map((_, column) => (column < axes.length ? ("left" as const) : ("right" as const)));
  const lines = rows
    .slice(0, LISTED)
    .map(({ effect, cell }): TableCell[] =>
      [
        ...placeOf(report, cell),
        digits(effect.value, 4),
        ...(isNormalised ? [numberText(effect.normalised, 3)] : []),
        digits(effect.effect, 4),
        ...(isCertain ? [intervalText(effect), numberText(effect.q, 2)] : []),
      ].map((text) => ({ text })),
    );
  const title = rows.length > LISTED ? `the ${LISTED} largest effects` : "the largest effects";
  return [`${title}\n${table(lines, { header, align, colour, columns, widest: 30 })}`];
}

/** What stands at each axis of a cell. */
function placeOf(report: SweepReport, cell: number): string[] {
  const { axes, shape, ticks } = report.found.grid;
  let rest = cell;
  return shape
    .map((length, axis) => ({ length, axis }))
    .toReversed()
    .map(({ length, axis }) => {
      const tick = ticks[axis]![rest % length]!;
      rest = Math.floor(rest / length);
      return placeLabel(tickLabel(tick, axes[axis]!, report), tick);
    })
    .toReversed();
}

function intervalText({ interval }: Effect): string {
  return interval ? `${digits(interval.low, 3)} to ${digits(interval.high, 3)}` : "";
}

function numberText(value: number | undefined, significant: number): string {
  return value === undefined ? "" : digits(value, significant);
}
