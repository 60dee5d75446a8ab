/** @file The right attempts that ablations go on from: the search up to the result, without the bracket. */
import type { CaseState, SearchesState } from "./state.js";

/**
 * The first right judgement of each search, at most `most`: the model wrote a result that is the target and called it right. Tokens end with the result's last
 * digit (`run_qwen_exp.py` of the released code: `response[:this_timestep]`).
 */
export function rightAttempts({ searches, steps }: SearchesState, most: number): CaseState[] {
  const seen = new Set<number>();
  const cases: CaseState[] = [];
  for (const { search, label, claimIsTarget, open } of steps) {
    if (cases.length >= most) break;
    if (label !== 1 || !claimIsTarget || seen.has(search)) continue;
    seen.add(search);
    cases.push({ search, tokens: searches[search]!.tokens.slice(0, open) });
  }
  return cases;
}
