/** @file The planted model does what `planted-truth.ts` says of it, by the parts named there and by no others. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fitProbe } from "../../../src/analyses/probes/fit.js";
import type { LayerProbe } from "../../../src/analyses/probes/request.js";
import { normalNumbers } from "../../../src/base/draws.js";
import { seededRandom } from "../../../src/base/random.js";
import { tensor, type Tensor } from "../../../src/base/tensor.js";
import { dot } from "../../../src/base/vectors.js";
import { loadTokenizer } from "../../../src/formats/tokenizer.js";
import type { Edit } from "../../../src/runtime/edit.js";
import { loadModel } from "../../../src/runtime/load.js";
import type { ForwardResult, Model } from "../../../src/runtime/model.js";
import { parseTrace } from "../../../src/tasks/countdown/parse.js";
import { decodeIds, encodeText, idOf, TOKENS } from "../../../src/tasks/countdown/vocabulary.js";
import { temporaryFolder } from "../../formats/folder.js";
import { digitTokens, SIZES, STREAM } from "./planted-layout.js";
import { buildPlantedModel, plantedTensors } from "./planted-model.js";
import { plantedSearches, type PlantedAttempt } from "./planted-searches.js";
import { plantedTruth } from "./planted-truth.js";

const { root } = temporaryFolder();
const { direction, validUnits, invalidUnit, decoyUnits, verificationHeads, decoyHead, previousTokenHead } = plantedTruth;
const searches = plantedSearches(5, 50);
const tokens = searches.map((search) => search.tokens);
const attempts = searches.flatMap((search, row) => search.attempts.map((attempt) => ({ ...attempt, row, target: search.target })));
/** How many searches are run again under each edit: enough that each digit is the right result somewhere. */
const FEW = 20;
const few = attempts.filter(({ row }) => row < FEW);

let model: Model;
let untouched: ForwardResult;
beforeAll(async () => {
  buildPlantedModel(root);
  model = await loadModel(root, { threads: 1, lazy: true });
  untouched = await model.forward({
    tokens,
    read: ["resid_post.*", "resid_mid.1", "pattern.*", "mlp_post.*"],
    logits: { positions: "all" },
  });
});
afterAll(() => model.close());

/** The vector of each attempt at its ` (`, in the searches that were run, of a value with axes `batch, pos` and one more. */
function atOpen({ data, shape }: Tensor): Float32Array[] {
  const [rows = 0, length = 0, width = 0] = shape;
  const run = attempts.filter(({ row }) => row < rows);
  return run.map(({ row, open }) => Float32Array.from(data.subarray((row * length + open) * width, (row * length + open + 1) * width)));
}

/** What is said behind each attempt's ` (`. */
function saidIn({ logits }: ForwardResult): string[] {
  return atOpen(logits!).map((row) => decodeIds([row.indexOf(Math.max(...row))]));
}

async function saidUnder(edits: readonly Edit[]): Promise<string[]> {
  return saidIn(await model.forward({ tokens: tokens.slice(0, FEW), edits, logits: { positions: "all" } }));
}

/** What should be said where attempts that are right count as right only if `isHeard`. */
function verdicts(isHeard: (attempt: PlantedAttempt) => boolean, of: readonly PlantedAttempt[] = few): string[] {
  return of.map((attempt) => (attempt.isRight && isHeard(attempt) ? "this" : "not"));
}

function headsOff(layer: number, heads: readonly number[]): Edit[] {
  return [{ at: `z.${layer}`, op: "set", value: 0, heads }];
}

function unitsOff(layer: number, units: readonly number[]): Edit[] {
  return [{ at: `mlp_post.${layer}`, op: "set", value: 0, units }];
}

/** A vector at the output of layer 1, added at the last position of rows that end in ` (`. */
async function saidWith(vector: readonly number[], rows: readonly (readonly number[])[]): Promise<string[]> {
  const edits: Edit[] = [{ at: "resid_post.1", op: "add", vector, positions: [-1] }];
  const { logits } = await model.forward({ tokens: rows, edits, logits: { positions: "last" } });
  return rows.map((_, i) => {
    const row = logits!.data.subarray(i * SIZES.vocab, (i + 1) * SIZES.vocab);
    return decodeIds([row.indexOf(Math.max(...row))]);
  });
}

