/**
 * @file How a model comes to say "this works": the protocol of Lee et al. (2025, The Geometry of Self-Verification in a Task-Specific Reasoning Model, arXiv
 * 2504.14379), with the controls that its readers asked for.
 */
import type { Finding } from "../../store/finding.js";
import type { Study } from "../study.js";
import { checkModel } from "./check-model.js";
import { HEAD_ORDERS, parametersFor, type SelfVerificationParameters } from "./parameters.js";
import { ablationStep } from "./steps/ablation.js";
import { activityStep } from "./steps/activity.js";
import { channelsStep } from "./steps/channels.js";
import { headsStep } from "./steps/heads.js";
import { inContextStep } from "./steps/in-context.js";
import { lensStep } from "./steps/lens.js";
import { probeStep } from "./steps/probe.js";
import { rescueStep } from "./steps/rescue.js";
import { searchesStep } from "./steps/searches.js";
import { steerStep } from "./steps/steer.js";
import { transferStep } from "./steps/transfer.js";
import { unitsStep } from "./steps/units.js";

export const selfVerification: Study<SelfVerificationParameters> = {
  name: "self-verification",
  version: 1,
  title: "Self-verification: how a model comes to say that its attempt works",
  question: "Where in the model is the verdict on an attempt made, what carries it there, and what happens when that is switched off?",
  source:
    "Lee, Sun, Wendler, Viégas, Wattenberg 2025, The Geometry of Self-Verification in a Task-Specific Reasoning Model, arXiv 2504.14379",
  others: { other: "a second model, to which the probe is carried" },
  parameters(given, { model }) {
    checkModel(model.spec);
    return parametersFor(model.spec, given);
  },
  steps: [
    searchesStep,
    probeStep,
    lensStep,
    steerStep,
    unitsStep,
    headsStep,
    channelsStep,
    ablationStep,
    activityStep,
    rescueStep,
    inContextStep,
    transferStep,
  ],
  key: [
    "searches.verdict_by_claim",
    "searches.verdict_by_truth",
    "probe.seeds.balanced_accuracy_min",
    "probe.moment.lastDigit.auroc",
    "probe.class_cosine",
    "units.this.cosine_max",
    "heads.looking",
    "heads.attention_max",
    "channels.agreement",
    "ablation.none.disabled",
    "ablation.units_valid.disabled",
    "ablation.units_both.disabled",
    "ablation.heads_all.disabled",
    "ablation.heads_top.disabled",
    "ablation.fewest_heads.diagonal",
    "ablation.fewest_heads.composition",
    "ablation.fewest_heads.effect",
    "activity.valid.change_size",
    "rescue.top_back.verifies",
    "rescue.others_back.verifies",
    "transfer.auroc_best",
    "transfer.steer.flipped",
  ],
  summary,
};

function summary(findings: ReadonlyMap<string, Finding>): string[] {
  const share = (id: string): string => percent(findings.get(id)?.value);
  const looking = findings.get("heads.looking")?.value ?? 0;
  const fewest = HEAD_ORDERS.flatMap((order) => {
    const value = findings.get(`ablation.fewest_heads.${order}`)?.value;
    return typeof value === "number" ? [`${value} by ${order}`] : [];
  });
  const last = [...findings.values()].findLast(({ id }) => id.startsWith("probe.resid_post."));
  return [
    `The verdict agrees with the value that the model wrote in ${share("searches.verdict_by_claim")} of judgements, and is true of the attempt in ${share("searches.verdict_by_truth")}.`,
    `Behind the last block a linear probe reads the verdict to come with a balanced accuracy of ${percent(last?.value)} on searches that it was not fitted to.`,
    looking > 0
      ? `${looking} heads look back at the target. With all of them off, ${share("ablation.heads_all.disabled")} of right results are called wrong, with the first few ${share("ablation.heads_top.disabled")}; with units near the probe off, ${share("ablation.units_valid.disabled")}.`
      : `No head looks back at the target. With units near the probe off, ${share("ablation.units_valid.disabled")} of right results are called wrong.`,
    fewest.length > 0
      ? `So few heads off, in the order of a score, are enough that nine of ten right results are no longer called right: ${fewest.join(", ")}.`
      : "No number of heads tried, in the order of any score, is enough that nine of ten right results are no longer called right.",
    ...(findings.has("rescue.top_back.verifies")
      ? [
          `With all of them off and the first few given back what they had, ${share("rescue.top_back.verifies")} of right results are called right.`,
        ]
      : []),
  ];
}

function percent(value: number | null | undefined): string {
  return typeof value === "number" ? `${(100 * value).toFixed(1)} %` : "(no case)";
}
