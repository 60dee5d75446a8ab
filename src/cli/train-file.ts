/** @file `sextant train file` and `sextant train lora`: training on samples of a file, from random weights or beside a loaded model's. */
import { dirname } from "node:path";
import { SextantError } from "../base/errors.js";
import type { Tensor } from "../base/tensor.js";
import { isThere, resolveReal } from "../formats/files.js";
import { isGguf } from "../formats/gguf/header.js";
import { parseModelId } from "../formats/hub/model-id.js";
import { fingerprintOf } from "../formats/journal.js";
import { isJsonObject, type JsonObject } from "../formats/json.js";
import { readJson } from "../formats/json-file.js";
import { writePeft } from "../formats/peft.js";
import { loadTokenizer, type Tokenizer } from "../formats/tokenizer.js";
import { initialAdapter, withAdapters } from "../models/lora.js";
import type { ModelSpec } from "../models/spec.js";
import { readSpec } from "../runtime/load.js";
import { WeightFiles } from "../runtime/weight-files.js";
import type { ModelFiles } from "../training/checkpoint.js";
import { evaluateLoss } from "../training/evaluate.js";
import { initialise } from "../training/initialise.js";
import { makeAdamW } from "../training/optimiser.js";
import { planModel } from "../training/plan-spec.js";
import { readSamples } from "../training/read-samples.js";
import { openStep, type ModelStep } from "../training/step.js";
import { batchesOf, holdOut, listSource } from "../training/token-source.js";
import { train } from "../training/train.js";
import type { History } from "../training/history.js";
import type { Call, Output } from "./command.js";
import type { TRAIN_OPTIONS } from "./commands/train.js";
import { modelFolder } from "./model-folder.js";
import { usage } from "./parse.js";
import { lossCurveText, reporter } from "./train-report.js";

type TrainCall = Call<typeof TRAIN_OPTIONS>;

/** Steps where nobody says how many. */
const STEPS = 200;

/** A new model on a file. */
export async function runFile(call: TrainCall): Promise<Output> {
  const { config: path, out, seed = 0 } = call.options;
  if (path === undefined) throw usage("train file needs --config");
  const json = readJson(path);
  if (!isJsonObject(json)) throw new SextantError("format", `${path} must hold a JSON object`);
  const { spec } = planModel(json, path);
  const folder = dirname(path);
  const step = openStep(spec, initialise(spec, { seed }), threadsOf(call));
  const history = await learn(call, { step, spec, tokenizer: tokenizerIn(folder), model: { config: json, tokenizerFrom: folder } });
  return said(call, history, { model: out! });
}

/** An adapter of a model on a file; the checkpoint in `FOLDER/training` is for going on, `FOLDER` itself is for PEFT. */
export async function runLora(call: TrainCall): Promise<Output> {
  const { model: named, out, rank, alpha, targets, seed = 0 } = call.options;
  if (named === undefined) throw usage("train lora needs --model");
  const base = await modelFolder(call, named);
  const { spec, checkpoint } = readSpec(base);
  try {
    const chosen = targets.trim() === "all-linear" ? ("all-linear" as const) : targets.split(",").map((name) => name.trim());
    const adapted = withAdapters(spec, { rank, alpha, targets: chosen });
    const values = initialAdapter(adapted.tensors, seed);
    const parameters = new Map(Object.entries(values).map(([name, { data, shape }]) => [name, { data, shape }] as const));
    const step = openStep(adapted.spec, parameters, { ...threadsOf(call), frozen: new WeightFiles(checkpoint) });
    const saved = `${out!}/checkpoint`;
    const history = await learn(call, {
      step,
      spec,
      tokenizer: tokenizerIn(base),
      model: { config: adapted.config as unknown as JsonObject },
      folder: saved,
      adapting: { rank, alpha, targets, base: resolveReal(base) },
    });
    writePeft(out!, { ...adapted.config, baseModel: base === named ? base : parseModelId(named)!.name }, tensorsOf(step));
    return said(call, history, { adapter: out! });
  } finally {
    checkpoint.close();
  }
}

interface Learning {
  readonly step: ModelStep;
  readonly spec: ModelSpec;
  readonly tokenizer: Tokenizer | undefined;
  readonly model: ModelFiles;
  readonly folder?: string;
  /** What an adapter is of. */
  readonly adapting?: Readonly<Record<string, unknown>>;
}

async function learn(call: TrainCall, { step, spec, tokenizer, model, folder, adapting = {} }: Learning): Promise<History> {
  const { data, out, rows, rate, "held-out": share, steps = STEPS, seed = 0 } = call.options;
  if (data === undefined) throw usage("this training needs --data");
  try {
    const longest = spec.context?.length;
    const samples = readSamples(data, { vocab: spec.vocab, ...(tokenizer && { tokenizer }), ...(longest && { longest }) });
    const { training, heldOut } = holdOut(samples, { share, seed });
    const { history } = await train({
      step,
      source: listSource(training, { rows, seed, fingerprint: fingerprintOf(samples) }),
      optimiser: makeAdamW(step.parameters),
      schedule: { peak: rate, steps, warmUp: Math.min(Math.ceil(steps / 20), 100), floor: 0.1 },
      steps,
      clip: 1,
      evaluation: {
        every: Math.max(Math.ceil(steps / 5), 1),
        run: async () => ({ loss: (await evaluateLoss(step, batchesOf(heldOut, rows))).loss }),
      },
      saving: {
        folder: folder ?? out!,
        every: Math.max(Math.ceil(steps / 10), 1),
        model,
        settings: { seed, heldOut: share, ...adapting },
        resume: "same",
      },
      onProgress: reporter(call, { part: "training", steps, every: Math.max(Math.ceil(steps / 20), 1) }),
      signal: call.signal,
    });
    return history;
  } finally {
    await step.close();
  }
}

function tokenizerIn(folder: string): Tokenizer | undefined {
  return isGguf(folder) || isThere(`${folder}/tokenizer.json`) ? loadTokenizer(folder) : undefined;
}

function tensorsOf({ parameters }: ModelStep): Record<string, Tensor<Float32Array>> {
  return Object.fromEntries([...parameters].map(([name, { data, shape }]) => [name, { data, shape, axes: [] }] as const));
}

function threadsOf({ options: { threads } }: TrainCall): { threads?: number } {
  return threads === undefined ? {} : { threads };
}

function said(call: TrainCall, history: History, written: Readonly<Record<string, string>>): Output {
  const { steps, evaluations } = history;
  const [last] = evaluations.slice(-1);
  return {
    json: { ...written, steps: steps.length, loss: steps.at(-1)?.loss, heldOut: last?.values },
    text: `${lossCurveText(history, "loss", call)}\nheld-out loss ${last?.values["loss"]?.toFixed(4)} after ${steps.length} steps; written to ${Object.values(written).join(", ")}`,
  };
}
