/**
 * @file The device that its suites run on: WebGPU, or what `SEXTANT_DEVICE` names. It is tried in a process of its own, since a broken driver may end or stop one. Where it
 * cannot be used the suites are skipped and the reason is printed; where `SEXTANT_DEVICE` asked for it, that is an error.
 */
import { checkDevice, type Device } from "../src/runtime/device.js";
import { sextantApart } from "./cli/apart.js";

const asked = process.env["SEXTANT_DEVICE"];

/** The device of the suites. */
export const DEVICE: Device = checkDevice(asked ?? "webgpu");

/** Whether the device computes here: `describe.skipIf(!hasDevice)`. */
export const hasDevice = isUsable();

function isUsable(): boolean {
  const { code, err } = sextantApart(["devices", "--try", DEVICE]);
  if (code === 0) return true;
  const why = /^sextant devices: (.*)$/m.exec(err)?.[1] ?? `the attempt ended with ${code}: ${err}`;
  if (asked !== undefined) throw new Error(why);
  console.warn(`skipped, ${why}`);
  return false;
}
