/**
 * @file The devices that a model can compute on, and the errors that say what to install where one cannot be used. Who asks for a device gets
 * it or an error, never another one.
 */
import { refuse, SextantError } from "../base/errors.js";

export const DEVICES = ["cpu", "webgpu", "cuda"] as const;

/** Where a session computes: the processor, a graphics card through WebGPU (Vulkan, Metal, Direct3D 12), or one of NVIDIA through CUDA. */
export type Device = (typeof DEVICES)[number];

/** What is known when a device could not be used. */
export interface DeviceFailure {
  readonly device: Device;
  /** Whether this platform's ONNX Runtime has code for the device. */
  readonly isKnown: boolean;
  /** Whether the files that the device's code lies in are there. */
  readonly isInstalled: boolean;
  /** The platform, as `linux-x64`. */
  readonly platform: string;
  /** What ONNX Runtime said, where it was asked. */
  readonly said: string;
}

/**
 * Fetches the files of the CUDA provider, which the package leaves out. The flag has no value: 1.30's script takes `cuda12`, as its head says one
 * can, for no flag at all.
 */
const INSTALL_CUDA = "node node_modules/onnxruntime-node/script/install.js --onnxruntime-node-install";

/** The device, or a usage error that lists them all. */
export function checkDevice(device: string): Device {
  const known = DEVICES.find((one) => one === device);
  if (known === undefined) throw new SextantError("usage", `device must be one of ${DEVICES.join(", ")}, got ${JSON.stringify(device)}`);
  return known;
}

/** The error for a device that could not be used. */
export function deviceError(failure: DeviceFailure, cause?: unknown): SextantError {
  const error = refuse({ what: `cannot compute on ${failure.device}`, ...explained(failure) });
  return new SextantError(error.kind, error.message, { refusal: error.refusal!, cause });
}

function explained({ device, isKnown, isInstalled, platform, said }: DeviceFailure): { why: string; instead: string } {
  if (!isKnown) return { why: `onnxruntime-node has no ${device} for ${platform}`, instead: `another device; ${HAS[device]}` };
  if (device === "webgpu") {
    if (/no supported adapters|failed to get a webgpu adapter|couldn't load vulkan/i.test(said)) return NO_ADAPTER;
    return { why: `its WebGPU provider could not be opened (${oneLine(said)})`, instead: `see what ${TRY} says` };
  }
  if (!isInstalled)
    return {
      why: "the files of ONNX Runtime's CUDA provider are not installed",
      instead: `install CUDA 12 and cuDNN 9, then run \`${INSTALL_CUDA}\` (it downloads them from NuGet)`,
    };
  if (/failed to load shared library/i.test(said))
    return {
      why: "ONNX Runtime's CUDA provider is installed, but a library that it needs could not be loaded; the line above names it",
      instead: "install CUDA 12 and cuDNN 9, and put their folders into LD_LIBRARY_PATH",
    };
  return { why: `CUDA could not be started (${oneLine(said)})`, instead: "check with nvidia-smi that the driver sees a graphics card" };
}

const TRY = "`sextant devices`";

const HAS: { readonly [D in Device]: string } = {
  cpu: "the CPU is everywhere",
  webgpu: "WebGPU is in the package for Linux x64, Windows and macOS on ARM",
  cuda: "CUDA is in the package for Linux x64 only",
};

const NO_ADAPTER = {
  why: "WebGPU found no graphics adapter",
  instead:
    "on Linux install libvulkan1 and the Vulkan driver of your graphics card (Debian and Ubuntu: mesa-vulkan-drivers for AMD and Intel, the NVIDIA driver for " +
    "NVIDIA); without a card scripts/software-vulkan.sh sets up one in software, for checks. docs/devices.md has more",
};

/** The first line, without the file and function of ONNX Runtime that said it. */
function oneLine(said: string): string {
  const line = said.split("\n").find((text) => text.trim() !== "") ?? "nothing was said";
  return line.replace(/^.*\bwas false\. /, "").trim();
}
