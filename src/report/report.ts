/**
 * @file `report.html`: a run for readers, as one file that loads nothing and runs no script. What was found comes first, then each step, then everything
 * that the run depends on.
 */
import type { Finding } from "../store/finding.js";
import { findingsView } from "./findings-view.js";
import { makingView } from "./making-view.js";
import { joined, markup, trusted, type Markup } from "./markup.js";
import type { ReportedRun } from "./reported-run.js";
import { stepView } from "./step-view.js";
import { STYLE } from "./style.js";

/** The most findings on top; the steps have them all. */
const MOST_KEY = 40;
/** Nothing is loaded from anywhere, and no script is run, whatever a page says. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/** The report of a whole run as an HTML document. */
export function renderReport(run: ReportedRun): string {
  const { about, steps } = run;
  const contents = steps.map(({ title }, i) => markup`<li><a href="#step-${i + 1}">${title}</a></li>`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
${markup`<title>${about.title}</title>`.html}
<style>${STYLE}</style>
</head>
${body(run, contents).html}
</html>
`;
}

function body(run: ReportedRun, contents: readonly Markup[]): Markup {
  const { about, manifest } = run;
  return markup`<body>
<a class="skip" href="#found">Skip to what was found</a>
<header>
<h1>${about.title}</h1>
<p class="question">${about.question}</p>
<p class="note">After ${about.source}. Run on ${modelsOf(run)}, finished <time datetime="${manifest.finished}">${manifest.finished}</time>.</p>
</header>
<nav aria-label="Contents">
<ul><li><a href="#found">What was found</a></li><li><a href="#key">Key findings</a></li><li><a href="#steps">Steps</a><ol>${contents}</ol></li><li><a href="#making">How it was made</a></li></ul>
</nav>
<main>
<section aria-labelledby="found">
<h2 id="found">What was found</h2>
${summary(about.summary)}
</section>
<section aria-labelledby="key">
<h2 id="key">Key findings</h2>
${keyFindings(run)}
</section>
<section aria-labelledby="steps">
<h2 id="steps">Steps, in order</h2>
${stepsOf(run)}
</section>
<section aria-labelledby="making">
<h2 id="making">How it was made</h2>
${makingView(run)}
</section>
</main>
<footer><p>Written by Sextant ${manifest.engine.sextant} from the files of the run. Exact values are in the tooltips of rounded numbers, and in the files.</p></footer>
</body>`;
}

function summary(sentences: readonly string[]): Markup {
  return sentences.length === 0
    ? trusted("<p>Nothing was found.</p>")
    : markup`<ul>${sentences.map((line) => markup`<li>${line}</li>`)}</ul>`;
}

function modelsOf({ manifest }: ReportedRun): Markup {
  const models = Object.values(manifest.models).map(({ id }) => markup`<code>${id}</code>`);
  return markup`${models.map((model, i) => (i === 0 ? model : markup`, ${model}`))}`;
}

function keyFindings({ about, steps }: ReportedRun): Markup {
  const all = steps.flatMap(({ findings }) => findings);
  const chosen = chooseKey(all, about.key);
  if (chosen.length === 0) return trusted("<p>No step left a finding.</p>");
  const more = chosen.length > MOST_KEY ? markup`<p class="note">${chosen.length - MOST_KEY} more stand at their steps.</p>` : undefined;
  return markup`${findingsView(chosen.slice(0, MOST_KEY), "The findings that the answer rests on")}${more}`;
}

function chooseKey(all: readonly Finding[], key: readonly string[] | undefined): readonly Finding[] {
  if (key) return key.flatMap((id) => all.filter((finding) => finding.id === id));
  const telling = all.filter(({ published, controls }) => published ?? controls?.length);
  return telling.length > 0 ? telling : all;
}

function stepsOf({ steps, manifest }: ReportedRun): Markup {
  let figures = 0;
  return joined(
    steps.map((step, i) => {
      const files = manifest.steps.find(({ name }) => name === step.name)?.files ?? [];
      const placed = { step, number: i + 1, firstFigure: figures + 1, files };
      figures += step.figures.length;
      return stepView(placed);
    }),
  );
}
