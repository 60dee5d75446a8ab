/** @file What steps of this study leave for later ones. */
import type { HeadPlace } from "../../analyses/heads.js";
import type { UnitPlace } from "../../analyses/mechanism/nearest-units.js";
import type { Outcome } from "./format.js";
import type { HeadOrder } from "./parameters.js";

/** A search: what was asked and what was written, as tokens. */
export interface SearchState {
  readonly tokens: readonly number[];
  /** Tokens of what was asked. */
  readonly asked: number;
  readonly target: number;
  readonly numbers: readonly number[];
}

/** A judgement within a search, by positions in its tokens. */
export interface StepState {
  readonly search: number;
  /** 0: `not`, 1: `this`. */
  readonly label: 0 | 1;
  /** Which attempt of the search, from 0. */
  readonly attempt: number;
  /** The token in front of the judgement. */
  readonly open: number;
  /** The result's last digit. */
  readonly lastDigit: number;
  /** The sign of equality. */
  readonly equals: number;
  /** The first token of the attempt. */
  readonly start: number;
  /** Whether the value that was written is the target. */
  readonly claimIsTarget: boolean;
  /** Whether the attempt does reach it; null where it is no calculation. */
  readonly isRight: boolean | null;
}

export interface SearchesState {
  readonly searches: readonly SearchState[];
  readonly steps: readonly StepState[];
  readonly words: { readonly open: number; readonly valid: number; readonly invalid: number };
  readonly stopTokens: readonly number[];
}

export interface ProbeState {
  /** Indices of `SearchesState.steps` that were probed, in order. */
  readonly used: readonly number[];
  /** Of those, by their place in `used`, the ones that nothing was fitted to. */
  readonly test: readonly number[];
  /** AUROC of the probe of each layer on those; empty where the probe is from a file. */
  readonly aurocs: readonly (number | null)[];
  /** AUROC of the probe of each head, in layer order; null where there is none. */
  readonly heads: readonly (number | null)[];
  /** Mean length of the stream at judgements, by layer. */
  readonly norms: readonly number[];
}

export interface UnitsState {
  /** Units that are switched off, by class: 0 is near the direction of `not`. */
  readonly intervention: readonly [invalid: readonly UnitPlace[], valid: readonly UnitPlace[]];
  /** The same by larger pools: so many times as many of each layer. */
  readonly larger: readonly {
    readonly times: number;
    readonly units: readonly [invalid: readonly UnitPlace[], valid: readonly UnitPlace[]];
  }[];
  /** Units that heads are ranked by. */
  readonly ranking: readonly UnitPlace[];
}

export interface HeadsState {
  /** Heads that look back at the target, most first. */
  readonly looking: readonly HeadPlace[];
  /** Attention to the target from both positions, and the induction score, of every head in layer order. */
  readonly scores: readonly { readonly fromResult: number; readonly fromOpen: number; readonly induction: number }[];
}

export interface ChannelsState {
  /** The heads that look back, by their score, best first. */
  readonly ranked: readonly HeadPlace[];
  /** The first of them: the verification heads. */
  readonly verification: readonly HeadPlace[];
  /** The same heads by each of the scores. */
  readonly orders: Readonly<Record<HeadOrder, readonly HeadPlace[]>>;
}

/** A right attempt to go on from: the tokens up to the result. */
export interface CaseState {
  readonly search: number;
  readonly tokens: readonly number[];
}

export interface AblationState {
  readonly cases: readonly CaseState[];
  /** By condition, one a case. */
  readonly outcomes: Readonly<Record<string, readonly Outcome[]>>;
  /** Draws of as many random heads as the verification heads. */
  readonly randomHeads: readonly (readonly HeadPlace[])[];
}
