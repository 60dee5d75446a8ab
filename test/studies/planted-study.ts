/** @file The planted model with searches that it judges, and settings with which the whole study of it takes seconds. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JsonObject } from "../../src/formats/json.js";
import { runStudy, type StudyOptions } from "../../src/studies/run-study.js";
import { studyNamed } from "../../src/studies/studies.js";
import type { StoredRun } from "../../src/store/stored-run.js";
import { buildPlantedModel } from "./planted/planted-model.js";
import { plantedSearches } from "./planted/planted-searches.js";

/** What a study of the planted model is asked with. */
export interface PlantedStudy {
  readonly model: string;
  readonly parameters: JsonObject;
}

/** Writes the model and its searches below a folder. Heads are ranked by composition: their OV circuits have nothing on the diagonal. */
export function plantStudy(folder: string, searches = 40): PlantedStudy {
  const model = join(folder, "planted");
  buildPlantedModel(model);
  const file = join(folder, "searches.jsonl");
  const lines = plantedSearches(5, searches).map(({ prompt, response, task }) => JSON.stringify({ prompt, response, ...task }));
  writeFileSync(file, `${lines.join("\n")}\n`);
  return {
    model,
    parameters: {
      searches: { file },
      probe: { method: "softmax_adamw", learningRate: 0.1, maxSteps: 100, seeds: 1, controls: 5 },
      steer: { layers: [1], strengths: [1], cases: 12, placebos: 2 },
      // The planted valid units are ten, and stand in layer 1.
      units: { layers: [1], perLayer: 10, ranking: 10 },
      heads: { rankBy: "composition" },
      ablation: { cases: 24, randomDraws: 5, curve: 4 },
      inContext: { prompts: 8 },
    },
  };
}

/** The same with so little of everything that a run takes a second or two: what it finds is of no interest, only that it is the same. */
export function smallStudy(folder: string): PlantedStudy {
  const { model, parameters } = plantStudy(folder, 16);
  return {
    model,
    parameters: {
      ...parameters,
      probe: { method: "softmax_adamw", learningRate: 0.1, maxSteps: 50, seeds: 1, controls: 1 },
      steer: { layers: [1], strengths: [0.5, 1], cases: 4, placebos: 1 },
      ablation: { cases: 6, batch: 4, randomDraws: 1, curve: 2 },
    },
  };
}

/** Runs the study into a folder, or goes on there. */
export function runPlanted({ model, parameters }: PlantedStudy, folder: string, options: StudyOptions = {}): Promise<StoredRun> {
  return runStudy({ study: studyNamed("self-verification"), model, parameters, folder }, { threads: 1, ...options });
}

// As a program: one dot for each thing that happens, so that it can be killed anywhere.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const dot = (): void => void process.stdout.write(".");
  await runPlanted(JSON.parse(process.argv[2]!) as PlantedStudy, process.argv[3]!, { onStep: dot, onProgress: dot });
}
