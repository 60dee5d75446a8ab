/** @file Requests that do not fit the model: tokens, reads, logits, where to resume, memory; a model that is closed, a run that is interrupted. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tensor } from "../../src/base/tensor.js";
import { loadModel } from "../../src/runtime/load.js";
import type { ForwardRequest, GenerateRequest, LogitsRequest, Model } from "../../src/runtime/model.js";
import { using, variantFolder, workshop } from "./damaged.js";

const { complaint } = workshop();
let gpt2: Model;
let llama: Model;
beforeAll(async () => {
  gpt2 = await loadModel(variantFolder("gpt2-hub-names"), { threads: 1 });
  llama = await loadModel(variantFolder("llama-longrope-crossing"), { threads: 1 });
});
afterAll(() => Promise.all([gpt2.close(), llama.close()]));

/** What is said about a request, which may be of any type. */
const forward = (request: object, model = gpt2): Promise<string> => complaint(() => model.forward(request as ForwardRequest));
const generate = (request: object, model = gpt2): Promise<string> => complaint(() => model.generate(request as GenerateRequest));
const read = (...addresses: unknown[]): Promise<string> => forward({ tokens: [[1, 2]], read: addresses });

describe("tokens", () => {
  test("that are none", async () => {
    expect(await forward({ tokens: [] })).toMatchInlineSnapshot(`"request: tokens: at least one row is needed"`);
    expect(await forward({ tokens: [[1], []] })).toMatchInlineSnapshot(`"request: tokens: row 1 is empty"`);
    expect(await forward({})).toMatchInlineSnapshot(`"request: tokens must be a list of rows, [[1, 2, 3]], got undefined"`);
    expect(await forward({ tokens: "1,2" })).toMatchInlineSnapshot(
      `"request: tokens must be a list of rows, [[1, 2, 3]], got the string "1,2""`,
    );
    expect(await forward({ tokens: [1, 2] })).toMatchInlineSnapshot(
      `"request: tokens: row 0 is not a list; one row is written [[1, 2, 3]]"`,
    );
    expect(await forward({ tokens: [null] })).toMatchInlineSnapshot(
      `"request: tokens: row 0 is not a list; one row is written [[1, 2, 3]]"`,
    );
  });

  test("out of range, or no whole numbers", async () => {
    expect(await forward({ tokens: [[1], [2, 61]] })).toMatchInlineSnapshot(
      `"request: tokens: row 1 has 61 at position 1; the vocabulary has ids 0 to 60"`,
    );
    expect(await forward({ tokens: [[-1]] })).toMatchInlineSnapshot(
      `"request: tokens: row 0 has -1 at position 0; the vocabulary has ids 0 to 60"`,
    );
    expect(await forward({ tokens: [[1.5]] })).toMatchInlineSnapshot(
      `"request: tokens: row 0 has 1.5 at position 0; the vocabulary has ids 0 to 60"`,
    );
    expect(await forward({ tokens: [[NaN]] })).toMatchInlineSnapshot(
      `"request: tokens: row 0 has NaN at position 0; the vocabulary has ids 0 to 60"`,
    );
    expect(await forward({ tokens: [["1"]] })).toMatchInlineSnapshot(
      `"request: tokens: row 0 has the string "1" at position 0; the vocabulary has ids 0 to 60"`,
    );
    expect(await forward({ tokens: [[2 ** 40]] })).toMatchInlineSnapshot(
      `"request: tokens: row 0 has 1099511627776 at position 0; the vocabulary has ids 0 to 60"`,
    );
  });

  test("past the context", async () => {
    const long = Array.from({ length: 65 }, () => 1);
    expect(await forward({ tokens: [[1], long] })).toMatchInlineSnapshot(
      `"request: row 1 has 65 tokens: the model was made for 64 positions and has no embedding for later ones. Instead: shorten it"`,
    );
    expect(await forward({ tokens: [long], beyondContext: true })).toMatchInlineSnapshot(
      `"request: row 0 has 65 tokens: the model was made for 64 positions and has no embedding for later ones. Instead: shorten it"`,
    );
    expect(await forward({ tokens: [long] }, llama)).toMatchInlineSnapshot(
      `"request: row 0 has 65 tokens: the model was made for 64 positions. Instead: shorten it, or allow it with beyondContext (--beyond-context)"`,
    );
    expect((await llama.forward({ tokens: [long], beyondContext: true })).lengths).toEqual([65]);
    expect(await generate({ tokens: [long.slice(5)], maxNew: 6 })).toMatchInlineSnapshot(
      `"request: row 0 has 60 tokens and 5 more to generate: the model was made for 64 positions and has no embedding for later ones. Instead: shorten it"`,
    );
  });

  test("to generate, stop at, or stop with", async () => {
    expect(await generate({ tokens: [[1]], maxNew: 0 })).toMatchInlineSnapshot(
      `"request: maxNew must be a whole number above 0, got the number 0"`,
    );
    expect(await generate({ tokens: [[1]], maxNew: 1e9 })).toMatchInlineSnapshot(
      `"request: row 0 has 1 token and 999999999 more to generate: the model was made for 64 positions and has no embedding for later ones. Instead: shorten it"`,
    );
    expect(await generate({ tokens: [[1]], maxNew: "3" })).toMatchInlineSnapshot(
      `"request: maxNew must be a whole number above 0, got the string "3""`,
    );
    expect(await generate({ tokens: [[1]] })).toMatchInlineSnapshot(`"request: maxNew must be a whole number above 0, got undefined"`);
    expect(await generate({ tokens: [[1]], maxNew: 2, stopTokens: [61] })).toMatchInlineSnapshot(
      `"request: stopTokens must be ids from 0 to 60, got [61]"`,
    );
    expect(await generate({ tokens: [[1]], maxNew: 2, stopStrings: [""] })).toMatchInlineSnapshot(
      `"request: stopStrings must be texts that are not empty, got [""]"`,
    );
    expect(await generate({ tokens: [[1]], maxNew: 2, stopStrings: ["x"] })).toMatchInlineSnapshot(
      `"request: stopStrings need a decode function in the options"`,
    );
    expect(await generate({ tokens: [[1]], maxNew: 2, sampling: { topP: 2 } })).toMatchInlineSnapshot(
      `"request: sampling: topP must be above 0 and at most 1, got 2"`,
    );
    expect(await generate({ tokens: [[1]], maxNew: 2, read: ["logits"] })).toMatchInlineSnapshot(
      `"request: generate: ask for logits with \`logits: true\`, not as a point"`,
    );
  });
});

