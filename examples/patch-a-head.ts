/**
 * @file Activation patching: each head's output at the last position is taken from another run, and the change of the answer
 * is measured. Eight counterfactuals are eight rows of one pass, each with its own edit.
 */
import { headsOf, loadModel, loadTokenizer, type Edit, type Tensor } from "sextant";

const folder = "models/induction";
const model = await loadModel(folder);
const tokenizer = loadTokenizer(folder);
const clean = tokenizer.encode("the cat sat near Mira Hill while the dog saw Mira").ids;
const other = tokenizer.encode("the cat sat near Mira Stone while the dog saw Mira").ids;

const { activations } = await model.forward({ tokens: [other], read: ["z.*"], logits: false });
const heads = headsOf(model);
const edits = heads.map(({ layer, head }, row): Edit => {
  const { data, shape, axes } = activations[`z.${layer}`] as Tensor<Float32Array>; // batch, pos, head, d_head
  const value = { data, shape: shape.slice(1), axes: axes.slice(1) };
  return { at: `z.${layer}`, op: "set", value, rows: [row], heads: [head], positions: [-1] };
});

const words = ["Stone", "Hill"].map((word) => tokenizer.singleToken(word));
const { logits } = await model.forward({ tokens: heads.map(() => clean), edits, logits: { tokens: words } });
for (const [row, { layer, head }] of heads.entries()) {
  const [stone = 0, hill = 0] = logits!.data.subarray(2 * row, 2 * row + 2);
  console.log(`head ${layer}.${head} from the other run: logit of Stone − logit of Hill = ${(stone - hill).toFixed(2)}`);
}
await model.close();

// Prints:
// head 0.0 from the other run: logit of Stone − logit of Hill = -9.00
// head 0.1 from the other run: logit of Stone − logit of Hill = -9.00
// head 0.2 from the other run: logit of Stone − logit of Hill = -9.00
// head 0.3 from the other run: logit of Stone − logit of Hill = -9.00
// head 1.0 from the other run: logit of Stone − logit of Hill = -9.00
// head 1.1 from the other run: logit of Stone − logit of Hill = -9.00
// head 1.2 from the other run: logit of Stone − logit of Hill = 9.00
// head 1.3 from the other run: logit of Stone − logit of Hill = -9.00
