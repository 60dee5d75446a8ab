/**
 * @file What a study is: a question, parameters with defaults, and steps in order. A step gets what the steps before it left, and leaves findings, tables,
 * tensors, generations and figures. All that passes from step to step passes through the run's folder, so that a run that was stopped
 * goes on with exactly what it would have had.
 */
import type { Random } from "../base/random.js";
import type { JsonObject } from "../formats/json.js";
import type { Tokenizer } from "../formats/tokenizer.js";
import type { Model } from "../runtime/model.js";
import type { ModelWeights } from "../runtime/weights.js";
import type { Finding } from "../store/finding.js";
import type { Earlier, StepOutput } from "../store/step-output.js";

/** A model with what belongs to it. */
export interface Subject {
  readonly path: string;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly weights: ModelWeights;
}

/** What a step has at hand. */
export interface StepContext<P> {
  readonly parameters: P;
  readonly subject: Subject;
  /** Other models that the study was given, by role; opened when first asked for. */
  readonly other: (role: string) => Promise<Subject | undefined>;
  /** What a step before this one left; `S` is the form in which that step leaves its state. */
  readonly earlier: <S = JsonObject>(step: string) => Earlier<S>;
  /** Random numbers that belong to a name in this step: the same whenever they are drawn. */
  readonly random: (name: string) => Random;
  /**
   * The result of a piece of work, made once in a run: a step that was stopped finds the pieces that it had finished. `key` names the piece within the step; the result
   * must be plain data.
   */
  readonly piece: <T>(key: string, work: () => Promise<T>) => Promise<T>;
  readonly signal: AbortSignal;
  readonly progress: (done: number, total: number) => void;
}

/** One step. */
export interface Step<P> {
  /** A folder's name: small letters, digits and `-`. */
  readonly name: string;
  readonly title: string;
  /** What is done and why, in a few sentences, for the report. */
  readonly about: string;
  run(context: StepContext<P>): Promise<StepOutput>;
}

/** A study: a row of the table in `studies.ts`, and a folder. */
export interface Study<P extends object = object> {
  readonly name: string;
  readonly version: number;
  readonly title: string;
  readonly question: string;
  /** What it is after, such as a paper. */
  readonly source: string;
  /** Roles of models besides the main one, and what each is for. */
  readonly others: Readonly<Record<string, string>>;
  /** The settings in full for a model: defaults, what the user gave, checked. Unknown names and bad values are refused. */
  parameters(given: JsonObject, subject: Subject): P;
  readonly steps: readonly Step<P>[];
  /** Ids of the findings that stand on top of the report. */
  readonly key: readonly string[];
  /** What the report says first, from the findings by id. */
  summary(findings: ReadonlyMap<string, Finding>): readonly string[];
}
