/** @file What the tests of running a model share: the small models, rows of tokens, and distances between results. */
import { fileURLToPath } from "node:url";
import type { Tensor } from "../../src/base/tensor.js";
import { allPlaces } from "../../src/models/address.js";
import { loadModel } from "../../src/runtime/load.js";
import type { Model } from "../../src/runtime/model.js";

/** The folder of a fixture model. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/variants/${name}`, import.meta.url));
}

/** A fixture model, on one thread. */
export function loadFixture(name: string): Promise<Model> {
  return loadModel(fixture(name), { threads: 1, lazy: true });
}

/** Rows of those lengths, with ids below 61, the fixtures' vocabulary. */
export function rowsOf(...lengths: readonly number[]): number[][] {
  return lengths.map((length, row) => Array.from({ length }, (_, i) => (row * 17 + i * i * 5 + i * 11 + 7) % 61));
}

/** The addresses of a model, without the logits. */
export function addressesOf({ spec }: Model): string[] {
  return allPlaces(spec)
    .map(({ address }) => address as string)
    .filter((address) => address !== "logits");
}

/** max |Δ| over the largest finite |value| of `theirs`; equal infinities are no difference, another shape is an infinite one. */
export function apart(ours: Tensor | undefined, theirs: Tensor | undefined): number {
  if (!ours || !theirs || String(ours.shape) !== String(theirs.shape)) return Infinity;
  let [furthest, largest] = [0, 0];
  theirs.data.forEach((value, i) => {
    const delta = ours.data[i] === value ? 0 : Math.abs(ours.data[i]! - value);
    furthest = Math.max(furthest, Number.isNaN(delta) ? Infinity : delta);
    if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
  });
  return furthest === 0 ? 0 : furthest / largest;
}

/** The addresses whose values are further apart than the tolerance, or that ours lack. */
export function differing(ours: Readonly<Record<string, Tensor>>, theirs: Readonly<Record<string, Tensor>>, tolerance = 0): string[] {
  return Object.keys(theirs).filter((address) => !(apart(ours[address], theirs[address]) <= tolerance));
}

/** The elements of a tensor at the first indices given, as plain numbers. */
export function at({ data, shape }: Tensor, ...indices: readonly number[]): number[] {
  const size = shape.slice(indices.length).reduce((product, length) => product * length, 1);
  const start = indices.reduce((offset, index, axis) => offset * shape[axis]! + index, 0) * size;
  return [...data.subarray(start, start + size)];
}
