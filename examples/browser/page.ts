/** @file The page: what its fields and buttons do. The model is in `worker.ts`. */
import { filesByName } from "sextant/browser";
import { askWorker } from "./ask-worker.js";
import type { Event, ModelFacts, Source, Steering } from "./messages.js";

const { ask, stop } = askWorker(new Worker("worker.js", { type: "module" }));

/** Whether a task runs; buttons wait meanwhile. */
let isBusy = false;
let isLoaded = false;

function part<E extends HTMLElement>(id: string): E {
  const found = document.querySelector<E>(`#${id}`);
  if (found) return found;
  throw new Error(`the page has no #${id}`);
}

const [files, url, layer, strength] = [
  part<HTMLInputElement>("files"),
  part<HTMLInputElement>("url"),
  part<HTMLSelectElement>("layer"),
  part<HTMLInputElement>("strength"),
];

/** Runs one task at a time; what goes wrong is shown. */
async function busy(work: () => Promise<void>): Promise<void> {
  if (isBusy) return;
  isBusy = true;
  part("error").hidden = true;
  showState();
  try {
    await work();
  } catch (error) {
    const wasStopped = error instanceof Error && error.cause === "interrupted";
    if (!wasStopped) showError(error instanceof Error ? error.message : String(error));
  } finally {
    isBusy = false;
    part("progress").hidden = true;
    showState();
  }
}

function showState(): void {
  for (const button of document.querySelectorAll<HTMLButtonElement>("[data-needs-model]")) button.disabled = isBusy || !isLoaded;
  for (const input of [files, url]) input.disabled = isBusy;
  part<HTMLButtonElement>("stop").disabled = !isBusy;
  document.body.ariaBusy = String(isBusy);
}

function showError(message: string): void {
  part("error-text").textContent = message;
  part("error").hidden = false;
  part("error").scrollIntoView({ block: "nearest" });
}

function say(text: string): void {
  part("status-text").textContent = text;
}

function showProgress(event: Event): void {
  if (event.kind !== "progress") return;
  const bar = part<HTMLProgressElement>("progress");
  bar.hidden = false;
  bar.max = event.total;
  bar.value = event.done;
  say(
    event.stage === "sessions" ? `Making sessions: ${event.done} of ${event.total}` : `Fetching ${event.stage}: ${megabytes(event.done)}`,
  );
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function load(source: Source): Promise<void> {
  return busy(async () => {
    isLoaded = false;
    for (const id of ["facts", "lens", "written"]) part(id).hidden = true;
    say("Reading the files.");
    try {
      showFacts(await ask("load", source, showProgress));
      isLoaded = true;
    } catch (error) {
      say("No model is loaded.");
      throw error;
    }
  });
}

function showFacts({ layers, heads, dModel, vocabulary, context, bytes, ms }: ModelFacts): void {
  say(`Loaded in ${(ms / 1000).toFixed(1)} s.`);
  const facts = { layers, heads, width: dModel, tokens: vocabulary, context: context ?? "any length", weights: megabytes(bytes) };
  const entries = Object.entries(facts).map(([name, value]) => {
    const entry = document.createElement("div");
    const [term, detail] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    detail.textContent = String(value);
    entry.append(term, detail);
    return entry;
  });
  part("facts").replaceChildren(...entries);
  part("facts").hidden = false;
  layer.replaceChildren(...Array.from({ length: layers }, (_, i) => new Option(String(i), String(i), false, i === Math.floor(layers / 2))));
}

function valueOf(id: string): string {
  return part<HTMLInputElement>(id).value;
}

function showLens(): Promise<void> {
  return busy(async () => {
    const { svg } = await ask("lens", { text: valueOf("prompt") });
    part("lens").innerHTML = svg;
    part("lens").hidden = false;
  });
}

function writeBoth(): Promise<void> {
  return busy(async () => {
    const [text, maxNew] = [valueOf("prompt"), Number(valueOf("count"))];
    const steering: Steering = {
      towards: valueOf("towards"),
      from: valueOf("from"),
      layer: Number(layer.value),
      strength: Number(strength.value),
    };
    for (const id of ["plain", "steered"]) begin(part(id), text);
    part("written").hidden = false;
    const into = (id: string) => (event: Event) => {
      if (event.kind === "text") part(id).append(event.text);
    };
    await ask("generate", { text, maxNew }, into("plain"));
    await ask("generate", { text, maxNew, steering }, into("steered"));
  });
}

/** Shows the text that is given, and that what follows is written. */
function begin(place: HTMLElement, text: string): void {
  const given = document.createElement("span");
  given.className = "given";
  given.textContent = text;
  place.replaceChildren(given);
}

function onSubmit(id: string, work: () => Promise<void>): void {
  part<HTMLFormElement>(id).addEventListener("submit", (event) => {
    event.preventDefault();
    void work();
  });
}

function takeFiles(list: Iterable<File>): void {
  try {
    void load({ files: filesByName(list) });
  } catch (error) {
    showError(error instanceof Error ? error.message : String(error));
  }
}

function listenToDrops(): void {
  const drop = part("drop");
  const over = (isOver: boolean) => (event: DragEvent) => {
    event.preventDefault();
    drop.classList.toggle("over", isOver);
  };
  document.addEventListener("dragover", over(true));
  document.addEventListener("dragleave", over(false));
  document.addEventListener("drop", (event) => {
    over(false)(event);
    if (event.dataTransfer && event.dataTransfer.files.length > 0) takeFiles(event.dataTransfer.files);
  });
}

function showStrength(): void {
  part("strength-value").textContent = strength.value;
}

/** Models that the server of this page has, to choose from, and a text to begin with. */
async function suggest(): Promise<void> {
  const answer = await fetch("models.json");
  const models = (await answer.json()) as readonly {
    readonly path: string;
    readonly prompt: string;
    readonly steer: readonly [string, string];
    readonly strength: number;
  }[];
  part("known").replaceChildren(...models.map(({ path }) => new Option(path, path)));
  const [first] = models;
  if (!first) return;
  url.value = first.path;
  const fields = { prompt: first.prompt, towards: first.steer[0], from: first.steer[1], strength: String(first.strength) };
  for (const [id, text] of Object.entries(fields)) part<HTMLInputElement>(id).value = text;
  showStrength();
}

files.addEventListener("change", () => takeFiles(files.files ?? []));
strength.addEventListener("input", showStrength);
part("stop").addEventListener("click", stop);
part("error-close").addEventListener("click", () => void (part("error").hidden = true));
onSubmit("fetch", () => load({ url: url.value }));
onSubmit("look", showLens);
onSubmit("steer", writeBoth);
listenToDrops();
showStrength();
showState();
await suggest();
