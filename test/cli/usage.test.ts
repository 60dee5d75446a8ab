/** @file Help, exit codes and refusals: everything that needs no model. */
import { describe, expect, test } from "vitest";
import { COMMANDS } from "../../src/cli/commands.js";
import { sextant } from "./sextant.js";

describe("help", () => {
  test("lists the commands", async () => {
    const { code, out, err } = await sextant(["--help"]);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatchInlineSnapshot(`
      "Sextant measures and steers the inside of language models.

      usage: sextant COMMAND [arguments] [options]

      commands
        demo          A tour: what a model answers, which heads are behind it, and what happens without them.
        model         Shows what a model is made of and which points it has.
        models        Lists the models in the Hugging Face hub's cache, and which can be run.
        pull          Downloads a model of the Hugging Face hub into its cache; goes on where it was stopped.
        devices       Shows what this machine can compute on, and what is missing for the rest.
        lens          Shows what each layer would predict if it were the last (the logit lens).
        attend        Shows where attention heads look: scores of all heads, and the patterns of those named.
        read          Writes the values of points to a safetensors or .npz file.
        gradient      Writes the gradient of a number that a run ends in, by the values of points.
        patch         Patches, ablates or cuts a model place by place, and shows where a behaviour comes from.
        knockout      Cuts edges of attention one by one, and shows which of them a behaviour needs.
        path          Patches paths: what each sender says to a receiver directly (path patching).
        generate      Continues a prompt.
        vectors       Lists the tensors of a file of vectors or activations; writes them in another format.
        train         Trains a small model, or an adapter of one; goes on where it was stopped.
        study         Runs a study of a model into a folder: findings, tables, figures, a report.
        verify        Runs a run again and compares every number within its tolerance.
        runs          Lists the runs in a folder, or asks them a question in SQL.
        diff          Holds two runs against each other: settings, findings, tables, generations.
        verify-model  Checks that a model computes what it should: identities, goldens, activations of other
                      programs.

      options
        --json        print one JSON document and nothing else
        --color WHEN  colours: always, never, or on a terminal (default auto)
        --help        show this help
        --version     print the version

      MODEL is a folder with config.json, model.safetensors (or its shards) and, for text, tokenizer.json; or a GGUF file.
      \`sextant COMMAND --help\` explains a command. Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted.
      "
    `);
  });

  test("is what one gets without arguments", async () => {
    expect(await sextant([])).toEqual(await sextant(["--help"]));
  });

  test("explains a command from its tables", async () => {
    const { code, out } = await sextant(["generate", "--help"]);
    expect(code).toBe(0);
    expect(out).toMatchInlineSnapshot(`
      "Continues a prompt.

      usage: sextant generate MODEL (--text STRING | --tokens JSON | --chat STRING) --max-new N [options]

      arguments
        MODEL  the model's folder, a GGUF file, or ORG/NAME[@REVISION] on the Hugging Face hub

      options
        --text STRING                the prompt, encoded by the model's tokenizer as it encodes any text
        --tokens JSON                the prompt as token ids: a row [1,2,3], rows [[1,2],[3]], or @FILE with either
        --chat STRING                a user's message, put into the model's chat template
        --max-new N                  how many tokens to make at most
        --ignore-eos                 go on after the model's end tokens
        --stop STRING                text that ends the continuation (may be repeated)
        --temperature T              sample at this temperature; without this, --top-k, --top-p or --min-p the best
                                     token is taken
        --top-k K                    sample among the K best tokens
        --top-p P                    sample among the best tokens that together have probability P
        --min-p P                    sample among tokens at least P times as probable as the best
        --repetition-penalty R       make tokens that have occurred less probable
        --seed N                     seed of the sampling; 0 when it is not given
        --steer FILE@LAYER×STRENGTH  add a vector to the residual stream after a layer; FILE as for --vectors
                                     (FILE#NAME where it has several tensors); x and * do for × (may be repeated)
        --edits FILE                 JSON array of edits to make while the model runs
        --vectors FILE               file with the tensors that the edits name: safetensors, .npz, .npy, .pt or a
                                     control vector in GGUF
        --control FILE               a control vector (GGUF of repeng or llama.cpp, or any file of vectors named by
                                     layers) to add behind each layer it has a direction for
        --control-strength S         what the control vector is multiplied by; 1 when it is not given
        --control-layers LIST        apply it only at these of its layers, such as 10..20
        --recompute                  run everything again at each step instead of using the key/value cache
        --device DEVICE              where it computes; \`sextant devices\` says what there is (default cpu)
        --threads N                  threads of the matrix products; by default all cores
        --memory SIZE                take no more memory than that, such as 2GiB; a model that needs more is read
                                     anew in each pass, but for the blocks that fit
        --weights FORM               how linear maps are stored and multiplied: float32, or as whole numbers of int8
                                     or int4, made once in the cache folder (default float32)
        --beyond-context             allow more positions than the model was made for
        --json                       print one JSON document and nothing else
        --color WHEN                 colours: always, never, or on a terminal (default auto)
        --help                       show this help

      examples
        sextant generate models/induction --text "Mira Stone saw a fox near the river . Mira" --max-new 12
        sextant generate MODEL --chat "Who are you?" --max-new 60 --temperature 0.7 --steer joy.safetensors@4×2
      "
    `);
  });

  test.each(COMMANDS.map(({ name }) => name))("of %s fits into 120 columns and names every option", async (name) => {
    const { out } = await sextant([name, "-h"]);
    for (const line of out.split("\n").slice(0, -4)) expect(line.length).toBeLessThanOrEqual(120);
    for (const option of Object.keys(COMMANDS.find((row) => row.name === name)!.options)) expect(out).toContain(`--${option}`);
  });

  test("the version is the package's", async () => {
    expect((await sextant(["--version"])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe("wrong use is exit code 2 and the usage line", () => {
  // oxfmt-ignore
  const cases: readonly (readonly string[])[] = [
    ["lense", "x"],
    ["--text", "x"],
    ["lens"],
    ["lens", "MODEL"],
    ["lens", "MODEL", "--text", "x", "--tokens", "[1]"],
    ["lens", "MODEL", "--text", "x", "--targt", "y"],
    ["lens", "MODEL", "--text"],
    ["lens", "MODEL", "--text", "-x"],
    ["lens", "MODEL", "OTHER", "--text", "x"],
    ["lens", "MODEL", "--text", "x", "--top", "two"],
    ["lens", "MODEL", "--text", "x", "--json=1"],
    ["lens", "MODEL", "--text", "x", "--color", "mauve"],
    ["demo", "--text", "x", "--tokens", "[1]"],
    ["generate", "MODEL", "--text", "x"],
    ["attend", "MODEL", "--text", "x", "--head", "1"],
    ["attend", "MODEL", "--text", "x", "--svg", "x.svg"],
  ];

  test("with what is wrong in words", async () => {
    const said = await Promise.all(cases.map((argv) => sextant(argv)));
    expect(said.map(({ code }) => code)).toEqual(cases.map(() => 2));
    expect(said.every(({ out }) => out === "")).toBe(true);
    expect(`\n${said.map(({ err }) => err.split("\n")[0]).join("\n")}\n`).toMatchInlineSnapshot(`
      "
      sextant: unknown command "lense"; did you mean lens?
      sextant: a command comes first, got the option --text
      sextant lens: MODEL is missing: the model's folder, a GGUF file, or ORG/NAME[@REVISION] on the Hugging Face hub
      sextant lens: needs --text or --tokens
      sextant lens: takes only one of --text and --tokens
      sextant lens: unknown option --targt; did you mean --target?
      sextant lens: --text needs a value, STRING
      sextant lens: --text needs a value, STRING (one that begins with a dash is written --text=…)
      sextant lens: unexpected argument "OTHER"
      sextant lens: --top must be a whole number, 0 or more, got "two"
      sextant lens: --json takes no value
      sextant lens: --color must be one of always, never, auto, got "mauve"
      sextant demo: takes only one of --text and --tokens
      sextant generate: needs --max-new
      sextant attend: --head without --layer
      sextant attend: --svg needs --layer and --head
      "
    `);
  });

  test("with the usage of the command", async () => {
    expect((await sextant(["read", "MODEL"])).err).toMatchInlineSnapshot(`
      "sextant read: needs --text or --tokens
      usage: sextant read MODEL (--text STRING | --tokens JSON) --points LIST --out FILE [options]
      "
    `);
    expect((await sextant(["foo"])).err).toMatchInlineSnapshot(`
      "sextant: unknown command "foo"
      usage: sextant COMMAND [arguments] [options]; \`sextant --help\` lists the commands
      "
    `);
  });

  test("in notations of a command, before any model is loaded", async () => {
    const prompt = ["--tokens", "[0,1]"];
    const said = await Promise.all(
      [
        ["lens", "MODEL", "--tokens", "[0,1"],
        ["lens", "MODEL", "--tokens", "[]"],
        ["lens", "MODEL", "--tokens", '[[1],["x"]]'],
        ["lens", "MODEL", ...prompt, "--layers", "1-2"],
        ["lens", "MODEL", ...prompt, "--layers", "2..1"],
        ["lens", "MODEL", ...prompt, "--top", "0"],
        ["lens", "MODEL", ...prompt, "--vectors", "x"],
        ["attend", "MODEL", "--tokens", "[[0],[1]]"],
        ["read", "MODEL", ...prompt, "--points", "embed,,z.0", "--out", "x"],
        ["generate", "MODEL", ...prompt, "--max-new", "1", "--steer", "joy.npy"],
      ].map((argv) => sextant(argv)),
    );
    expect(said.map(({ code }) => code)).toEqual(said.map(() => 2));
    expect(`\n${said.map(({ err }) => err.split("\n")[0]).join("\n")}\n`).toMatchInlineSnapshot(`
      "
      sextant lens: --tokens must be JSON such as [1,2,3], or @FILE, got "[0,1"
      sextant lens: --tokens must be rows of token ids such as [[1,2],[3]], row 0 is []
      sextant lens: --tokens must be rows of token ids such as [[1,2],[3]], row 1 is ["x"]
      sextant lens: --layers must be indices such as 0,3,-1 or 2..5, got "1-2"
      sextant lens: --layers: 2..1 is no range
      sextant lens: --top must be 1 or more
      sextant lens: --vectors without --edits
      sextant attend: --tokens must be one row, got 2
      sextant read: --points must be addresses with commas between, got "embed,,z.0"
      sextant generate: --steer must be FILE@LAYER×STRENGTH or FILE#NAME@LAYER×STRENGTH, got "joy.npy"
      "
    `);
  });
});

describe("failure is exit code 1", () => {
  test("in words", async () => {
    expect(await sextant(["model", "nowhere"])).toEqual({
      code: 1,
      out: "",
      err: "sextant model: cannot open the model, nowhere: it does not exist\n",
    });
  });

  test("as JSON on standard error where JSON was asked for, wrong use included", async () => {
    const failed = await sextant(["lens", "nowhere", "--tokens", "[1]", "--json"]);
    expect(failed).toMatchObject({ code: 1, out: "" });
    expect(JSON.parse(failed.err)).toEqual({ error: { kind: "file", message: "cannot open the model, nowhere: it does not exist" } });
    const wrong = await sextant(["lens", "--json", "--nope"]);
    expect(wrong.code).toBe(2);
    expect(JSON.parse(wrong.err)).toEqual({ error: { kind: "usage", message: "unknown option --nope" } });
  });
});

test("an interrupted run is exit code 130", async () => {
  const controller = new AbortController();
  const running = sextant(["demo"], { signal: controller.signal });
  controller.abort();
  expect(await running).toEqual({ code: 130, out: "", err: "sextant demo: interrupted\n" });
});
