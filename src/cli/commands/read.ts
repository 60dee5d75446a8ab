/** @file `sextant read`: values of points, written to a safetensors or `.npz` file. */
import { tensor } from "../../base/tensor.js";
import { defineCommand } from "../command.js";
import {
  EDIT_OPTIONS,
  givenPrompt,
  MODEL_ARGUMENT,
  PROMPT_OPTIONS,
  readEdits,
  rowsOf,
  RUN_OPTIONS,
  unscheduled,
  withModel,
} from "../inputs.js";
import { parseAddresses } from "../lists.js";
import { counted, shapesOf } from "../wording.js";

export const readCommand = defineCommand({
  name: "read",
  summary: "Writes the values of points to a safetensors or .npz file.",
  arguments: [MODEL_ARGUMENT],
  options: {
    ...PROMPT_OPTIONS,
    points: { type: "text", placeholder: "LIST", meaning: "addresses with commas between, such as embed,resid_post.*,pattern.3; or all" },
    out: {
      type: "text",
      placeholder: "FILE",
      meaning:
        "the file to write, NumPy's if it ends in .npz, else safetensors: one tensor an address, and `lengths`, the tokens in each row",
    },
    ...EDIT_OPTIONS,
    ...RUN_OPTIONS,
  },
  oneOf: [["text", "tokens"], ["points"], ["out"]],
  examples: [
    `read models/induction --text "the cat met the" --points "resid_post.*,pattern.1" --out run.safetensors`,
    "read MODEL --tokens '[[1,2,3],[4,5]]' --points all --edits edits.json --vectors vectors.safetensors --out run.safetensors",
  ],
  async run(call) {
    const { points, out } = call.options;
    const read = parseAddresses(points!);
    const { checkWritable, writeTensors } = await import("../../formats/tensor-file.js");
    checkWritable(out!);
    const prompt = givenPrompt(call.options);
    const edits = unscheduled(await readEdits(call));
    return withModel(call, async (opened) => {
      const tokens = await rowsOf(prompt, opened);
      const request = { tokens, read, edits, logits: false, beyondContext: call.options["beyond-context"] } as const;
      const { activations, lengths, cost } = await opened.model.forward(request, call);
      writeTensors(out!, { ...activations, lengths: tensor(Int32Array.from(lengths), [lengths.length], ["batch"]) });
      return {
        json: { out, lengths, tensors: shapesOf(activations), ms: cost.ms },
        text: `${counted(Object.keys(activations).length, "tensor")} of ${counted(lengths.length, "row")} written to ${out}`,
      };
    });
  },
});
