/** @file `sextant train`: models and adapters that come out, stopping and going on, wrong use. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { encodeText, TOKENS, tokenizerFiles, VOCABULARY } from "../../src/tasks/countdown/vocabulary.js";
import { temporaryFolder } from "../formats/folder.js";
import { fixture, rowsOf } from "../runtime/support.js";
import { sextant, sextantJson } from "./sextant.js";

const { root, path, write } = temporaryFolder();

// oxfmt-ignore
const CONFIG = {
  architectures: ["LlamaForCausalLM"], model_type: "llama", vocab_size: VOCABULARY.length, hidden_size: 16, intermediate_size: 24, num_hidden_layers: 1,
  num_attention_heads: 2, num_key_value_heads: 2, max_position_embeddings: 32, rms_norm_eps: 1e-6, hidden_act: "silu", tie_word_embeddings: true,
  bos_token_id: TOKENS.bos, eos_token_id: TOKENS.eos, torch_dtype: "bfloat16",
};

const config = write("begin/config.json", JSON.stringify(CONFIG));
for (const [name, content] of Object.entries(tokenizerFiles())) write(`begin/${name}`, JSON.stringify(content));

/** Always the same two continuations, which a model of this size learns by heart. */
const texts = Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? "numbers 3 4 target 7\n" : "answer 3 + 4\n"));
const data = write("rows.jsonl", texts.map((text) => `${JSON.stringify({ text })}\n`).join(""));

const small = ["--rows", "4", "--threads", "1", "--seed", "3"];
const file = (out: string, ...more: string[]): string[] => [
  "train",
  "file",
  "--config",
  config,
  "--data",
  data,
  "--out",
  path(out),
  ...small,
  ...more,
];

/** Ends a run when the folder has a checkpoint. */
async function stopped(argv: readonly string[], folder: string): Promise<Awaited<ReturnType<typeof sextant>>> {
  const controller = new AbortController();
  const watch = setInterval(() => existsSync(`${folder}/training/state.json`) && controller.abort(), 1);
  try {
    return await sextant(argv, { signal: controller.signal });
  } finally {
    clearInterval(watch);
  }
}

interface Trained {
  readonly steps: number;
  readonly loss: number;
  readonly heldOut: { readonly loss: number };
}

describe("train file", () => {
  test("makes a model that has learned its rows, with the tokenizer, in a folder that generate takes", async () => {
    const trained = await sextantJson<Trained & { model: string }>(...file("model", "--steps", "60", "--rate", "0.02"));
    expect(trained).toMatchObject({ model: path("model"), steps: 60 });
    // It begins at ln 38 = 3.6; half a nat is left of the first token, which nothing says.
    expect(trained.loss).toBeLessThan(0.5);
    expect(trained.heldOut.loss).toBeLessThan(0.5);
    expect(readdirSync(path("model")).toSorted()).toEqual([
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "tokenizer.json",
      "tokenizer_config.json",
      "training",
    ]);
    expect(JSON.parse(readFileSync(path("model/config.json"), "utf8"))).toEqual({ ...CONFIG, torch_dtype: "float32" });
    const { out } = await sextant(["generate", path("model"), "--text", "answer 3", "--max-new", "2", "--ignore-eos"]);
    expect(out).toBe(" + 4\n");
  });

  test("says how it goes on the terminal, and draws the loss", async () => {
    const { code, out, err } = await sextant(file("told", "--steps", "5", "--color", "never"), { terminal: true });
    expect(code).toBe(0);
    expect(err).toContain("training 1/5");
    expect(out).toMatch(/training +step 1\/5 +loss \d\.\d{4} +rate \d/);
    expect(out).toMatch(/training +held out, after 5 steps: loss \d\.\d{3}/);
    expect(out).toMatch(new RegExp(`held-out loss \\d\\.\\d{4} after 5 steps; written to ${path("told")}`));
  });

  test("goes on where it was stopped, to the same bytes as without a stop", async () => {
    const more = ["--steps", "60"];
    expect((await sextant(file("straight", ...more))).code).toBe(0);
    const cut = await stopped(file("cut", ...more), path("cut"));
    expect(cut.code).toBe(130);
    expect(cut.err).toContain("interrupted");
    expect(cut.err).toContain("the same command goes on from the last checkpoint");
    const { step } = JSON.parse(readFileSync(path("cut/training/state.json"), "utf8")) as { step: number };
    expect(step).toBeGreaterThan(0);
    expect(step).toBeLessThan(60);
    const bytes = (name: string): Buffer => readFileSync(path(name));
    expect(bytes("cut/model.safetensors").equals(bytes("straight/model.safetensors"))).toBe(false);
    const resumed = await sextant(file("cut", ...more));
    expect(resumed.code).toBe(0);
    expect(resumed.out).toContain(`goes on after step ${step}`);
    for (const name of ["model.safetensors", "training/state.safetensors", "training/state.json"])
      expect(bytes(`cut/${name}`).equals(bytes(`straight/${name}`)), name).toBe(true);
  });

  test("does not go on with other settings", async () => {
    expect((await sextant(file("settings", "--steps", "2"))).code).toBe(0);
    const other = await sextant(file("settings", "--steps", "2", "--rate", "0.5"));
    expect(other.code).toBe(1);
    expect(other.err).toContain("peak");
  });
});

