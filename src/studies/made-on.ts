/** @file What a run is made with and on: versions, machine, time. The one place of a study that asks the system. */
import { cpus, totalmem } from "node:os";
import { arch, platform, resourceUsage, version as nodeVersion } from "node:process";
import { fileURLToPath } from "node:url";
import { readJsonObject } from "../formats/json-file.js";
import { runtimeVersion } from "../runtime/session.js";
import type { MachineRecord, RunManifest } from "../store/manifest.js";

/** Versions of Sextant, ONNX Runtime and Node. */
export async function engineRecord(): Promise<RunManifest["engine"]> {
  return { sextant: sextantVersion(), runtime: `onnxruntime-node ${await runtimeVersion()}`, node: nodeVersion, dtype: "float32" };
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
