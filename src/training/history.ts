/** @file What training was like: plain data, kept in its checkpoints and read back with the same checks as any file. */
import { SextantError } from "../base/errors.js";
import { describeJson, isJsonObject } from "../formats/json.js";

/** One step. */
export interface StepRecord {
  /** Steps done, this one included. */
  readonly step: number;
  /** Mean loss of the tokens that count, before the step changed the parameters; nats. */
  readonly loss: number;
  readonly learningRate: number;
  /** Length of the gradient of the mean loss, before clipping. */
  readonly gradientNorm: number;
  /** Tokens that counted. */
  readonly tokens: number;
  /** Mean reward of what the model wrote, where it learns from rewards. */
  readonly reward?: number;
}

/** What an evaluation after so many steps gave, by name; NaN where it gave nothing finite. */
export interface EvaluationRecord {
  readonly step: number;
  readonly values: Readonly<Record<string, number>>;
}

/** All steps and evaluations so far, in order. */
export interface History {
  readonly steps: readonly StepRecord[];
  readonly evaluations: readonly EvaluationRecord[];
}

/** The evaluation that was best so far in one of its values. */
export interface Best {
  readonly step: number;
  readonly name: string;
  readonly value: number;
}

/** How far training is. */
export interface Progress {
  /** Steps done. */
  readonly step: number;
  readonly history: History;
  readonly best?: Best;
}

/** Nothing done. */
export const BEGINNING: Progress = { step: 0, history: { steps: [], evaluations: [] } };

const COLUMNS = ["step", "loss", "learningRate", "gradientNorm", "tokens"] as const satisfies readonly (keyof StepRecord)[];

/** The progress as JSON of columns, which is a third as long as records. Every number survives; what is not finite becomes null. */
export function progressToJson({ step, history, best }: Progress): object {
  const steps = Object.fromEntries(COLUMNS.map((column) => [column, history.steps.map((record) => record[column])]));
  const isRewarded = history.steps.some(({ reward }) => reward !== undefined);
  const rewards = isRewarded && { reward: history.steps.map(({ reward = null }) => reward) };
  return { step, ...(best && { best }), steps: { ...steps, ...rewards }, evaluations: history.evaluations };
}

/** The progress that `progressToJson` wrote; `where` is what an error calls the file. */
export function progressOfJson(json: unknown, where: string): Progress {
  const value = objectOf(json, where);
  const step = numberOf(value["step"], `${where}: step`);
  const steps = stepsOf(objectOf(value["steps"], `${where}: steps`), where);
  if (!Number.isInteger(step) || steps.length > step)
    throw new SextantError(
      "format",
      `${where}: step must be a whole number, not below the ${steps.length} steps of its history, got ${step}`,
    );
  const evaluations = listOf(value["evaluations"], `${where}: evaluations`).map((item) => evaluationOf(item, where));
  const best = value["best"] === undefined ? {} : { best: bestOf(value["best"], where) };
  return { step, history: { steps, evaluations }, ...best };
}

function stepsOf(json: Readonly<Record<string, unknown>>, where: string): StepRecord[] {
  const column = (name: string): number[] =>
    listOf(json[name], `${where}: steps.${name}`).map((item, i) => numberOf(item, `${where}: steps.${name}[${i}]`));
  const [step, loss, learningRate, gradientNorm, tokens] = [
    column("step"),
    column("loss"),
    column("learningRate"),
    column("gradientNorm"),
    column("tokens"),
  ];
  const lengths = new Set([step, loss, learningRate, gradientNorm, tokens].map(({ length }) => length));
  if (lengths.size > 1)
    throw new SextantError("format", `${where}: the columns of steps have different lengths, ${[...lengths].join(", ")}`);
  const rewards = json["reward"] === undefined ? [] : rewardsOf(json["reward"], step.length, where);
  return step.map((number, i) => {
    const reward = rewards[i] ?? null;
    return {
      step: number,
      loss: loss[i]!,
      learningRate: learningRate[i]!,
      gradientNorm: gradientNorm[i]!,
      tokens: tokens[i]!,
      ...(reward !== null && { reward }),
    };
  });
}

/** The column of rewards; null where a step had none. */
function rewardsOf(json: unknown, steps: number, where: string): (number | null)[] {
  const rewards = listOf(json, `${where}: steps.reward`).map((item, i) =>
    item === null ? null : numberOf(item, `${where}: steps.reward[${i}]`),
  );
  if (rewards.length === steps) return rewards;
  throw new SextantError("format", `${where}: the columns of steps have different lengths, ${steps}, ${rewards.length}`);
}

function evaluationOf(json: unknown, where: string): EvaluationRecord {
  const record = objectOf(json, `${where}: an evaluation`);
  const values = Object.entries(objectOf(record["values"], `${where}: values of an evaluation`));
  const finite = values.map(([name, value]) => [name, value === null ? NaN : numberOf(value, `${where}: ${name}`)]);
  return {
    step: numberOf(record["step"], `${where}: step of an evaluation`),
    values: Object.fromEntries(finite) as Record<string, number>,
  };
}

function bestOf(json: unknown, where: string): Best {
  const best = objectOf(json, `${where}: best`);
  const { name } = best;
  if (typeof name !== "string") throw new SextantError("format", `${where}: name of best must be a string, got ${describeJson(name)}`);
  return { step: numberOf(best["step"], `${where}: step of best`), name, value: numberOf(best["value"], `${where}: value of best`) };
}

function objectOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (isJsonObject(value)) return value;
  throw new SextantError("format", `${what} must be an object, got ${describeJson(value)}`);
}

function listOf(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new SextantError("format", `${what} must be a list, got ${describeJson(value)}`);
}

function numberOf(value: unknown, what: string): number {
  if (typeof value === "number") return value;
  throw new SextantError("format", `${what} must be a number, got ${describeJson(value)}`);
}
