/** @file Probes from files: the released form and ours, by torch and safetensors, and what is refused. */
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { tensor, type Tensor } from "../../../src/base/tensor.js";
import { readSafetensors } from "../../../src/formats/safetensors.js";
import { writeSafetensors } from "../../../src/formats/safetensors-writer.js";
import { readTorchFile } from "../../../src/formats/torch-file.js";
import { readProbeFile } from "../../../src/studies/self-verification/probe-file.js";
import { temporaryFolder } from "../../formats/folder.js";

const { path, refusal } = temporaryFolder();
const RELEASED = fileURLToPath(new URL("../../fixtures/torch/probe.pt", import.meta.url));
const spec = { layers: [{}, {}, {}] as never, dModel: 4 };

function saved(name: string, tensors: Record<string, Tensor>): string {
  writeSafetensors(path(name), tensors);
  return path(name);
}

describe("a probe of axes layer, d_model, class", () => {
  const raw = readTorchFile(RELEASED).get("")!;

  test("becomes layer, class, d_model", () => {
    const probe = readProbeFile(RELEASED, spec);
    expect(probe.shape).toEqual([3, 2, 4]);
    expect(probe.axes).toEqual(["layer", "class", "d_model"]);
    for (let layer = 0; layer < 3; layer++)
      for (let label = 0; label < 2; label++)
        for (let element = 0; element < 4; element++)
          expect(probe.data[(layer * 2 + label) * 4 + element]).toBe(raw.data[(layer * 4 + element) * 2 + label]);
  });

  test("is the same from safetensors, in either form, alone or by its name", () => {
    const probe = readProbeFile(RELEASED, spec);
    expect(readProbeFile(saved("released.safetensors", { w: raw }), spec)).toEqual(probe);
    expect(readProbeFile(saved("ours.safetensors", { probe, other: tensor(new Float32Array(1), [1]) }), spec)).toEqual(probe);
    expect(readSafetensors(path("ours.safetensors")).get("probe")!.shape).toEqual([3, 2, 4]);
  });
});

test.each<[string, Record<string, Tensor>]>([
  ["another width", { w: tensor(new Float32Array(30), [3, 5, 2]) }],
  ["other layers", { w: tensor(new Float32Array(16), [2, 4, 2]) }],
  ["three classes", { w: tensor(new Float32Array(36), [3, 4, 3]) }],
  ["a matrix", { w: tensor(new Float32Array(24), [12, 2]) }],
  ["whole numbers", { w: tensor(new Int32Array(24), [3, 4, 2]) }],
  ["infinite values", { w: tensor(new Float32Array(24).fill(Infinity), [3, 4, 2]) }],
  ["several tensors", { a: tensor(new Float32Array(24), [3, 4, 2]), b: tensor(new Float32Array(24), [3, 4, 2]) }],
])("%s are refused", (name, tensors) => {
  expect(refusal(() => readProbeFile(saved(`${name}.safetensors`, tensors), spec))).toMatchSnapshot();
});
