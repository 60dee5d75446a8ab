/** @file Real models on real text: text to ids, ids to activations and logits, and forty greedy tokens. */
import { afterAll, describe, expect, it } from "vitest";
import { encodeChat } from "../../src/formats/chat.js";
import { loadTokenizer } from "../../src/formats/tokenizer.js";
import { hasShared, sharedPath } from "../shared.js";
import { LIMITS, measureReal, realPrompts } from "./measure.js";
import { modelShelf, REAL_MODELS } from "./subjects.js";

const shelf = modelShelf();
afterAll(shelf.close);

describe.skipIf(!hasShared).each(REAL_MODELS)("%s", (name) => {
  const prompts = hasShared ? realPrompts(name) : [];

  it.each(prompts)("reads $prompt as the same ids", ({ prompt, text, tokens, greedy, greedy_text }) => {
    const tokenizer = loadTokenizer(sharedPath("models", name));
    const chat = prompt.startsWith("CHAT:") && encodeChat(tokenizer, [{ role: "user", content: prompt.slice("CHAT:".length) }]);
    if (chat) expect(chat).toMatchObject({ text, ids: tokens });
    else expect(tokenizer.encode(text).ids).toEqual(tokens);
    expect(tokenizer.decode(greedy)).toBe(greedy_text);
  });

  it("agrees at every point, on the last logits, and goes on with the same forty tokens", async () => {
    const { clean, greedy } = await measureReal(await shelf.open(sharedPath("models", name)), name);
    for (const { agrees, message } of clean) expect(agrees, message).toBe(true);
    expect(greedy.problem).toBeUndefined();
    expect(greedy.total).toBe(40 * prompts.length);
  });

  it("has no token that rounding could decide, so that all can be demanded", () => {
    for (const { prompt, smallest_gap } of prompts) expect(smallest_gap, prompt).toBeGreaterThan(10 * LIMITS.logits);
  });
});

it.skip("tinyllama-1.1b-iq2_xxs-gguf: see test/SKIPS.md");
