/** @file Examples of a probe, checked: a NaN, a class of which there is none, or a leak between sides would become a plausible number. */
import { refuse, SextantError } from "../../base/errors.js";
import { checkCount } from "../../base/series.js";
import { sizeOf, type Tensor } from "../../base/tensor.js";
import type { ProbeRequest } from "./request.js";
import { checkLabels, SIDES, splitByGroup, type GroupId, type ProbeSplit } from "./split.js";

/** Examples as fitting needs them: activations of axes `example, layer, d_model`, labels and groups by number. */
export interface Examples {
  readonly data: Float32Array;
  readonly count: number;
  readonly layers: number;
  readonly width: number;
  readonly labels: Int32Array;
  readonly classes: number;
  /** The group of each example, numbered in the order of first examples. */
  readonly groups: Int32Array;
}

/** The examples of a request, or an error that says what is wrong with them. */
export function examplesOf(request: Pick<ProbeRequest, "examples" | "labels" | "groups">): Examples {
  const { examples, labels } = request;
  const [count, layers, width] = sizesOf(examples);
  checkCount(labels, count, "labels");
  checkLabels(labels);
  if (request.groups && request.groups.length !== count)
    throw new SextantError("request", `groups: needs one for each of ${count} examples, got ${request.groups.length}`);
  const stray = examples.data.findIndex((value) => !Number.isFinite(value));
  if (stray >= 0) {
    const place = `example ${Math.floor(stray / (layers * width))}, layer ${Math.floor(stray / width) % layers}, element ${stray % width}`;
    throw new SextantError("request", `examples: a probe needs finite activations, got ${examples.data[stray]} at ${place}`);
  }
  const classes = classesOf(labels);
  const groups = numbered(request.groups ?? Array.from(labels, (_, i) => i));
  return { data: examples.data, count, layers, width, labels: Int32Array.from(labels), classes, groups };
}

/** The sides of a request: those given, checked, or made by group. */
export function splitOf(request: ProbeRequest, examples: Examples): ProbeSplit {
  const split = request.split ?? { shares: { train: 0.6, validation: 0.2, test: 0.2 } };
  if ("shares" in split) return splitByGroup({ ...split, labels: examples.labels, groups: [...examples.groups], seed: request.seed });
  checkSplit(split, examples);
  return split;
}

/** One example's activations in one layer, a view. */
export function activationsOf({ data, layers, width }: Examples, example: number, layer: number): Float32Array {
  const from = (example * layers + layer) * width;
  return data.subarray(from, from + width);
}

function sizesOf({ shape, data }: Tensor<Float32Array>): [count: number, layers: number, width: number] {
  const [count, layers, width] = shape.length === 2 ? [shape[0]!, 1, shape[1]!] : [shape[0] ?? 0, shape[1] ?? 0, shape[2] ?? 0];
  if ((shape.length !== 2 && shape.length !== 3) || sizeOf(shape) !== data.length || data.length === 0) {
    const demand = "examples must have axes example, d_model or example, layer, d_model";
    throw new SextantError("request", `${demand}, got shape [${shape.join(", ")}] with ${data.length} values`);
  }
  return [count, layers, width];
}

function classesOf(labels: ArrayLike<number>): number {
  const present = new Set(Array.from(labels));
  const classes = Math.max(...present) + 1;
  const only = [...present][0]!;
  const [what, instead] = ["a probe cannot be fitted", "give examples of two classes or more"];
  if (present.size < 2) throw refuse({ what, why: `all ${labels.length} labels are ${only}`, instead }, "request");
  if (present.size < classes) {
    const missing = Array.from({ length: classes }, (_, c) => c).find((c) => !present.has(c));
    const why = `labels go up to ${classes - 1}, but none is ${missing}`;
    throw refuse({ what, why, instead: "number the classes that occur from 0 without gaps" }, "request");
  }
  return classes;
}

function checkSplit(split: ProbeSplit, { count, labels, classes, groups }: Examples): void {
  const sideOf = new Map<number, string>();
  const seen = new Set<number>();
  for (const side of SIDES) {
    for (const example of split[side]) {
      if (!(Number.isInteger(example) && example >= 0 && example < count))
        throw new SextantError("request", `split.${side} must hold indices of 0 … ${count - 1}, got ${example}`);
      if (seen.has(example)) throw new SextantError("request", `split: example ${example} is there twice`);
      seen.add(example);
      const group = groups[example]!;
      const other = sideOf.get(group) ?? side;
      sideOf.set(group, side);
      if (other !== side) throw leak(example, other, side);
    }
  }
  if (split.test.length === 0) throw new SextantError("request", "split.test must hold examples, got none");
  const known = new Set(split.train.map((example) => labels[example]!));
  if (known.size < classes) {
    const missing = Array.from({ length: classes }, (_, c) => c).find((c) => !known.has(c));
    throw new SextantError("request", `split.train must hold examples of every class, got none of class ${missing}`);
  }
}

function leak(example: number, one: string, other: string): SextantError {
  const why = `the group of example ${example} is both in ${one} and in ${other}, so the test would be on what was learned`;
  return refuse({ what: "the split cannot be used", why, instead: "keep each group on one side, as splitByGroup does" }, "request");
}

/** Each id's number, in the order of first occurrences. */
function numbered(ids: readonly GroupId[]): Int32Array {
  const numbers = new Map<GroupId, number>();
  for (const id of ids) if (!numbers.has(id)) numbers.set(id, numbers.size);
  return Int32Array.from(ids, (id) => numbers.get(id)!);
}
