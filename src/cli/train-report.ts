/** @file What a training says while it runs: a line every so often on the terminal, and its curve in the end. */
import { curveSvg } from "../charts/curve.js";
import { terminalCurve } from "../charts/terminal-curve.js";
import type { History } from "../training/history.js";
import type { TrainEvent } from "../training/train.js";
import type { Call } from "./command.js";

/** Says every `every`-th step, and all evaluations and resumptions. */
export function reporter(
  call: Pick<Call, "say" | "onProgress">,
  { part, steps, every }: { part: string; steps: number; every: number },
): (event: TrainEvent) => void {
  return (event) => {
    if (event.kind === "step") {
      const { step, loss, learningRate, reward } = event.record;
      call.onProgress({ stage: part, done: step, total: steps });
      if (step % every === 0 || step === steps)
        call.say(
          `${part}  step ${step}/${steps}  ${reward === undefined ? `loss ${loss.toFixed(4)}` : `reward ${reward.toFixed(3)}`}  rate ${learningRate.toPrecision(3)}\n`,
        );
    } else if (event.kind === "evaluation") {
      const values = Object.entries(event.record.values).map(([name, value]) => `${name} ${value.toFixed(3)}`);
      call.say(`${part}  held out, after ${event.record.step} steps: ${values.join("  ")}\n`);
    } else if (event.kind === "resumed") call.say(`${part}  goes on after step ${event.step}\n`);
  };
}

/** The losses of a history as a curve for the terminal. */
export function lossCurveText({ steps }: History, title: string, { colour, columns }: Pick<Call, "colour" | "columns">): string {
  if (steps.length === 0) return "";
  return terminalCurve([smoothed(steps)], { title, xLabel: "step", yLabel: "nats", colour, columns: Math.min(columns, 100) });
}

/** Loss by step, each step's own behind its running mean, and the losses on held-out samples where there are any. */
export function lossCurveSvg({ steps, evaluations }: History, title: string): string {
  const own = { name: "each step", x: steps.map(({ step }) => step), y: steps.map(({ loss }) => loss), faint: true };
  const held = evaluations.filter(({ values }) => values["loss"] !== undefined);
  const heldOut = { name: "held out", x: held.map(({ step }) => step), y: held.map(({ values }) => values["loss"]) };
  return curveSvg([own, smoothed(steps), ...(held.length > 0 ? [heldOut] : [])], { title, xLabel: "step", yLabel: "loss, nats a token" });
}

/** Every value that evaluations gave, by step, and the mean rewards where the steps had some. */
export function evaluationCurveSvg({ evaluations, steps }: History, title: string): string {
  const names = [...new Set(evaluations.flatMap(({ values }) => Object.keys(values)))];
  const x = evaluations.map(({ step }) => step);
  const rewarded = steps.filter(({ reward }) => reward !== undefined);
  const rewards = { name: "mean reward", x: rewarded.map(({ step }) => step), y: rewarded.map(({ reward }) => reward), faint: true };
  return curveSvg(
    [...(rewarded.length > 0 ? [rewards] : []), ...names.map((name) => ({ name, x, y: evaluations.map(({ values }) => values[name]) }))],
    { title, xLabel: "step", yLabel: "share" },
  );
}

/** The running mean of the losses: each step counts a fiftieth. */
function smoothed(steps: History["steps"]): { name: string; x: number[]; y: number[] } {
  let mean = steps[0]?.loss ?? 0;
  return { name: "running mean", x: steps.map(({ step }) => step), y: steps.map(({ loss }) => (mean += (loss - mean) / 50)) };
}