describe("reads", () => {
  test("of points that are unknown", async () => {
    expect(await read("resid_poost.1")).toMatchInlineSnapshot(
      `"request: "resid_poost.1" is not the address of a point; did you mean resid_post?"`,
    );
    expect(await read("attn.0")).toMatchInlineSnapshot(
      `"request: "attn.0" is not the address of a point; did you mean attn_scores or attn_out_raw or attn_out?"`,
    );
    expect(await read("wobble")).toMatchInlineSnapshot(
      `"request: "wobble" is not the address of a point; the points are embed, pos_embed, resid_pre, ln1_scale, ln1_normalized, q, k, v, rot_q, rot_k, attn_scores, pattern, z, head_out, attn_out_raw, attn_out, resid_mid, ln2_scale, ln2_normalized, mlp_pre, mlp_gate, mlp_up, router_logits, experts, expert_weights, mlp_post, mlp_out_raw, mlp_out, resid_post, final_scale, final_normalized, logits"`,
    );
    expect(await read("")).toMatch(/^request: "" is not the address of a point/);
    expect(await read("__proto__")).toMatch(/^request: "__proto__" is not the address of a point/);
    expect(await read("toString.0")).toMatch(/^request: "toString.0" is not the address of a point/);
  });

  test("with a layer out of range, missing, or too many", async () => {
    expect(await read("resid_post.2")).toMatchInlineSnapshot(`"request: resid_post.2: the model has layers 0 to 1"`);
    expect(await read("resid_post.-3")).toMatchInlineSnapshot(`"request: resid_post.-3: the model has layers 0 to 1"`);
    expect(await read("resid_post.99999999999999999999")).toMatch(/the model has layers 0 to 1$/);
    expect(await read("resid_post")).toMatchInlineSnapshot(
      `"request: resid_post: which layer? Write resid_post.0 to resid_post.1, or resid_post.* in a list"`,
    );
    expect(await read("embed.0")).toMatchInlineSnapshot(`"request: embed.0: embed stands outside the layers, write it without a number"`);
    expect(await read("resid_post.1.5")).toMatch(/is not the address of a point/);
  });

  test("of points that the model does not have", async () => {
    expect(await read("mlp_gate.0")).toMatchInlineSnapshot(
      `"unsupported: there is no mlp_gate.0: this layer's MLP has no gate. Instead: mlp_pre.0"`,
    );
    expect(await read("router_logits.*")).toMatchInlineSnapshot(
      `"unsupported: there is no router_logits: this layer has one MLP and no router. Instead: mlp_post"`,
    );
    expect(await forward({ tokens: [[1]], read: ["pos_embed"] }, llama)).toMatchInlineSnapshot(
      `"unsupported: there is no pos_embed: this model has no learned position embedding. Instead: rot_q and rot_k show where positions enter, if they do"`,
    );
    expect(await forward({ tokens: [[1]], read: ["mlp_pre.*"] }, llama)).toMatchInlineSnapshot(
      `"unsupported: there is no mlp_pre: this layer's MLP is gated. Instead: mlp_gate and mlp_up"`,
    );
  });

  test("that are no list of texts", async () => {
    expect(await forward({ tokens: [[1]], read: "embed" })).toMatchInlineSnapshot(
      `"request: read must be a list of addresses, got the string "embed""`,
    );
    expect(await read(3)).toMatchInlineSnapshot(`"request: an address must be a text such as resid_post.0, got the number 3"`);
    expect(await read(null)).toMatch(/an address must be a text such as resid_post.0, got null/);
    expect(await complaint(() => gpt2.runUntil(undefined as unknown as string, { tokens: [[1]] }))).toMatchInlineSnapshot(
      `"request: an address must be a text such as resid_post.0, got undefined"`,
    );
    expect(await complaint(() => gpt2.runUntil("logits", { tokens: [[1]] }))).toMatchInlineSnapshot(
      `"request: cannot stop at logits: nothing runs after it. Instead: use the logits of forward"`,
    );
  });
});

