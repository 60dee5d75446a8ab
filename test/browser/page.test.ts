/**
 * @file `sextant/browser` in Chromium: logits against those under Node, and the page of `examples/browser` as a person uses it. The model is
 * `models/induction`, which ships, and stories260K where the shared folder is.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Server } from "node:http";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type * as SextantInBrowser from "../../src/browser.js";
import type { WebRuntime } from "../../src/browser.js";
import { bundleText, servePage, type OfferedModel } from "../../scripts/browser-example.js";
import { loadTokenizer, type Tokenizer } from "../../src/formats/tokenizer.js";
import { loadModel } from "../../src/runtime/load.js";
import type { Model } from "../../src/runtime/model.js";
import type { Tensor } from "../../src/base/tensor.js";
import { hasShared, sharedPath } from "../shared.js";
import { hasChromium, openChromium } from "./chromium.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const INDUCTION = join(ROOT, "models/induction");

const SUBJECT: OfferedModel = {
  name: "subject",
  folder: hasShared ? sharedPath("models/stories260K") : INDUCTION,
  prompt: hasShared ? "Once upon a time" : "a dog saw Anna Hill in the garden and Anna",
  steer: hasShared ? ["There was a big dog", "There was a little girl"] : ["Mira Stone met Tom when Mira", "Mira Hill met Tom when Mira"],
  strength: 0.75,
};
const LAYER = 1;
const NEW = 24;

/** How long a busy machine may take for what takes a second. */
const PATIENCE = { timeout: 60_000 } as const;

/** Float32 sums in another order: the largest difference seen is 8.6e-6, of logits up to 19. */
const TOLERANCE = 1e-4;

/** What `LIBRARY` puts into the page. */
interface Library extends Pick<typeof SextantInBrowser, "loadModelFromFiles"> {
  readonly runtime: WebRuntime;
}

/** A page of one's own, as docs/browser.md has it: the library and ONNX Runtime, on the page's own thread. */
const LIBRARY = `
  import * as runtime from "/ort/ort.wasm.min.mjs";
  import { loadModelFromFiles } from "/sextant.js";
  runtime.env.wasm.wasmPaths = "/ort/";
  globalThis.library = { runtime, loadModelFromFiles };`;

