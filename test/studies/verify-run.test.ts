/** @file A run is made again only of the very models and tokenizers that it was of. */
import { appendFileSync, cpSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { verifyRun } from "../../src/studies/verify-run.js";
import { temporaryFolder } from "../formats/folder.js";
import { runPlanted, smallStudy, type PlantedStudy } from "./planted-study.js";

const { root } = temporaryFolder();
const folder = join(root, "run");
let study: PlantedStudy;
beforeAll(async () => {
  study = smallStudy(root);
  await runPlanted(study, folder);
});

test.each([
  ["tokenizer.json", "its tokenizer.json is another"],
  ["config.json", "its config.json is another"],
])("a model is refused whose %s was changed", async (file, words) => {
  const model = join(root, `other-${file}`);
  cpSync(study.model, model, { recursive: true });
  appendFileSync(join(model, file), "\n");
  const again = join(root, "again");
  await expect(verifyRun({ folder, again, models: { model } }, { threads: 1 })).rejects.toThrow(words);
});

test("a role that the run lacks is refused", async () => {
  const models = { judge: study.model };
  await expect(verifyRun({ folder, again: join(root, "again"), models })).rejects.toThrow("the run has model");
});
