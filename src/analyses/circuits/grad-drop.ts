/**
 * @file GradDrop of AtP* (Kramár et al. 2024, arXiv 2403.00745, section 3.2): for each layer in turn the gradient is taken with that layer's
 * attention and MLP held, so that nothing flows back through them; the effect is Σ over layers of |estimate| / (layers − 1). A node whose
 * direct effect and what later layers make of it cancel has an estimate near 0, but not for every layer that is dropped.
 *
 * When it misleads: sizes only, signs are gone; and what a node does through nothing but its own layer's sublayer is dropped once with it,
 * which is why the sum is divided by one layer less than there are. Costs a way back for each layer.
 */
import { SextantError } from "../../base/errors.js";
import { tensor } from "../../base/tensor.js";
import type { Model, RunOptions } from "../../runtime/model.js";
import { attributionFrom, attributionHolding, type Attribution, type AttributionRequest } from "./attribution.js";

/** Sizes of the estimated effects at each address, robust to cancellation: never below 0. */
export async function gradDrop(model: Model, request: AttributionRequest, options: RunOptions = {}): Promise<Attribution[]> {
  const { layers } = model.spec;
  if (layers.length < 2) throw new SextantError("request", "gradDrop drops one layer of several; this model has one");
  const { seed, ...unseeded } = request;
  const sums: Attribution[] = [];
  for (const [layer, { mlp }] of layers.entries()) {
    const held = [`attn_out.${layer}`, ...(mlp ? [`mlp_out.${layer}`] : [])];
    const found = await attributionHolding(model, unseeded, held, options);
    found.forEach((one, i) => {
      const sizes = one.perPair.data.map((value) => Math.abs(value) / (layers.length - 1));
      const known = sums[i];
      if (known) sizes.forEach((value, at) => (known.perPair.data[at]! += value));
      else sums.push({ ...one, perPair: tensor(sizes, one.perPair.shape, one.perPair.axes) });
    });
  }
  return sums.map((one) => attributionFrom(one.address, one.perPair, seed));
}
