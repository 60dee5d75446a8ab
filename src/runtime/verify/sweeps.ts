/**
 * @file A sweep must give what whole runs of its counterfactuals give, one by one: the same edits with the values written out. Both
 * rows of the subject serve as a pair, cut to one length.
 */
import { must } from "../../base/errors.js";
import { tensor, type Tensor } from "../../base/tensor.js";
import { allPlaces } from "../../models/address.js";
import type { PointName } from "../../models/points.js";
import type { Edit } from "../edit.js";
import type { SweepEdit } from "../sweep/request.js";
import { judged, notApplicable, toleranceOf, type Check, type Subject } from "./check.js";
import { differenceOf } from "./compare.js";
import { editedLayer } from "./edit-cases.js";

/** Relative to the largest logit. Both sides are float32 sums in another order; a wrong mask or position shows at 1e-2 and above. */
const TOLERANCE = 1e-4;

/** A counterfactual as a sweep has it, and as a run of its own. */
interface Twin {
  readonly name: string;
  readonly swept: SweepEdit;
  readonly whole: (source: Readonly<Record<string, Tensor>>) => Edit;
}

/** One check a kind of counterfactual. A counterfactual that cannot change anything is not run, and must equal the unedited run. */
export async function* sweepChecks(subject: Subject): AsyncGenerator<Check> {
  const [base, source] = pairOf(subject);
  if (!base || !source) {
    yield notApplicable("sweep = runs one by one", "there are no two rows to take values from one another");
    return;
  }
  const { model, options } = subject;
  const list = twins(subject);
  const read = [...new Set(list.map(({ swept }) => swept.at))].filter((at) => !at.startsWith("attn_scores"));
  const { activations } = await model.forward({ tokens: [source], read, logits: false }, options);
  const found = new Map<number, Float32Array>();
  const keep = (logits: Float32Array, { counterfactual }: { counterfactual?: number }): number => {
    if (counterfactual !== undefined) found.set(counterfactual, logits.slice());
    return 0;
  };
  const counterfactuals = list.map(({ swept }) => ({ edits: [swept] }));
  const request = { pairs: [{ clean: source, corrupted: base }], counterfactuals, metrics: ["logits"] };
  await model.sweep(request, { ...options, measures: { logits: keep } });
  const unedited = must((await model.forward({ tokens: [base] }, options)).logits, "logits").data;
  for (const [index, { name, whole }] of list.entries()) {
    const { logits } = await model.forward({ tokens: [base], edits: [whole(activations)] }, options);
    const theirs = must(logits, "logits");
    const { relative } = differenceOf(tensor(found.get(index) ?? unedited, theirs.shape, theirs.axes), theirs);
    yield judged(`sweep = runs one by one, ${name}`, relative, toleranceOf(model, TOLERANCE));
  }
}

/** Both rows, cut to one length, if their last tokens differ or they do somewhere; undefined where there is no second row. */
function pairOf({ tokens }: Subject): readonly (readonly number[])[] {
  const length = Math.min(...tokens.map((row) => row.length));
  const [base, source] = tokens.map((row) => row.slice(0, length));
  return base && source && base.some((token, i) => token !== source[i]) ? [base, source] : [];
}

function twins(subject: Subject): Twin[] {
  const { spec } = subject.model;
  const layer = editedLayer(spec);
  const has = new Set(allPlaces(spec).map(({ address }) => address as string));
  const at = (point: PointName): string[] => (has.has(`${point}.${layer}`) ? [`${point}.${layer}`] : []);
  const patches = (["resid_pre", "attn_out", "mlp_out", "resid_post", "q", "k", "v", "z"] as const).flatMap(at);
  const set =
    (address: string, selector: Pick<Edit, "positions" | "heads">) =>
    (source: Readonly<Record<string, Tensor>>): Edit => {
      return { at: address, op: "set", value: must(source[address], address) as Tensor<Float32Array>, ...selector };
    };
  return [
    ...patches.map((address): Twin => ({ name: `patched at ${address}`, swept: { at: address, op: "patch" }, whole: set(address, {}) })),
    ...at("resid_pre").map((address): Twin => ({
      name: `patched at ${address}, one position`,
      swept: { at: address, op: "patch", positions: [2] },
      whole: set(address, { positions: [2] }),
    })),
    ...at("z").map((address): Twin => ({
      name: `patched at ${address}, one head`,
      swept: { at: address, op: "patch", heads: [0] },
      whole: set(address, { heads: [0] }),
    })),
    ...at("attn_scores").map((address): Twin => {
      const cut = { at: address, op: "knockout", heads: [0], queries: [-1], keys: [-2] } as const;
      return { name: `edge cut at ${address}`, swept: cut, whole: () => cut };
    }),
  ];
}
