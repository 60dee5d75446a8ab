/** @file `--control FILE`: a control vector as edits. */
import type { ScheduledEdit } from "../runtime/edit.js";
import type { OptionTable, OptionValues } from "./command.js";
import { parseIndices } from "./lists.js";
import { usage } from "./parse.js";

/** A control vector, and how it is applied. */
export const CONTROL_OPTIONS = {
  control: {
    type: "text",
    placeholder: "FILE",
    meaning:
      "a control vector (GGUF of repeng or llama.cpp, or any file of vectors named by layers) to add behind each layer it has a direction for",
  },
  "control-strength": { type: "number", placeholder: "S", meaning: "what the control vector is multiplied by; 1 when it is not given" },
  "control-layers": { type: "text", placeholder: "LIST", meaning: "apply it only at these of its layers, such as 10..20" },
} as const satisfies OptionTable;

/** The edits of `--control`. */
export async function controlEdits(options: OptionValues<typeof CONTROL_OPTIONS>): Promise<readonly ScheduledEdit[]> {
  const { control, "control-strength": strength } = options;
  const layers = parseIndices(options["control-layers"], "--control-layers");
  if (control === undefined) {
    if (strength !== undefined) throw usage("--control-strength without --control");
    if (layers !== undefined) throw usage("--control-layers without --control");
    return [];
  }
  const { controlVectorEdits } = await import("../runtime/control-vector.js");
  return controlVectorEdits(control, { ...(strength !== undefined && { strength }), ...(layers && { layers }) });
}
