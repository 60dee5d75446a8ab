/** @file Generates with an edit on a schedule: the induction head is switched off for three steps, then works again. */
import { loadModel, loadTokenizer, type ScheduledEdit } from "sextant";

const folder = "models/induction";
const model = await loadModel(folder);
const tokenizer = loadTokenizer(folder);
const tokens = [tokenizer.encode("Mira Stone saw a fox near the river . Mira").ids];

const off: ScheduledEdit = { at: "z.1", op: "set", value: 0, heads: [2], steps: { from: 2, to: 5 } };
for (const [name, edits] of [
  ["as it is", []],
  ["head 1.2 off at steps 2 to 4", [off]],
] as const) {
  const result = await model.generate({ tokens, maxNew: 12, edits });
  console.log(`${name}: ${tokenizer.decode(result.tokens[0]!)}`);
}
await model.close();

// Prints:
// as it is: Stone saw a fox near the river. Mira Stone saw a
// head 1.2 off at steps 2 to 4: Stone saw a cat saw the river. Mira Stone saw a
