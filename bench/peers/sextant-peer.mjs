/** @file Sextant in a process of its own, as the peers are, so that memory can be compared: requests and answers as in `llama-peer.mjs`. */
import { loadModel } from "../../dist/index.js";
import { serve } from "./serve.mjs";

let model;

/** Every fourth layer is edited: the stream between blocks, or each head's output inside them. */
const EDITS = {
  none: () => [],
  between: ({ dModel, layers }) => {
    const vector = {
      data: Float32Array.from({ length: dModel }, (_, i) => (i % 2 === 0 ? 0.001 : -0.001)),
      shape: [dModel],
      axes: ["d_model"],
    };
    return everyFourth(layers).map((layer) => ({ at: `resid_post.${layer}`, op: "add", vector }));
  },
  inside: ({ layers }) => everyFourth(layers).map((layer) => ({ at: `z.${layer}`, op: "scale", by: 0.999 })),
};

function everyFourth(layers) {
  return [...layers.keys()].filter((layer) => layer % 4 === 0);
}

await serve({
  async load({ model: path, threads, weights }) {
    model = await loadModel(path, { threads, weights });
    return {};
  },

  async generate({ tokens, new: count, edits }) {
    const start = performance.now();
    let first = start;
    const onToken = ({ step }) => {
      if (step === 0) first = performance.now();
    };
    const made = await model.generate({ tokens, maxNew: count, stopTokens: [], edits: EDITS[edits ?? "none"](model.spec) }, { onToken });
    return { ms: performance.now() - first, first_ms: first - start, tokens: made.tokens };
  },
});