describe("logits", () => {
  const asked = (logits: unknown): Promise<string> => forward({ tokens: [[1, 2, 3], [4]], logits: logits as LogitsRequest });

  test("at positions that a row does not have", async () => {
    expect(await asked({ positions: [2] })).toMatchInlineSnapshot(`"request: logits: position 2 is outside row 1, which has 1 position"`);
    expect(await asked({ positions: [-2] })).toMatchInlineSnapshot(`"request: logits: position -2 is outside row 1, which has 1 position"`);
    expect(await asked({ positions: [0.5] })).toMatchInlineSnapshot(
      `"request: logits: position 0.5 is outside row 0, which has 3 positions"`,
    );
    expect(await asked({ positions: [] })).toMatchInlineSnapshot(`"request: logits: an empty list of positions asks for nothing"`);
    expect(await asked({ positions: "first" })).toMatchInlineSnapshot(
      `"request: logits: positions must be "all", "last" or a list, got the string "first""`,
    );
    expect(await asked({ positions: { every: 2 } })).toMatch(/^request: logits: positions must be/);
  });

  test("of tokens that are no columns", async () => {
    expect(await asked({ tokens: [61] })).toMatchInlineSnapshot(`"request: logits: token the number 61 is not one of the 61 columns"`);
    expect(await asked({ tokens: [1, "2"] })).toMatchInlineSnapshot(`"request: logits: token the string "2" is not one of the 61 columns"`);
    expect(await asked({ tokens: [] })).toMatchInlineSnapshot(`"request: logits: tokens must be a list of at least one id, got []"`);
    expect(await asked({ tokens: 3 })).toMatchInlineSnapshot(
      `"request: logits: tokens must be a list of at least one id, got the number 3"`,
    );
    expect(await asked(true)).toMatchInlineSnapshot(`"request: logits: must be false or an object, got the boolean true"`);
  });
});

