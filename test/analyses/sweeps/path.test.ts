/**
 * @file Path patching: against a second implementation with ordinary edits, on models of every build; identities that hold whatever the
 * weights; and the circuit that is planted in the induction model, of which its README says who reads what from whom.
 */
import { afterAll, describe, expect, it } from "vitest";
import { sweepPaths } from "../../../src/analyses/sweeps/grid-sweep.js";
import { patchPaths, type PathRequest, type Receiver } from "../../../src/analyses/sweeps/path.js";
import { must } from "../../../src/base/errors.js";
import { tensor, type Tensor } from "../../../src/base/tensor.js";
import type { ModelSpec } from "../../../src/models/spec.js";
import type { Model } from "../../../src/runtime/model.js";
import type { Counterfactual, SweepPair, SweepRequest } from "../../../src/runtime/sweep/request.js";
import { modelShelf, SUBJECTS, type Subject } from "../../parity/subjects.js";
import { apart } from "../../runtime/support.js";
import { naivePaths, type Sent } from "./naive-paths.js";

/** Both sides compute in float32, in products of other sizes; of the largest |logit|. Seen: 8e-7. A path that is not held shows at 1e-2. */
const ROUNDING = 1e-5;

/** One model for each way in which blocks are built; some lie in the shared folder. */
const BUILDS = {
  "gpt2-hub-names": "learned positions, one sublayer after the other",
  "gpt-neox-v5-yarn": "parallel sublayers with a norm each",
  "gptj-rotary-six": "parallel sublayers with one norm",
  "phi-qk-layernorm-gqa": "parallel sublayers, shared key heads",
  "bloom-five-heads-untied": "the residual starts behind the norm",
  "llama-gqa": "shared key heads",
  "gemma3-old-style": "norms on both sides, shared key heads, a window",
  gemma2: "norms on both sides, shared key heads, soft caps",
  "opt-post-projected": "norms of the stream itself",
  olmo2: "norms of all heads' queries and keys together, norms behind sublayers",
  "qwen3-moe-dense-first": "experts, shared key heads",
  "gpt-oss": "experts, sinks, shared key heads",
  "induction-2l-attn": "attention only, no norms",
};

const subjects = SUBJECTS.filter(({ name }) => Object.hasOwn(BUILDS, name));
const GROUPED = subjects.filter(({ name }) => ["phi-qk-layernorm-gqa", "gemma3-old-style", "llama-gqa", "gpt-oss"].includes(name));

const shelf = modelShelf();
afterAll(shelf.close);

type Pair = SweepPair & { readonly corrupted: readonly number[]; readonly answer: number; readonly wrong: number };

/** Prompts that differ from position 2 on, but not at every third. */
function pairOf({ tokens: [a = [], b = []] }: Subject): Pair {
  const clean = a.slice(0, 9);
  return { clean, corrupted: clean.map((token, i) => (i >= 2 && i % 3 !== 0 ? b[i]! : token)), answer: 5, wrong: 11 };
}

const patched = (sender: readonly Sent[]): Counterfactual => ({ edits: sender.map((sent) => ({ ...sent, op: "patch" })) });

/** Senders in front of a layer; in front of the third also such as stand in two layers. */
function sendersBefore({ layers }: ModelSpec, layer: number): Sent[][] {
  const mlp: Sent[][] = layers[0]!.mlp ? [[{ at: "mlp_out.0", positions: [2, 5] }]] : [];
  const ofTwo: Sent[][] = [
    [{ at: "z.0", heads: [0] }, { at: "z.1", heads: [1] }],
    [{ at: "z.0", heads: [0] }, { at: "q.1", heads: [0] }],
    [{ at: "attn_out.0", positions: [2] }, { at: "attn_out.1", positions: [4] }],
    [{ at: "resid_pre.0", positions: [4] }, { at: "z.1", heads: [0] }],
    ...(layers[0]!.mlp && layers[1]!.mlp ? [[{ at: "mlp_out.0", positions: [2] }, { at: "mlp_out.1", positions: [4] }]] : []),
  ]; // prettier-ignore
  return [
    [{ at: "embed" }],
    [{ at: "resid_pre.0", positions: [4] }],
    [{ at: "z.0", heads: [1] }],
    [{ at: "attn_out.0" }],
    ...mlp,
    [{ at: `z.${layer - 1}`, heads: [0] }],
    [{ at: `resid_pre.${layer}`, positions: [5] }],
    [{ at: "k.0", heads: [0] }, { at: "v.0", heads: [0] }],
    ...(layer > 1 ? ofTwo : []),
  ]; // prettier-ignore
}

