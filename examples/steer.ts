/**
 * @file Steers: the difference between two runs' residual streams is added to a third run, whose answer it changes.
 * Formula: x + strength · vector, at the last position of `resid_post.1`.
 */
import { loadModel, loadTokenizer, standingOf, type Edit, type Tensor } from "sextant";

const folder = "models/induction";
const model = await loadModel(folder);
const tokenizer = loadTokenizer(folder);

/** The residual stream behind the last block, at the prompt's last position. */
async function lastStream(text: string): Promise<Float32Array> {
  const { activations } = await model.forward({ tokens: [tokenizer.encode(text).ids], read: ["resid_post.1"], logits: false });
  const { data } = activations["resid_post.1"] as Tensor<Float32Array>;
  return data.slice(-model.spec.dModel);
}

const stone = await lastStream("Mira Stone met Tom when Mira");
const hill = await lastStream("Mira Hill met Tom when Mira");
const vector = Array.from(stone, (value, unit) => value - hill[unit]!);

const tokens = [tokenizer.encode("a dog saw Anna Hill in the garden and Anna").ids];
for (const strength of [0, 0.25, 0.5, 0.75, 1]) {
  const edit: Edit = { at: "resid_post.1", op: "add", vector, strength, positions: [-1] };
  const { logits } = await model.forward({ tokens, edits: [edit] });
  const [toStone, toHill] = ["Stone", "Hill"].map((word) => standingOf(logits!.data, tokenizer.singleToken(word)).probability);
  console.log(`strength ${strength}: Hill ${toHill!.toFixed(3)}, Stone ${toStone!.toFixed(3)}`);
}
await model.close();

// Prints:
// strength 0: Hill 0.997, Stone 0.000
// strength 0.25: Hill 0.978, Stone 0.009
// strength 0.5: Hill 0.473, Stone 0.473
// strength 0.75: Hill 0.009, Stone 0.978
// strength 1: Hill 0.000, Stone 0.997
