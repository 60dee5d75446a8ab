/** @file The planted model with searches that it judges, and settings with which the whole study of it takes seconds. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { JsonObject } from "../../src/formats/json.js";
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
      probe: { learningRate: 0.1, maxSteps: 100, seeds: 1, controls: 5 },
      steer: { layers: [1], strengths: [1], cases: 12, placebos: 2 },
      // The planted valid units are ten, and stand in layer 1.
      units: { layers: [1], perLayer: 10, ranking: 10 },
      heads: { rankBy: "composition" },
      ablation: { cases: 24, randomDraws: 3, curve: 4 },
      inContext: { prompts: 8 },
    },
  };
}
