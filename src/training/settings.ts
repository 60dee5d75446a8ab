/** @file What the course of training depends on, as plain data, and its comparison with what a checkpoint was trained with. */
import { refuse, SextantError } from "../base/errors.js";
import { describeJson, isJsonObject } from "../formats/json.js";

/** A tree with a JSON form. */
export type Settings = Readonly<Record<string, unknown>>;

/** Throws unless the settings of a checkpoint are these; the error names what differs. */
export function checkSettings(folder: string, stored: unknown, own: Settings): void {
  if (!isJsonObject(stored))
    throw new SextantError("format", `${folder}: settings of its state must be an object, got ${describeJson(stored)}`);
  const [there, here] = [leavesOf(stored), leavesOf(JSON.parse(JSON.stringify(own)) as unknown)];
  const names = [...new Set([...there.keys(), ...here.keys()])].filter((name) => there.get(name) !== here.get(name));
  if (names.length === 0) return;
  const differ = names.slice(0, 6).map((name) => `${name} was ${there.get(name) ?? "not given"}, is ${here.get(name) ?? "not given"}`);
  const more = names.length > 6 ? `; and ${names.length - 6} more` : "";
  const instead = "repeat what it was begun with, or name another folder";
  throw refuse({ what: `cannot go on from ${folder}`, why: `it was trained otherwise: ${differ.join("; ")}${more}`, instead }, "request");
}

/** Values as JSON by their path, such as `schedule.peak`. Lists count as values. */
function leavesOf(value: unknown, path = ""): Map<string, string> {
  if (!isJsonObject(value)) return new Map([[path, JSON.stringify(value)]]);
  return new Map(Object.entries(value).flatMap(([key, part]) => [...leavesOf(part, path ? `${path}.${key}` : key)]));
}
