/** @file JSON with random damage: fields taken away, replaced, retagged, numbers scaled. */
import fc from "fast-check";

export type Fields = Readonly<Record<string, unknown>>;

/** Values that readers trip over: edges of number types, other types, names that objects inherit, settings that exist elsewhere. */
const ODD: readonly unknown[] = [
  null, true, false, 0, 1, 2, 3, 4, 5, 8, 16, 32, -1, 0.25, 0.5, 1.5, -0.5, 1e-300, 1e-40, 1e38, 1e300, 1e9, 2 ** 31 - 1, 2 ** 31, 2 ** 53,
  "", "3", "gelu", "relu", "__proto__", "constructor", [], [1], [0, 1], [[["global"], 2]], [[[], 1e9]], ["local", "global"],
  ["full_attention", "sliding_attention"], ["sliding_attention", "sliding_attention"], {}, { a: 1 },
  { type: "linear", factor: 2 }, { rope_type: "linear", factor: -2 }, { rope_type: "dynamic", factor: 4 }, { rope_type: "yarn", factor: 4 },
  { rope_type: "yarn", factor: 0, rope_theta: 1 }, { rope_type: "default", rope_theta: -3 }, { rope_type: "default", partial_rotary_factor: 0.3 },
  { rope_type: "llama3", factor: 8, low_freq_factor: 4, high_freq_factor: 4, original_max_position_embeddings: 16 },
  { rope_type: "longrope", short_factor: [1, 1, 1, 1], long_factor: [0, 1, 1, 1], original_max_position_embeddings: 1 },
  { full_attention: { rope_type: "linear", factor: 3 }, sliding_attention: { rope_type: "x" } },
]; // prettier-ignore

/** A number of the field's own size, an odd value, or any JSON at all. */
const replacement = (old: unknown): fc.Arbitrary<unknown> => {
  const odd = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...ODD) }, { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) });
  if (typeof old !== "number") return odd;
  return fc.oneof(odd, fc.constantFrom(old * 2, old / 2, old + 1, old - 1, -old, old * 1e9));
};

/** The fields with one to three of them damaged, on any level; `more` are names of fields that may be added. */
export function damaged(fields: Fields, more: readonly string[] = []): fc.Arbitrary<Fields> {
  const paths = [...pathsOf(fields), ...more.map((name) => [name])];
  const change = fc.constantFrom(...paths).chain((path) => {
    const taken = fc.constant({ path, value: undefined });
    return fc.oneof(
      { weight: 1, arbitrary: taken },
      { weight: 4, arbitrary: replacement(at(fields, path)).map((value) => ({ path, value })) },
    );
  });
  return fc
    .array(change, { minLength: 1, maxLength: 3 })
    .map((changes) => changes.reduce<Fields>((result, { path, value }) => withValue(result, path, value) as Fields, fields));
}

type Path = readonly string[];

function pathsOf(value: unknown): Path[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [[key], ...pathsOf(inner).map((rest) => [key, ...rest])]);
}

function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inner, key) => (typeof inner === "object" && inner !== null ? (inner as Fields)[key] : undefined), value);
}

/** A copy with the value at a path; without it where the value is undefined. */
function withValue(value: unknown, [key, ...rest]: Path, put: unknown): unknown {
  if (key === undefined) return put;
  if (typeof value !== "object" || value === null) return value;
  const inner = withValue((value as Fields)[key], rest, put);
  if (Array.isArray(value)) {
    if (inner === undefined) return value.filter((_, index) => String(index) !== key);
    return value.map((item: unknown, index) => (String(index) === key ? inner : item));
  }
  const copy = Object.fromEntries(Object.entries(value).filter(([name]) => name !== key));
  return inner === undefined ? copy : { ...copy, [key]: inner };
}
