/** @file Reads attention patterns, and prints where each head looks from the last token of a prompt: keys with a quarter or more. */
import { loadModel, loadTokenizer } from "sextant";

const folder = "models/induction";
const model = await loadModel(folder);
const { ids, tokens } = loadTokenizer(folder).encode("the cat sat near Mira Hill while the dog saw Mira");

const { activations } = await model.forward({ tokens: [ids], read: ["pattern.*"], logits: false });

for (const [address, { data, shape }] of Object.entries(activations)) {
  const [, heads = 0, queries = 0, keys = 0] = shape; // batch, head, query, key
  for (let head = 0; head < heads; head++) {
    const start = (head * queries + queries - 1) * keys;
    const shares = data.subarray(start, start + keys);
    const seen = tokens.filter((_, key) => shares[key]! > 0.25);
    console.log(`${address} head ${head}: ${seen.join(" and ") || "a little of everything"}`);
  }
}
await model.close();

// Prints:
// pattern.0 head 0: <bos>
// pattern.0 head 1: saw
// pattern.0 head 2: Mira and Mira
// pattern.0 head 3: a little of everything
// pattern.1 head 0: <bos>
// pattern.1 head 1: saw
// pattern.1 head 2: Hill
// pattern.1 head 3: Mira
