/**
 * @file Which head would change the answer if its output changed? One pass forward and one back give a first-order estimate for all heads at once; patching
 * them one by one, as `patch-a-head.ts` does, gives the truth (18.00 for head 1.2).
 */
import { loadModel, loadTokenizer } from "sextant";

const folder = "models/induction";
const model = await loadModel(folder);
const tokenizer = loadTokenizer(folder);
const prompt = (name: string): number[] => tokenizer.encode(`the cat sat near Mira ${name} while the dog saw Mira`).ids;
const [hill = 0, stone = 0] = ["Hill", "Stone"].map((word) => tokenizer.singleToken(word));

const { gradients, activations, values } = await model.gradient({
  tokens: [prompt("Stone")],
  of: `logits[-1,${hill}]-logits[-1,${stone}]`,
  at: ["z.1"],
  read: ["z.1"],
});
const other = await model.forward({ tokens: [prompt("Hill")], read: ["z.1"], logits: false });

console.log(`logit of Hill − logit of Stone = ${values[0]!.toFixed(2)}`);
const [, , heads = 0, width = 0] = gradients["z.1"]!.shape; // batch, pos, head, d_head
const estimates = new Float64Array(heads);
gradients["z.1"]!.data.forEach((slope, i) => {
  const change = other.activations["z.1"]!.data[i]! - activations["z.1"]!.data[i]!;
  estimates[Math.floor(i / width) % heads]! += slope * change;
});
estimates.forEach((estimate, head) => console.log(`head 1.${head} from the other run: about ${estimate.toFixed(2)}`));
await model.close();

// Prints:
// logit of Hill − logit of Stone = -9.00
// head 1.0 from the other run: about 0.00
// head 1.1 from the other run: about 0.00
// head 1.2 from the other run: about 16.36
// head 1.3 from the other run: about 0.00
