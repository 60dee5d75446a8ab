/** @file The commands on the small induction model: what they print and write. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { tensor } from "../../src/base/tensor.js";
import { writeNpy } from "../../src/formats/npy.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { writeSafetensors } from "../../src/formats/safetensors-writer.js";
import { MODEL, sextant, sextantJson } from "./sextant.js";

const folder = mkdtempSync(join(tmpdir(), "sextant-cli-"));
afterAll(() => rmSync(folder, { recursive: true }));

const TEXT = "the cat sat near Mira Hill while the dog saw Mira";
const TOKENS = "[0,1,33,11,17,49,58,29,1,34,9,49]";
const HILL = 58;

interface Standing {
  readonly token: number;
  readonly text: string;
  readonly probability: number;
  readonly rank: number;
}

function file(name: string, value: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify(value));
  return path;
}

describe("model", () => {
  test("names points and why others are missing", async () => {
    interface Facts {
      layers: unknown[];
      points: { point: string; layers?: unknown; why?: string }[];
      tokenizer: unknown;
    }
    const facts = await sextantJson<Facts>("model", MODEL);
    expect(facts).toMatchObject({ family: "llama", dModel: 64, vocab: 65, context: { length: 128 }, dtypes: { F32: 21 } });
    expect(facts.layers[1]).toMatchObject({ layer: 1, heads: 4, kvHeads: 4, dHead: 32, mlp: { kind: "gated", dMlp: 16 } });
    expect(facts.tokenizer).toEqual({ vocab: 65, bos: 0, eos: [], chatTemplates: [] });
    const point = (name: string): unknown => facts.points.find((row) => row.point === name);
    expect(point("resid_post")).toMatchObject({ layers: [0, 1] });
    expect(point("mlp_pre")).toMatchObject({ why: "this layer's MLP is gated", instead: "mlp_gate and mlp_up" });
  });

  test("draws alike layers together", async () => {
    const { out } = await sextant(["model", MODEL]);
    expect(out).toContain("layers 0–1  4 heads of 32; rotary default, base 100000000, 32 dims; gated MLP, d_mlp 16, silu\n");
    expect(out).toContain("no mlp_pre: this layer's MLP is gated; instead mlp_gate and mlp_up\n");
  });
});

describe("lens", () => {
  test("is a table of layers and positions", async () => {
    const { out, code } = await sextant(["lens", MODEL, "--text", TEXT, "--positions", "-2,-1", "--top", "2", "--target", "Hill"]);
    expect(code).toBe(0);
    expect(`\n${out}`).toMatchInlineSnapshot(`
      "
      layer  10 saw    11 Mira
      0      the 6.7%  Stone 7.6%
             a 6.2%    Hill 7%
      1      the 6.7%  Hill 99.7%
             a 6.2%    Stone 0.012%

      rank and probability of Hill
      layer          10 saw        11 Mira
      0      rank 25, 0.53%     rank 2, 7%
      1      rank 44, 0.53%  rank 1, 99.7%
      "
    `);
  });

  test("as JSON has every number, and text beside ids", async () => {
    interface Lens {
      rows: {
        tokens: number[];
        text: string[];
        layers: { layer: number; cells: { position: number; top: Standing[]; target: Standing }[] }[];
      }[];
    }
    const { rows } = await sextantJson<Lens>("lens", MODEL, "--tokens", TOKENS, "--layers", "-1", "--target", `#${HILL}`);
    expect(rows[0]!.text).toEqual(["<bos>", ...TEXT.split(" ")]);
    expect(rows[0]!.layers.map(({ layer, cells }) => [layer, cells.length])).toEqual([[1, 12]]);
    const { top, target } = rows[0]!.layers[0]!.cells.at(-1)!;
    expect(top).toMatchObject([{ token: HILL, text: "Hill", rank: 1 }]);
    expect(target).toEqual(top[0]);
    expect(target.probability).toBeGreaterThan(0.99);
  });

  test("shows the effect of edits", async () => {
    const edits = file("head-off.json", [{ at: "z.1", op: "set", value: 0, heads: [2] }]);
    const { out } = await sextant(["lens", MODEL, "--text", TEXT, "--positions", "-1", "--edits", edits]);
    expect(`\n${out}`).toMatchInlineSnapshot(`
      "
      layer  11 Mira
      0      Stone 7.6%
      1      Stone 7.6%
      "
    `);
  });

  test("is coloured on a terminal only, and not where NO_COLOR is set", async () => {
    const argv = ["lens", MODEL, "--text", TEXT, "--positions", "-1"];
    const plain = (await sextant(argv)).out;
    expect((await sextant(argv, { terminal: true })).out).toContain("\x1b[48;5;");
    expect((await sextant(argv, { terminal: true, env: { NO_COLOR: "1" } })).out).toBe(plain);
    expect((await sextant([...argv, "--color", "never"], { terminal: true })).out).toBe(plain);
    expect((await sextant([...argv, "--color", "always"])).out).toContain("\x1b[48;5;");
  });

  test("says what the tokenizer cannot do", async () => {
    expect((await sextant(["lens", MODEL, "--text", TEXT, "--target", "Mira Hill"])).err).toMatchInlineSnapshot(`
      "sextant lens: cannot take "Mira Hill" as one token: it is 2 tokens, "Mira" "Hill". Instead: use a text that is one token, or a token id
      "
    `);
  });
});

describe("attend", () => {
  test("finds the previous-token head and the induction head", async () => {
    const { out } = await sextant(["attend", MODEL, "--text", TEXT]);
    expect(`\n${out}`).toMatchInlineSnapshot(`
      "
      head  previous  first  self  induction  entropy
      0.0       0.09   1.00  0.00       0.00     0.00
      0.1       1.00   0.09  0.00       0.00     0.00
      0.2       0.00   0.00  0.91       0.00     0.13
      0.3       0.19   0.19  0.19       0.10     1.82
      1.0       0.09   1.00  0.00       0.00     0.00
      1.1       1.00   0.09  0.00       0.00     0.00
      1.2       0.09   0.82  0.00       1.00     0.00
      1.3       0.00   0.00  1.00       0.00     0.00
      "
    `);
  });

  test("draws one head, and writes it as SVG", async () => {
    const svg = join(folder, "head.svg");
    const { out } = await sextant(["attend", MODEL, "--text", "Tom Hill met Anna while Tom", "--layer", "1", "--head", "2", "--svg", svg]);
    expect(`\n${out.replace(folder, "…")}`).toMatchInlineSnapshot(`
      "
      head  previous  first  self  induction  entropy
      1.2       0.17   0.83  0.00       1.00     0.00

      layer 1 head 2
               0 1 2 3 4 5 6
      0 <bos> ██
      1 Tom   ██
      2 Hill  ██
      3 met   ██
      4 Anna  ██
      5 while ██
      6 Tom       ██
              0 ░░▒▒▓▓██ 1

      written to …/head.svg
      "
    `);
    expect(readFileSync(svg, "utf8")).toMatch(/^<svg .*<title>layer 1 head 2<\/title>.*<\/svg>\n$/s);
  });

  test("refuses heads that are not there", async () => {
    const said = await Promise.all(
      [["7"], ["0", "--head", "4"]].map((where) => sextant(["attend", MODEL, "--text", "Tom", "--layer", ...where])),
    );
    expect(said.map(({ code, err }) => [code, err])).toMatchInlineSnapshot(`
      [
        [
          1,
          "sextant attend: the model has layers 0 to 1, got 7
      ",
        ],
        [
          1,
          "sextant attend: layer 0 has heads 0 to 3, got 4
      ",
        ],
      ]
    `);
  });
});

describe("read", () => {
  test("writes one tensor an address, and lengths", async () => {
    const out = join(folder, "run.safetensors");
    const said = await sextant(["read", MODEL, "--tokens", "[[0,1,33],[0,2]]", "--points", "resid_post.*,pattern.1,logits", "--out", out]);
    expect(said).toMatchObject({ code: 0, out: `4 tensors of 2 rows written to ${out}\n` });
    const tensors = readSafetensors(out);
    expect(Object.fromEntries([...tensors].map(([name, { shape }]) => [name, shape]))).toEqual({
      lengths: [2],
      logits: [2, 3, 65],
      "pattern.1": [2, 4, 3, 3],
      "resid_post.0": [2, 3, 64],
      "resid_post.1": [2, 3, 64],
    });
    expect(tensors.get("lengths")!.data).toEqual(Int32Array.of(3, 2));
    expect(tensors.get("resid_post.1")!.data.slice(-64)).toEqual(new Float32Array(64));
  });

  test("makes edits, with vectors from a file", async () => {
    const [edits, vectors, out] = [file("set.json", [{ at: "resid_post.0", op: "set", value: "v" }]), join(folder, "v.safetensors"), join(folder, "set.safetensors")]; // prettier-ignore
    const v = Float32Array.from({ length: 64 }, (_, i) => i);
    writeSafetensors(vectors, { v: tensor(v, [64]) });
    const argv = ["read", MODEL, "--text", "the cat", "--points", "resid_post.0", "--edits", edits, "--vectors", vectors, "--out", out];
    expect((await sextant(argv)).code).toBe(0);
    expect(readSafetensors(out).get("resid_post.0")!.data.slice(0, 64)).toEqual(v);
  });

  test("takes tokens from a file", async () => {
    const out = join(folder, "file.safetensors");
    expect(
      (await sextant(["read", MODEL, "--tokens", `@${file("tokens.json", [0, 1, 33])}`, "--points", "embed", "--out", out])).code,
    ).toBe(0);
    expect(readSafetensors(out).get("embed")!.shape).toEqual([1, 3, 64]);
  });

  test("leaves nothing behind when it is interrupted or refused", async () => {
    const before = readdirSync(folder);
    const controller = new AbortController();
    const argv = ["read", MODEL, "--text", TEXT, "--points", "all", "--out", join(folder, "never.safetensors")];
    const running = sextant(argv, { signal: controller.signal });
    setImmediate(() => controller.abort());
    expect((await running).code).toBe(130);
    expect((await sextant(argv.with(5, "nothing.1"))).code).toBe(1);
    expect(readdirSync(folder)).toEqual(before);
  });

  test("refuses schedules, which are for generation", async () => {
    const edits = file("steps.json", [{ at: "z.0", op: "scale", by: 2, steps: { from: 1 } }]);
    const said = await sextant(["read", MODEL, "--tokens", "[0]", "--points", "embed", "--edits", edits, "--out", join(folder, "x")]);
    expect(said.err).toMatchInlineSnapshot(`
      "sextant read: edits[0]: \`on\` and \`steps\` are for generate, this command runs the prompt once
      "
    `);
  });
});

describe("generate", () => {
  const REPEATS = "Mira Stone saw a fox near the river . Mira";
  interface Generated {
    tokens: number[][];
    text: string[];
    finish: string[];
  }

  test("continues what it has seen", async () => {
    const { tokens, text, finish } = await sextantJson<Generated>("generate", MODEL, "--text", REPEATS, "--max-new", "5");
    expect(tokens).toEqual([[57, 9, 2, 36, 17]]);
    expect(finish).toEqual(["length"]);
    expect(text[0]).toMatch(/Stone saw a fox near$/);
  });

  test("prints as it goes, and gives rows their numbers", async () => {
    const one = await sextant(["generate", MODEL, "--text", REPEATS, "--max-new", "5"]);
    expect(one).toMatchObject({ code: 0, err: "" });
    expect(one.out).toMatch(/Stone saw a fox near\n$/);
    const two = await sextant(["generate", MODEL, "--tokens", "[[0,49,57,49],[0,50,58,50]]", "--max-new", "1"]);
    expect(two.out).toMatch(/^row 0: .*Stone\nrow 1: .*Hill\n$/);
  });

  test("samples only when told to, and the same with the same seed", async () => {
    const run = (...options: string[]): Promise<Generated> =>
      sextantJson<Generated>("generate", MODEL, "--text", "the", "--max-new", "8", ...options);
    const [greedy, seeded, warm, again, other] = await Promise.all([run(), run("--seed", "3"), run("--temperature", "1", "--seed", "3"), run("--temperature", "1", "--seed", "3"), run("--temperature", "1", "--seed", "4")]); // prettier-ignore
    expect(seeded.tokens).toEqual(greedy.tokens);
    expect(warm.tokens).toEqual(again.tokens);
    expect(warm.tokens).not.toEqual(other.tokens);
  });

  test("steers with a vector from .npy or .safetensors, which is an edit like any other", async () => {
    const vector = tensor(
      Float32Array.from({ length: 64 }, (_, i) => Math.sin(i)),
      [64],
    );
    const [npy, one, several] = ["joy.npy", "joy.safetensors", "moods.safetensors"].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    writeNpy(npy, vector);
    writeSafetensors(one, { joy: vector });
    writeSafetensors(several, { joy: vector, calm: vector });
    const edits = file("add.json", [{ at: "resid_post.0", op: "add", vector: [...vector.data], strength: -30 }]);
    const run = async (...options: string[]): Promise<number[][]> =>
      (await sextantJson<Generated>("generate", MODEL, "--text", REPEATS, "--max-new", "4", ...options)).tokens;
    const expected = await run("--edits", edits);
    expect(expected).not.toEqual(await run());
    for (const steer of [`${npy}@0×-30`, `${one}@0x-30`, `${one}#joy@0*-30`, `${several}#calm@0x-3e1`])
      expect(await run("--steer", steer)).toEqual(expected);
    expect((await sextant(["generate", MODEL, "--text", "the", "--max-new", "1", "--steer", `${several}@0`])).err.replaceAll(folder, "…"))
      .toMatchInlineSnapshot(`
      "sextant generate: …/moods.safetensors has several tensors: name one of calm, joy with …/moods.safetensors#NAME@…
      "
    `);
  });

  test("refuses a chat with a model that has no template", async () => {
    expect((await sextant(["generate", MODEL, "--chat", "Hello", "--max-new", "1"])).err.replace(MODEL, "MODEL")).toMatchInlineSnapshot(`
      "sextant generate: cannot write a chat for MODEL: its tokenizer has no chat template, so it is not a chat model. Instead: give the prompt as plain text
      "
    `);
  });
});

describe("demo", () => {
  test("tells what was measured: the answer, the heads behind it, and that it goes without them", async () => {
    const { code, out, err } = await sextant(["demo"]);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toContain("The most probable next token is “Hill”, with 99.7%.");
    expect(out).toContain("the stream after layer 1 already says “Hill”");
    expect(out).toContain("Layer 1 head 2 gives 100% to what followed the same token earlier, which is induction.");
    expect(out).toContain("without 2 of them, most without layer 1 head 2.");
    expect(out).toMatch(/“Hill” goes from 99\.7% to \d+(\.\d)?% \(rank 2\)\. The behaviour is gone: the model now says “Stone”/);
    expect(out).toMatch(/Try next\n\n.* attend .* --layer 1 --head 2 --svg head\.svg\n/);
  });

  test("as JSON ranks the heads, and says nothing else", async () => {
    interface Demo {
      answer: Standing;
      off: { layer: number; head: number; change: number };
      after: Standing[];
    }
    const { answer, off, after } = await sextantJson<Demo>("demo");
    expect(answer.token).toBe(HILL);
    expect(off).toMatchObject({ layer: 1, head: 2 });
    expect(off.change).toBeLessThan(-1);
    expect(after[0]!.token).not.toBe(HILL);
  });

  test("needs no tokenizer", async () => {
    const { code, out } = await sextant(["demo", MODEL, "--tokens", TOKENS]);
    expect(code).toBe(0);
    expect(out).toContain(`--tokens '${TOKENS}'`);
  });
});

test("progress is one line on a terminal's standard error, wiped at the end, and nothing in a pipe", async () => {
  const argv = ["lens", MODEL, "--text", TEXT];
  expect((await sextant(argv)).err).toBe("");
  const { err } = await sextant(argv, { terminal: true });
  expect(err.replaceAll("\r\x1b[2K", "|")).toMatch(/^(\|\w+ \d+\/\d+)+\|$/);
});

test("nothing was written beside what was asked for", () => {
  expect(existsSync("head.svg")).toBe(false);
});