/** Each receiver alone, and several at once; heads of a group all in one layer. */
function receiversOf({ layers }: ModelSpec): Receiver[][] {
  const layer = layers.length - 1;
  const { heads, kvHeads } = layers[layer]!.attention;
  const [head, isGrouped] = [heads - 1, kvHeads < heads];
  const mlp: Receiver[] = layers[layer]!.mlp ? [{ into: "mlp", layer }] : [];
  const whole: Receiver[][] = [[{ into: "k", layer, kvHead: 0 }], [{ into: "v", layer: 1, kvHead: kvHeads - 1 }, ...mlp]];
  return [
    [{ into: "end" }],
    [{ into: "q", layer, head }],
    [{ into: "k", layer, head }],
    [{ into: "v", layer, head }],
    ...(mlp.length > 0 ? [mlp] : []),
    [{ into: "q", layer: isGrouped ? layer : 1, head: 0 }, { into: "k", layer, head }, { into: "v", layer, head: 0 }, ...mlp],
    [{ into: "k", layer, head }, { into: "v", layer, head }, { into: "k", layer, head: 0 }],
    ...(isGrouped ? whole : []),
  ]; // prettier-ignore
}

/** The metric of each sender's path. */
async function pathsOf(model: Model, request: Omit<PathRequest, "metrics">): Promise<number[]> {
  return [...(await patchPaths(model, { ...request, metrics: ["logit_diff"] })).metrics["logit_diff"]!.values];
}

/** The model, for sweeps alone, with a record of what it is asked. */
function recorded(model: Model): { model: Model; asked: SweepRequest[] } {
  const asked: SweepRequest[] = [];
  const sweep: Model["sweep"] = (request, options) => {
    asked.push(request);
    return model.sweep(request, options);
  };
  return { asked, model: Object.assign(Object.create(model) as Model, { sweep }) };
}

