/** @file `sextant pull`: downloads a model of the Hugging Face hub into its cache, or what has changed of it. */
import { describeBytes } from "../../base/bytes.js";
import { plainLine } from "../../store/plain-line.js";
import { defineCommand } from "../command.js";
import { downloadOptions } from "../model-folder.js";
import { counted } from "../wording.js";

export const pullCommand = defineCommand({
  name: "pull",
  summary: "Downloads a model of the Hugging Face hub into its cache; goes on where it was stopped.",
  arguments: [{ name: "MODEL", meaning: "ORG/NAME, or ORG/NAME@REVISION for a branch, a tag or a commit" }],
  options: {
    include: {
      type: "text",
      placeholder: "PATTERN",
      repeats: true,
      meaning: "files beside those that a model needs, such as '*.md'",
    },
  },
  endsItself: true,
  examples: ["pull Qwen/Qwen3-0.6B", "pull openai-community/gpt2@main --include README.md"],
  async run(call) {
    const [model = ""] = call.arguments;
    const { pullModel } = await import("../../formats/hub/pull.js");
    call.advise("the same command goes on where it was stopped");
    const plan = await pullModel(model, { include: call.options.include, ...downloadOptions(call) });
    const { name, revision, commit, folder, files, bytes, missing } = plan;
    const got = missing === 0 ? "nothing was missing" : `${describeBytes(missing)} downloaded`;
    const text = `${name} at ${commit}: ${counted(files.length, "file")}, ${describeBytes(bytes)}, ${got}.\n${folder}`;
    return {
      json: { model: name, revision, commit, folder, files, bytes, downloaded: missing },
      text: text.split("\n").map(plainLine).join("\n"),
    };
  },
});
