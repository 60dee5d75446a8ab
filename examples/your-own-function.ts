/** @file Stops a run at an address, applies a function of one's own to the value there, and runs on: here, rounding to few levels. */
import { loadModel, loadTokenizer, tensor, topTokens } from "sextant";

const folder = "models/induction";
const model = await loadModel(folder);
const tokenizer = loadTokenizer(folder);
const tokens = [tokenizer.encode("the cat sat near Mira Hill while the dog saw Mira").ids];

/** The values rounded to multiples of `step`. */
function rounded(values: Float32Array, step: number): Float32Array {
  return values.map((value) => step * Math.round(value / step));
}

const paused = await model.runUntil("resid_post.0", { tokens });
for (const step of [0.1, 0.3, 0.7, 2.5]) {
  const { data, shape, axes } = paused.value;
  const { logits } = await model.runFrom(paused, tensor(rounded(data as Float32Array, step), shape, axes));
  const [best] = topTokens(logits!.data, 1);
  console.log(`rounded to multiples of ${step}: ${tokenizer.token(best!.token)} (${best!.probability.toFixed(3)})`);
}
await model.close();

// Prints:
// rounded to multiples of 0.1: Hill (0.997)
// rounded to multiples of 0.3: Hill (0.996)
// rounded to multiples of 0.7: Hill (0.162)
// rounded to multiples of 2.5: the (0.016)
