/** @file `sextant train countdown`: both parts of the training, the model's folder with its card, curves and every number. */
import { sizeOf } from "../base/tensor.js";
import { writeFolderAtomic } from "../formats/atomic-folder.js";
import { writeAtomic } from "../formats/atomic.js";
import { writeJson } from "../formats/json-file.js";
import { cardOf } from "../training/countdown/card.js";
import { judge, sharesOf } from "../training/countdown/judge.js";
import { COUNTDOWN, filesOf, type CountdownRecipe } from "../training/countdown/recipe.js";
import { trainCountdown, type CountdownResult } from "../training/countdown/train-countdown.js";
import { writeModel } from "../training/checkpoint.js";
import { progressToJson } from "../training/history.js";
import { promptOf } from "../tasks/countdown/trace.js";
import type { Call, Output } from "./command.js";
import { usage } from "./parse.js";
import type { TRAIN_OPTIONS } from "./commands/train.js";
import { evaluationCurveSvg, lossCurveSvg, lossCurveText, reporter } from "./train-report.js";
import { madeWith } from "./version.js";

type TrainCall = Call<typeof TRAIN_OPTIONS>;

/** Held-out tasks of the last word on a model. */
const LAST_TASKS = 512;

export async function runCountdown(call: TrainCall): Promise<Output> {
  const { out, threads } = call.options;
  const recipe = recipeOf(call);
  const reports = {
    imitation: reporter(call, { part: "imitation", steps: recipe.imitation.steps, every: 100 }),
    reward: reporter(call, { part: "reward", steps: recipe.reward.steps, every: 10 }),
  };
  const result = await trainCountdown(recipe, {
    folder: out!,
    signal: call.signal,
    onEvent: (part, event) => reports[part](event),
    ...(threads !== undefined && { threads }),
  });
  const scratch = { folder: `${out!}/rollout`, tasks: LAST_TASKS, signal: call.signal, threads };
  call.say("judging on held-out tasks\n");
  const before = await judge(result.imitated, recipe, scratch);
  const after = await judge(result.parameters, recipe, scratch);
  const example = `${promptOf(after.tasks[0]!)}${after.texts[0]}`;
  const card = cardOf({
    recipe,
    command: commandOf(call),
    made: madeWith(),
    imitated: before.report,
    rewarded: after.report,
    parameters: [...result.parameters.values()].reduce((total, { shape }) => total + sizeOf(shape), 0),
    example,
  });
  const record = {
    recipe,
    scores: { imitated: before.report, rewarded: after.report },
    imitation: progressToJson(result.imitation),
    reward: progressToJson(result.reward),
  };
  writeResult(`${out!}/model`, recipe, { result, card, record });
  const shares = sharesOf(after.report);
  return {
    json: { model: `${out!}/model`, recipe, before: sharesOf(before.report), after: shares, scores: after.report },
    text: `${lossCurveText(result.imitation.history, "imitation: loss", call)}\n${Object.entries(shares)
      .map(([name, value]) => `${name} ${value.toFixed(3)}`)
      .join("  ")}  on ${LAST_TASKS} held-out tasks\nwritten to ${out!}/model`,
  };
}

function recipeOf({ options }: TrainCall): CountdownRecipe {
  const { steps, "reward-steps": rewardSteps, seed } = options;
  return {
    ...COUNTDOWN,
    ...(seed !== undefined && { seed }),
    model: shapeOf(options),
    imitation: { ...COUNTDOWN.imitation, ...(steps !== undefined && { steps, warmUp: Math.min(COUNTDOWN.imitation.warmUp, steps) }) },
    reward: { ...COUNTDOWN.reward, ...(rewardSteps !== undefined && { steps: rewardSteps }) },
  };
}

/** Heads of 32 elements; gated MLPs of 2.7 times the width, as in the recipe. */
function shapeOf({ layers = COUNTDOWN.model.layers, "d-model": dModel }: TrainCall["options"]): CountdownRecipe["model"] {
  if (layers < 1 || layers > 64) throw usage(`--layers must be 1 to 64, got ${layers}`);
  if (dModel === undefined) return { ...COUNTDOWN.model, layers };
  if (dModel < 32 || dModel > 2048 || dModel % 32 !== 0) throw usage(`--d-model must be a multiple of 32 from 32 to 2048, got ${dModel}`);
  return { layers, dModel, heads: dModel / 32, dMlp: 8 * Math.round((2.7 * dModel) / 8) };
}

/** The command that does it again. */
function commandOf({ options }: TrainCall): string {
  const given = (["steps", "reward-steps", "layers", "d-model", "seed"] as const).flatMap((name) =>
    options[name] === undefined ? [] : [`--${name} ${options[name]}`],
  );
  return ["sextant train countdown --out FOLDER", ...given].join(" ");
}

function writeResult(
  folder: string,
  recipe: CountdownRecipe,
  { result, card, record }: { result: CountdownResult; card: string; record: object },
): void {
  writeFolderAtomic(folder, (temporary) => {
    writeModel(temporary, result.parameters, filesOf(recipe));
    writeAtomic(`${temporary}/README.md`, [card]);
    writeAtomic(`${temporary}/curves.svg`, [lossCurveSvg(result.imitation.history, "Imitation: loss")]);
    writeAtomic(`${temporary}/reward.svg`, [evaluationCurveSvg(result.reward.history, "Reward: greedy searches on held-out tasks")]);
    writeJson(`${temporary}/training.json`, record);
  });
}
