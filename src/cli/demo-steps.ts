/** @file The words of the tour: each step is a function of what was measured, and says nothing that was not. */
import type { HeadEffect, HeadPlace, ScoredHead } from "../analyses/heads.js";
import type { LensRow } from "../analyses/lens.js";
import type { TokenStanding } from "../analyses/probabilities.js";
import { table, type TableCell } from "../charts/terminal.js";
import type { ModelSpec } from "../models/spec.js";
import { headName, lensTable, patternText, scoreTable, shown, type Look } from "./tables.js";
import { counted, percent } from "./wording.js";

/** What every step may speak of. */
export interface Tour extends Look {
  /** How this program is called. */
  readonly program: string;
  readonly model: string;
  readonly spec: ModelSpec;
  readonly tokens: readonly number[];
  /** The option that gives the prompt, and its value. */
  readonly prompt: readonly [string, string];
}

const SHOWN_HEADS = 8;
const SHOWN_LAYERS = 16;
/** A score from which on a head is said to do a thing. */
const CLEAR = 0.3;
/** A change of log-probability, in nats, from which on a head is said to matter. */
const MATTERS = 0.1;
/** A share of its probability below which little of an answer is left. */
const REMAINS = 0.2;

/** The head whose absence costs the answer most. */
export function mostImportant(effects: readonly HeadEffect[]): HeadEffect {
  return effects.toSorted((a, b) => a.change - b.change)[0]!;
}

/** Which model and prompt. */
export function openingStep(tour: Tour): string {
  const { model, spec, tokens } = tour;
  const heads = spec.layers.reduce((sum, { attention }) => sum + attention.heads, 0);
  const text = tokens.map((token) => shown({ token }, tour)).join(" ");
  return step(
    `${model}: ${spec.family}, ${counted(spec.layers.length, "layer")}, ${counted(heads, "head")}`,
    `The prompt has ${counted(tokens.length, "token")}: ${text}`,
  );
}

/** What the model says next. */
export function answerStep(top: readonly TokenStanding[], tour: Tour): string {
  const answer = top[0]!;
  return step(
    "1. The answer",
    `The most probable next token is ${quoted(answer, tour)}, with ${percent(answer.probability)}.`,
    "",
    standings(top, tour),
  );
}

/** By which layer the answer can be read from the residual stream. */
export function lensStep(row: LensRow, tour: Tour): string {
  const last = row.layers.map(({ layer, cells }) => ({ layer, target: cells.at(-1)!.target! }));
  const firstOf = last.findIndex((_, i) => last.slice(i).every(({ target }) => target.rank === 1));
  const { layer, target } = last[Math.max(0, firstOf)]!;
  const before = last[firstOf - 1];
  const earlier = before ? `; a layer earlier it has ${percent(before.target.probability)} and rank ${before.target.rank}` : "";
  const says = `Read through the last norm and the unembedding, the stream after layer ${layer} already says ${quoted(target, tour)} (${percent(target.probability)})${earlier}.`;
  return step("2. The logit lens: what each layer would answer", says, "", lensTable({ ...row, layers: spread(row.layers) }, tour));
}

/** Where heads look, and the pattern of the one that does so most clearly. */
export function attentionStep(heads: readonly ScoredHead[], tour: Tour): string {
  const some = heads.length <= 2 * SHOWN_HEADS ? heads : clearest(heads);
  const previous = best(heads, ({ scores }) => scores.previous);
  const induction = best(heads, ({ scores }) => scores.induction ?? 0);
  const drawn = (induction.scores.induction ?? 0) >= CLEAR ? induction : previous;
  const says = [
    `${capital(headName(previous))} gives ${percent(previous.scores.previous)} of its attention to the token before.`,
    inductionSentence(induction),
  ];
  return step(
    "3. Attention: where heads look",
    says.join(" "),
    "",
    ...(some.length < heads.length ? [`the ${some.length} clearest of ${heads.length} heads`] : []),
    scoreTable(some, tour),
    "",
    `${headName(drawn)}: queries down, keys across`,
    patternText(drawn.pattern, tour.tokens.map(tour.name), tour),
  );
}

/** Half of the shown heads by their previous-token score, half by their induction score; in layer order. */
function clearest(heads: readonly ScoredHead[]): ScoredHead[] {
  const by = (score: (head: ScoredHead) => number): ScoredHead[] => heads.toSorted((a, b) => score(b) - score(a)).slice(0, SHOWN_HEADS / 2);
  const chosen = new Set([...by(({ scores }) => scores.previous), ...by(({ scores }) => scores.induction ?? 0)]);
  return heads.filter((head) => chosen.has(head));
}

function inductionSentence(head: ScoredHead): string {
  const { induction } = head.scores;
  if (induction === undefined) return "No token of the prompt occurs twice, so there is nothing to do induction on.";
  const verdict = induction >= CLEAR ? "which is induction" : "too little to call it induction";
  return `${capital(headName(head))} gives ${percent(induction)} to what followed the same token earlier, ${verdict}.`;
}

