/**
 * @file Maps of signed values as text for a terminal. Each cell says how many tenths of the limit its value is; with colour it also has the
 * background of a diverging scale, blue below zero and red above, each with its own ink, so that it reads on light and dark terminals.
 */
import { digits, exceeds, isValue, sharedLimit, type MapOptions, type MapPanel } from "./panels.js";
import type { TerminalOptions } from "./terminal.js";
import { displayWidth, fitText, visibleToken } from "./text.js";

/** What panels share, and the terminal that they are for. */
export interface DivergingMapOptions extends MapOptions, TerminalOptions {}

/** Background and ink of the 256-colour palette, from zero outwards: the colours of `divergingColour` that the palette comes nearest to. */
// oxfmt-ignore
const BLUES = [[255, 16], [153, 16], [110, 16], [68, 16], [25, 231], [17, 231]] as const;
// oxfmt-ignore
const REDS = [[255, 16], [224, 16], [216, 16], [167, 16], [124, 231], [52, 231]] as const;
const GREY = [250, 16] as const;
/** Columns of a cell without its mark: a sign and two digits. */
const CELL = 3;
/** The most lines that an upright label takes. */
const TALLEST = 10;
const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** What all panels are drawn with. */
interface Look {
  readonly options: DivergingMapOptions;
  readonly limit: number;
  readonly labelWidth: number;
  /** Whether a cell has one more column, for its mark. */
  readonly marks: boolean;
}

/** From one column up to another that is no longer part. */
type Columns = readonly [from: number, to: number];

/**
 * The panels one below the other and a legend. Labels of columns that are too long to lie over them stand upright. A panel wider than the
 * terminal continues below, its row labels repeated.
 */
export function divergingMap(panels: readonly MapPanel[], options: DivergingMapOptions): string {
  const limit = sharedLimit("divergingMap", panels, options);
  const labelWidth = Math.min(24, Math.max(0, ...options.rowLabels.map(displayWidth)));
  const marks = panels.some(({ marked }) => marked?.some((row) => Array.from(row).includes(true)) === true);
  const look: Look = { options, limit, labelWidth, marks };
  const pages = pagesOf(options.columnLabels.length, Math.floor((options.columns - labelWidth - 1) / (CELL + Number(marks))));
  const blocks = panels.flatMap((panel) =>
    pages.map((page, index) => {
      const title = panel.title === undefined ? [] : [index === 0 ? panel.title : `${panel.title} (continued)`];
      return [...title, ...drawPage(panel, page, look)];
    }),
  );
  return [...heading(options), ...blocks, legend(panels, look)].map((lines) => lines.join("\n")).join("\n\n");
}

function pagesOf(count: number, room: number): Columns[] {
  const step = Math.min(count, Math.max(1, room));
  return Array.from({ length: Math.ceil(count / step) }, (_, page) => [page * step, Math.min(count, (page + 1) * step)]);
}

function heading({ title, xLabel, yLabel }: MapOptions): string[][] {
  const axes = [...(yLabel ? [`${yLabel} ↓`] : []), ...(xLabel ? [`${xLabel} →`] : [])].join("  ");
  const lines = [...(title ? [title] : []), ...(axes ? [axes] : [])];
  return lines.length > 0 ? [lines] : [];
}

function drawPage({ values, marked }: MapPanel, [from, to]: Columns, look: Look): string[] {
  const { rowLabels, columnLabels } = look.options;
  const lines = values.map((line, row) => {
    const cells = Array.from(line, (value, column) => drawCell(value, marked?.[row]?.[column] ?? false, look)).slice(from, to);
    return `${fitText(rowLabels[row]!, look.labelWidth)} ${cells.join("")}`.trimEnd();
  });
  return [...headerOf(columnLabels.slice(from, to).map(visibleToken), look), ...lines];
}

/** The labels over their columns: beside one another where all are short, else one character a line. */
function headerOf(labels: readonly string[], { labelWidth, marks }: Look): string[] {
  const short = labels.every((label) => displayWidth(label) < CELL);
  const stacks = labels.map((label) => (short ? [label] : graphemes(fitText(label, TALLEST).trimEnd())));
  const height = Math.max(...stacks.map(({ length }) => length));
  return Array.from({ length: height }, (_, line) => {
    const cells = stacks.map((stack) => fitText(stack[line - height + stack.length] ?? "", CELL, "right") + (marks ? " " : ""));
    return `${" ".repeat(labelWidth + 1)}${cells.join("")}`.trimEnd();
  });
}

function drawCell(value: number | undefined, marked: boolean, { limit, marks, options }: Look): string {
  const mark = marks ? (marked ? "*" : " ") : "";
  if (!isValue(value)) return painted(`/${mark}`.padStart(CELL + mark.length), GREY, options);
  const tenths = Math.min(10, Math.round((10 * Math.abs(value)) / limit));
  const sign = value < 0 ? "-" : "";
  const text = tenths === 0 ? "·" : `${sign}${tenths}`;
  const steps = value < 0 ? BLUES : REDS;
  return painted(`${text}${mark}`.padStart(CELL + mark.length), steps[Math.ceil(tenths / 2)]!, options);
}

function painted(text: string, [background, ink]: readonly [number, number], { colour }: TerminalOptions): string {
  return colour ? `\x1b[48;5;${background};38;5;${ink}m${text}\x1b[0m` : text;
}

/** What the numbers and signs say, and the scale between its limits. */
function legend(panels: readonly MapPanel[], look: Look): string[] {
  const { limit, options, marks } = look;
  const missing = panels.some(({ values }) => values.some((row) => !Array.from(row).every(isValue)));
  const signs = [
    `· within ${digits(limit / 20, 3)} of 0`,
    ...(exceeds(panels, limit) ? ["10 and -10 also beyond"] : []),
    ...(missing ? ["/ no value"] : []),
    ...(marks ? [`* ${options.markedMeans ?? "marked"}`] : []),
  ];
  const scale = [-10, -8, -6, -4, -2, 0, 2, 4, 6, 8, 10].map((tenths) => drawCell(tenths / 10, false, { ...look, limit: 1, marks: false }));
  return [
    `tenths of ${digits(limit, 3)}${options.unit ? ` (${options.unit})` : ""}`,
    `${digits(-limit, 3)} [${scale.join("")} ] ${digits(limit, 3)}`,
    signs.join(", "),
  ];
}

function graphemes(text: string): string[] {
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}
