/**
 * @file What Lee et al. (2025, arXiv 2504.14379) and their released code say of Qwen2.5-3B trained on CountDown. It stands beside what is found here, and is never
 * a claim about the model of a run.
 */
import type { Published } from "../../store/finding.js";

const NOTEBOOK = "Lee et al. 2025, notebook of the released code: Qwen2.5-3B trained on CountDown, 300 cases";
const SHARED = "another model (36 layers, 16 heads), other prompts and numbers up to 99, up to 100 tokens a continuation";

function disabled(value: number, differs: string): Published {
  return { value, source: NOTEBOOK, differs: `${SHARED}; ${differs}` };
}

export const PAPER = {
  probe: "The paper reports near perfect accuracy in almost all layers from the 4th on; it gives no table by layer.",
  classCosine: {
    value: -0.994,
    source: "computed from the released probe, layers 10 to 35",
    differs: "another model; its gradients were never set back between steps",
  },
  none: disabled(0, "run on 20 cases only"),
  unitsValid: disabled(0.1633, "50 units in each of layers 18 to 35"),
  unitsBoth: disabled(0.4467, "50 units a class in each of layers 18 to 35"),
  allHeads: disabled(0.96, "33 heads above the threshold, attention averaged over the last four cases"),
  topHeads: disabled(0.9533, "heads 17.11, 17.14 and 17.10 of 576, ranked by the diagonal score"),
  looking: {
    value: 33,
    source: "Lee et al. 2025, released list of heads",
    differs: `${SHARED}; means over the last four cases only`,
  },
} as const satisfies Record<string, Published | string>;
