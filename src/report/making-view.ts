/** @file How a run was made: models and their hashes, versions, seed, machine, time and memory of each step, all settings, commands, files. */
import type { ModelRecord, RunFile, RunManifest, StepRecord } from "../store/manifest.js";
import { bytes, duration, number } from "./cells.js";
import { fileLink } from "./file-link.js";
import { joined, lines, markup, type Markup } from "./markup.js";
import type { ReportedRun } from "./reported-run.js";
import { scrolling } from "./table-view.js";

/** The last part of the report, headed at level 3. */
export function makingView({ manifest, command }: ReportedRun): Markup {
  return markup`<h3>Again, and checked</h3>
<p>Run it again:</p>
<pre tabindex="0"><code>${lines(command)}</code></pre>
<p>Check it, where RUN is the folder of this report:</p>
<pre tabindex="0"><code>sextant verify RUN</code></pre>
<h3>Models</h3>
${joined(Object.entries(manifest.models).map(([role, model]) => modelView(role, model, manifest.tokenizers[role])))}
<h3>Engine, seed and machine</h3>
${circumstances(manifest)}
<h3>Time and memory of the steps</h3>
${stepsTable(manifest.steps)}
<h3>Parameters</h3>
<pre tabindex="0"><code>${lines(JSON.stringify(manifest.parameters, null, 2))}</code></pre>
<h3>Files</h3>
${filesTable("Files of the run, by their paths in its folder", [...manifest.steps.flatMap(({ files }) => files), ...manifest.files], fileLink)}`;
}

type Fact = readonly [name: string, value: Markup];

function factList(facts: readonly Fact[]): Markup {
  return markup`<dl>${facts.map(([name, value]) => markup`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function modelView(role: string, { id, path, revision, family, parameters, files }: ModelRecord, tokenizer: string | undefined): Markup {
  const facts: Fact[] = [
    ["Role", markup`${role}`],
    ["Name", markup`<code>${id}</code>`],
    ["Revision", revision === null ? markup`not known` : markup`<code>${revision}</code>`],
    ["Family", markup`${family}`],
    ["Parameters", number(parameters)],
    ["Folder", markup`<code>${path}</code>`],
    ["SHA-256 of the tokenizer", tokenizer === undefined ? markup`not known` : markup`<code>${tokenizer}</code>`],
  ];
  return markup`${factList(facts)}
${filesTable(`Files of the model ${id}`, files, (file) => markup`<code>${file}</code>`)}`;
}

function circumstances({ engine, seed, machine, started, finished, resumed, study, studyVersion }: RunManifest): Markup {
  return factList([
    ["Study", markup`${study}, version ${studyVersion}`],
    ["Sextant", markup`${engine.sextant}`],
    ["ONNX Runtime", markup`${engine.runtime}`],
    ["Node", markup`${engine.node}`],
    ["Numbers", markup`${engine.dtype}`],
    ["Computed on", markup`${engine.device ?? "cpu"}`],
    ["Seed", markup`${seed}`],
    ["Machine", markup`${machine.cpu}, ${machine.cores} cores, ${bytes(machine.memory)} of memory, ${machine.platform} ${machine.arch}`],
    ["Started", markup`<time datetime="${started}">${started}</time>`],
    ["Finished", markup`<time datetime="${finished}">${finished}</time>`],
    ["Taken up after a stop", markup`${resumed === 0 ? "never" : resumed === 1 ? "once" : `${resumed} times`}`],
  ]);
}

function stepsTable(steps: readonly StepRecord[]): Markup {
  const total = steps.reduce((sum, { ms }) => sum + ms, 0);
  const rows = steps.map(
    ({ title, ms, peakMemory, skipped }) =>
      markup`<tr><th scope="row">${title}${skipped === undefined ? "" : " (skipped)"}</th><td class="double">${duration(ms)}</td><td class="double">${bytes(peakMemory)}</td></tr>`,
  );
  return scrolling(
    "Time and memory of the steps",
    markup`<table>
<caption>Time of each step, and the most memory that the process had up to its end</caption>
<thead><tr><th scope="col">Step</th><th scope="col" class="double">Time</th><th scope="col" class="double">Peak memory</th></tr></thead>
<tbody>
${joined(rows)}
<tr><th scope="row">All steps</th><td class="double">${duration(total)}</td><td></td></tr>
</tbody>
</table>`,
  );
}

function filesTable(caption: string, files: readonly RunFile[], pathOf: (path: string) => Markup): Markup {
  const rows = files.map(
    ({ path, bytes: size, sha256 }) =>
      markup`<tr><th scope="row">${pathOf(path)}</th><td class="double">${bytes(size)}</td><td><code class="hash">${sha256}</code></td></tr>`,
  );
  return markup`<details><summary>${caption} (${files.length})</summary>${scrolling(
    caption,
    markup`<table>
<caption>${caption}</caption>
<thead><tr><th scope="col">Path</th><th scope="col" class="double">Size</th><th scope="col">SHA-256</th></tr></thead>
<tbody>
${joined(rows)}
</tbody>
</table>`,
  )}</details>`;
}
