/**
 * @file Compares two runs point by point, in forward order, and names the first that differs: everything after it differs because of
 * it, so a failing comparison is the bisection.
 */
import { inForwardOrder } from "./points.js";

/** A tensor of either side. */
export interface Compared {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/** Points by address; logits may be among them or beside them. */
export interface ComparedRun {
  readonly points: ReadonlyMap<string, Compared>;
  readonly logits?: Compared;
}

/** How two tensors at one address differ. `relative` is max |Δ| over the largest |value| of theirs. */
export interface Difference {
  readonly address: string;
  readonly maxAbs: number;
  readonly relative: number;
  readonly cosine: number;
  /** Where max |Δ| is, and both values there. */
  readonly at: readonly number[];
  readonly ours: number;
  readonly theirs: number;
}

/** The verdict: `message` is the line to print where they do not agree, `differences` has all points in forward order. */
export interface Comparison {
  readonly agrees: boolean;
  readonly message: string;
  readonly differences: readonly Difference[];
}

/** Limits: `relative` for every point, `logits` (absolute) for the logits if given. */
export interface Limits {
  readonly name: string;
  readonly relative: number;
  readonly logits?: number;
  /** What they are called in the message. */
  readonly theirs?: string;
}

/** Compares every point of `theirs` with ours. A point that ours lacks, or of another shape, is a difference. */
export function compareRuns(ours: ComparedRun, theirs: ComparedRun, limits: Limits): Comparison {
  const [mine, wanted] = [withLogits(ours), withLogits(theirs)];
  const addresses = inForwardOrder(wanted.keys());
  const unlike = addresses.find((address) => String(mine.get(address)?.shape) !== String(wanted.get(address)!.shape));
  if (unlike) return { agrees: false, message: shapeMessage(unlike, mine.get(unlike), wanted.get(unlike)!, limits), differences: [] };
  const differences = addresses.map((address) => compareTensors(address, mine.get(address)!, wanted.get(address)!));
  const first = differences.findIndex((difference) => !isWithin(difference, limits));
  const message = first < 0 ? `✓ ${limits.name}` : differenceMessage(differences, first, limits);
  return { agrees: first < 0, message, differences };
}

/** How two tensors of one shape differ. Two equal infinities do not; NaN differs from everything but NaN. */
export function compareTensors(address: string, ours: Compared, theirs: Compared): Difference {
  let [worst, maxAbs, largest] = [0, 0, 0];
  const sums = { ab: 0, aa: 0, bb: 0 };
  for (let i = 0; i < theirs.data.length; i++) {
    const [a, b] = [ours.data[i]!, theirs.data[i]!];
    const delta = distance(a, b);
    if (delta > maxAbs) [worst, maxAbs] = [i, delta];
    if (!Number.isFinite(a) || !Number.isFinite(b)) continue;
    largest = Math.max(largest, Math.abs(b));
    sums.ab += a * b;
    sums.aa += a * a;
    sums.bb += b * b;
  }
  const cosine = sums.aa === sums.bb && sums.ab === sums.aa ? 1 : sums.ab / Math.sqrt(sums.aa * sums.bb);
  const at = placeOf(worst, theirs.shape);
  return { address, maxAbs, relative: ratio(maxAbs, largest), cosine, at, ours: ours.data[worst]!, theirs: theirs.data[worst]! };
}

function distance(a: number, b: number): number {
  if (Object.is(a, b) || a === b) return 0;
  const delta = Math.abs(a - b);
  return Number.isNaN(delta) ? Infinity : delta;
}

function ratio(part: number, whole: number): number {
  return part === 0 ? 0 : part / whole;
}

function withLogits({ points, logits }: ComparedRun): ReadonlyMap<string, Compared> {
  return logits ? new Map([...points, ["logits", logits]]) : points;
}

function isWithin({ address, maxAbs, relative }: Difference, limits: Limits): boolean {
  return address === "logits" && limits.logits !== undefined ? maxAbs <= limits.logits : relative <= limits.relative;
}

/** Row-major: the indices of element `flat`. */
function placeOf(flat: number, shape: readonly number[]): number[] {
  let rest = flat;
  return shape.toReversed().reduce<number[]>((place, length) => {
    const index = rest % length;
    rest = Math.floor(rest / length);
    return [index, ...place];
  }, []);
}

function shapeMessage(address: string, ours: Compared | undefined, theirs: Compared, limits: Limits): string {
  const mine = ours ? `is [${ours.shape.join()}]` : "is missing";
  return `✗ ${limits.name}  ${address} ${mine} in ours, [${theirs.shape.join()}] in ${limits.theirs ?? "reference"}`;
}

function differenceMessage(differences: readonly Difference[], first: number, { name, theirs = "reference" }: Limits): string {
  const { address, maxAbs, relative, at, ...values } = differences[first]!;
  const before = differences[first - 1];
  const place = `max |Δ| ${maxAbs.toExponential(1)} (relative ${relative.toExponential(1)}) at [${at.join()}]`;
  const both = `ours ${values.ours.toPrecision(5)} ${theirs} ${values.theirs.toPrecision(5)}`;
  return `✗ ${name}  ${address} ${place} ${both} (first point to differ${before ? `; ${before.address} agrees` : ""})`;
}