describe.skipIf(!hasChromium)("in a browser", () => {
  let browser: Browser;
  let server: Server;
  let address: string;
  let page: Page;
  let model: Model;
  let tokenizer: Tokenizer;
  const failures: string[] = [];

  beforeAll(async () => {
    [browser, { server, address }, model] = await Promise.all([
      openChromium(),
      servePage([SUBJECT, { ...SUBJECT, name: "induction", folder: INDUCTION }], 0),
      loadModel(SUBJECT.folder, { threads: 1 }),
    ]);
    tokenizer = loadTokenizer(SUBJECT.folder);
    page = await browser.newPage();
    page.setDefaultTimeout(PATIENCE.timeout);
    page.on("pageerror", ({ message }) => failures.push(message));
  });

  afterAll(async () => {
    await Promise.all([browser?.close(), model?.close()]);
    server?.close();
    expect(failures).toEqual([]);
  });

  test("logits at every position are those under Node", async () => {
    const tokens = [tokenizer.encode(SUBJECT.prompt).ids];
    const { logits } = await model.forward({ tokens, logits: { positions: "all" } });
    await page.goto(address);
    await page.addScriptTag({ type: "module", content: LIBRARY });
    await page.waitForFunction(() => "library" in globalThis);
    const found = await page.evaluate(
      async ({ names, tokens }) => {
        const { runtime, loadModelFromFiles } = (globalThis as unknown as { readonly library: Library }).library;
        const take = async (name: string): Promise<[string, ArrayBuffer]> => {
          const answer = await fetch(`/models/subject/${name}`);
          return [name, await answer.arrayBuffer()];
        };
        const model = await loadModelFromFiles(new Map(await Promise.all(names.map(take))), { runtime });
        const result = await model.forward({ tokens, logits: { positions: "all" } });
        await model.close();
        return [...result.logits!.data];
      },
      { names: ["config.json", "model.safetensors"], tokens },
    );
    expect(found).toHaveLength(logits!.data.length);
    const largest = found.reduce((most, value, i) => Math.max(most, Math.abs(value - logits!.data[i]!)), 0);
    expect(largest).toBeLessThan(TOLERANCE);
    expect(Math.max(...found) - Math.min(...found)).toBeGreaterThan(1);
  });

  test("dropped files that are no model are refused in words, and the page goes on", async () => {
    await page.goto(address);
    await drop(page, [join(SUBJECT.folder, "config.json"), join(SUBJECT.folder, "tokenizer.json")]);
    await expect
      .poll(() => page.textContent("#error-text"))
      .toMatch(/model\.safetensors is not among the 2 given \(config\.json, tokenizer\.json\)/);
    await drop(page, [join(ROOT, "package.json")]);
    await expect.poll(() => page.textContent("#error-text"), PATIENCE).toMatch(/config\.json and model\.safetensors are not among/);
  });

  test("dropped files load, and the lens ends in the model's own answers", async () => {
    await drop(
      page,
      readdirSync(SUBJECT.folder).flatMap((name) => (/\.(json|safetensors)$/.test(name) ? [join(SUBJECT.folder, name)] : [])),
    );
    await page.waitForSelector("#facts:visible");
    expect(await page.textContent("#facts")).toContain(`layers${model.spec.layers.length}`);
    await page.click("#look button");
    await page.waitForSelector("#lens svg");
    const { ids } = tokenizer.encode(SUBJECT.prompt);
    const { logits } = await model.forward({ tokens: [ids], logits: { positions: "all" } });
    const titles = await page.locator("#lens svg g > rect > title").allTextContents();
    const top = titles.slice(0, ids.length).map((title) => /: (\S+) [\d.e-]+$/.exec(title)?.[1]);
    expect(titles).toHaveLength(ids.length * model.spec.layers.length);
    expect(top).toEqual(ids.map((_, position) => visible(tokenizer.token(largestAt(logits!, position)))));
  });

  test("a model from an address writes what it writes under Node, plain and steered", async () => {
    await page.goto(address);
    await expect.poll(() => page.inputValue("#url"), PATIENCE).toBe("models/subject/");
    await page.click("#fetch button");
    await page.waitForSelector("#facts:visible");
    await page.selectOption("#layer", String(LAYER));
    await page.fill("#strength", String(SUBJECT.strength));
    await page.fill("#count", String(NEW));
    await page.click("#steer button[type=submit]");
    await expect.poll(() => page.getAttribute("body", "aria-busy"), PATIENCE).toBe("false");
    const [plain, steered] = [await page.textContent("#plain"), await page.textContent("#steered")];
    expect(plain).toBe(SUBJECT.prompt + (await continued(0)));
    expect(steered).toBe(SUBJECT.prompt + (await continued(SUBJECT.strength)));
    expect(steered).not.toBe(plain);
  });

  test("the program of docs/browser.md shows what it says", async () => {
    const [, program = "", shown = ""] =
      /```js\n([\s\S]*?)\/\/ Shows: (.*)\n```/.exec(readFileSync(join(ROOT, "docs/browser.md"), "utf8")) ?? [];
    await page.goto(address);
    await page.addScriptTag({ type: "module", content: await bundleText(program) });
    await expect.poll(() => page.textContent("body"), PATIENCE).toBe(shown);
  });

  /** The continuation under Node, with the direction added `strength` times. */
  async function continued(strength: number): Promise<string> {
    const { ids } = tokenizer.encode(SUBJECT.prompt);
    const [towards, from] = await Promise.all(SUBJECT.steer.map(lastStream));
    const vector = Array.from(towards!, (value, i) => value - from![i]!);
    const { tokens } = await model.generate({
      tokens: [ids],
      maxNew: NEW,
      edits: strength === 0 ? [] : [{ at: `resid_post.${LAYER}`, op: "add", vector, strength }],
    });
    const stream = tokenizer.streamDecoder({ skipSpecialTokens: true, after: ids });
    return tokens[0]!.map((id) => stream.push(id)).join("") + stream.end();
  }

  async function lastStream(text: string): Promise<Float32Array> {
    const read = [`resid_post.${LAYER}`];
    const { activations } = await model.forward({ tokens: [tokenizer.encode(text).ids], read, logits: false });
    return (activations[read[0]!] as Tensor<Float32Array>).data.slice(-model.spec.dModel);
  }
});

function drop(page: Page, paths: readonly string[]): Promise<void> {
  return page.setInputFiles("#files", [...paths]);
}

function largestAt({ data, shape }: Tensor<Float32Array>, position: number): number {
  const width = shape[2]!;
  const row = data.subarray(position * width, (position + 1) * width);
  return row.indexOf(Math.max(...row));
}

/** As charts show a token's spaces and line ends. */
function visible(text: string): string {
  return text.replaceAll(" ", "·").replaceAll("\n", "⏎");
}
