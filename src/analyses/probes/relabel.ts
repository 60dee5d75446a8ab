/** @file Labels that say nothing of the examples, for controls: shuffled as far as groups allow, or drawn a type of token. */
import { refuse } from "../../base/errors.js";
import type { Random } from "../../base/random.js";
import { shuffled } from "../../base/draws.js";
import type { Examples } from "./examples.js";
import { SIDES, type GroupId, type ProbeSplit } from "./split.js";

const ATTEMPTS = 50;

/**
 * Labels shuffled within each side, so that every side keeps its count of each class. Groups' labels stay together: groups come in random order, the
 * labels of each in random order, and this list is dealt to the groups. So a group of one label gets one label again where groups have
 * one size (nearly so where sizes differ), and dependence between examples of a group is in the control as it is in the data.
 */
export function shuffledLabels(examples: Examples, split: ProbeSplit, random: Random): Int32Array {
  const labels = examples.labels.slice();
  for (const side of SIDES) {
    const groups = membersOf(examples, split[side]);
    const dealt = shuffled(groups, random).flatMap((members) =>
      shuffled(
        members.map((example) => examples.labels[example]!),
        random,
      ),
    );
    for (const [i, example] of groups.flat().entries()) labels[example] = dealt[i]!;
  }
  return labels;
}

/**
 * Labels of a control task (Hewitt & Liang 2019, arXiv 1909.03368): every type gets the label of a random example, on all sides alike. A probe can
 * only do well on it by remembering types. Refused where the types are too few for every class to be among the training examples.
 */
export function controlTaskLabels(examples: Examples, types: readonly GroupId[], split: ProbeSplit, random: Random): Int32Array {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const ofType = new Map<GroupId, number>();
    const labels = Int32Array.from(types, (type) => {
      const label = ofType.get(type) ?? examples.labels[Math.floor(random() * examples.count)]!;
      ofType.set(type, label);
      return label;
    });
    if (new Set(split.train.map((example) => labels[example]!)).size === examples.classes) return labels;
  }
  const why = `random labels of ${new Set(types).size} types leave a class without training examples in ${ATTEMPTS} tries`;
  throw refuse({ what: "there is no control task", why, instead: "give examples of more types, or leave types out" }, "request");
}

/** The examples of each group on a side. */
function membersOf({ groups }: Examples, side: readonly number[]): number[][] {
  const members = new Map<number, number[]>();
  for (const example of side) {
    const group = members.get(groups[example]!);
    if (group) group.push(example);
    else members.set(groups[example]!, [example]);
  }
  return [...members.values()];
}
