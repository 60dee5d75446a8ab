/** @file `sextant train`: trains the CountDown model, a model of a configuration on a file, or an adapter of a loaded model on a file. */
import { defineCommand, type OptionTable } from "../command.js";
import { usage } from "../parse.js";

export const TRAIN_OPTIONS = {
  out: { type: "text", placeholder: "FOLDER", meaning: "where checkpoints and the result go; training goes on where the folder has some" },
  data: {
    type: "text",
    placeholder: "FILE",
    meaning: 'for file and lora: JSON lines, each {"tokens": [ids], "mask": [1 and 0]} (the mask if need be) or {"text": "…"}',
  },
  config: {
    type: "text",
    placeholder: "FILE",
    meaning: "for file: the config.json of the model to begin; a tokenizer beside it comes along",
  },
  model: { type: "text", placeholder: "FOLDER", meaning: "for lora: the model to adapt, or ORG/NAME[@REVISION] on the Hugging Face hub" },
  rank: { type: "integer", placeholder: "N", meaning: "for lora: rank of the adapters", default: 8 },
  alpha: { type: "number", placeholder: "X", meaning: "for lora: adapters are scaled by alpha over rank", default: 16 },
  targets: {
    type: "text",
    placeholder: "LIST",
    meaning: "for lora: names of modules, such as q_proj,v_proj; or all-linear",
    default: "all-linear",
  },
  steps: { type: "integer", placeholder: "N", meaning: "steps of training; for countdown, of its first part" },
  "reward-steps": { type: "integer", placeholder: "N", meaning: "for countdown: steps of the second part, by reward" },
  layers: { type: "integer", placeholder: "N", meaning: "for countdown: layers of the model" },
  "d-model": { type: "integer", placeholder: "N", meaning: "for countdown: its width, a multiple of 32, the width of a head" },
  rows: { type: "integer", placeholder: "N", meaning: "for file and lora: samples a step", default: 16 },
  rate: {
    type: "number",
    placeholder: "X",
    meaning: "for file and lora: the highest learning rate; it falls by half a cosine",
    default: 1e-3,
  },
  "held-out": {
    type: "number",
    placeholder: "SHARE",
    meaning: "for file and lora: share of the samples that the loss is measured on",
    default: 0.05,
  },
  seed: { type: "integer", placeholder: "N", meaning: "what all random numbers follow from; for countdown its recipe's own by default" },
  device: {
    type: "text",
    placeholder: "DEVICE",
    choices: ["cpu"],
    default: "cpu",
    meaning: "where it computes: steps of training are made for the CPU",
  },
  threads: { type: "integer", placeholder: "N", meaning: "threads of the matrix products; by default all cores" },
} as const satisfies OptionTable;

export const trainCommand = defineCommand({
  name: "train",
  summary: "Trains a small model, or an adapter of one; goes on where it was stopped.",
  arguments: [{ name: "TASK", meaning: "countdown: the model that searches and verifies; file: a new model; lora: an adapter" }],
  options: TRAIN_OPTIONS,
  oneOf: [["out"]],
  endsItself: true,
  examples: [
    "train countdown --out countdown",
    "train file --config config.json --data rows.jsonl --steps 500 --out model",
    "train lora --model MODEL --data rows.jsonl --targets q_proj,v_proj --steps 200 --out adapter",
  ],
  async run(call) {
    const [task] = call.arguments;
    call.advise(`the same command goes on from the last checkpoint in ${call.options.out}`);
    if (task === "countdown") return (await import("../train-countdown.js")).runCountdown(call);
    if (task === "file") return (await import("../train-file.js")).runFile(call);
    if (task === "lora") return (await import("../train-file.js")).runLora(call);
    throw usage(`TASK must be countdown, file or lora, got ${JSON.stringify(task)}`);
  },
});