describe.each(subjects)("paths of $name", (subject) => {
  const { clean, corrupted, answer, wrong } = pairOf(subject);

  it.each([
    ["residual", "denoise"],
    ["mlps", "noise"],
  ] as const)("through %s are those of a naive implementation (%s)", async (through, direction) => {
    const model = await shelf.open(subject.folder);
    const [base, source] = direction === "denoise" ? [corrupted, clean] : [clean, corrupted];
    let moved = 0;
    for (const receivers of receiversOf(model.spec)) {
      const depths = receivers.map((receiver) => (receiver.into === "end" ? model.spec.layers.length - 1 : receiver.layer));
      const layer = receivers[0]!.into === "end" ? 2 : Math.min(...depths);
      const senders = sendersBefore(model.spec, Math.min(layer, model.spec.layers.length - 1));
      const naive = await naivePaths(model, { base, source, answer, wrong, senders, receivers, through });
      const request = { pairs: [{ clean, corrupted, answer, wrong }], senders: senders.map(patched), receivers, through, direction };
      const { values, ...unedited } = (await patchPaths(model, { ...request, metrics: ["logit_diff"] })).metrics["logit_diff"]!;
      const [before = NaN] = must(direction === "denoise" ? unedited.corrupted : unedited.clean, "the unedited run");
      naive.values.forEach((value, i) => {
        const said = JSON.stringify({ sender: senders[i], receivers, ours: values[i], naive: value, before });
        expect(Math.abs(values[i]! - value) / naive.scale, said).toBeLessThan(ROUNDING);
        if (Math.abs(value - before) / naive.scale > 1e-3) moved++;
      });
    }
    expect(moved).toBeGreaterThan(20);
  });

  it("from a place that is the same in both prompts change nothing", async () => {
    const model = await shelf.open(subject.folder);
    const layer = model.spec.layers.length - 1;
    const head = model.spec.layers[layer]!.attention.heads - 1;
    // Positions 3 and 6 have the same token in both prompts, and so the same keys and values in the first layer.
    const senders = [[{ at: "k.0", positions: [3] }], [{ at: "v.0", positions: [6] }], [{ at: "q.0", positions: [3, 6] }]];
    for (const receivers of [[{ into: "end" }], [{ into: "v", layer, head }]] satisfies Receiver[][]) {
      const { metrics } = await patchPaths(model, {
        pairs: [{ clean, corrupted, answer, wrong }],
        senders: senders.map(patched),
        receivers,
        metrics: ["logit_diff"],
      });
      const { values, corrupted: before } = metrics["logit_diff"]!;
      for (const value of values) expect(Math.abs(value - before![0]!)).toBeLessThan(ROUNDING * 10);
    }
  });

  it("to a head's query, key or value leave all other heads of its layer as they are", async () => {
    const model = await shelf.open(subject.folder);
    const { model: watched, asked } = recorded(model);
    const layer = model.spec.layers.length - 1;
    const head = model.spec.layers[layer]!.attention.heads - 1;
    const pairs = [{ clean, corrupted, answer, wrong }];
    const unedited = (await model.forward({ tokens: [corrupted], read: [`z.${layer}`], logits: false })).activations[`z.${layer}`]!;
    const [, , heads = 0, width = 0] = unedited.shape;
    const ofHead = ({ data }: Tensor, index: number): Tensor => {
      const own = data.filter((_, i) => Math.floor(i / width) % heads === index) as Float32Array;
      return tensor(own, [own.length]);
    };
    for (const into of ["q", "k", "v"] as const) {
      await patchPaths(watched, {
        pairs,
        senders: [patched([{ at: "embed" }])],
        receivers: [{ into, layer, head }],
        metrics: ["logit_diff"],
      });
      const { activations } = await model.sweep({ ...must(asked.at(-1), "the measured run"), metrics: [], read: [`z.${layer}`] });
      const told = activations[`z.${layer}`]!;
      for (let other = 0; other < heads; other++) {
        const off = apart(ofHead(told, other), ofHead(unedited, other));
        if (other === head) expect(off, `${into} of its own`).toBeGreaterThan(1e-3);
        else expect(off, `${into}, head ${other}`).toBeLessThan(ROUNDING);
      }
    }
  });
});

describe.each(GROUPED)("in $name", (subject) => {
  it("telling every query head of a group is telling the group", async () => {
    const model = await shelf.open(subject.folder);
    const layer = model.spec.layers.length - 1;
    const { heads, kvHeads } = model.spec.layers[layer]!.attention;
    const group = heads / kvHeads;
    const { clean, corrupted, answer, wrong } = pairOf(subject);
    const senders = sendersBefore(model.spec, layer).map(patched);
    for (const into of ["k", "v"] as const) {
      const request = { pairs: [{ clean, corrupted, answer, wrong }], senders };
      const kvHead = kvHeads - 1;
      const apartly = Array.from({ length: group }, (_, i): Receiver => ({ into, layer, head: kvHead * group + i }));
      const told = await pathsOf(model, { ...request, receivers: [{ into, layer, kvHead }] });
      const one = await pathsOf(model, { ...request, receivers: [apartly[0]!] });
      (await pathsOf(model, { ...request, receivers: apartly })).forEach((value, i) =>
        expect(Math.abs(value - told[i]!), `${into}, sender ${i}`).toBeLessThan(ROUNDING * 10),
      );
      expect(Math.max(...one.map((value, i) => Math.abs(value - told[i]!)))).toBeGreaterThan(1e-3);
    }
  });
});

