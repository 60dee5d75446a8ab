/** @file Folders and files that are missing, damaged or in the way, and unusual ones that must work. */
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { writeSafetensors } from "../../src/formats/safetensors-writer.js";
import { using, variantFolder, workshop } from "./damaged.js";

const { copy, complaint, path, write } = workshop();
const gpt2 = variantFolder("gpt2-hub-names");
const load = (folder: string): Promise<string> => complaint(() => using(folder, () => undefined));
const runs = async (folder: string): Promise<boolean> =>
  using(folder, async (model) => (await model.forward({ tokens: [[1, 2]] })).logits !== undefined);

describe("refuses", () => {
  test("a folder that is not there, is a file, or is empty", async () => {
    mkdirSync(path("empty"));
    expect(await load(path("nowhere"))).toMatchInlineSnapshot(`"file: cannot open the model, TMP/nowhere: it does not exist"`);
    expect(await load(write("a-file", "x"))).toMatchInlineSnapshot(
      `"file: cannot load TMP/a-file: it is a file. Instead: give a folder with config.json and model.safetensors"`,
    );
    expect(await load(path("empty"))).toMatchInlineSnapshot(
      `"file: cannot load TMP/empty: it has no config.json. Instead: give a folder with config.json and model.safetensors"`,
    );
  });

  test("a folder with weights alone, or a configuration alone", async () => {
    mkdirSync(path("weights"));
    copyFileSync(join(gpt2, "model.safetensors"), path("weights/model.safetensors"));
    write("config/config.json", readFileSync(join(gpt2, "config.json")));
    expect(await load(path("weights"))).toMatchInlineSnapshot(
      `"file: cannot load TMP/weights: it has no config.json. Instead: give a folder with config.json and model.safetensors"`,
    );
    expect(await load(path("config"))).toMatchInlineSnapshot(
      `"file: cannot open TMP/config as a checkpoint: it has neither model.safetensors nor model.safetensors.index.json. Instead: download the model's weights into it"`,
    );
  });

  test("a config.json that is no JSON object", async () => {
    const config = (content: string | Uint8Array): Promise<string> => {
      copyFileSync(join(gpt2, "model.safetensors"), join(copy("gpt2-hub-names", {}, "json"), "model.safetensors"));
      return load(join(write("json/config.json", content), ".."));
    };
    expect(await config("")).toMatchInlineSnapshot(`"format: TMP/json/config.json is not JSON: Unexpected end of JSON input"`);
    expect(await config("{\"model_type\": gpt2}")).toMatchInlineSnapshot(`"format: TMP/json/config.json is not JSON: Unexpected token 'g', "{"model_type": gpt2}" is not valid JSON"`); // prettier-ignore
    expect(await config('{"layer_norm_epsilon": NaN}')).toMatchInlineSnapshot(
      `"format: TMP/json/config.json is not JSON: Unexpected token 'N', ..."epsilon": NaN}" is not valid JSON"`,
    );
    expect(await config("[1]")).toMatchInlineSnapshot(`"format: TMP/json/config.json must hold a JSON object, got [1]"`);
    expect(await config("null")).toMatchInlineSnapshot(`"format: TMP/json/config.json must hold a JSON object, got null"`);
    expect(await config(Uint8Array.of(0x7b, 0xff, 0x7d))).toMatchInlineSnapshot(`"format: TMP/json/config.json is not UTF-8 text"`);
  });

  test("a config.json that is a folder, or far too large", async () => {
    const folder = path("strange");
    mkdirSync(join(folder, "config.json"), { recursive: true });
    copyFileSync(join(gpt2, "model.safetensors"), join(folder, "model.safetensors"));
    expect(await load(folder)).toMatchInlineSnapshot(`"file: cannot open TMP/strange/config.json: it is not a file"`);
    const large = copy("gpt2-hub-names");
    truncateSync(join(large, "config.json"), 100_000_000);
    expect((await load(large)).replace(/m\d+/, "MODEL")).toMatchInlineSnapshot(
      `"file: TMP/MODEL/config.json is too large: 100000000 bytes, read are files up to 67108864"`,
    );
  });

  test("weights that end early, or are something else", async () => {
    const weights = (content: (bytes: Buffer) => string | Uint8Array): Promise<string> => {
      const folder = copy("gpt2-hub-names", {}, "short");
      writeFileSync(join(folder, "model.safetensors"), content(readFileSync(join(gpt2, "model.safetensors"))));
      return load(folder);
    };
    expect(await weights((bytes) => bytes.subarray(0, -100))).toMatchInlineSnapshot(
      `"format: TMP/short/model.safetensors: tensor "wte.weight" ends at byte 161152, the file has 161052"`,
    );
    expect(await weights((bytes) => bytes.subarray(0, 100))).toMatchInlineSnapshot(
      `"format: TMP/short/model.safetensors: the header ends at byte 2680, the file has 100"`,
    );
    expect(await weights(() => "")).toMatchInlineSnapshot(
      `"format: TMP/short/model.safetensors: a safetensors file has at least 8 bytes, this one has 0"`,
    );
    expect(await weights(() => "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n")).toMatchInlineSnapshot(
      `"format: cannot read TMP/short/model.safetensors: it is a git-lfs pointer, not the weights. Instead: fetch the weights with \`git lfs pull\`"`,
    );
    expect(await weights((bytes) => Buffer.concat([bytes, Buffer.alloc(4)]))).toMatchInlineSnapshot(
      `"format: TMP/short/model.safetensors: the last tensor ends at byte 161152, the file has 161156"`,
    );
  });

  test("weights in another format", async () => {
    write("pickle/pytorch_model.bin", "x");
    write("pickle/config.json", readFileSync(join(gpt2, "config.json")));
    expect(await load(path("pickle"))).toMatchInlineSnapshot(
      `"file: cannot open TMP/pickle: it has only pytorch_model.bin, a Python pickle, which runs code when it is loaded. Instead: convert it where you trust it: AutoModelForCausalLM.from_pretrained(…).save_pretrained(…, safe_serialization=True)"`,
    );
  });

  test("shards that are missing or cut off", async () => {
    const folder = sharded("shards");
    truncateSync(join(folder, "b.safetensors"), 3000);
    expect(await load(folder)).toMatchInlineSnapshot(
      `"format: TMP/shards/b.safetensors: tensor "h.0.mlp.c_proj.weight" ends at byte 18176, the file has 3000"`,
    );
    const index = JSON.parse(readFileSync(join(folder, "model.safetensors.index.json"), "utf8")) as { weight_map: Record<string, string> };
    const gone = Object.fromEntries(Object.entries(index.weight_map).map(([name, file]) => [name, file.replace("b.", "c.")]));
    write("shards/model.safetensors.index.json", JSON.stringify({ weight_map: gone }));
    expect(await load(folder)).toMatchInlineSnapshot(
      `"file: cannot open the shard that model.safetensors.index.json names, TMP/shards/c.safetensors: it does not exist"`,
    );
  });
});

