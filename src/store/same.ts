/** @file In which settings two runs differ: what a run is of, apart from where and when it was made. */
import { isJsonObject } from "../formats/json.js";
import type { RunFile } from "./manifest.js";
import type { RunHead } from "./records.js";

/** A setting that differs: its name, such as `seed` or `parameters.tasks`, and its values; null where a run lacks it. */
export interface SettingDifference {
  readonly name: string;
  readonly a: unknown;
  readonly b: unknown;
}

/** The settings of two runs that differ. Machine, times, and the models' places and names are not held against each other. */
export function differentSettings(a: RunHead, b: RunHead): SettingDifference[] {
  const [left, right] = [settingsOf(a), settingsOf(b)];
  const names = [...new Set([...left.keys(), ...right.keys()])];
  return names.flatMap((name) => {
    const [one = null, other = null] = [left.get(name), right.get(name)];
    return isSameJson(one, other) ? [] : [{ name, a: one, b: other }];
  });
}

function settingsOf({ study, studyVersion, parameters, seed, models, tokenizers, engine }: RunHead): Map<string, unknown> {
  const within = (name: string, record: Readonly<Record<string, unknown>>): [string, unknown][] =>
    Object.entries(record).map(([key, value]) => [`${name}.${key}`, value]);
  const files = (role: string, list: readonly RunFile[]): [string, unknown][] =>
    list.map(({ path, sha256 }) => [`models.${role}.${path}`, sha256]);
  return new Map<string, unknown>([
    ["study", study],
    ["studyVersion", studyVersion],
    ["seed", seed],
    ...within("parameters", parameters),
    ...Object.entries(models).flatMap(([role, model]) => files(role, model.files)),
    ...within("tokenizers", tokenizers),
    ...within("engine", { device: "cpu", ...engine }),
  ]);
}

/** Whether two JSON values are the same, the order of members aside. */
export function isSameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, index) => isSameJson(item, b[index]));
  if (!isJsonObject(a) || !isJsonObject(b)) return false;
  const keys = definedKeys(a);
  return keys.length === definedKeys(b).length && keys.every((key) => Object.hasOwn(b, key) && isSameJson(a[key], b[key]));
}

function definedKeys(object: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(object).filter((key) => object[key] !== undefined);
}