describe.each(subjects.filter(({ name }) => ["gpt2-hub-names", "gptj-rotary-six", "gemma3-old-style", "gpt-oss"].includes(name)))(
  "in $name",
  (subject) => {
    it("the direct path from the embedding to the end swaps one summand of the last stream", async () => {
      const model = await shelf.open(subject.folder);
      const { layers } = model.spec;
      const { clean, corrupted, answer, wrong } = pairOf(subject);
      const last = `resid_post.${layers.length - 1}`;
      const [own, other] = await Promise.all(
        [corrupted, clean].map(
          async (tokens) => (await model.forward({ tokens: [tokens], read: ["resid_pre.0", last], logits: false })).activations,
        ),
      );
      const [stream, embedded, theirs] = [own![last]!, own!["resid_pre.0"]!, other!["resid_pre.0"]!];
      const data = (stream.data as Float32Array).map((value, i) => value - embedded.data[i]! + theirs.data[i]!);
      const resume = { layer: layers.length, resid: tensor(data, stream.shape, stream.axes) };
      const { logits } = await model.forward({ tokens: [corrupted], resume });
      const senders = [patched([{ at: "resid_pre.0" }])];
      // The last position, which alone is measured, has to differ.
      expect(clean.at(-1)).not.toBe(corrupted.at(-1));
      const [value = NaN] = await pathsOf(model, { pairs: [{ clean, corrupted, answer, wrong }], senders, receivers: [{ into: "end" }] });
      const scale = Math.max(...logits!.data.map(Math.abs));
      expect(Math.abs(value - (logits!.data[answer]! - logits!.data[wrong]!)) / scale).toBeLessThan(ROUNDING);
    });
  },
);

describe.each(subjects.filter(({ name }) => ["gptj-rotary-six", "phi-qk-layernorm-gqa"].includes(name)))("in $name", (subject) => {
  it("the path to the end from the norm that the last block's attention and MLP share is a plain patch of it", async () => {
    const model = await shelf.open(subject.folder);
    const layer = model.spec.layers.length - 1;
    const { clean, corrupted, answer, wrong } = pairOf(subject);
    const sender = patched([{ at: `ln1_normalized.${layer}` }]);
    const pairs = [{ clean, corrupted, answer, wrong }];
    const [path = NaN] = await pathsOf(model, { pairs, senders: [sender], receivers: [{ into: "end" }] });
    const plain = (await model.sweep({ pairs, counterfactuals: [sender], metrics: ["logit_diff"] })).metrics["logit_diff"]!;
    expect(Math.abs(path - plain.values[0]!)).toBeLessThan(ROUNDING * 10);
    expect(Math.abs(path - plain.corrupted![0]!)).toBeGreaterThan(1e-3);
  });
});

describe("several pairs", () => {
  it("are what each is alone, whatever their lengths, and when their receivers' inputs are too many to be held at once", async () => {
    const { model, asked } = recorded(
      await shelf.open(
        must(
          SUBJECTS.find(({ name }) => name === "induction"),
          "induction",
        ).folder,
      ),
    );
    const prompt = (seed: number, length: number): number[] =>
      Array.from({ length }, (_, i) => (i === 0 ? 0 : 1 + ((i * i * seed + 7 * i) % 64)));
    const pairs = [prompt(3, 128), prompt(5, 120), prompt(11, 128)].map((clean, index): SweepPair => {
      const corrupted = clean.map((token, i) => (i >= clean.length - 8 ? 1 + ((token + index) % 64) : token));
      return { clean, corrupted, answer: 5 + index, wrong: 11 };
    });
    const receivers: Receiver[] = [{ into: "q", layer: 1, head: 2 }, { into: "v", layer: 1, head: 2 }]; // prettier-ignore
    // Receivers' inputs of 128 positions take some 330 kB each, as they are estimated; of 256 MiB two pairs would need more.
    const senders = Array.from({ length: 220 }, (_, i): Counterfactual => ({
      edits: [{ at: "z.0", op: "patch", heads: [i % 4], positions: [-1 - (Math.floor(i / 4) % 8)] }],
    }));
    const two = pairs.slice(0, 2);
    const together = await patchPaths(model, { pairs: two, senders, receivers, metrics: ["logit_diff"] });
    expect(asked.map((request) => request.pairs)).toEqual(two.flatMap((pair) => [[pair], [pair]]));
    for (const [index, pair] of two.entries()) {
      const alone = (await patchPaths(model, { pairs: [pair], senders, receivers, metrics: ["logit_diff"] })).metrics["logit_diff"]!;
      const ours = together.metrics["logit_diff"]!;
      expect([ours.clean[index], ours.corrupted![index]]).toEqual([alone.clean[0], alone.corrupted![0]]);
      senders.forEach((_, sender) => expect(ours.values[sender * two.length + index]).toBe(alone.values[sender]));
    }
    const few = { senders: senders.slice(0, 32), receivers };
    asked.length = 0;
    const ours = await pathsOf(model, { pairs, ...few });
    expect(asked).toHaveLength(2);
    for (const [index, pair] of pairs.entries()) {
      const alone = await pathsOf(model, { pairs: [pair], ...few });
      alone.forEach((value, sender) => expect(ours[sender * pairs.length + index]).toBeCloseTo(value, 4));
    }
  });
});

