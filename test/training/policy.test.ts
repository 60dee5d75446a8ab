/** @file Training by reward: the loss and its gradients as PyTorch has them, advantages, and a toy that learns what is rewarded. */
import { afterAll, describe, expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.js";
import { initialise } from "../../src/training/initialise.js";
import type { LossSpec } from "../../src/training/losses.js";
import { makeAdamW } from "../../src/training/optimiser.js";
import { planModel } from "../../src/training/plan-spec.js";
import { advantagesOf, policyStep, type Rollout } from "../../src/training/policy-step.js";
import { countedTokens, openStep, type ModelStep, type PolicyColumns } from "../../src/training/step.js";
import type { Batch } from "../../src/training/step-types.js";
import { rowsOf } from "../runtime/support.js";
import { fixtureParameters, product } from "./fixture-parameters.js";

const steps: ModelStep[] = [];
afterAll(async () => {
  for (const step of steps) await step.close();
});

function kept(step: ModelStep): ModelStep {
  steps.push(step);
  return step;
}

/**
 * PyTorch 2.13.0 with transformers 5.23.0, float64, of the model in test/fixtures/variants/llama-longrope-crossing on `TOKENS`: the loss
 * −Σ w (min(r A, clip(r, 0.8, 1.2) A) − 0.1 (q/p − ln(q/p) − 1)), r = p/p_old, then `backward()`. Old and reference log-probabilities are the
 * model's own plus `OLD` and `REFERENCE` in turn. By parameter: length of the gradient, element 37 (modulo its size), Σ gradientᵢ sin i.
 */
// oxfmt-ignore
const THEIRS: readonly (readonly [name: string, length: number, element: number, turned: number])[] = [
  ["model.embed_tokens.weight", 1.518401844e+00, 0.000000000e+00, -1.037739108e+00],
  ["model.layers.0.self_attn.q_proj.weight", 1.602961226e+00, 1.059140604e-04, -4.994917338e-01],
  ["model.layers.0.self_attn.k_proj.weight", 1.606714428e+00, -2.875874307e-02, -3.509202627e-01],
  ["model.layers.0.self_attn.v_proj.weight", 1.958901232e+00, 7.979935067e-02, -1.037557924e+00],
  ["model.layers.0.self_attn.o_proj.weight", 1.797051043e+00, -1.183804808e-01, 2.646670007e-01],
  ["model.layers.0.mlp.gate_proj.weight", 7.751865943e-01, 4.179803317e-02, 1.759629514e-01],
  ["model.layers.0.mlp.up_proj.weight", 8.012617497e-01, -5.015097649e-02, 1.052024974e-01],
  ["model.layers.0.mlp.down_proj.weight", 1.230423735e+00, 3.093984956e-02, 1.015424095e+00],
  ["model.layers.0.input_layernorm.weight", 5.553713166e-01, -4.505333999e-02, -4.048473400e-02],
  ["model.layers.0.post_attention_layernorm.weight", 2.674067115e-01, -1.264688541e-01, 2.720461386e-01],
  ["model.layers.1.self_attn.q_proj.weight", 5.063482225e-01, -8.689567484e-03, 4.390501062e-01],
  ["model.layers.1.self_attn.k_proj.weight", 5.223523882e-01, 4.007066269e-03, 1.029290310e-01],
  ["model.layers.1.self_attn.v_proj.weight", 1.003885298e+00, -8.087719205e-02, -1.893511391e-01],
  ["model.layers.1.self_attn.o_proj.weight", 9.459065039e-01, 2.782084664e-02, 3.470997176e-01],
  ["model.layers.1.mlp.gate_proj.weight", 8.215557619e-01, 3.971665991e-03, -1.010704910e-01],
  ["model.layers.1.mlp.up_proj.weight", 6.416343211e-01, 4.735903726e-03, 4.070678570e-02],
  ["model.layers.1.mlp.down_proj.weight", 6.399507075e-01, -5.232281091e-03, 2.880917027e-01],
  ["model.layers.1.input_layernorm.weight", 3.059007266e-01, -6.790120233e-03, 3.769396756e-01],
  ["model.layers.1.post_attention_layernorm.weight", 1.873266783e-01, 5.316986384e-02, 8.436097145e-03],
  ["model.norm.weight", 3.290833548e-01, -5.362295046e-02, 7.048041931e-01],
  ["lm_head.weight", 1.111952230e+00, 1.928451606e-03, 1.045960933e+00],
];
const THEIR_LOSS = 0.0730270281951412;
// oxfmt-ignore
const THEIR_LOGPROBS = [
  -2.578771, -7.345557, -6.142489, -5.118265, -3.328835, -6.579311, -3.040055, -5.013387, -6.987247, -4.016555, -5.001893, -2.081239, -6.427223,
];

describe("the step of a policy", () => {
  const open = (options: { loss: LossSpec }): ModelStep => {
    const { spec, parameters } = fixtureParameters("llama-longrope-crossing");
    return kept(openStep(spec, parameters, { threads: 1, ...options }));
  };
  const batch = {
    tokens: rowsOf(9, 6, 7),
    mask: [
      [0, 0, 0, 1, 1, 1, 1, 1, 1],
      [0, 0, 1, 1, 1, 1],
      [0, 0, 0, 0, 1, 1, 1],
    ],
  };
  const counts = [6, 4, 3];
  const ADVANTAGES = [1.2, -0.7, -0.5];
  // Ratios 1, 0.67, 1.49, 0.90: below, above and inside of the clip, for advantages of both signs.
  const OLD = [0, 0.4, -0.4, 0.1];
  const REFERENCE = [0.3, -0.2, 0.05];

  test("has the loss and all the gradients of PyTorch", async () => {
    const step = open({ loss: { kind: "policy", clip: 0.2, kl: 0.1 } });
    const own = await step.logprobs(batch);
    own.forEach((value, i) => expect(value).toBeCloseTo(THEIR_LOGPROBS[i]!, 4));
    const rows = countedTokens(batch).map(({ row }) => row);
    const { loss, count, gradients, results } = await step.run(batch, {
      advantages: Float32Array.from(rows, (row) => ADVANTAGES[row]!),
      weights: Float32Array.from(rows, (row) => 1 / (3 * counts[row]!)),
      oldLogprobs: own.map((value, i) => value + OLD[i % 4]!),
      referenceLogprobs: own.map((value, i) => value + REFERENCE[i % 3]!),
    });
    expect(count).toBe(13);
    expect(loss).toBeCloseTo(THEIR_LOSS, 5);
    expect(results["logprobs"]).toHaveLength(13);
    const divergence = REFERENCE.map((gap) => Math.exp(gap) - gap - 1);
    results["divergence"]!.forEach((value, i) => expect(value).toBeCloseTo(divergence[i % 3]!, 5));
    expect(THEIRS.map(([key]) => key).toSorted()).toEqual([...gradients.keys()].toSorted());
    for (const [key, length, element, turned] of THEIRS) {
      const gradient = gradients.get(key)!;
      const sines = Float64Array.from(gradient, (_, i) => Math.sin(i));
      const ours = [Math.sqrt(product(gradient, gradient)), gradient[37 % gradient.length]!, product(gradient, sines)];
      // Of the gradient's length; float32 against float64, seen are up to 1.5e-6.
      [length, element, turned].forEach((value, i) => expect(Math.abs(ours[i]! - value) / length, key).toBeLessThan(2e-5));
    }
  });

  test("counts tokens alike without weights, and asks for no reference where the divergence counts nothing", async () => {
    const step = open({ loss: { kind: "policy", clip: 0.2, kl: 0 } });
    const own = await step.logprobs(batch);
    const advantages = Float32Array.from(own, (_, i) => Math.cos(i));
    const { loss, results } = await step.run(batch, { advantages, oldLogprobs: own, referenceLogprobs: new Float32Array(13).fill(NaN) });
    // The ratio is 1, so the loss is less the mean advantage.
    expect(loss).toBeCloseTo(-product(advantages, new Float32Array(13).fill(1 / 13)), 5);
    expect(results).not.toHaveProperty("divergence");
  });
});

describe("advantages", () => {
  test("are rewards less their group's mean, over its deviation", () => {
    // (1, 0, 0, 0): mean 1/4, deviation √3/4.
    const root = Math.sqrt(3);
    const expected = [root, -1 / root, -1 / root, -1 / root, -1, 1, 1, -1];
    advantagesOf([1, 0, 0, 0, 5, 9, 9, 5], 4).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 12));
  });

  test("are 0 where a group is alike, also where its numbers are no round ones", () => {
    expect(advantagesOf([0.1, 0.1, 0.1, 2, 2, 2], 3)).toEqual([0, 0, 0, 0, 0, 0]);
  });
});

