/** @file A model on disk with the LoRA adapter of a second folder: one spec, and one checkpoint over the files of both. */
import { refuse } from "../base/errors.js";
import { quote } from "../formats/json.js";
import { openPeft } from "../formats/peft.js";
import { Checkpoint, DiskRanges } from "../formats/safetensors.js";
import { withStoredAdapter } from "../models/lora.js";
import type { ModelSpec } from "../models/spec.js";
import type { MatrixSource } from "./matrices.js";

/** What a folder describes. The owner closes the checkpoint. */
export interface ModelOnDisk {
  readonly spec: ModelSpec;
  readonly checkpoint: Checkpoint;
  /** Where quantised weights are made from, if not from the checkpoint's own tensors. */
  readonly matrices?: MatrixSource;
}

/** The model with the adapter in `folder`. It takes the place of `base`, whose checkpoint is closed, also when the adapter is refused. */
export function joinAdapter(base: ModelOnDisk, folder: string): ModelOnDisk {
  try {
    const { config, checkpoint } = openPeft(folder);
    checkpoint.close();
    const taken = [...checkpoint.tensors.keys()].find((name) => base.checkpoint.tensors.has(name));
    if (taken !== undefined) {
      throw refuse({
        what: `cannot load the adapter ${folder}`,
        why: `the model has a tensor ${quote(taken)} of its own`,
        instead: "use the checkpoint that the adapter was made for",
      });
    }
    const shapes = new Map([...checkpoint.tensors].map(([name, { shape }]) => [name, shape]));
    const spec = withStoredAdapter(base.spec, { config, shapes, where: folder });
    return {
      spec,
      checkpoint: new Checkpoint(
        base.checkpoint.folder,
        [base.checkpoint, { tensors: checkpoint.tensors, metadata: new Map() }],
        new DiskRanges(),
      ),
    };
  } finally {
    base.checkpoint.close();
  }
}
