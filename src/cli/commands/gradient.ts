/** @file `sextant gradient`: the gradient of a number by the values of points, written to a safetensors or `.npz` file. */
import type { Tensor } from "../../base/tensor.js";
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

export const gradientCommand = defineCommand({
  name: "gradient",
  summary: "Writes the gradient of a number that a run ends in, by the values of points.",
  arguments: [MODEL_ARGUMENT],
  options: {
    ...PROMPT_OPTIONS,
    of: {
      type: "text",
      placeholder: "METRIC",
      meaning:
        "what to differentiate, in each row: logits[POSITION,TOKEN], logprobs[…], probs[…] or elements of points such as z.3[-1,HEAD,UNIT], with factors, + and - between; or loss, the mean next-token cross-entropy",
    },
    points: { type: "text", placeholder: "LIST", meaning: "addresses with commas between, such as resid_pre.*,z.3; or all" },
    out: {
      type: "text",
      placeholder: "FILE",
      meaning:
        "the file to write, NumPy's if it ends in .npz, else safetensors: one tensor an address, and `values`, the metric of each row",
    },
    ...EDIT_OPTIONS,
    ...RUN_OPTIONS,
  },
  oneOf: [["text", "tokens"], ["of"], ["points"], ["out"]],
  examples: [
    `gradient models/induction --text "the cat met the" --of "logits[-1,5]-logits[-1,9]" --points "resid_pre.*,z.*" --out gradient.safetensors`,
  ],
  async run(call) {
    const { points, out, of } = call.options;
    const at = parseAddresses(points!);
    const { checkWritable, writeTensors } = await import("../../formats/tensor-file.js");
    checkWritable(out!);
    const prompt = givenPrompt(call.options);
    const edits = unscheduled(await readEdits(call));
    return withModel(call, async (opened) => {
      const tokens = await rowsOf(prompt, opened);
      const metric = of!.trim() === "loss" ? ({ loss: "cross_entropy" } as const) : of!;
      const request = { tokens, of: metric, at, edits, beyondContext: call.options["beyond-context"] } as const;
      const { gradients, values, cost } = await opened.model.gradient(request, call);
      const found: Tensor = { data: Float32Array.from(values), shape: [values.length], axes: ["batch"] };
      writeTensors(out!, { ...gradients, values: found }, { of: of! });
      return {
        json: { out, of, values, tensors: shapesOf(gradients), ms: cost.ms },
        text: `${of}: ${values.map((value) => value.toFixed(4)).join(", ")}\n${counted(Object.keys(gradients).length, "gradient")} written to ${out}`,
      };
    });
  },
});
