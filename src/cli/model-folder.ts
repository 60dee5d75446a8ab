/** @file The model that a command line names → its folder. A download is told of before it begins. */
import { describeBytes } from "../base/bytes.js";
import type { PullOptions, PullPlan } from "../formats/hub/pull.js";
import { plainLine } from "../store/plain-line.js";
import type { Call } from "./command.js";
import { counted } from "./wording.js";

type Downloading = Pick<Call, "signal" | "onProgress" | "note">;

/** The folder itself, or the snapshot in the hub's cache, which is downloaded where it is not there. */
export async function modelFolder(call: Downloading, named: string): Promise<string> {
  const { resolveModel } = await import("../formats/hub/resolve-model.js");
  return resolveModel(named, downloadOptions(call));
}

/** Says on standard error what is downloaded, then how far it is. */
export function downloadOptions({ signal, onProgress, note }: Downloading): Pick<PullOptions, "signal" | "onPlan" | "onProgress"> {
  return {
    signal,
    onPlan: (plan) => plan.missing > 0 && note(`${planText(plan)}\n`),
    onProgress: ({ done, total }) => onProgress({ stage: "download, MB", done: megabytes(done), total: megabytes(total) }),
  };
}

/** `ORG/NAME, commit 0123456789ab: downloading 3 files, 1.2 GB, from https://huggingface.co to …`. */
function planText({ name, commit, files, missing, endpoint, folder }: PullPlan): string {
  const count = counted(files.filter(({ cached }) => !cached).length, "file");
  return plainLine(
    `${name}, commit ${commit.slice(0, 12)}: downloading ${count}, ${describeBytes(missing)}, from ${endpoint} to ${folder}`,
  );
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6);
}
