/** @file What computes one op in the interpreter, and how it reads its attributes and inputs. */
import { must } from "../../src/base/errors.js";
import type { Node } from "../../src/graph/graph.js";
import type { NdArray } from "./nd-array.js";

export type Inputs = readonly (NdArray | undefined)[];
export type Attributes = Node["attributes"];

/** An op's outputs from its inputs; optional inputs that are left out are undefined. */
export type Kernel = (inputs: Inputs, attributes: Attributes) => readonly NdArray[];

/** An input that must be there. */
export function input(inputs: Inputs, place: number): NdArray {
  return must(inputs[place], `input ${place}`);
}

/** The numbers of an input. */
export function numbers(inputs: Inputs, place: number): number[] {
  return [...input(inputs, place).data];
}

/** An attribute that is a whole number. */
export function whole(attributes: Attributes, name: string, otherwise?: number): number {
  const value = attributes[name] ?? otherwise;
  if (typeof value !== "number" || !Number.isInteger(value)) throw new Error(`the attribute ${name} must be a whole number`);
  return value;
}

/** An attribute that is written as a float. */
export function float(attributes: Attributes, name: string, otherwise?: number): number {
  const value = attributes[name];
  if (value === undefined && otherwise !== undefined) return otherwise;
  if (typeof value !== "object" || !("float" in value)) throw new Error(`the attribute ${name} must be a float`);
  return value.float;
}

/** Throws unless the attributes are among those that the kernel honours. */
export function knowsOnly(attributes: Attributes, ...names: readonly string[]): void {
  const other = Object.keys(attributes).filter((name) => !names.includes(name));
  if (other.length > 0) throw new Error(`the attribute ${other.join(", ")} is not honoured`);
}
