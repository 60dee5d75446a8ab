/** @file The `normalizer` of a `tokenizer.json`, applied to text that remembers where it came from. */
import { refuse } from "../../base/errors.js";
import { rewriteAligned, rewritesOf, type AlignedText, type Rewrite } from "./aligned-text.js";
import { describeJson, isJsonObject, type JsonObject } from "../json.js";
import { compilePattern } from "./engine.js";

/** Turns text into what the vocabulary is matched against. */
export type Normalize = (text: AlignedText) => AlignedText;

type Rule = (config: JsonObject) => (text: string) => readonly Rewrite[];

/** The normalizer that the configuration describes; an unknown kind is refused. */
export function makeNormalizer(config: unknown): Normalize {
  const steps = flatten(config).map((step) => {
    const rule = RULES[String(step["type"])];
    if (!rule)
      throw refuse({ what: `cannot use the normalizer ${describeJson(step["type"])}`, why: `known are ${Object.keys(RULES).join(", ")}` });
    return rule(step);
  });
  return (text) => steps.reduce((current, rewrites) => rewriteAligned(current, rewrites(current.text)), text);
}

function flatten(config: unknown): JsonObject[] {
  if (!isJsonObject(config)) return [];
  const { type, normalizers } = config;
  return type === "Sequence" && Array.isArray(normalizers) ? normalizers.flatMap(flatten) : [config];
}

const unicode =
  (form: "NFC" | "NFD" | "NFKC" | "NFKD"): Rule =>
  () =>
  (text) =>
    rewritesOf(text, (part) => part.normalize(form));

const RULES: { readonly [type: string]: Rule } = {
  NFC: unicode("NFC"),
  NFD: unicode("NFD"),
  NFKC: unicode("NFKC"),
  NFKD: unicode("NFKD"),
  Lowercase: () => (text) => rewritesOf(text, (part) => part.toLowerCase()),
  Prepend: (config) => (text) => (text === "" ? [] : [{ at: 0, length: 0, text: String(config["prepend"]) }]),
  Strip: (config) => (text) => strip(text, config["strip_left"] === true, config["strip_right"] === true),
  Replace: (config) => replace(config),
};

function strip(text: string, left: boolean, right: boolean): Rewrite[] {
  const start = left ? text.length - text.trimStart().length : 0;
  const end = right ? Math.max(start, text.trimEnd().length) : text.length;
  return [
    { at: 0, length: start, text: "" },
    { at: end, length: text.length - end, text: "" },
  ];
}

function replace(config: JsonObject): (text: string) => Rewrite[] {
  const pattern = compilePattern(config["pattern"]);
  const content = typeof config["content"] === "string" ? config["content"] : "";
  return (text) => {
    const matches = pattern ? [...text.matchAll(pattern)] : [];
    return matches.map((match) => ({ at: match.index, length: match[0].length, text: content }));
  };
}
