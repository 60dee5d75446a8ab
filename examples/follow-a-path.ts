/**
 * @file Path patching on the induction model: who tells the induction head where to look? Each head of the first layer is taken from a
 * run with another name, and only what reaches the induction head's key directly is let through.
 */
import { loadModel, loadTokenizer, sweepPaths } from "sextant";

const folder = "models/induction";
const model = await loadModel(folder);
const tokenizer = loadTokenizer(folder);
const prompt = (order: string): number[] => tokenizer.encode(`${order} met while the dog saw Mira`).ids;
const [answer = 0, wrong = 0] = ["Hill", "Wood"].map((word) => tokenizer.singleToken(word));

const found = await sweepPaths(model, {
  pairs: [{ clean: prompt("Mira Hill and Anna Wood"), corrupted: prompt("Anna Hill and Mira Wood"), answer, wrong }],
  metrics: ["logit_diff"],
  point: "z",
  by: ["head"],
  layers: [0],
  receivers: [{ into: "k", layer: 1, head: 2 }],
});
const { clean, corrupted = 0, cells } = found.effects["logit_diff"]!;
console.log(`logit of Hill − logit of Wood: ${clean.toFixed(1)} clean, ${corrupted.toFixed(1)} corrupted`);
for (const [head, { normalised = 0 }] of cells.entries())
  console.log(`head 0.${head} to the key of 1.2: ${Math.abs(normalised).toFixed(2)}`);
await model.close();

// Prints:
// logit of Hill − logit of Wood: 9.0 clean, -9.0 corrupted
// head 0.0 to the key of 1.2: 0.00
// head 0.1 to the key of 1.2: 1.00
// head 0.2 to the key of 1.2: 0.00
// head 0.3 to the key of 1.2: 0.00