describe("train lora", () => {
  const rows = write(
    "tokens.jsonl",
    rowsOf(6, 9, 5, 8, 7)
      .map((tokens) => `${JSON.stringify({ tokens })}\n`)
      .join(""),
  );
  const model = fixture("llama-longrope-crossing");
  const lora = (out: string, ...more: string[]): string[] => [
    "train",
    "lora",
    "--model",
    model,
    "--data",
    rows,
    "--out",
    path(out),
    ...small,
    ...more,
  ];

  test("makes an adapter of the modules named, and leaves the model as it was", async () => {
    const before = readFileSync(join(model, "model.safetensors"));
    const trained = await sextantJson<Trained & { adapter: string }>(
      ...lora("adapter", "--steps", "30", "--targets", "q_proj, up_proj", "--rank", "2", "--alpha", "4", "--rate", "0.02"),
    );
    expect(trained).toMatchObject({ adapter: path("adapter"), steps: 30 });
    const tensors = readSafetensors(path("adapter/adapter_model.safetensors"));
    expect([...tensors.keys()].filter((key) => !/\.(q_proj|up_proj)\.lora_[AB]\.weight$/.test(key))).toEqual([]);
    expect(tensors.size).toBe(8);
    for (const [key, { data: values }] of tensors)
      expect(
        values.some((value) => value !== 0),
        key,
      ).toBe(true);
    expect(JSON.parse(readFileSync(path("adapter/adapter_config.json"), "utf8"))).toMatchObject({
      r: 2,
      lora_alpha: 4,
      target_modules: ["q_proj", "up_proj"],
      base_model_name_or_path: model,
    });
    expect(readFileSync(join(model, "model.safetensors")).equals(before)).toBe(true);
    const { steps } = JSON.parse(readFileSync(path("adapter/checkpoint/training/state.json"), "utf8")) as { steps: { loss: number[] } };
    expect(trained.loss).toBeLessThan(steps.loss[0]! / 2);
  });

  test("goes on where it was stopped, to the same bytes", async () => {
    expect((await sextant(lora("whole", "--steps", "40"))).code).toBe(0);
    expect((await stopped(lora("halved", "--steps", "40"), path("halved/checkpoint"))).code).toBe(130);
    expect((await sextant(lora("halved", "--steps", "40"))).code).toBe(0);
    const name = "adapter_model.safetensors";
    expect(readFileSync(path(`halved/${name}`)).equals(readFileSync(path(`whole/${name}`)))).toBe(true);
  });

  test("refuses modules that the model has not", async () => {
    const { code, err } = await sextant(lora("stray", "--targets", "q_porj"));
    expect(code).toBe(1);
    expect(err).toContain('cannot add adapters to "q_porj"');
    expect(err).toContain("q_proj");
  });
});

