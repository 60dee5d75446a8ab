/** @file Random heads that do not look back, beside those that do. */
import { headsOf, isSameHead, type HeadPlace } from "../../analyses/heads.js";
import { shuffled } from "../../base/draws.js";
import type { Model } from "../../runtime/model.js";
import type { StepContext } from "../study.js";

/** What heads are drawn of, and how. */
export interface DrawRequest {
  /** Heads that are not drawn. */
  readonly looking: readonly HeadPlace[];
  /** Heads of a draw; fewer where not so many are left. */
  readonly count: number;
  readonly draws: number;
  /** What the draws are called, without their number. */
  readonly name: string;
}

/** Heads by draw; one draw where all that are left are taken, and none where nothing is. */
export function drawHeads(
  model: Pick<Model, "spec">,
  { looking, count, draws, name }: DrawRequest,
  random: StepContext<unknown>["random"],
): (readonly HeadPlace[])[] {
  const others = headsOf(model).filter((head) => !looking.some((own) => isSameHead(own, head)));
  const different = Math.min(count, others.length) === 0 ? 0 : count < others.length ? draws : 1;
  return Array.from({ length: different }, (_, i): readonly HeadPlace[] => shuffled(others, random(`${name}${i + 1}`)).slice(0, count));
}
