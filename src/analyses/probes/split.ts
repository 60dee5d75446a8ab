/**
 * @file Sides to fit, choose and test on, cut between groups: examples of one prompt resemble each other, so a probe tested on the
 * prompts that it was fitted to has learned them by heart. No group is ever on two sides.
 */
import { refuse, SextantError } from "../../base/errors.js";
import { seededRandom } from "../../base/random.js";
import { shuffled } from "../../base/draws.js";

/** What names a group, such as a prompt. */
export type GroupId = string | number;

/** The examples of each side, by index, ascending. */
export interface ProbeSplit {
  /** To fit to. */
  readonly train: readonly number[];
  /** To choose by; may be empty where nothing is chosen. */
  readonly validation: readonly number[];
  /** To test on. */
  readonly test: readonly number[];
}

/** The share of the examples on each side; they add up to 1. */
export interface SplitShares {
  readonly shares: { readonly train: number; readonly validation: number; readonly test: number };
}

/** What is to be cut. */
export interface SplitRequest extends SplitShares {
  readonly labels: ArrayLike<number>;
  readonly groups: readonly GroupId[];
  readonly seed: number;
}

/** The sides, in the order of fitting, choosing, testing. */
export const SIDES = ["train", "validation", "test"] as const;

/** How many orders of the groups are tried before a split is given up. */
const ATTEMPTS = 50;

/** The examples of one group, and how many there are of each class. */
interface Group {
  readonly members: readonly number[];
  readonly counts: Float64Array;
}

/**
 * Sides with about the given shares of the examples of every class, with no group on two of them. Groups come in random order, the large
 * ones first, each to the side that lacks most. Refused where some side is left without a class: there are too few groups.
 */
export function splitByGroup(request: SplitRequest): ProbeSplit {
  checkRequest(request);
  const labels = Array.from(request.labels);
  const classes = Math.max(...new Set(labels)) + 1;
  const groups = groupsOf(request.groups, labels, classes);
  const wanted = SIDES.filter((side) => request.shares[side] > 0);
  const totals = groups.reduce((sums, { counts }) => sums.map((sum, c) => sum + counts[c]!), new Float64Array(classes));
  let missing = "";
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const sides = assign(shuffled(groups, seededRandom(request.seed, attempt)), totals, request.shares);
    const lack = wanted.flatMap((side) => Array.from(totals, (total, c) => ({ side, c, total })));
    const gap = lack.find(({ side, c, total }) => total > 0 && !sides[side].some(({ counts }) => counts[c]! > 0));
    if (!gap) return { train: membersOf(sides.train), validation: membersOf(sides.validation), test: membersOf(sides.test) };
    missing = `the ${gap.side} side has no example of class ${gap.c}`;
  }
  const why = `${missing} in ${ATTEMPTS} tries with ${groups.length} groups`;
  throw refuse(
    { what: "the examples cannot be split by group", why, instead: "give more groups, fewer sides or classes, or a split of your own" },
    "request",
  );
}

function assign(groups: readonly Group[], totals: Float64Array, shares: SplitShares["shares"]): Record<(typeof SIDES)[number], Group[]> {
  const sides = { train: [] as Group[], validation: [] as Group[], test: [] as Group[] };
  const filled = { train: totals.map(() => 0), validation: totals.map(() => 0), test: totals.map(() => 0) };
  for (const group of groups.toSorted((a, b) => b.members.length - a.members.length)) {
    const costs = SIDES.map((side) => costOf(group, { filled: filled[side], totals, share: shares[side] }));
    const side = SIDES[costs.indexOf(Math.min(...costs))]!;
    sides[side].push(group);
    filled[side] = filled[side].map((count, c) => count + group.counts[c]!);
  }
  return sides;
}

/** By how much Σ over classes of (filled share − share)² / share grows when the group comes to this side. */
function costOf(group: Group, side: { readonly filled: Float64Array; readonly totals: Float64Array; readonly share: number }): number {
  if (side.share <= 0) return Infinity;
  let cost = 0;
  for (const [c, total] of side.totals.entries()) {
    if (total === 0) continue;
    const [before, more] = [side.filled[c]! / total / side.share - 1, group.counts[c]! / total];
    cost += 2 * before * more + (more * more) / side.share;
  }
  return cost;
}

/** Groups in the order of their first examples. */
function groupsOf(ids: readonly GroupId[], labels: readonly number[], classes: number): Group[] {
  const members = new Map<GroupId, number[]>();
  for (const [example, id] of ids.entries()) {
    const group = members.get(id);
    if (group) group.push(example);
    else members.set(id, [example]);
  }
  return [...members.values()].map((group) => {
    const counts = new Float64Array(classes);
    for (const example of group) counts[labels[example]!]!++;
    return { members: group, counts };
  });
}

function membersOf(groups: readonly Group[]): number[] {
  return groups.flatMap(({ members }) => members).toSorted((a, b) => a - b);
}

function checkRequest({ labels, groups, shares, seed }: SplitRequest): void {
  if (groups.length !== labels.length)
    throw new SextantError("request", `groups: needs one for each of ${labels.length} examples, got ${groups.length}`);
  checkLabels(labels);
  checkShares(shares);
  if (!Number.isInteger(seed)) throw new SextantError("request", `seed must be a whole number, got ${seed}`);
}

/** Throws unless there are labels, and all are small whole numbers. */
export function checkLabels(labels: ArrayLike<number>): void {
  if (labels.length === 0) throw new SextantError("request", "labels: a probe needs examples, got none");
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!;
    if (!(Number.isInteger(label) && label >= 0 && label < 2 ** 16))
      throw new SextantError("request", `labels[${i}] must be a whole number, 0 … 65535, got ${label}`);
  }
}

function checkShares(shares: SplitShares["shares"]): void {
  const all = SIDES.map((side) => shares[side]);
  const sum = all.reduce((total, share) => total + share, 0);
  if (all.every((share) => share >= 0) && shares.train > 0 && shares.test > 0 && Math.abs(sum - 1) < 1e-9) return;
  throw new SextantError("request", `shares must be 0 or more, add up to 1, and leave some to train and test, got ${all.join(", ")}`);
}