/** A probe of the verdict on a stream at ` (`, tested on searches that it was not fitted to. */
function probeOn(address: string): LayerProbe {
  const vectors = atOpen(untouched.activations[address]!);
  const examples = tensor(Float32Array.from(vectors.flatMap((vector) => [...vector])), [vectors.length, SIZES.dModel]);
  const labels = attempts.map(({ isRight }) => (isRight ? 1 : 0));
  const groups = attempts.map(({ row }) => row);
  const split = { shares: { train: 0.5, validation: 0, test: 0.5 } };
  return fitProbe({ examples, labels, groups, split, method: { kind: "ridge", l2: 0.1 }, seed: 1, interval: { resamples: 200 } })
    .layers[0]!;
}

describe("the searches", () => {
  test("are read by the format's parser and the tokenizer as they were made", () => {
    const tokenizer = loadTokenizer(root);
    for (const { task, prompt, response, tokens: ids, target, attempts: made } of searches) {
      const read = parseTrace(task, response).attempts.map(({ claimed, verdict }) => [claimed, verdict === "works"]);
      expect(read).toEqual(made.map(({ result, isRight }) => [result, isRight]));
      expect(tokenizer.encode(prompt + response).ids).toEqual(ids);
      expect(ids[target]).toBe(idOf(` ${task.target}`));
      expect(made.map(({ open }) => [ids[open], ids[open - 1]] as const)).toEqual(
        made.map(({ result }) => [idOf(" ("), idOf(` ${result}`)]),
      );
    }
  });

  test("have both verdicts each, and neither result nor target alone tells which", () => {
    const many = plantedSearches(6, 1000).flatMap(({ task, attempts: made }) =>
      made.map((attempt) => ({ ...attempt, target: task.target })),
    );
    for (const search of searches) expect(new Set(search.attempts.map(({ isRight }) => isRight)).size).toBe(2);
    for (const digit of [1, 2, 3, 4, 5, 6, 7, 8, 9]) {
      // Of 6000 attempts in 1000 searches: deviations of 0.01 in the share of a target, of 0.02 in the share of right ones among 667.
      const [byResult, byTarget] = [many.filter(({ result }) => result === digit), many.filter(({ target }) => target === digit)];
      for (const those of [byResult, byTarget]) {
        expect(Math.abs(those.length / many.length - 1 / 9)).toBeLessThan(0.04);
        expect(Math.abs(those.filter(({ isRight }) => isRight).length / those.length - 0.5)).toBeLessThan(0.08);
      }
    }
  });

  test("are the same for the same seed, however many are made", () => {
    expect(plantedSearches(5, 3)).toEqual(searches.slice(0, 3));
    expect(plantedSearches(7, 1)).not.toEqual(searches.slice(0, 1));
  });
});

describe("the verdict", () => {
  test("is right on all of 300 attempts, by a wide margin", () => {
    expect(attempts).toHaveLength(300);
    expect(saidIn(untouched)).toEqual(verdicts(() => true, attempts));
    expect(new Set(few.filter(({ isRight }) => isRight).map(({ result }) => result))).toHaveProperty("size", 9);
    const leads = atOpen(untouched.logits!).map((row, i) => {
      const said = idOf(attempts[i]!.isRight ? "this" : "not");
      return row[said]! - Math.max(...row.filter((_, token) => token !== said));
    });
    expect(Math.min(...leads)).toBeGreaterThan(12);
  });

  test.each([2])("is right whatever the noise: seed %i", async (seed) => {
    const folder = join(root, String(seed));
    buildPlantedModel(folder, seed);
    const other = await loadModel(folder, { threads: 1, lazy: true });
    expect(saidIn(await other.forward({ tokens: tokens.slice(0, FEW), logits: { positions: "all" } }))).toEqual(verdicts(() => true));
    await other.close();
  });

  test("is written as the format has it, and the text ends behind it", async () => {
    const starts = ["7", "8"].map((result) => [TOKENS.bos, ...encodeText(`numbers 3 4 2 target 7\n- 3 + 4 - 2 = ${result}`)]);
    const { tokens: written, finish } = await model.generate({ tokens: starts, maxNew: 10 });
    expect(written.map(decodeIds)).toEqual([" (this works)\n", " (not 0)\n"]);
    expect(finish).toEqual(["stop_token", "stop_token"]);
  });
});