describe("a run that is resumed", () => {
  const zeros = (...shape: number[]) => tensor(new Float32Array(shape.reduce((product, length) => product * length, 1)), shape);
  const resume = (layer: unknown, resid: unknown, more: object = {}): Promise<string> =>
    forward({ tokens: [[1, 2]], resume: { layer, resid }, ...more });

  test("at no layer, or from another stream", async () => {
    expect(await resume(3, zeros(1, 2, 32))).toMatchInlineSnapshot(`"request: resume: layer must be 0 to 2, got the number 3"`);
    expect(await resume(0.5, zeros(1, 2, 32))).toMatchInlineSnapshot(`"request: resume: layer must be 0 to 2, got the number 0.5"`);
    expect(await resume("1", zeros(1, 2, 32))).toMatchInlineSnapshot(`"request: resume: layer must be 0 to 2, got the string "1""`);
    expect(await resume(1, zeros(2, 2, 32))).toMatchInlineSnapshot(`"request: resume: resid has shape [1, 2, 32], got [2, 2, 32]"`);
    expect(await resume(1, zeros(1, 2, 33))).toMatchInlineSnapshot(`"request: resume: resid has shape [1, 2, 32], got [1, 2, 33]"`);
    expect(await resume(1, zeros(2, 32))).toMatchInlineSnapshot(`"request: resume: resid has shape [1, 2, 32], got [2, 32]"`);
    expect(await resume(1, undefined)).toMatchInlineSnapshot(`"request: resume: resid has shape [1, 2, 32], got undefined"`);
    expect(await resume(1, { data: new Float32Array(3), shape: [1, 2, 32] })).toMatchInlineSnapshot(
      `"request: resume: resid holds Float32Array values, 64 of them"`,
    );
    expect(await resume(1, { data: new Float64Array(64), shape: [1, 2, 32] })).toMatchInlineSnapshot(
      `"request: resume: resid holds Float32Array values, 64 of them"`,
    );
    expect(await resume(1, { ...zeros(1, 2, 32), data: new Float32Array(64).fill(NaN) })).toMatchInlineSnapshot(
      `"request: resume: resid must hold numbers, it has NaN at element 0"`,
    );
  });

  test("behind what is to be read or edited", async () => {
    expect(await resume(1, zeros(1, 2, 32), { read: ["z.0"] })).toMatchInlineSnapshot(
      `"request: cannot read z.0: the run resumes at layer 1, behind it"`,
    );
    expect(await resume(1, zeros(1, 2, 32), { edits: [{ at: "embed", op: "scale", by: 2 }] })).toMatchInlineSnapshot(
      `"request: cannot edit embed: the run resumes at layer 1, behind it"`,
    );
  });

  test("with another value than where it stopped", async () => {
    const paused = await gpt2.runUntil("z.1", { tokens: [[1, 2]] });
    expect(await complaint(() => gpt2.runFrom(paused, zeros(1, 2, 4, 7)))).toMatchInlineSnapshot(
      `"request: runFrom: z.1 has shape [1, 2, 4, 8], got [1, 2, 4, 7]"`,
    );
    expect(await complaint(() => gpt2.runFrom(paused, tensor(new Int32Array(64), [1, 2, 4, 8])))).toMatchInlineSnapshot(
      `"request: runFrom: z.1 holds Float32Array values, 64 of them"`,
    );
  });
});

