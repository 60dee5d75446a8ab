/** @file The tiny Qwen 2 in the engine: it writes what it writes in `transformers`, and its searches are such that the study has something to look at. */
import { afterAll, expect, test } from "vitest";
import { formatNamed } from "../../../src/studies/self-verification/formats/table.js";
import { findTimeSteps, wordIds } from "../../../src/studies/self-verification/time-steps.js";
import { loadTokenizer } from "../../../src/formats/tokenizer.js";
import { loadModel } from "../../../src/runtime/load.js";
import { goldenOf, TINY } from "./tiny.js";

const tokenizer = loadTokenizer(TINY);
const model = await loadModel(TINY);
afterAll(() => model.close());

test("it goes on as `transformers` does", async () => {
  const { ids, greedy } = goldenOf();
  const { tokens } = await model.generate({ tokens: [ids], maxNew: 200 });
  expect(tokens[0]!.filter((id) => !tokenizer.eosIds.includes(id))).toEqual(greedy);
});

test("its searches on the paper's prompt keep to the format and hold both verdicts", async () => {
  const format = formatNamed("qwen-countdown");
  const prompts = format.prompts(8, 1);
  const words = wordIds(tokenizer, format.words);
  const asked = prompts.map(({ text }) => tokenizer.encode(text, { addSpecialTokens: false }).ids);
  const decode = (ids: readonly number[]): string => tokenizer.decode(ids, { skipSpecialTokens: true });
  const request = { tokens: asked, maxNew: format.most.search, stopTokens: tokenizer.eosIds, stopStrings: format.stop.search };
  const { tokens } = await model.generate(request, { decode });
  const judged = tokens.map((own, i) => format.judge(prompts[i]!.task, decode(own)));
  expect(judged.filter(({ inFormat }) => inFormat).length).toBeGreaterThanOrEqual(7);
  const labels = tokens.map((own, i) => {
    const steps = findTimeSteps([...asked[i]!, ...own], words, { from: asked[i]!.length, tokenizer });
    return steps.map(({ label }) => label).join("");
  });
  expect(labels.filter((text) => /^0+1$/.test(text)).length).toBeGreaterThanOrEqual(7);
});