describe("heads", () => {
  test("of layer 1 look at the target from the result and from the bracket; no others do", () => {
    for (const layer of [0, 1, 2]) {
      const { data, shape } = untouched.activations[`pattern.${layer}`]!;
      const length = shape[2]!;
      const looks = attempts.flatMap(({ row, open, target }) =>
        [0, 1, 2, 3].flatMap((head) =>
          [open - 1, open].map((query) => data[((row * SIZES.heads + head) * length + query) * length + target]!),
        ),
      );
      if (layer === 1) expect(Math.min(...looks)).toBeGreaterThan(0.95);
      else expect(Math.max(...looks)).toBeLessThan(0.1);
    }
  });

  test("of layer 1 look at the first token from everywhere else", () => {
    const { data, shape } = untouched.activations["pattern.1"]!;
    const length = shape[2]!;
    const looks = searches.flatMap(({ tokens: ids, attempts: made }, row) => {
      const judging = new Set(made.flatMap(({ open }) => [open - 1, open]));
      const others = [...ids.keys()].filter((position) => !judging.has(position));
      return others.flatMap((query) => [0, 1, 2, 3].map((head) => data[((row * SIZES.heads + head) * length + query) * length]!));
    });
    expect(looks.reduce((least, look) => Math.min(least, look))).toBeGreaterThan(0.95);
  });

  test("that bring the result look at the token before, wherever they stand", () => {
    const { layer, head } = previousTokenHead;
    const { data, shape } = untouched.activations[`pattern.${layer}`]!;
    const length = shape[2]!;
    const looks = searches.flatMap(({ tokens: ids }, row) =>
      ids.slice(1).map((_, i) => data[((row * SIZES.heads + head) * length + i + 1) * length + i]!),
    );
    expect(Math.min(...looks)).toBeGreaterThan(0.99);
  });

  test("that fetch the target carry the verdict: without the three, no attempt is called right", async () => {
    expect(
      await saidUnder(
        headsOff(
          1,
          verificationHeads.map(({ head }) => head),
        ),
      ),
    ).toEqual(verdicts(() => false));
  });

  test.each(verificationHeads)("matter for their own digits and no others: $digits", async ({ layer, head, digits }) => {
    expect(await saidUnder(headsOff(layer, [head]))).toEqual(verdicts(({ result }) => !digits.includes(result)));
  });

  test("without a part in it change no verdict", async () => {
    expect(await saidUnder(headsOff(decoyHead.layer, [decoyHead.head]))).toEqual(verdicts(() => true));
    expect(await saidUnder([...headsOff(0, [1, 2, 3]), ...headsOff(2, [0, 1, 2, 3])])).toEqual(verdicts(() => true));
  });

  test("that fetch the target are those whose output the valid units read; the diagonal of OV does not show it", () => {
    const scores = headScores();
    const names = verificationHeads.map(({ layer, head }) => `${layer}.${head}`);
    expect(
      scores
        .slice(0, 3)
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(names);
    expect(scores[2]!.full).toBeGreaterThan(3 * scores[3]!.full);
    // The heads read the target's token and write it elsewhere, so that OV has next to nothing on its diagonal.
    expect(Math.max(...scores.map(({ diagonal }) => Math.abs(diagonal)))).toBeLessThan(0.01);
  });
});

/** Heads by how much of the valid units' up rows their OV circuit reaches: the mean of ‖u W_O W_V‖, and of SiLU(g·d)(u·d) with d the diagonal; most first. */
function headScores(): { name: string; full: number; diagonal: number }[] {
  const tensors = plantedTensors();
  const rowsOf = (name: string, count: number): Float32Array[] => {
    const { data } = tensors[`model.layers.${name}.weight`]!;
    return Array.from({ length: count }, (_, row) => data.subarray((row * data.length) / count, ((row + 1) * data.length) / count));
  };
  const [gates, ups] = [rowsOf("1.mlp.gate_proj", SIZES.dMlp), rowsOf("1.mlp.up_proj", SIZES.dMlp)];
  const scores = Array.from({ length: SIZES.layers * SIZES.heads }, (_, i) => {
    const [layer, head] = [Math.floor(i / SIZES.heads), i % SIZES.heads];
    const first = Math.floor((head * SIZES.kvHeads) / SIZES.heads) * SIZES.dHead;
    const read = rowsOf(`${layer}.self_attn.v_proj`, SIZES.kvHeads * SIZES.dHead).slice(first, first + SIZES.dHead);
    const written = rowsOf(`${layer}.self_attn.o_proj`, SIZES.dModel).map((row) => row.slice(head * SIZES.dHead, (head + 1) * SIZES.dHead));
    const through = (vector: ArrayLike<number>, column: number): number =>
      dot(
        vector,
        read.map((row) => row[column]!),
      );
    const diagonal = written.map((row, column) => through(row, column));
    const ofUnits = validUnits.map(({ unit }) => {
      const heard = read.map((_row, channel) =>
        dot(
          ups[unit]!,
          written.map((row) => row[channel]!),
        ),
      );
      const open = dot(gates[unit]!, diagonal);
      const full = Math.hypot(...diagonal.map((_value, column) => through(heard, column)));
      return { full, diagonal: (open / (1 + Math.exp(-open))) * dot(ups[unit]!, diagonal) };
    });
    const mean = (score: "full" | "diagonal"): number => ofUnits.reduce((sum, unit) => sum + unit[score] / ofUnits.length, 0);
    return { name: `${layer}.${head}`, full: mean("full"), diagonal: mean("diagonal") };
  });
  return scores.toSorted((a, b) => b.full - a.full);
}

describe("units", () => {
  test("that are valid carry the verdict: without the ten, no attempt is called right", async () => {
    expect(
      await saidUnder(
        unitsOff(
          1,
          validUnits.map(({ unit }) => unit),
        ),
      ),
    ).toEqual(verdicts(() => false));
  });

  test.each([1, 5, 9])("that are valid for %i matter for it and for no other digit", async (digit) => {
    expect(await saidUnder(unitsOff(1, [validUnits[digit]!.unit]))).toEqual(verdicts(({ result }) => result !== digit));
  });

  test("without a part in it change no verdict", async () => {
    const planted = new Set([...validUnits, invalidUnit].map(({ unit }) => unit));
    const others = Array.from({ length: SIZES.dMlp }, (_, unit) => unit).filter((unit) => !planted.has(unit));
    const edits = [...unitsOff(0, [...Array(SIZES.dMlp).keys()]), ...unitsOff(1, others), ...unitsOff(2, [...Array(SIZES.dMlp).keys()])];
    expect(await saidUnder(edits)).toEqual(verdicts(() => true));
  });

  test("that say no are what makes a wrong attempt wrong", async () => {
    const without = atOpen(
      (await model.forward({ tokens, edits: unitsOff(1, [invalidUnit.unit]), read: ["resid_post.1"], logits: false })).activations[
        "resid_post.1"
      ]!,
    );
    for (const [i, vector] of without.entries()) if (!attempts[i]!.isRight) expect(Math.abs(dot(vector, direction))).toBeLessThan(1);
  });

  test("that are decoys are as active at each bracket, and write far from the direction", () => {
    for (const activation of atOpen(untouched.activations["mlp_post.2"]!))
      for (const { unit } of decoyUnits) expect(activation[unit]).toBeGreaterThan(1.4);
    const tensors = plantedTensors();
    const cosines = [0, 1, 2].map((layer) => {
      const { data } = tensors[`model.layers.${layer}.mlp.down_proj.weight`]!;
      return Array.from({ length: SIZES.dMlp }, (_, unit) => {
        const value = Float64Array.from({ length: SIZES.dModel }, (_unused, row) => data[row * SIZES.dMlp + unit]!);
        return dot(value, direction) / Math.hypot(...value);
      });
    });
    for (const { unit } of validUnits) expect(cosines[1]![unit]).toBeGreaterThan(0.98);
    expect(cosines[1]![invalidUnit.unit]).toBeLessThan(-0.98);
    for (const { unit } of decoyUnits) expect(Math.abs(cosines[2]![unit]!)).toBeLessThan(0.02);
    const planted = new Set([...validUnits, invalidUnit].map(({ layer, unit }) => `${layer}.${unit}`));
    const others = cosines.flatMap((ofLayer, layer) => ofLayer.filter((_, unit) => !planted.has(`${layer}.${unit}`)));
    expect(Math.max(...others.map(Math.abs))).toBeLessThan(0.4);
  });
});

describe("the direction", () => {
  test("has the stream on the side of the verdict wherever the judgement is readable", () => {
    for (const layer of plantedTruth.readable)
      for (const [i, vector] of atOpen(untouched.activations[`resid_post.${layer}`]!).entries())
        expect(dot(vector, direction) * (attempts[i]!.isRight ? 1 : -1)).toBeGreaterThan(1);
  });

  test("turns the verdict when the stream is moved along it; directions as long, drawn at random, do not", async () => {
    const wrong = attempts.filter(({ isRight }) => !isRight).slice(0, 12);
    const rows = wrong.map(({ row, open }) => tokens[row]!.slice(0, open + 1));
    const strength = 5;
    expect(
      new Set(
        await saidWith(
          [...direction].map((value) => strength * value),
          rows,
        ),
      ),
    ).toEqual(new Set(["this"]));
    for (const seed of [1, 2, 3, 4]) {
      const random = normalNumbers(SIZES.dModel, seededRandom(seed));
      expect(
        new Set(
          await saidWith(
            [...random].map((value) => (strength * value) / Math.hypot(...random)),
            rows,
          ),
        ),
      ).toEqual(new Set(["not"]));
    }
  });

  test.each(plantedTruth.readable)("is found by a probe behind layer %i, where the verdict is read without error", (layer) => {
    expect(probeOn(`resid_post.${layer}`).test.auroc).toBe(1);
  });

  test.each(["resid_post.0", "resid_mid.1"])("is not there yet at %s, where a probe is at chance", (address) => {
    const { auroc, aurocInterval } = probeOn(address).test;
    // 150 attempts of chance: a deviation of the AUROC of 0.05.
    expect(Math.abs(auroc! - 0.5)).toBeLessThan(0.15);
    expect(aurocInterval!.low).toBeLessThan(0.5);
    expect(aurocInterval!.high).toBeGreaterThan(0.5);
  });
});

describe("the builder", () => {
  test("gives the same weights for the same seed, others for another, and noise in every entry", () => {
    const [one, again, other] = [plantedTensors(1), plantedTensors(1), plantedTensors(2)];
    for (const [name, { data }] of Object.entries(one)) {
      expect(Buffer.from(data.buffer).equals(Buffer.from(again[name]!.data.buffer))).toBe(true);
      expect(Buffer.from(data.buffer).equals(Buffer.from(other[name]!.data.buffer))).toBe(false);
      expect(data.every((value) => Number.isFinite(value) && value !== 0)).toBe(true);
    }
  });

  test("lays out the stream without gaps and overlaps", () => {
    expect(Object.values(STREAM).flat()).toEqual([...Array(SIZES.dModel).keys()]);
    expect(digitTokens(7)).toEqual([idOf("7"), idOf(" 7")]);
  });
});