describe("learning from reward", () => {
  const VOCAB = 8;
  const WANTED = 5;
  // oxfmt-ignore
  const { spec } = planModel({
    model_type: "llama", vocab_size: VOCAB, hidden_size: 16, intermediate_size: 24, num_hidden_layers: 1, num_attention_heads: 2,
    num_key_value_heads: 2, max_position_embeddings: 16, rms_norm_eps: 1e-6, hidden_act: "silu", tie_word_embeddings: false,
  });
  const prompts = [[1, 2, 3], [4]];
  const open = (): ModelStep =>
    kept(openStep(spec, initialise(spec, { seed: 1 }), { threads: 1, loss: { kind: "policy", clip: 0.2, kl: 0.05 } }));

  /** Probabilities of each token behind a prompt. */
  async function probabilities(policy: ModelStep, prompt: readonly number[]): Promise<number[]> {
    const tokens = Array.from({ length: VOCAB }, (_, token) => [...prompt, token]);
    const logprobs = await policy.logprobs({ tokens, mask: tokens.map((row) => row.map((_, i) => Number(i === row.length - 1))) });
    return Array.from(logprobs, Math.exp);
  }

  /** One or two tokens, drawn as the policy has them. */
  function writer(policy: ModelStep): (asked: readonly (readonly number[])[]) => Promise<number[][]> {
    const random = seededRandom(3);
    const draw = async (row: readonly number[]): Promise<number> => {
      let left = random();
      return (await probabilities(policy, row)).findIndex((share, i) => (left -= share) < 0 || i === VOCAB - 1);
    };
    return async (asked) => {
      const written: number[][] = [];
      for (const [i, row] of asked.entries()) {
        const first = await draw(row);
        written.push(i % 2 === 0 ? [first] : [first, await draw([...row, first])]);
      }
      return written;
    };
  }

  test("makes what is rewarded likelier, step by step", async () => {
    const policy = open();
    const reference = open();
    const rollouts: Rollout[] = [];
    const reward = (_: readonly number[], written: readonly number[]): number => Number(written[0] === WANTED);
    const step = policyStep(policy, {
      group: 12,
      write: writer(policy),
      reward,
      reference,
      onRollout: (rollout) => rollouts.push(rollout),
    });
    const optimiser = makeAdamW(policy.parameters, { weightDecay: 0 });
    const shareOf = async (model: ModelStep, prompt: readonly number[]): Promise<number> => (await probabilities(model, prompt))[WANTED]!;
    const before = await Promise.all(prompts.map((prompt) => shareOf(policy, prompt)));
    const told: (number | undefined)[] = [];
    for (let update = 0; update < 5; update++) {
      const { gradients, reward: mean } = await step.run({ tokens: prompts });
      optimiser.update(gradients, { learningRate: 0.02 });
      told.push(mean);
    }
    expect(told).toEqual(rollouts.map(({ reward: mean }) => mean));
    for (const [i, prompt] of prompts.entries()) {
      expect(before[i]).toBeLessThan(0.2);
      expect(await shareOf(policy, prompt)).toBeGreaterThan(2 * before[i]!);
      expect(await shareOf(reference, prompt)).toBeCloseTo(before[i]!, 6);
    }
    expect(rollouts).toHaveLength(5);
    expect(rollouts.map(({ length }) => length)).toEqual([1.5, 1.5, 1.5, 1.5, 1.5]);
    expect(rollouts[4]!.reward).toBeGreaterThan(rollouts[0]!.reward);
  });

  test("gives each continuation its advantage, each the same weight, and no weight to what was asked", async () => {
    const policy = open();
    const seen: { batch: Batch; columns: PolicyColumns }[] = [];
    const watched: ModelStep = {
      parameters: policy.parameters,
      logprobs: (batch) => policy.logprobs(batch),
      evaluate: (batch) => policy.evaluate(batch),
      close: () => policy.close(),
      run: (batch, columns) => {
        seen.push({ batch, columns: columns! });
        return policy.run(batch, columns);
      },
    };
    const written = [[5], [6, 7, 0], [2, 2], [5, 5]];
    const rewards = [1, 0, 0.5, 0.5];
    const step = policyStep(watched, {
      group: 2,
      write: async () => written,
      reward: (_, own) => rewards[written.indexOf(own as number[])]!,
    });
    const { loss, count } = await step.run({ tokens: prompts });
    const [{ batch, columns }] = seen as [(typeof seen)[number]];
    expect(batch.tokens).toEqual([
      [1, 2, 3, 5],
      [1, 2, 3, 6, 7, 0],
      [4, 2, 2],
      [4, 5, 5],
    ]);
    expect(batch.mask).toEqual([
      [0, 0, 0, 1],
      [0, 0, 0, 1, 1, 1],
      [0, 1, 1],
      [0, 1, 1],
    ]);
    expect([...columns.advantages]).toEqual([1, -1, -1, -1, 0, 0, 0, 0]);
    expect([...columns.weights!]).toEqual([1 / 4, ...Array.from({ length: 3 }, () => Math.fround(1 / 12)), 1 / 8, 1 / 8, 1 / 8, 1 / 8]);
    expect(columns.referenceLogprobs).toEqual(columns.oldLogprobs);
    expect(count).toBe(8);
    // The ratio is 1 and advantages cancel out.
    expect(loss).toBeCloseTo(0, 6);
  });

  test("learns nothing from continuations that are all worth the same", async () => {
    const policy = open();
    const rollouts: Rollout[] = [];
    const step = policyStep(policy, { group: 3, write: writer(policy), reward: () => 0.1, onRollout: (rollout) => rollouts.push(rollout) });
    const { gradients } = await step.run({ tokens: prompts });
    for (const [name, gradient] of gradients) expect(Math.max(...gradient.map(Math.abs)), name).toBeLessThan(1e-7);
    expect(rollouts[0]).toMatchObject({ alike: 1 });
    expect(rollouts[0]!.reward).toBeCloseTo(0.1, 12);
  });

  test.each([1, 0, 2.5, NaN])("refuses a group of %d", (group) => {
    expect(() => policyStep(open(), { group, write: async () => [], reward: () => 0 })).toThrow(
      `group must be a whole number of at least 2, got ${group}`,
    );
  });
});
