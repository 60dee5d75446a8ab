/** @file One step as a section: what it was for, its findings, figures with their numbers behind them, tables, and notes. */
import { internal } from "../base/errors.js";
import type { RunFile } from "../store/manifest.js";
import type { Figure } from "../store/step-output.js";
import type { Table } from "../store/table.js";
import { fileLink } from "./file-link.js";
import { findingsView } from "./findings-view.js";
import { inlineSvg } from "./inline-svg.js";
import { joined, markup, NOTHING, type Markup } from "./markup.js";
import type { ReportedStep } from "./reported-run.js";
import { scrolling, tableView } from "./table-view.js";

/** The most rows that are shown of a table, and of the table of a figure, which has the figure's numbers. */
const ROWS = { table: 50, figure: 600 };

/** A step and its place in the run. */
export interface PlacedStep {
  readonly step: ReportedStep;
  /** Its number, from 1. */
  readonly number: number;
  /** The number of its first figure in the report. */
  readonly firstFigure: number;
  /** What it left in the run's folder. */
  readonly files: readonly RunFile[];
}

/** The section, headed at level 3 with level 4 below. */
export function stepView({ step, number, firstFigure, files }: PlacedStep): Markup {
  const { title, about, skipped, findings, figures, tables, notes } = step;
  const drawn = new Set(figures.map(({ table }) => table));
  const shownTables = tables.filter(({ name }) => !drawn.has(name));
  return markup`<section id="step-${number}" aria-labelledby="step-${number}-title">
<h3 id="step-${number}-title">${number}. ${title}</h3>
<p>${about}</p>
${skipped === undefined ? NOTHING : markup`<p class="skipped"><strong>Skipped.</strong> ${skipped}</p>`}
${part("Findings", findings.length, findingsView(findings, `What the step “${title}” found`))}
${part("Figures", figures.length, joined(figures.map((figure, i) => figureView(figure, firstFigure + i, { tables, files }))))}
${part("Tables", shownTables.length, joined(shownTables.map((table) => tableView(table, { rows: ROWS.table, file: parquetOf(table, files) }))))}
${part("Notes", notes.length, markup`<ul>${notes.map((note) => markup`<li>${note}</li>`)}</ul>`)}
</section>`;
}

function part(heading: string, count: number, content: Markup): Markup {
  return count === 0 ? NOTHING : markup`<h4>${heading}</h4>\n${content}`;
}

interface StepData {
  readonly tables: readonly Table[];
  readonly files: readonly RunFile[];
}

function figureView({ name, title, caption, svg, table }: Figure, number: number, { tables, files }: StepData): Markup {
  const own = tables.find((candidate) => candidate.name === table);
  if (table !== undefined && !own) throw internal(`report: figure ${name} shows table ${table}, which its step lacks`);
  const numbers = own
    ? markup`<details><summary>The numbers of figure ${number}</summary>${tableView(own, { rows: ROWS.figure, file: parquetOf(own, files) })}</details>`
    : markup`<p class="note">The numbers stand in the picture itself, and in the findings and tables of this step.</p>`;
  return markup`<figure role="figure" aria-labelledby="figure-${number}">
${scrolling(`Figure ${number}: ${title}`, inlineSvg(svg, title), "picture")}
<figcaption><strong id="figure-${number}">Figure ${number}. ${title}</strong> ${caption}</figcaption>
${numbers}
</figure>`;
}

function parquetOf({ name }: Table, files: readonly RunFile[]): Markup {
  const file = `${name}.parquet`;
  const path = files.find((candidate) => candidate.path.split("/").at(-1) === file)?.path;
  return path === undefined ? markup`<code>${file}</code>` : fileLink(path);
}
