/** @file What a run is made with and on: versions, machine, time. The one place of a study that asks the system. */
import { cpus, totalmem } from "node:os";
import { arch, platform, resourceUsage, version as nodeVersion } from "node:process";
import { fileURLToPath } from "node:url";
import { readJsonObject } from "../formats/json-file.js";
import type { Device } from "../runtime/device.js";
import { runtimeVersion } from "../runtime/session.js";
import type { EngineRecord, MachineRecord } from "../store/manifest.js";

/** Versions of Sextant, ONNX Runtime and Node, and the device. */
export async function engineRecord(device: Device): Promise<EngineRecord> {
  return { sextant: sextantVersion(), runtime: `onnxruntime-node ${await runtimeVersion()}`, node: nodeVersion, dtype: "float32", device };
}

/** The version in `package.json`. */
export function sextantVersion(): string {
  return String(readJsonObject(fileURLToPath(new URL("../../package.json", import.meta.url)))["version"]);
}

/** The machine. */
export function machineRecord(): MachineRecord {
  const all = cpus();
  return { platform, arch, cpu: all[0]?.model.trim() ?? "unknown", cores: all.length, memory: totalmem() };
}

/** Peak resident memory of this process so far, in bytes. */
export function peakMemory(): number {
  return resourceUsage().maxRSS * 1024;
}

/** ISO 8601. */
export function now(): string {
  return new Date().toISOString();
}
