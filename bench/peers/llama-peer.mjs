/**
 * @file llama.cpp, by way of node-llama-cpp, as a peer: one JSON request a line, one JSON line as answer. It generates greedily from a GGUF file
 * and never stops early. `SEXTANT_NODE_PEERS` names the folder whose node_modules has node-llama-cpp.
 */
import { env } from "node:process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { serve } from "./serve.mjs";

const folder = join(env["SEXTANT_NODE_PEERS"] ?? ".", "node_modules/node-llama-cpp/dist/index.js");
const { getLlama } = await import(pathToFileURL(folder).href);

let context;

await serve({
  async load({ model, threads, context: size }) {
    const llama = await getLlama({ gpu: false, build: "never", logLevel: "error", maxThreads: threads });
    const loaded = await llama.loadModel({ modelPath: model });
    context = await loaded.createContext({ contextSize: size, threads, batchSize: 512 });
    return {};
  },

  /** `first_ms` is the prompt and the first token, `ms` the others. */
  async generate({ tokens: [prompt], new: count }) {
    const sequence = context.getSequence();
    try {
      const made = [];
      const start = performance.now();
      let first = start;
      for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
        if (made.push(token) === 1) first = performance.now();
        if (made.length === count) break;
      }
      return { ms: performance.now() - first, first_ms: first - start, tokens: [made] };
    } finally {
      sequence.dispose();
    }
  },
});