/** How much the answer needs each head. */
export function ablationStep(before: TokenStanding, effects: readonly HeadEffect[], tour: Tour): string {
  const ranked = effects.toSorted((a, b) => a.change - b.change);
  const needed = ranked.filter(({ change }) => change < -MATTERS);
  const rows = ranked
    .slice(0, SHOWN_HEADS)
    .map(({ layer, head, after, change }): TableCell[] => [
      { text: `${layer}.${head}` },
      { text: signed(change) },
      { text: percent(after.probability), share: after.probability },
      { text: String(after.rank) },
    ]);
  const verdict =
    needed.length === 0
      ? `None of them alone lowers the log-probability of ${quoted(before, tour)} by ${MATTERS} nats.`
      : `The log-probability of ${quoted(before, tour)} falls by more than ${MATTERS} nats without ${needed.length} of them, most without ${headName(ranked[0]!)}.`;
  const says = `Each of the ${counted(effects.length, "head")} is switched off in turn (its output set to 0). ${verdict}`;
  return step(
    "4. Without each head: what the answer depends on",
    says,
    "",
    table(rows, { ...tour, header: ["head", "change (nats)", "probability", "rank"] }),
  );
}

/** The answer with and without the most important head. */
export function switchStep(
  { before, after, off }: { before: readonly TokenStanding[]; after: readonly TokenStanding[]; off: HeadEffect },
  tour: Tour,
): string {
  const answer = before[0]!;
  const fell = `${quoted(answer, tour)} goes from ${percent(answer.probability)} to ${percent(off.after.probability)} (rank ${off.after.rank})`;
  const verdict = verdictOf(off, { before: answer, now: after[0]! }, tour);
  const rows = before.map((standing, i) => [...pair(standing, tour), ...pair(after[i]!, tour)]);
  const align = ["left", "right", "left", "right"] as const;
  return step(
    `5. Without ${headName(off)}`,
    `${fell}. ${verdict}`,
    "",
    table(rows, { ...tour, header: ["before", "", "after", ""], align }),
  );
}

function verdictOf({ after, change }: HeadEffect, { before, now }: { before: TokenStanding; now: TokenStanding }, tour: Tour): string {
  const instead = `the model now says ${quoted(now, tour)}, with ${percent(now.probability)}`;
  if (after.rank > 1)
    return after.probability < before.probability * REMAINS ? `The behaviour is gone: ${instead}.` : `${capital(instead)}.`;
  if (after.probability < before.probability * REMAINS) return "Little of the behaviour is left, though nothing else comes before it.";
  if (change < -MATTERS) return "The answer is weaker but still first: other parts of the model support it too.";
  return "No single head carries this answer: it comes from several together, or from the MLPs.";
}

/** What to try next. */
export function nextStep(off: HeadPlace, { program, model, prompt }: Tour): string {
  const run = (command: string, options: string): string =>
    `${program} ${command} ${shellWord(model)} ${prompt.map(shellWord).join(" ")} ${options}`;
  return step(
    "Try next",
    run("attend", `--layer ${off.layer} --head ${off.head} --svg head.svg`),
    run("lens", "--top 3 --positions -1"),
    run("read", "--points 'resid_post.*,pattern.*' --out run.safetensors"),
    run("generate", "--max-new 10"),
    `${program} demo MODEL, the same tour on a model of yours`,
  );
}

function step(title: string, ...lines: readonly string[]): string {
  return `${[title, "", ...lines].join("\n")}\n\n`;
}

function standings(top: readonly TokenStanding[], tour: Tour): string {
  return table(
    top.map((standing) => pair(standing, tour)),
    { ...tour, header: ["token", "probability"] },
  );
}

function pair(standing: TokenStanding, look: Look): TableCell[] {
  const { probability } = standing;
  return [{ text: shown(standing, look) }, { text: percent(probability), share: probability }];
}

/** At most `SHOWN_LAYERS` of the layers, evenly, the last one included. */
function spread<T>(layers: readonly T[]): T[] {
  const stride = Math.ceil(layers.length / SHOWN_LAYERS);
  return layers.filter((_, i) => (layers.length - 1 - i) % stride === 0);
}

function best(heads: readonly ScoredHead[], score: (head: ScoredHead) => number): ScoredHead {
  return heads.reduce((a, b) => (score(b) > score(a) ? b : a));
}

function quoted(standing: TokenStanding, look: Look): string {
  return `“${shown(standing, look)}”`;
}

function signed(value: number): string {
  const digits = Math.abs(value).toFixed(2);
  if (Number(digits) === 0) return digits;
  return `${value > 0 ? "+" : "−"}${digits}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function shellWord(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
