/** @file Step 1: the model searches, and the moments at which it judges an attempt are found. */
import { seedFrom } from "../../../base/draws.js";
import { refuse, SextantError } from "../../../base/errors.js";
import { isJsonObject, parseJson, type JsonObject } from "../../../formats/json.js";
import { readText } from "../../../formats/json-file.js";
import type { Tokenizer } from "../../../formats/tokenizer.js";
import { tableOf, type Table } from "../../../store/table.js";
import { groupedShareFinding, numberFinding, shareFinding } from "../../finding-of.js";
import type { Step, StepContext } from "../../study.js";
import type { Finding } from "../../../store/finding.js";
import { rightAttempts } from "../cases.js";
import { formatNamed } from "../formats/table.js";
import type { VerificationFormat } from "../format.js";
import { stepsToProbe } from "../judged.js";
import type { SelfVerificationParameters } from "../parameters.js";
import type { SearchesState, SearchState, StepState } from "../state.js";
import { findTimeSteps, wordIds, type WordIds } from "../time-steps.js";
import { verdictsOf } from "../verdicts.js";
import { encodePrompt, searchLines, writeSearches, type Written } from "../write-searches.js";

type Context = StepContext<SelfVerificationParameters>;

export const searchesStep: Step<SelfVerificationParameters> = {
  name: "searches",
  title: "Searches, and the moments of judgement",
  about:
    "The model is asked to solve tasks and writes its searches greedily. A moment of judgement is the bracket in front of each verdict: the word behind it says what the model holds of the attempt. All later steps look at these moments.",
  async run(context) {
    const format = formatNamed(context.parameters.format);
    const { tokenizer } = context.subject;
    const words = wordIds(tokenizer, format.words);
    const stopTokens = [...tokenizer.eosIds];
    const written = await searchesOf(context, format, stopTokens);
    const searches: SearchState[] = written.map(({ tokens, asked, prompt }) => ({
      tokens,
      asked: asked.length,
      target: prompt.task.target,
      numbers: prompt.task.numbers,
    }));
    const steps = written.flatMap((one, search) => stepsOf(one, search, words, tokenizer));
    const state: SearchesState = { searches, steps, words, stopTokens };
    checkJudgements(state, format, context.parameters);
    return {
      findings: findingsOf({ written, steps, format }, seedFrom(context.random("intervals"))),
      state: state as unknown as JsonObject,
      tables: [stepTable(steps)],
      generations: { searches: searchLines(written) },
      notes: notesOf(context.parameters),
    };
  },
};

/** Refuses searches that later steps could do nothing with, before they begin. */
function checkJudgements(
  state: SearchesState,
  { name }: VerificationFormat,
  { probe, searches: { bothVerdicts } }: SelfVerificationParameters,
): void {
  const { searches, steps } = state;
  const what = `cannot study the judgements of ${searches.length} searches`;
  const instead = `ask more with searches.prompts, or check that the model writes the format ${name}`;
  if (new Set(steps.map(({ label }) => label)).size < 2)
    throw refuse({ what, why: `there are ${steps.length} and not both verdicts among them`, instead }, "request");
  if (stepsToProbe(state, { most: probe.most, bothVerdicts }).length === 0)
    throw refuse({ what, why: "no search has both verdicts", instead: `${instead}, or set searches.bothVerdicts to false` }, "request");
  if (rightAttempts(state, 1).length === 0)
    throw refuse({ what, why: "none calls a result right that is the target, so there is nothing to switch off", instead }, "request");
}

function notesOf({ searches: { file, examples } }: SelfVerificationParameters): string[] {
  return [
    ...(file === null ? [] : [`The searches were not written for this run, they come from ${file}.`]),
    ...(examples > 0 ? [`${examples} worked examples stand in front of each task.`] : []),
  ];
}

async function searchesOf(context: Context, format: VerificationFormat, stopTokens: readonly number[]): Promise<Written[]> {
  const { searches } = context.parameters;
  const { tokenizer } = context.subject;
  if (searches.file !== null) return readSearches(searches.file, tokenizer, format);
  const seed = seedFrom(context.random("tasks"));
  const prompts = format.prompts(searches.prompts, seed, { examples: searches.examples });
  return writeSearches(context, { prompts, format, stopTokens });
}