describe("the induction model", () => {
  const [NEAR, THE, MIRA, ANNA, HILL, STONE] = [17, 1, 49, 51, 58, 57];
  const folder = must(
    SUBJECTS.find(({ name }) => name === "induction"),
    "induction",
  ).folder;
  /** <bos> the cat sat near NAME SURNAME while the dog saw LAST */
  const sentence = (name: number, surname: number, last = MIRA): number[] => [0, THE, 33, 11, NEAR, name, surname, 29, THE, 34, 9, last];
  /** What restores the answer, and what does not; the notes of other heads move it by less than 0.15 of some 12. */
  const [WHOLE, NOTHING] = [0.98, 0.02];

  /** Normalised effect of the path from each sender to the receivers: 0 as corrupted, 1 as clean. */
  async function shares(
    corrupted: readonly number[],
    senders: readonly Sent[],
    paths: Pick<PathRequest, "receivers" | "through">,
  ): Promise<number[]> {
    const clean = sentence(MIRA, HILL);
    return sharesOf({ clean, corrupted, answer: HILL, wrong: STONE }, senders, paths);
  }

  async function sharesOf(pair: SweepPair, senders: readonly Sent[], paths: Pick<PathRequest, "receivers" | "through">): Promise<number[]> {
    const model = await shelf.open(folder);
    const request = { pairs: [pair], senders: senders.map((sent) => patched([sent])), metrics: ["logit_diff"], ...paths };
    const { clean, corrupted, values } = (await patchPaths(model, request)).metrics["logit_diff"]!;
    return [...values].map((value) => (value - corrupted![0]!) / (clean[0]! - corrupted![0]!));
  }

  const HEADS_OF_0 = [0, 1, 2, 3].map((head): Sent => ({ at: "z.0", heads: [head] }));
  const INDUCTION = { layer: 1, head: 2 } as const;

  function expectOnly(found: readonly number[], carrying: readonly number[]): void {
    found.forEach((share, index) => {
      if (carrying.includes(index)) expect(Math.abs(share - 1), `sender ${index}: ${share}`).toBeLessThan(1 - WHOLE);
      else expect(Math.abs(share), `sender ${index}: ${share}`).toBeLessThan(NOTHING);
    });
  }

  it("sends to the key of head 1.2 from head 0.1 alone: the word before, by which the place is found", async () => {
    const model = await shelf.open(folder);
    const pairs = [{ clean: sentence(MIRA, HILL), corrupted: sentence(ANNA, HILL), answer: HILL, wrong: STONE }];
    const { grid, effects } = await sweepPaths(model, {
      pairs,
      metrics: ["logit_diff"],
      point: "z",
      by: ["head"],
      layers: [0],
      receivers: [{ into: "k", ...INDUCTION }],
    });
    expect(grid.shape).toEqual([1, 4]);
    const { cells } = effects["logit_diff"]!;
    expectOnly(cells.map(({ normalised }) => must(normalised, "a share")), [1]); // prettier-ignore
    expect(cells.map(({ isMarked }) => isMarked)).toEqual([false, true, false, false]);
  });

  it("sends nothing else to that key: not the word itself, not the MLP's guess", async () => {
    const senders: Sent[] = [{ at: "embed" }, { at: "mlp_out.0" }, { at: "attn_out.0" }];
    expectOnly(await shares(sentence(ANNA, HILL), senders, { receivers: [{ into: "k", ...INDUCTION }] }), [2]);
  });

  it("sends to the query of head 1.2 the current word itself, from the embedding alone", async () => {
    const senders: Sent[] = [{ at: "embed", positions: [-1] }, { at: "mlp_out.0" }, ...HEADS_OF_0];
    expectOnly(await shares(sentence(MIRA, HILL, ANNA), senders, { receivers: [{ into: "q", ...INDUCTION }] }), [0]);
  });

  it("sends to the value of head 1.2 the word to be said, from the embedding alone", async () => {
    const senders: Sent[] = [{ at: "embed", positions: [6] }, { at: "embed", positions: [5, 7] }, { at: "mlp_out.0" }, ...HEADS_OF_0];
    expectOnly(await shares(sentence(MIRA, STONE), senders, { receivers: [{ into: "v", ...INDUCTION }] }), [0]);
  });

  it("sends the answer to no other head, and not to the other inputs of head 1.2", async () => {
    const senders: Sent[] = [{ at: "embed" }, { at: "attn_out.0" }];
    const others = [0, 1, 3].flatMap((head) => (["q", "k", "v"] as const).map((into): Receiver => ({ into, layer: 1, head })));
    expectOnly(await shares(sentence(MIRA, STONE), senders, { receivers: others }), []);
    expectOnly(await shares(sentence(MIRA, STONE), senders, { receivers: [{ into: "q", ...INDUCTION }, { into: "k", ...INDUCTION }] }), []); // prettier-ignore
    expectOnly(await shares(sentence(ANNA, HILL), senders, { receivers: [{ into: "q", ...INDUCTION }, { into: "v", ...INDUCTION }] }), []); // prettier-ignore
  });

  it("sends the answer to the end from head 1.2 alone", async () => {
    const senders: Sent[] = [
      ...HEADS_OF_0,
      ...[0, 1, 2, 3].map((head): Sent => ({ at: "z.1", heads: [head] })),
      { at: "embed" },
      { at: "mlp_out.0" },
    ];
    expectOnly(await shares(sentence(MIRA, STONE), senders, { receivers: [{ into: "end" }] }), [6]);
  });

  it("sends the current word to the end through MLP 0, as what may follow its class, and not directly", async () => {
    const [A, DOG, SAW, CAT] = [2, 34, 9, 33];
    const pair = { clean: [0, THE, DOG], corrupted: [0, THE, A], answer: SAW, wrong: CAT };
    const senders: Sent[] = [{ at: "embed", positions: [-1] }];
    expectOnly(await sharesOf(pair, senders, { receivers: [{ into: "end" }], through: "residual" }), []);
    const [share = 0] = await sharesOf(pair, senders, { receivers: [{ into: "end" }], through: "mlps" });
    expect(share).toBeGreaterThan(0.9);
  });
});