describe("takes", () => {
  test("a shard that the index does not name", async () => {
    const folder = sharded("extra");
    writeSafetensors(join(folder, "model-00003-of-00003.safetensors"), {});
    writeFileSync(join(folder, "consolidated.safetensors"), "rubbish");
    expect(await runs(folder)).toBe(true);
  });

  test("a folder of the hub's cache, whose files are links to blobs elsewhere", async () => {
    mkdirSync(path("cache/blobs"), { recursive: true });
    mkdirSync(path("cache/snapshots/0a1b"), { recursive: true });
    for (const [file, blob] of [
      ["config.json", "c0ffee"],
      ["model.safetensors", "f00d"],
    ] as const) {
      // prettier-ignore
      copyFileSync(join(gpt2, file), path(`cache/blobs/${blob}`));
      symlinkSync(`../../blobs/${blob}`, path(`cache/snapshots/0a1b/${file}`));
    }
    symlinkSync(path("cache/snapshots/0a1b"), path("linked"));
    expect(await runs(path("cache/snapshots/0a1b"))).toBe(true);
    expect(await runs(path("linked"))).toBe(true);
  });

  test("shards that are links into different folders", async () => {
    const folder = sharded("spread");
    mkdirSync(path("elsewhere/deep"), { recursive: true });
    mkdirSync(path("spread-links"));
    for (const [name, home] of [
      ["a.safetensors", "elsewhere"],
      ["b.safetensors", "elsewhere/deep"],
    ] as const) {
      // prettier-ignore
      copyFileSync(join(folder, name), path(`${home}/${name}`));
      symlinkSync(path(`${home}/${name}`), path(`spread-links/${name}`));
    }
    for (const name of ["config.json", "model.safetensors.index.json"]) copyFileSync(join(folder, name), path(`spread-links/${name}`));
    expect(await runs(path("spread-links"))).toBe(true);
  });

  test("a path with spaces, quotes and letters beyond ASCII", async () => {
    expect(await runs(copy("gpt2-hub-names", {}, "mon modèle №1 “日本” 'x' %41"))).toBe(true);
  });

  test("a header whose length leaves the values unaligned", async () => {
    const folder = copy("gpt2-hub-names");
    const bytes = readFileSync(join(gpt2, "model.safetensors"));
    const length = Number(bytes.readBigUInt64LE(0));
    const longer = Buffer.alloc(8);
    longer.writeBigUInt64LE(BigInt(length + 3));
    const parts = [longer, bytes.subarray(8, 8 + length), Buffer.alloc(3, " "), bytes.subarray(8 + length)];
    writeFileSync(join(folder, "model.safetensors"), Buffer.concat(parts));
    const logits = (at: string): Promise<Float32Array> =>
      using(at, async (model) => (await model.forward({ tokens: [[1, 2]] })).logits!.data);
    expect(await logits(folder)).toEqual(await logits(gpt2));
  });
});

/** The small GPT-2 in two shards. */
function sharded(name: string): string {
  const all = [...readSafetensors(gpt2)];
  const halves = { "a.safetensors": all.slice(0, 12), "b.safetensors": all.slice(12) };
  mkdirSync(path(name));
  for (const [file, part] of Object.entries(halves)) writeSafetensors(join(path(name), file), Object.fromEntries(part));
  const map = Object.entries(halves).flatMap(([file, part]) => part.map(([tensor]) => [tensor, file]));
  write(`${name}/model.safetensors.index.json`, JSON.stringify({ weight_map: Object.fromEntries(map) as unknown }));
  write(`${name}/config.json`, readFileSync(join(gpt2, "config.json")));
  return path(name);
}
