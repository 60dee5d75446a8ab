/**
 * @file transformers.js as a peer, as `llama-peer.mjs`. It generates from a folder in its layout (`config.json`, `tokenizer.json`,
 * `onnx/model_q4.onnx`), which `make_onnx.py` makes.
 */
import { env as environment } from "node:process";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { serve } from "./serve.mjs";

const folder = join(environment["SEXTANT_NODE_PEERS"] ?? ".", "node_modules/@huggingface/transformers/dist/transformers.node.mjs");
const { AutoModelForCausalLM, Tensor, env } = await import(pathToFileURL(folder).href);

let model;

await serve({
  async load({ model: path, threads }) {
    env.allowRemoteModels = false;
    env.localModelPath = dirname(path);
    model = await AutoModelForCausalLM.from_pretrained(basename(path), {
      dtype: "q4",
      device: "cpu",
      session_options: { intraOpNumThreads: threads },
    });
    return {};
  },

  async generate({ tokens: [prompt], new: count }) {
    const inputs = {
      input_ids: new Tensor("int64", BigInt64Array.from(prompt, BigInt), [1, prompt.length]),
      attention_mask: new Tensor("int64", new BigInt64Array(prompt.length).fill(1n), [1, prompt.length]),
    };
    const start = performance.now();
    let first = start;
    const streamer = { put: (_, seen = 0) => seen, end: () => undefined };
    let puts = 0;
    // The prompt is put first, then each token as it is made.
    streamer.put = () => {
      if (++puts === 2) first = performance.now();
    };
    const made = await model.generate({ ...inputs, max_new_tokens: count, min_new_tokens: count, do_sample: false, streamer });
    const end = performance.now();
    return { ms: end - first, first_ms: first - start, tokens: [Array.from(made.data.slice(prompt.length), Number)] };
  },
});