describe("paths are refused", () => {
  const refusal = async (name: string, senders: readonly Sent[], receivers: readonly Receiver[]): Promise<string> => {
    const subject = must(SUBJECTS.find((one) => one.name === name), name); // prettier-ignore
    const { clean, corrupted } = pairOf(subject);
    const request = {
      pairs: [{ clean, corrupted, answer: 5, wrong: 11 }],
      senders: [patched(senders)],
      receivers,
      metrics: ["logit_diff"],
    };
    return patchPaths(await shelf.open(subject.folder), request).then(
      () => "nothing was refused",
      (error: Error) => error.message,
    );
  };

  it("backwards, and sideways between what is made side by side", async () => {
    const into = (layer: number): Receiver[] => [{ into: "q", layer, head: 0 }];
    expect(await refusal("gpt2-hub-names", [{ at: "z.1" }], into(1))).toMatchInlineSnapshot(
      `"senders[0] at z.1 is not in front of the receiver at q.1, so there is no path"`,
    );
    expect(await refusal("gpt2-hub-names", [{ at: "mlp_out.1" }], into(0))).toMatchInlineSnapshot(
      `"senders[0] at mlp_out.1 is not in front of the receiver at q.0, so there is no path"`,
    );
    expect(await refusal("gpt2-hub-names", [{ at: "z.0" }, { at: "z.1" }], into(1))).toMatchInlineSnapshot(
      `"senders[0] at z.1 is not in front of the receiver at q.1, so there is no path"`,
    );
    expect(await refusal("gpt2-hub-names", [{ at: "q.1" }], [{ into: "v", layer: 1, head: 0 }])).toMatchInlineSnapshot(
      `"senders[0] at q.1 is not in front of the receiver at v.1, so there is no path"`,
    );
    expect(await refusal("gpt2-hub-names", [{ at: "mlp_out.1" }], [{ into: "mlp", layer: 1 }])).toMatchInlineSnapshot(
      `"senders[0] at mlp_out.1 is not in front of the receiver at mlp_out.1, so there is no path"`,
    );
    expect(await refusal("gpt2-hub-names", [{ at: "mlp_post.1" }], [{ into: "mlp", layer: 1 }])).toMatchInlineSnapshot(
      `"senders[0] at mlp_post.1 is not in front of the receiver at mlp_out.1, so there is no path"`,
    );
    expect(await refusal("gptj-rotary-six", [{ at: "z.1" }], [{ into: "mlp", layer: 1 }])).toMatchInlineSnapshot(
      `"senders[0] at z.1 is not in front of the receiver at mlp_out.1, so there is no path"`,
    );
    expect(await refusal("gpt2-hub-names", [{ at: "z.1" }], [{ into: "mlp", layer: 1 }])).toBe("nothing was refused");
  });

  it("to a head that the layer lacks, or a layer that the model lacks", async () => {
    const sender = [{ at: "z.0" }];
    expect(await refusal("gemma3-old-style", sender, [{ into: "q", layer: 1, head: 4 }])).toMatchInlineSnapshot(
      `"receivers: q.1 has heads 0 to 3, got 4"`,
    );
    expect(await refusal("gemma3-old-style", sender, [{ into: "k", layer: 1, head: -1 }])).toMatchInlineSnapshot(
      `"receivers: k.1 has heads 0 to 3, got -1"`,
    );
    expect(await refusal("gemma3-old-style", sender, [{ into: "k", layer: 1, kvHead: 2 }])).toMatchInlineSnapshot(
      `"receivers: k.1 has key heads 0 to 1, got 2"`,
    );
    expect(await refusal("gemma3-old-style", sender, [{ into: "mlp", layer: 3 }])).toMatchInlineSnapshot(
      `"mlp_out.3: the model has layers 0 to 2"`,
    );
  });

  it("to nobody, and to the end beside others", async () => {
    expect(await refusal("gpt2-hub-names", [{ at: "z.0" }], [])).toMatchInlineSnapshot(
      `"receivers: at least one is needed, such as { into: "end" }"`,
    );
    expect(await refusal("gpt2-hub-names", [{ at: "z.0" }], [{ into: "end" }, { into: "mlp", layer: 1 }])).toMatchInlineSnapshot(
      `"receivers: "end" stands alone, since a run that is measured there has no other receivers"`,
    );
  });

  it("to a group and one of its heads, and to heads of groups in several layers", async () => {
    const sender = [{ at: "z.0" }];
    expect(
      await refusal("gemma3-old-style", sender, [
        { into: "k", layer: 1, kvHead: 1 },
        { into: "k", layer: 1, head: 3 },
      ]),
    ).toMatchInlineSnapshot(`"receivers: a group and one of its heads are both named; the group's input is the head's, too"`);
    expect(
      await refusal("gemma3-old-style", sender, [
        { into: "k", layer: 1, head: 0 },
        { into: "v", layer: 2, head: 0 },
      ]),
    ).toMatchInlineSnapshot(
      `"cannot tell heads of a group in several layers at once: their keys or values are shared with other heads, and what one layer's receiver changes would reach another's unseen. Instead: one layer's receivers at a time, or whole groups (kvHead)"`,
    );
  });

  it("from a norm's divisor together with an earlier place", async () => {
    expect(await refusal("gpt2-hub-names", [{ at: "z.0" }, { at: "ln1_scale.1" }], [{ into: "end" }])).toMatchInlineSnapshot(
      `"cannot send from ln1_scale.1 together with an earlier place: what the earlier one says would pass through that norm as well. Instead: one of them at a time"`,
    );
  });
});
