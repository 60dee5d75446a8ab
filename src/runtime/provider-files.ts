/** @file What ONNX Runtime needs for a device besides its library: files, which those of the CPU and WebGPU are part of, and a setting of the process. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { arch, env, platform } from "node:process";
import { isThere } from "../formats/files.js";
import type { Device } from "./device.js";

/** The platform, as `linux-x64`. */
export const PLATFORM = `${platform}-${arch}`;

/** Whether the device's files are in the folder of `onnxruntime-node`. */
export function isInstalled(device: Device): boolean {
  if (device !== "cuda") return true;
  const entry = createRequire(import.meta.url).resolve("onnxruntime-node");
  return isThere(join(entry, "../../bin/napi-v6", platform, arch, "libonnxruntime_providers_cuda.so"));
}

/**
 * Demands products in float32 of NVIDIA's libraries, which otherwise round factors to 10 bits (TF32). The binding has no option for that; the variable is read when
 * CUDA starts, and whoever sets it oneself keeps one's value.
 */
export function demandFloat32(device: Device | undefined): void {
  if (device === "cuda") env["NVIDIA_TF32_OVERRIDE"] ??= "0";
}
