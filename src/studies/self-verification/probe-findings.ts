/** @file What probes found, as findings. */
import type { ControlReport, LayerControls } from "../../analyses/probes/controls.js";
import type { LayerProbe } from "../../analyses/probes/request.js";
import type { Tensor } from "../../base/tensor.js";
import { dot } from "../../base/vectors.js";
import type { Finding, FindingInterval } from "../../store/finding.js";
import { bootstrapped, judgementsOf, numberFinding, wilsonInterval } from "../finding-of.js";
import { MOMENTS } from "./judged.js";
import { PAPER } from "./paper.js";
import type { Probed } from "./probed.js";

/** The accuracy of each layer beside its controls. */
export function layerFindings({ probes }: Probed, controls: readonly LayerControls[]): Finding[] {
  return probes.map(({ test }, layer) => {
    const { shuffled, randomProjections, majority } = controls[layer]!;
    return numberFinding(`probe.resid_post.${layer}.balanced_accuracy`, `held-out balanced accuracy of the probe behind block ${layer}`, {
      value: test.balancedAccuracy,
      unit: "share",
      n: test.groups,
      // Of a perfect probe all resamples are perfect: what is known is that no search has a wrong judgement.
      ...(test.accuracy === 1 ? { interval: wilsonInterval(test.groups, test.groups) } : bootstrapped(test.balancedAccuracyInterval)),
      tolerance: { absolute: 0.01, relative: 0 },
      controls: [
        { name: "labels shuffled, logistic", value: shuffled.balancedAccuracy, interval: rangeOf(shuffled) },
        { name: "random projections, logistic", value: randomProjections.balancedAccuracy, interval: rangeOf(randomProjections) },
        { name: "always the commoner verdict", value: majority.balancedAccuracy },
      ],
      note: `${judgementsOf(test.examples, test.groups)}${layer === probes.length - 1 ? `. ${PAPER.probe}` : ""}`,
    });
  });
}

/** The least and the most of the draws of a control. */
function rangeOf({ draws }: ControlReport): FindingInterval {
  const values = draws.map(({ balancedAccuracy }) => balancedAccuracy);
  return { low: Math.min(...values), high: Math.max(...values), level: 1, method: "range" };
}

/** How early the verdict can be read. */
export function momentFindings(moments: readonly Probed[]): Finding[] {
  return moments.map(({ moment, probes }) => {
    const best = bestOf(probes);
    const [, meaning] = MOMENTS.find(([name]) => name === moment)!;
    return numberFinding(`probe.moment.${moment}.auroc`, `best held-out AUROC over layers at the ${meaning}`, {
      value: best.test.auroc ?? null,
      unit: "AUROC",
      n: best.test.groups,
      tolerance: { absolute: 0.02, relative: 0 },
      ...bootstrapped(best.test.aurocInterval),
      note: `layer ${best.layer}, the best of ${probes.length} on the same ${judgementsOf(best.test.examples, best.test.groups)}: the choice makes it too good, and the interval does not know of it`,
    });
  });
}

function bestOf(probes: readonly LayerProbe[]): LayerProbe {
  return probes.toSorted((a, b) => (b.test.auroc ?? 0) - (a.test.auroc ?? 0))[0]!;
}

/** The head whose output says most. */
export function headFinding(heads: readonly (readonly LayerProbe[])[]): Finding {
  const all = heads.flatMap((layer, index) =>
    layer.map((probe, head) => ({ index, head, auroc: probe.test.auroc ?? 0, groups: probe.test.groups })),
  );
  const best = all.toSorted((a, b) => b.auroc - a.auroc)[0]!;
  return numberFinding("probe.heads.auroc_best", "best held-out AUROC of a probe of one head's output", {
    value: best.auroc,
    unit: "AUROC",
    n: best.groups,
    tolerance: { absolute: 0.02, relative: 0 },
    note: `head ${best.head} of layer ${best.index}, the best of ${all.length} in ${heads.length} layers on these searches: the choice makes it too good`,
  });
}

/**
 * How nearly opposite the two classes' rows are. With AdamW both begin at random, of length 1 or so, and fitting adds to one what it takes from the other: with a step of
 * length s the cosine is about −s² / (1 + s²).
 */
export function cosineFinding({ data, shape: [layers = 0, , width = 0] }: Tensor<Float32Array>, method: string | undefined): Finding {
  const row = (layer: number, label: number): Float32Array => data.subarray((layer * 2 + label) * width, (layer * 2 + label + 1) * width);
  const last = layers - 1;
  const [a, b] = [row(last, 0), row(last, 1)];
  return numberFinding("probe.class_cosine", "cosine between the two classes' rows of the last layer's probe", {
    value: dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)),
    unit: "cosine",
    tolerance: { absolute: 0.02, relative: 0 },
    published: PAPER.classCosine,
    ...(method === "softmax" && { note: "-1 by construction: the penalised fit has one answer, in which the rows are opposite" }),
    ...(method === "softmax_adamw" && {
      note: "1 plus the cosine is about the share of a row's squared length that is left of its random start",
    }),
  });
}
