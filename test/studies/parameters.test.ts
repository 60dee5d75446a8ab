/** @file Settings of the study: the paper's for the paper's model, scaled for others; what is not understood is refused with its path. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/formats/json.js";
import type { LayerSpec } from "../../src/models/spec.js";
import { parametersFor, type SelfVerificationParameters } from "../../src/studies/self-verification/parameters.js";
import { thrownBy } from "../formats/folder.js";

/** Any file. */
const FILE = fileURLToPath(new URL("../../package.json", import.meta.url));

/** Of a spec what the settings look at. */
function parametersOf(layers: number, dMlp: number, given: JsonObject = {}, family = "llama"): SelfVerificationParameters {
  const layer = { mlp: { dMlp } } as unknown as LayerSpec;
  return parametersFor({ family, layers: Array.from({ length: layers }, () => layer) }, given);
}

function from(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

describe("defaults", () => {
  test("are the paper's for its model of 36 layers of 11008 units", () => {
    const { format, probe, steer, units, heads } = parametersOf(36, 11_008, {}, "qwen2");
    expect(format).toBe("qwen-countdown");
    expect(probe.learningRate).toBe(1e-4);
    expect(steer.layers).toEqual(from(24, 32));
    expect(units).toEqual({ layers: from(18, 35), perLayer: 50, ranking: 200 });
    expect(heads).toMatchObject({ threshold: 0.1, rankBy: "diagonal", top: 3 });
  });

  test.each([
    [3, 64, { steer: [2], units: [2], perLayer: 5, ranking: 5 }],
    [6, 512, { steer: [4], units: [3, 4, 5], perLayer: 5, ranking: 5 }],
    [12, 3072, { steer: [8, 9, 10], units: from(6, 11), perLayer: 14, ranking: 19 }],
    [72, 22_016, { steer: from(48, 65), units: from(36, 71), perLayer: 100, ranking: 800 }],
    [1, 8, { steer: [0], units: [0], perLayer: 5, ranking: 5 }],
  ])("scale with %i layers of %i units", (layers, dMlp, expected) => {
    const { steer, units } = parametersOf(layers, dMlp);
    expect({ steer: steer.layers, units: units.layers, perLayer: units.perLayer, ranking: units.ranking }).toEqual(expected);
    for (const layer of [...steer.layers, ...units.layers]) expect(layer).toBeLessThan(layers);
  });

  test("of a model that is no Qwen 2 ask in our own format, fit faster and rank heads by their effect", () => {
    const { format, probe, heads } = parametersOf(6, 512);
    expect([format, probe.learningRate, heads.rankBy]).toEqual(["countdown", 1e-2, "effect"]);
  });
});

test("what is given stands over the defaults, the rest stays", () => {
  const given = { searches: { prompts: 8, file: FILE }, steer: { layers: [0, 2] }, heads: { lookFrom: "open" } };
  const [plain, own] = [parametersOf(6, 512), parametersOf(6, 512, given)];
  expect(own).toEqual({
    ...plain,
    searches: { ...plain.searches, prompts: 8, file: FILE, sha256: own.searches.sha256 },
    steer: { ...plain.steer, layers: [0, 2] },
    heads: { ...plain.heads, lookFrom: "open" },
  });
  expect(parametersOf(6, 512, own as unknown as JsonObject)).toEqual(own);
});

test("a file that is named is known by its hash, and another one is refused", () => {
  const { searches } = parametersOf(6, 512, { searches: { file: FILE } });
  expect(searches.sha256).toBe(createHash("sha256").update(readFileSync(FILE)).digest("hex"));
  const other = { searches: { file: FILE, sha256: "0".repeat(64) } };
  expect(thrownBy(() => parametersOf(6, 512, other)).message).toMatch(/cannot use searches\.file: the file has another SHA-256/);
  expect(thrownBy(() => parametersOf(6, 512, { probe: { sha256: "0".repeat(64) } })).message).toMatch(/no file is named/);
  expect(thrownBy(() => parametersOf(6, 512, { probe: { file: "nowhere.pt" } })).kind).toBe("file");
});

test.each<[string, JsonObject]>([
  ["a name that is not there", { search: {} }],
  ["a name that is not there, further in", { searches: { prompt: 8 } }],
  ["a name that every object has", { toString: {} }],
  ["a number for a group", { searches: 8 }],
  ["a list for a group", { heads: [] }],
  ["nothing for a group", { heads: null }],
  ["a text for a number", { searches: { prompts: "many" } }],
  ["a number for a text", { format: 3 }],
  ["a number for a path", { probe: { file: 3 } }],
  ["a text for true or false", { searches: { bothVerdicts: "yes" } }],
  ["nothing for a number", { heads: { top: null } }],
  ["a number for a list", { steer: { layers: 3 } }],
  ["a list of texts", { steer: { layers: ["3"] } }],
  ["too few prompts", { searches: { prompts: 7 } }],
  ["half a seed", { probe: { seeds: 1.5 } }],
  ["a layer too many", { units: { layers: [5, 6] } }],
  ["no layer", { steer: { layers: [] } }],
  ["half a layer", { steer: { layers: [0.5] } }],
  ["a layer twice", { units: { layers: [5, 5] } }],
  ["a strength twice", { steer: { strengths: [1, 1] } }],
  ["a strength of 0", { steer: { strengths: [0] } }],
  ["a threshold above 1", { heads: { threshold: 1.1 } }],
  ["a place from which nobody looks", { heads: { lookFrom: "equals" } }],
  ["a score that is not there", { heads: { rankBy: "attention" } }],
  ["a format that is not there", { format: "free" }],
  ["a rate of 0", { probe: { learningRate: 0 } }],
  ["a negative ridge", { transfer: { ridge: -1 } }],
])("%s is refused", (_, given) => {
  const { kind, message } = thrownBy(() => parametersOf(6, 512, given));
  expect(`${kind}: ${message}`).toMatchSnapshot();
});
