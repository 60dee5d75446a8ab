/** @file Devices that cannot be used are refused with what to install, and nothing is computed elsewhere instead. */
import { describe, expect, it } from "vitest";
import type { Tensor } from "../../src/base/tensor.js";
import { deviceError, type DeviceFailure } from "../../src/runtime/device.js";
import { loadModel } from "../../src/runtime/load.js";
import { tryDevice } from "../../src/runtime/try-device.js";
import { openStep } from "../../src/training/step.js";
import { sextantApart } from "../cli/apart.js";
import { workshop } from "../bad-input/damaged.js";
import { MODEL, sextant } from "../cli/sextant.js";
import { fixture } from "./support.js";
import { readSpec } from "../../src/runtime/load.js";

/** What 1.30 throws without a Vulkan driver, and without, or with half of, CUDA. */
const SAID = {
  adapter:
    "/onnxruntime_src/onnxruntime/core/providers/webgpu/webgpu_context.cc:136 onnxruntime::webgpu::WebGpuContext::Initialize(…) adapter_result.status == " +
    "wgpu::RequestAdapterStatus::Success was false. Failed to get a WebGPU adapter: No supported adapters\n",
  library: "OrtSessionOptionsAppendExecutionProvider_Cuda: Failed to load shared library",
  driver: "CUDA failure 100: no CUDA-capable device is detected ; GPU=0",
};

const failure = (given: Partial<DeviceFailure>): string =>
  deviceError({ device: "cuda", isKnown: true, isInstalled: true, platform: "linux-x64", said: "", ...given }).message;

/** No Vulkan driver is found by these, whatever the machine has. */
const NO_DRIVER = { VK_DRIVER_FILES: "/nonexistent.json", VK_ICD_FILENAMES: "/nonexistent.json" };

describe("the error for a device says what to install", () => {
  it("where no graphics adapter is found", () => {
    expect(failure({ device: "webgpu", said: SAID.adapter })).toMatchInlineSnapshot(
      `"cannot compute on webgpu: WebGPU found no graphics adapter. Instead: on Linux install libvulkan1 and the Vulkan driver of your graphics card (Debian and Ubuntu: mesa-vulkan-drivers for AMD and Intel, the NVIDIA driver for NVIDIA); without a card scripts/software-vulkan.sh sets up one in software, for checks. docs/devices.md has more"`,
    );
  });

  it("where CUDA's files are not there, where a library of theirs is missing, where there is no card", () => {
    expect(failure({ isInstalled: false })).toMatchInlineSnapshot(
      `"cannot compute on cuda: the files of ONNX Runtime's CUDA provider are not installed. Instead: install CUDA 12 and cuDNN 9, then run \`node node_modules/onnxruntime-node/script/install.js --onnxruntime-node-install\` (it downloads them from NuGet)"`,
    );
    expect(failure({ said: SAID.library })).toMatchInlineSnapshot(
      `"cannot compute on cuda: ONNX Runtime's CUDA provider is installed, but a library that it needs could not be loaded; the line above names it. Instead: install CUDA 12 and cuDNN 9, and put their folders into LD_LIBRARY_PATH"`,
    );
    expect(failure({ said: SAID.driver })).toMatchInlineSnapshot(
      `"cannot compute on cuda: CUDA could not be started (CUDA failure 100: no CUDA-capable device is detected ; GPU=0). Instead: check with nvidia-smi that the driver sees a graphics card"`,
    );
  });

  it("where the platform has no such thing", () => {
    expect(failure({ device: "webgpu", isKnown: false, platform: "linux-arm64" })).toMatchInlineSnapshot(
      `"cannot compute on webgpu: onnxruntime-node has no webgpu for linux-arm64. Instead: another device; WebGPU is in the package for Linux x64, Windows and macOS on ARM"`,
    );
  });

  it("in one line where ONNX Runtime says something new", () => {
    expect(failure({ device: "webgpu", said: "\n/a.cc:1 f() x was false. The device fell off the bus\nat g()" })).toContain(
      "(The device fell off the bus)",
    );
  });
});

describe("weights that are not numbers", () => {
  const { loading } = workshop();
  const broken = { tensors: (all: Map<string, Tensor>) => void (all.get("h.0.mlp.c_fc.weight")!.data[3] = NaN) };

  it("are refused before WebGPU sees them, since a shader may hide them", async () => {
    expect(await loading("gpt2-hub-names", broken, { device: "webgpu" })).toMatch(
      /^weights: the weights cannot be computed with: tensor h\.0\.mlp\.c_fc\.weight holds NaN at element 3/,
    );
  });
});

describe("a device", () => {
  it("that nobody knows is refused", async () => {
    await expect(loadModel(MODEL, { device: "tpu" as never })).rejects.toThrow('device must be one of cpu, webgpu, cuda, got "tpu"');
    expect(await sextant(["lens", MODEL, "--tokens", "[1,2]", "--device", "tpu"])).toMatchObject({ code: 2 });
  });

  it("is the CPU where none is named, and a run says so", async () => {
    const model = await loadModel(MODEL);
    expect((await model.forward({ tokens: [[1, 2]] })).cost.device).toBe("cpu");
    await model.close();
  });

  it("is not for training", async () => {
    const { spec, checkpoint } = readSpec(fixture("gpt2-hub-names"));
    checkpoint.close();
    expect(() => openStep(spec, new Map(), { device: "webgpu" })).toThrow(/^cannot train on webgpu: /);
    const { code, err } = await sextant(["train", "countdown", "--out", "nowhere", "--device", "webgpu"]);
    expect([code, err]).toEqual([2, expect.stringContaining('--device must be one of cpu, got "webgpu"')]);
  });

  it("computes a small product: the CPU does", async () => {
    await expect(tryDevice("cpu")).resolves.toBeUndefined();
  });
});

describe.runIf(process.platform === "linux")("without a Vulkan driver", () => {
  it("`sextant devices` says what there is and what is missing", () => {
    const { code, out } = sextantApart(["devices", "--json"], NO_DRIVER);
    const { devices } = JSON.parse(out) as { devices: { device: string; usable: boolean; why?: string }[] };
    expect(code).toBe(0);
    expect(devices.map(({ device }) => device)).toEqual(["cpu", "webgpu", "cuda"]);
    expect(devices[0]).toEqual({ device: "cpu", usable: true });
    expect(devices[1]).toMatchObject({ usable: false, why: expect.stringMatching(/^cannot compute on webgpu: /) as string });
  });

  it("a model is not computed on the CPU instead", () => {
    const { code, out, err } = sextantApart(["lens", MODEL, "--tokens", "[1,2,3]", "--device", "webgpu"], NO_DRIVER);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain("sextant lens: cannot compute on webgpu: ");
  });
});
