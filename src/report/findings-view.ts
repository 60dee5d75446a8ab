/** @file Findings as a table: each number with its unit, its interval and cases, what it is to be read beside, and what was published of another model. */
import type { Control, Finding, FindingInterval, Published } from "../store/finding.js";
import { number, quantity } from "./cells.js";
import { joined, markup, NOTHING, type Markup } from "./markup.js";

/** What readers of published numbers must know. */
const PUBLISHED_NOTE =
  "Published numbers are of another model than the one measured here. They stand beside ours to be read with, and are no claim about this model.";

const METHODS: { readonly [method in FindingInterval["method"]]: string } = {
  wilson: "Wilson",
  bootstrap: "bootstrap",
  clopper_pearson: "Clopper–Pearson",
  range: "lowest to highest",
};

/** The findings with a caption; nothing where there are none. On narrow screens each row becomes a card. */
export function findingsView(findings: readonly Finding[], caption: string): Markup {
  if (findings.length === 0) return NOTHING;
  const published = findings.some((finding) => finding.published);
  const controls = findings.some((finding) => finding.controls?.length);
  const columns = [
    "Finding",
    "Value",
    "Interval and cases",
    ...(controls ? ["Read beside"] : []),
    ...(published ? ["Published, of another model"] : []),
  ];
  // Roles are named, since tables that are laid out as cards lose theirs.
  return markup`<table class="findings" role="table">
<caption>${caption}</caption>
<thead role="rowgroup"><tr role="row">${columns.map((name) => markup`<th scope="col" role="columnheader">${name}</th>`)}</tr></thead>
<tbody role="rowgroup">
${joined(findings.map((finding) => row(finding, { controls, published })))}
</tbody>
</table>${published ? markup`\n<p class="note">${PUBLISHED_NOTE}</p>` : NOTHING}`;
}

function row(finding: Finding, { controls, published }: { readonly controls: boolean; readonly published: boolean }): Markup {
  const { id, title, value, unit, note } = finding;
  const remark = note === undefined ? undefined : markup`<span class="note">${note}</span>`;
  const told = value === null ? markup`<span class="none">no value</span>` : quantity(value, unit);
  return markup`<tr role="row"><th scope="row" role="rowheader">${title}${remark}<code class="id">${id}</code></th>
<td role="cell" data-label="Value" class="value">${told}</td>
<td role="cell" data-label="Interval and cases">${intervalAndCases(finding)}</td>${controls ? markup`
<td role="cell" data-label="Read beside">${controlList(finding)}</td>` : NOTHING}${published ? markup`
<td role="cell" data-label="Published, of another model">${publishedCell(finding.published, unit)}</td>` : NOTHING}</tr>`; // oxfmt-ignore
}

function intervalAndCases({ interval, n, unit }: Finding): Markup {
  const cases = n === undefined ? NOTHING : markup`<span class="note">n = ${number(n)}</span>`;
  return interval ? markup`${intervalOf(interval, unit)}${cases}` : n === undefined ? markup`<span class="none">none</span>` : cases;
}

function intervalOf({ low, high, level, method }: FindingInterval, unit: string): Markup {
  const how = method === "range" ? METHODS.range : `${Number((level * 100).toPrecision(6))} %, ${METHODS[method]}`;
  return markup`${number(low, unit)} to ${number(high, unit)} <span class="note">${how}</span>`;
}

function controlList({ controls = [], unit }: Finding): Markup {
  if (controls.length === 0) return markup`<span class="none">nothing</span>`;
  return markup`<ul>${controls.map((control) => markup`<li>${control.name}: ${controlValue(control, unit)}</li>`)}</ul>`;
}

function controlValue({ value, interval }: Control, unit: string): Markup {
  return interval
    ? markup`<strong>${number(value, unit)}</strong> (${intervalOf(interval, unit)})`
    : markup`<strong>${number(value, unit)}</strong>`;
}

function publishedCell(published: Published | undefined, unit: string): Markup {
  if (!published) return markup`<span class="none">nothing</span>`;
  const { value, source, differs } = published;
  return markup`<strong>${quantity(value, unit)}</strong> <span class="note">${source}</span><span class="note">Protocol: ${differs}</span>`;
}
