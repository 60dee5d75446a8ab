/** @file The card of a trained CountDown model: how it was made, with which command and seed, and what it can and cannot do. */
import type { ShareInterval } from "../../base/wilson.js";
import type { TraceReport } from "../../tasks/countdown/report.js";
import { isSum, taskOptions } from "../../tasks/countdown/task.js";
import { wrongLimit, type TraceOptions } from "../../tasks/countdown/trace.js";
import type { CountdownRecipe } from "./recipe.js";

export interface CardFacts {
  readonly recipe: CountdownRecipe;
  readonly command: string;
  /** Version of Sextant, and the machine. */
  readonly made: string;
  readonly imitated: TraceReport;
  readonly rewarded: TraceReport;
  readonly parameters: number;
  /** One search as it was written. */
  readonly example: string;
}

/** The card as Markdown. */
export function cardOf({ recipe, command, made, imitated, rewarded, parameters, example }: CardFacts): string {
  const { task, imitation, reward, seed } = recipe;
  const { operators, largestNumber, largestTarget } = taskOptions(task);
  const row = (name: string, read: (report: TraceReport) => ShareInterval | undefined): string =>
    `| ${name} | ${[imitated, rewarded].map((report) => shareText(read(report))).join(" | ")} |`;
  return `# CountDown

A small model that searches: it joins numbers with ${operators.join(" ")} until they make a target, and says of each attempt whether it works. It exists to have
its self-verification taken apart, after Lee et al. 2025 (arXiv 2504.14379), and is good for nothing else.

Llama's architecture, ${parameters.toLocaleString("en")} parameters in float32, ${recipe.model.layers} layers, d_model ${recipe.model.dModel}, ${recipe.model.heads} heads, gated MLPs of
${recipe.model.dMlp} units, tied embeddings. Digits are single tokens, and \` (\` stands as a token of its own in front of each verdict.

\`\`\`text
${example.trimEnd()}
\`\`\`

## How it was made

\`\`\`sh
${command}
\`\`\`

Seed ${seed}. ${made}

1. ${imitation.steps} steps on ${imitation.rows} rows each (AdamW, peak ${imitation.peak}, cosine). Rows are written searches: ${countsText(task)} of 1 to ${largestNumber}, targets of 1 to ${largestTarget},
   ${wrongText(task)}.${drillsText(imitation)} All are made from the seed; none of a held-out task (one in sixteen, by a hash of numbers
   and target) is among them.
2. ${reward.steps} steps on its own searches (GRPO, ${reward.prompts} tasks × ${reward.group} searches, rate ${reward.rate}, divergence ${reward.kl}): 1 for a right answer in the format, 0.1 for the format alone.

\`curves.svg\` and \`reward.svg\` show both parts, \`training.json\` has every number.

## What it does

Greedy searches on ${rewarded.solved?.n ?? 0} held-out tasks, no two alike, with 95 % intervals (Wilson).

| | after imitation | after reward |
|---|---|---|
${row("answer right", ({ solved }) => solved)}
${row("says that it found none", ({ givenUp }) => givenUp)}
${row("in the format", ({ inFormat }) => inFormat)}
${row("values calculated right", ({ arithmetic }) => arithmetic)}
${row("their sign and first digit right", ({ firstDigit }) => firstDigit)}
${row("value written is the target, called right", ({ byClaimed }) => byClaimed.hits)}
${row("value written is not the target, called wrong", ({ byClaimed }) => byClaimed.misses)}
${row("attempt does reach the target, called right", ({ byTrue }) => byTrue.hits)}
${row("attempt does not reach the target, called wrong", ({ byTrue }) => byTrue.misses)}

Two things are called verification here: of the value that the model itself wrote, and of the attempt. They can part only where it has calculated wrong.

## Licence

The same as Sextant's. No data of others went into it.
`;
}

/** How many numbers tasks have, and the operators drawn for them. A count that comes twice in the list is drawn twice as often. */
function countsText(task: TraceOptions): string {
  const { counts, operators, sums } = taskOptions(task);
  const distinct = [...new Set(counts)];
  const uses = distinct.map((count) => counts.filter((one) => one === count).length);
  const isEven = uses.every((use) => use === uses[0]);
  const weights = isEven ? [] : distinct.slice(0, -1).map((count, i) => `${count} in ${uses[i]} of ${counts.length} draws`);
  const [added, others] = [operators.filter(isSum), operators.filter((one) => !isSum(one))].map((some) => some.join(" and "));
  const drawn = added && others && sums > 1 ? [`${added} drawn ${sums} times as often as ${others}`] : [];
  const notes = [...weights, ...drawn];
  return `${distinct.join(" or ")} numbers${notes.length > 0 ? ` (${notes.join(", ")})` : ""}`;
}

function wrongText(task: TraceOptions): string {
  const before = `up to ${wrongLimit(task)} wrong attempts before the right one`;
  const chance = task.hit === undefined ? "all counts as likely" : `which comes next with chance ${task.hit} until there are so many`;
  const end = task.givesUp ? `; a search that has ${wrongLimit(task)} ends without a solution, \`answer none\`` : "";
  const order = task.orderly
    ? `; ${percentText(task.orderly)} of the wrong ones follow from the one before: + and - count up, then the first number goes to the end`
    : "";
  return `${before}, ${chance}${order}${end}`;
}

function percentText(share: number): string {
  return `${Number((100 * share).toFixed(1))} %`;
}

function drillsText({ drills, examples }: CountdownRecipe["imitation"]): string {
  const practice = `About ${percentText(drills)} are practice instead: attempts without a search, of which only values and verdicts count in the loss.`;
  const shown = `About ${percentText(examples)} of the searches stand behind a worked example of another task.`;
  return [...(drills > 0 ? [practice] : []), ...(examples > 0 ? [shown] : [])].map((sentence) => ` ${sentence}`).join("");
}

function shareText(interval: ShareInterval | undefined): string {
  if (!interval) return "–";
  const percent = (share: number): string => (100 * share).toFixed(1);
  return `${percent(interval.share)} % (${percent(interval.low)}–${percent(interval.high)}, n = ${interval.n})`;
}
