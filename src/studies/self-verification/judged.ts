/** @file The judgements that a run looks at, as rows and positions. */
import type { Site } from "../../analyses/collect.js";
import type { SearchesState, StepState } from "./state.js";

/** The positions of a judgement that can be looked at. */
export type Moment = "start" | "equals" | "lastDigit" | "open";

export const MOMENTS: readonly (readonly [moment: Moment, meaning: string])[] = [
  ["start", "first token of the attempt"],
  ["equals", "sign of equality"],
  ["lastDigit", "last digit of the result"],
  ["open", "bracket in front of the verdict"],
];

/** Indices of the judgements to probe: of searches with both verdicts where that is asked, at most `most`, evenly over searches. */
export function stepsToProbe(
  { steps, searches }: SearchesState,
  { most, bothVerdicts }: { most: number; bothVerdicts: boolean },
): number[] {
  const verdicts = searches.map(() => new Set<number>());
  for (const { search, label } of steps) verdicts[search]!.add(label);
  const usable = [...steps.keys()].filter((index) => !bothVerdicts || verdicts[steps[index]!.search]!.size === 2);
  const chosen = evenly(
    usable.map((index) => steps[index]!),
    most,
  );
  return chosen.map((place) => usable[place]!);
}

/** Indices of at most `most` of the judgements, ascending: of each search the first, then the second, and so on. */
export function evenly(steps: readonly Pick<StepState, "search">[], most: number): number[] {
  const turns = new Map<number, number>();
  const ranked = steps.map(({ search }, index) => {
    const turn = turns.get(search) ?? 0;
    turns.set(search, turn + 1);
    return { index, turn };
  });
  const chosen = ranked.toSorted((a, b) => a.turn - b.turn || a.index - b.index).slice(0, most);
  return chosen.map(({ index }) => index).toSorted((a, b) => a - b);
}

/** Where the moment of each judgement stands. */
export function sitesOf(steps: readonly StepState[], moment: Moment): Site[] {
  return steps.map((step) => ({ row: step.search, position: step[moment] }));
}

/** The tokens up to and with the bracket. */
export function prefixOf({ searches }: Pick<SearchesState, "searches">, { search, open }: StepState): readonly number[] {
  return searches[search]!.tokens.slice(0, open + 1);
}