/** Searches of a file, each line with `prompt`, `response`, `numbers` and `target`. */
function readSearches(path: string, tokenizer: Tokenizer, format: VerificationFormat): Written[] {
  const lines = readText(path, { maxBytes: 2 ** 28 }).split("\n");
  return lines.flatMap((line, index) => {
    if (line.trim() === "") return [];
    const { prompt, response, numbers, target } = searchLine(line, `${path}:${index + 1}`);
    const asked = encodePrompt(tokenizer, prompt, format);
    const own = tokenizer.encode(response, { addSpecialTokens: false }).ids;
    return [{ prompt: { text: prompt, task: { numbers, target } }, response, asked, tokens: [...asked, ...own], finish: "file" }];
  });
}

function searchLine(line: string, where: string): { prompt: string; response: string; numbers: number[]; target: number } {
  const value = parseJson(line, where);
  const { prompt, response, numbers, target } = isJsonObject(value) ? value : {};
  const isTask = Array.isArray(numbers) && numbers.every((one) => Number.isInteger(one)) && Number.isInteger(target);
  if (typeof prompt === "string" && typeof response === "string" && isTask)
    return { prompt, response, numbers: numbers as number[], target: target as number };
  throw new SextantError("format", `${where}: a search needs "prompt", "response", "numbers" and "target"`);
}

function stepsOf({ tokens, asked, prompt }: Written, search: number, words: WordIds, tokenizer: Tokenizer): StepState[] {
  return findTimeSteps(tokens, words, { from: asked.length, tokenizer }).map((step) => {
    // Of the text up to this judgement the last: a verdict that is spelled with other tokens has no step, and moves no later one.
    const text = tokenizer.decode(tokens.slice(asked.length, step.open + 2), { skipSpecialTokens: true });
    const verdict = verdictsOf(text, prompt.task).at(-1);
    return { search, ...step, claimIsTarget: verdict?.claimIsTarget ?? false, isRight: verdict?.isRight ?? null };
  });
}

interface Found {
  readonly written: readonly Written[];
  readonly steps: readonly StepState[];
  readonly format: VerificationFormat;
}

function findingsOf({ written, steps, format }: Found, seed: number): Finding[] {
  const judged = written.map(({ prompt, response }) => format.judge(prompt.task, response));
  const n = written.length;
  const count = (test: (step: StepState) => boolean): number => steps.filter(test).length;
  const judgements = (of: readonly StepState[], isHit: (step: StepState) => boolean) => ({
    hits: of.map(isHit),
    groups: of.map(({ search }) => search),
    seed,
  });
  const known = steps.filter(({ isRight }) => isRight !== null);
  return [
    shareFinding("searches.in_format", "searches that keep to the format to their end", {
      hits: judged.filter(({ inFormat }) => inFormat).length,
      n,
    }),
    shareFinding("searches.solved", "searches whose answer is right", { hits: judged.filter(({ solved }) => solved).length, n }),
    numberFinding("searches.judgements_valid", "judgements `this works`", {
      value: count(({ label }) => label === 1),
      unit: "judgements",
      n,
    }),
    numberFinding("searches.judgements_invalid", "judgements `not`", { value: count(({ label }) => label === 0), unit: "judgements", n }),
    groupedShareFinding(
      "searches.verdict_by_claim",
      "verdicts that agree with the value written in front of them",
      judgements(steps, ({ label, claimIsTarget }) => (label === 1) === claimIsTarget),
    ),
    groupedShareFinding("searches.verdict_by_truth", "verdicts that are true of the attempt itself", {
      ...judgements(known, ({ label, isRight }) => (label === 1) === isRight),
      note: "a model that calculates wrong may judge rightly what it wrote and wrongly what is so",
    }),
  ];
}

function stepTable(steps: readonly StepState[]): Table {
  return tableOf(
    { name: "judgements", title: "Every judgement, by positions in the tokens of its search" },
    [
      { name: "search", type: "int" },
      { name: "attempt", type: "int" },
      { name: "verdict", type: "text" },
      { name: "open", type: "int", unit: "position" },
      { name: "last_digit", type: "int", unit: "position" },
      { name: "equals", type: "int", unit: "position" },
      { name: "start", type: "int", unit: "position" },
      { name: "claim_is_target", type: "boolean" },
      { name: "is_right", type: "boolean" },
    ],
    steps.map((step) => ({
      search: step.search,
      attempt: step.attempt,
      verdict: step.label === 1 ? "this" : "not",
      open: step.open,
      last_digit: step.lastDigit,
      equals: step.equals,
      start: step.start,
      claim_is_target: step.claimIsTarget,
      is_right: step.isRight,
    })),
  );
}