describe("memory", () => {
  test("that the weights do not fit in", async () => {
    const load = (memoryLimit: number): Promise<string> =>
      complaint(() => using(variantFolder("gpt2-hub-names"), () => undefined, { memoryLimit }));
    expect((await load(40_000)).replace(variantFolder("gpt2-hub-names"), "MODEL")).toMatchInlineSnapshot(
      `"memory: cannot load MODEL: its weights take 126 kB as float32, there are 40 kB of memory for them. Instead: give it 97 kB at least, to run block by block; or quantise the weights, or use a smaller model or a larger machine"`,
    );
    expect(await load(NaN)).toMatchInlineSnapshot(`"usage: memoryLimit must be a number of bytes above 0, got NaN"`);
    expect(await load(0)).toMatchInlineSnapshot(`"usage: memoryLimit must be a number of bytes above 0, got 0"`);
  });

  test("that the results or the work of a run do not fit in", async () => {
    const limited = { memoryLimit: 2_000_000 };
    const rows = Array.from({ length: 64 }, () => Array.from({ length: 60 }, () => 1));
    await using(
      variantFolder("gpt2-hub-names"),
      async (model) => {
        expect(await complaint(() => model.forward({ tokens: rows, read: ["all"] }))).toMatchInlineSnapshot(
          `"memory: the run would return 42 MB, cache 0 bytes and work in 17 MB: there are 2.0 MB of memory for it. Instead: use fewer or shorter rows, read fewer points, or ask for logits at fewer positions"`,
        );
        expect(await complaint(() => model.generate({ tokens: rows, maxNew: 2 }))).toMatchInlineSnapshot(
          `"memory: the run would return 0 bytes, cache 2.0 MB and work in 17 MB: there are 2.0 MB of memory for it. Instead: use fewer or shorter rows, read fewer points, or ask for logits at fewer positions"`,
        );
        expect(await complaint(() => model.runUntil("z.0", { tokens: rows }))).toMatch(/^memory: /);
        expect((await model.forward({ tokens: [[1, 2]] })).logits).toBeDefined();
      },
      limited,
    );
  });

  test("for a context far longer than the model's is asked for before it is taken", async () => {
    const long = [Array.from({ length: 200_000 }, () => 1)];
    expect(await forward({ tokens: long, beyondContext: true, logits: false, read: ["embed"] }, llama)).toMatch(
      /^memory: the run would return/,
    );
  });
});

describe("a model", () => {
  test("with a number of threads that no machine has", async () => {
    for (const threads of [0, -1, 1.5, NaN, 1e6, "2" as unknown as number]) {
      const said = await complaint(() => loadModel(variantFolder("gpt2-hub-names"), { threads }));
      expect(said).toBe(`usage: threads must be a whole number from 1 to 1024, got ${threads}`);
    }
  });

  test("that is closed", async () => {
    const model = await loadModel(variantFolder("gpt2-hub-names"), { threads: 1 });
    const running = model.forward({ tokens: [[1]] });
    await model.close();
    await model.close();
    expect((await running).lengths).toEqual([1]);
    expect(await complaint(() => model.forward({ tokens: [[1]] }))).toMatchInlineSnapshot(`"usage: the model is closed; load it again"`);
    expect(await complaint(() => model.generate({ tokens: [[1]], maxNew: 1 }))).toMatch(/the model is closed/);
    expect(await complaint(() => model.runUntil("z.0", { tokens: [[1]] }))).toMatch(/the model is closed/);
  });

  test("that is interrupted while it loads or runs", async () => {
    const signal = AbortSignal.abort("enough");
    const folder = variantFolder("gpt2-hub-names");
    expect(await complaint(() => loadModel(folder, { signal }))).toMatchInlineSnapshot(`"interrupted: loading was interrupted"`);
    expect(await complaint(() => loadModel(folder, { signal, lazy: true }))).toMatch(/^interrupted: /);
    expect(await complaint(() => gpt2.forward({ tokens: [[1]] }, { signal }))).toMatchInlineSnapshot(
      `"interrupted: the run was interrupted"`,
    );
    expect(await complaint(() => gpt2.generate({ tokens: [[1]], maxNew: 3 }, { signal }))).toMatch(/^interrupted: /);
    expect(await complaint(() => gpt2.runUntil("z.1", { tokens: [[1]] }, { signal }))).toMatch(/^interrupted: /);
    const later = new AbortController();
    const onToken = (): void => later.abort();
    expect(await complaint(() => gpt2.generate({ tokens: [[1]], maxNew: 9 }, { signal: later.signal, onToken }))).toMatch(/^interrupted: /);
    expect((await gpt2.forward({ tokens: [[1]] })).lengths).toEqual([1]);
  });
});
