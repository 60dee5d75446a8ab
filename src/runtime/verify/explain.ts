/**
 * @file What two tensors of one point differ by, where it is one of the things that other programs do to weights on purpose. TransformerLens's `from_pretrained` takes from
 * whatever writes to the residual stream its mean (`center_writing_weights`), likewise from the unembedding (`center_unembed`), moves the values' bias into the output's
 * (`fold_value_biases`), and the norms' weights and biases into what reads them (`fold_ln`).
 */
import { sizeOf, tensor, type Tensor } from "../../base/tensor.js";
import { differenceOf } from "./compare.js";

/** What lies between two tensors. */
export interface Explanation {
  readonly says: string;
  /** Another program does it by default, and another way of writing the same model: no difference of the models. */
  readonly isDefault: boolean;
}

/** What lies between ours and theirs, within a relative tolerance; undefined where it is nothing known. Of one shape, axes named in `ours`. */
export function explain(point: string, ours: Tensor, theirs: Tensor, tolerance: number): Explanation | undefined {
  const found = KINDS.find(({ make }) => {
    const made = make(ours, theirs);
    return made !== undefined && differenceOf(made, theirs).relative <= tolerance;
  });
  if (!found) return undefined;
  const says = found.says(ours, theirs);
  const setting = found.setting(point, ours);
  return setting ? { says: `${says}: ${setting} of TransformerLens`, isDefault: true } : { says, isDefault: false };
}

interface Kind {
  /** Ours, changed so that it would be theirs; nothing where that cannot be told. */
  readonly make: (ours: Tensor, theirs: Tensor) => Tensor | undefined;
  readonly says: (ours: Tensor, theirs: Tensor) => string;
  /** The setting that does so at this point. */
  readonly setting: (point: string, ours: Tensor) => string | undefined;
}

/** What is centred, by the last axis. */
const CENTRING: Readonly<Record<string, string>> = { d_model: "center_writing_weights", vocab: "center_unembed" };

/** The simplest first. */
const KINDS: readonly Kind[] = [
  {
    make: centred,
    says: ({ axes }) => `the mean over ${axes.at(-1)}`,
    setting: (_, { axes }) => CENTRING[axes.at(-1) ?? ""],
  },
  {
    make: shifted,
    says: () => "the same vector at every position",
    setting: (point) => (point === "v" || point === "z" ? "fold_value_biases" : undefined),
  },
  {
    make: (ours, theirs) => scaled(ours, factorOf(ours, theirs)),
    says: (ours, theirs) => `the factor ${Number(factorOf(ours, theirs).toPrecision(6))}`,
    setting: () => undefined,
  },
  {
    make: rescaled,
    says: () => "a factor and a shift of each unit",
    setting: (point) => (point.endsWith("_normalized") ? "fold_ln" : undefined),
  },
];

/** Fewest positions from which a shift, or a factor and a shift, of each unit can be told. */
const LEAST = { shift: 3, both: 4 };

function mapped({ data, shape, axes }: Tensor, change: (value: number, at: number) => number): Tensor {
  return tensor(Float32Array.from(data, change), shape, axes);
}

function scaled(ours: Tensor, factor: number): Tensor {
  return mapped(ours, (value) => value * factor);
}

/** Each vector along the last axis without its mean; none where a vector has one element. */
function centred(ours: Tensor): Tensor | undefined {
  const width = ours.shape.at(-1) ?? 1;
  if (width < 2) return undefined;
  const means = new Float64Array(ours.data.length / width);
  ours.data.forEach((value, at) => (means[Math.floor(at / width)]! += value / width));
  return mapped(ours, (value, at) => value - means[Math.floor(at / width)]!);
}

function shifted(ours: Tensor, theirs: Tensor): Tensor | undefined {
  const units = momentsOf(ours, theirs, LEAST.shift);
  return units && mapped(ours, (value, at) => value + theirMean(units, at) - ourMean(units, at));
}

function rescaled(ours: Tensor, theirs: Tensor): Tensor | undefined {
  const units = momentsOf(ours, theirs, LEAST.both);
  if (!units) return undefined;
  return mapped(ours, (value, at) => {
    const unit = at % units.width;
    const factor = units.squares[unit] === 0 ? 0 : units.products[unit]! / units.squares[unit]!;
    return (value - ourMean(units, at)) * factor + theirMean(units, at);
  });
}

/** Of each unit (whatever stands behind the positions), over the positions: means, and sums of squares and products about them. */
interface Moments {
  readonly width: number;
  readonly ours: Float64Array;
  readonly theirs: Float64Array;
  readonly squares: Float64Array;
  readonly products: Float64Array;
}

/** None where positions are not an axis, or too few. */
function momentsOf({ data, shape, axes }: Tensor, { data: other }: Tensor, least: number): Moments | undefined {
  const positions = (shape[0] ?? 0) * (shape[1] ?? 0);
  if (axes[1] !== "pos" || positions < least) return undefined;
  const width = sizeOf(shape.slice(2));
  const [ours, theirs, squares, products] = Array.from({ length: 4 }, () => new Float64Array(width)) as [Float64Array, Float64Array, Float64Array, Float64Array]; // prettier-ignore
  data.forEach((value, at) => {
    ours[at % width]! += value / positions;
    theirs[at % width]! += other[at]! / positions;
  });
  data.forEach((value, at) => {
    const unit = at % width;
    const apart = value - ours[unit]!;
    squares[unit]! += apart * apart;
    products[unit]! += apart * (other[at]! - theirs[unit]!);
  });
  return { width, ours, theirs, squares, products };
}

function ourMean({ ours, width }: Moments, at: number): number {
  return ours[at % width]!;
}

function theirMean({ theirs, width }: Moments, at: number): number {
  return theirs[at % width]!;
}

/** The factor that brings ours nearest to theirs, by least squares over what is finite. */
function factorOf(ours: Tensor, theirs: Tensor): number {
  let [products, squares] = [0, 0];
  ours.data.forEach((value, at) => {
    const other = theirs.data[at]!;
    if (!Number.isFinite(value) || !Number.isFinite(other)) return;
    products += value * other;
    squares += value * value;
  });
  return squares === 0 ? 1 : products / squares;
}
