/**
 * @file `sextant devices`: what this machine can compute on. Each device is tried in a process of its own, which is this command with `--try`, since
 * a broken driver may end or stop the process.
 */
import { spawn } from "node:child_process";
import { table } from "../../charts/terminal.js";
import { DEVICES, type Device } from "../../runtime/device.js";
import { plainLine } from "../../store/plain-line.js";
import { defineCommand } from "../command.js";

/** How long a device may take to compute six numbers. Software drivers need about a second. */
const LIMIT_MS = 60_000;

interface Tried {
  readonly device: Device;
  readonly usable: boolean;
  /** Why it cannot be used, and what to do. */
  readonly why?: string;
}

export const devicesCommand = defineCommand({
  name: "devices",
  summary: "Shows what this machine can compute on, and what is missing for the rest.",
  arguments: [],
  options: {
    try: {
      type: "text",
      placeholder: "DEVICE",
      choices: DEVICES,
      meaning: "try only this one, in this process; its error is the command's",
    },
  },
  examples: ["devices", "devices --json", "devices --try webgpu"],
  async run({ options, signal, colour, columns }) {
    if (options.try !== undefined) return tryHere(options.try as Device);
    const devices: Tried[] = [];
    for (const device of DEVICES) devices.push(await tryApart(device, signal));
    const rows = devices.map(({ device, usable }) => [{ text: device }, { text: usable ? "yes" : "no" }]);
    const drawn = table(rows, { header: ["device", "usable"], align: ["left", "left"], colour, columns });
    const reasons = devices.flatMap(({ why }) => (why === undefined ? [] : ["", plainLine(why)]));
    return { json: { devices }, text: [drawn, ...reasons].join("\n") };
  },
});

async function tryHere(device: Device): Promise<{ json: unknown; text: string }> {
  const { tryDevice } = await import("../../runtime/try-device.js");
  await tryDevice(device);
  return { json: { device, usable: true }, text: `${device} computes.` };
}

/** This program again, with one device. */
function tryApart(device: Device, signal: AbortSignal): Promise<Tried> {
  const argv = [...process.execArgv, process.argv[1] ?? "", "devices", "--try", device];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, argv, { signal, timeout: LIMIT_MS, killSignal: "SIGKILL", stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    child.on("error", (error) => resolve({ device, usable: false, why: error.message }));
    child.on("close", (code, killed) =>
      resolve(code === 0 ? { device, usable: true } : { device, usable: false, why: reasonOf(said, killed) }),
    );
  });
}

/** Why the child failed: its own error, with the library that the system missed where ONNX Runtime named one. */
function reasonOf(said: string, killed: NodeJS.Signals | null): string {
  if (killed === "SIGKILL") return `it did not answer in ${LIMIT_MS / 1000} s`;
  const error = /^sextant devices: (.*)$/m.exec(said)?.[1];
  if (error === undefined) return `the driver ended the process${killed ? ` (${killed})` : ""}`;
  const missing = /(\S+\.so[.\d]*): cannot open shared object file/.exec(said)?.[1];
  return missing !== undefined ? `${error} (missing: ${missing})` : error;
}