describe("wrong use", () => {
  test("of the command is exit code 2, and nothing is written", async () => {
    const out = path("nothing");
    const said = await Promise.all(
      [
        ["train", "file", "--config", config, "--data", data],
        ["train"],
        ["train", "everything", "--out", out],
        ["train", "file", "--data", data, "--out", out],
        ["train", "file", "--config", config, "--out", out],
        ["train", "lora", "--data", data, "--out", out],
        ["train", "lora", "--model", fixture("llama-longrope-crossing"), "--out", out],
        ["train", "countdown", "--out", out, "--steps", "many"],
        ["train", "countdown", "--out", out, "--step", "2"],
      ].map((argv) => sextant(argv)),
    );
    expect(said.map(({ code }) => code)).toEqual(said.map(() => 2));
    expect(`\n${said.map(({ err }) => err.split("\n").find((line) => line.startsWith("sextant"))).join("\n")}\n`).toMatchInlineSnapshot(`
      "
      sextant train: needs --out
      sextant train: TASK is missing: countdown: the model that searches and verifies; file: a new model; lora: an adapter
      sextant train: TASK must be countdown, file or lora, got "everything"
      sextant train: train file needs --config
      sextant train: this training needs --data
      sextant train: train lora needs --model
      sextant train: this training needs --data
      sextant train: --steps must be a whole number, 0 or more, got "many"
      sextant train: unknown option --step; did you mean --steps?
      "
    `);
    expect(existsSync(out)).toBe(false);
  });

  test("of files is exit code 1 and says where", async () => {
    const broken = write("broken.jsonl", '{"tokens":[1,2]}\n{"tokens":[1,2]}\n{"tokens":[1,99]}\n');
    const unknown = write("unknown/config.json", JSON.stringify({ ...CONFIG, model_type: "mamba" }));
    const odd = write("odd/config.json", JSON.stringify({ ...CONFIG, attention_bais: true }));
    const list = write("list/config.json", "[]");
    const single = write("single.jsonl", '{"tokens":[1,2]}\n');
    const begin = (json: string, rows: string): Promise<{ code: number; err: string }> =>
      sextant(["train", "file", "--config", json, "--data", rows, "--out", path("nothing"), "--steps", "1"]);
    const said = [
      begin(config, broken),
      begin(unknown, data),
      begin(odd, data),
      begin(list, data),
      begin(config, single),
      begin(config, path("no.jsonl")),
    ];
    const errors = (await Promise.all(said)).map(({ code, err }) => {
      expect(code).toBe(1);
      return err
        .replaceAll(root, "TMP")
        .split("\n")
        .find((line) => line.startsWith("sextant"));
    });
    expect(`\n${errors.join("\n")}\n`).toMatchInlineSnapshot(`
      "
      sextant train: TMP/broken.jsonl:3: token 1 is 99, ids are whole numbers from 0 to 38
      sextant train: cannot begin a model of the family "mamba" described by TMP/unknown/config.json: from a configuration alone, the families are gpt2, gpt_neo, gptj, gpt_neox, phi, llama, mistral, qwen2, qwen3, gemma, gemma2, phi3, olmo2, smollm3, granite. Instead: use one of these
      sextant train: cannot begin a model from TMP/odd/config.json: nothing is known of its "attention_bais". Instead: correct or remove these settings
      sextant train: TMP/list/config.json must hold a JSON object
      sextant train: holding out needs at least two samples, got 1
      sextant train: cannot open TMP/no.jsonl: it does not exist
      "
    `);
    expect(existsSync(path("nothing"))).toBe(false);
  });

  test("a folder with a model that training did not make is not written over", async () => {
    write("precious/model.safetensors", "precious");
    const { code, err } = await sextant(file("precious", "--steps", "1"));
    expect(code).toBe(1);
    expect(err).toContain("there is a model that would be lost");
    expect(readFileSync(path("precious/model.safetensors"), "utf8")).toBe("precious");
  });
});

test("texts are trained on as the tokenizer writes them", async () => {
  const rows = texts.map((text) => `${JSON.stringify({ tokens: [TOKENS.bos, ...encodeText(text)] })}\n`).join("");
  const tokens = write("as-tokens.jsonl", rows);
  const ofTokens = await sextantJson<Trained>(
    "train",
    "file",
    "--config",
    config,
    "--data",
    tokens,
    "--out",
    path("of-tokens"),
    ...small,
    "--steps",
    "2",
  );
  const ofTexts = await sextantJson<Trained>(...file("of-texts", "--steps", "2"));
  expect(ofTokens.loss).toBe(ofTexts.loss);
});
