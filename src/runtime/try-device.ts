/** @file Whether a device computes: opens a session there and holds a small product against the known answer. */
import { must, SextantError } from "../base/errors.js";
import { GraphBuilder } from "../graph/builder.js";
import { emitOnnx } from "../graph/emit.js";
import { matmul } from "../graph/ops.js";
import type { Device } from "./device.js";
import { openSession } from "./session.js";

/** Throws where the device cannot be used, or computes wrongly. A broken driver may also end or stop the process: try unknown ones in a child. */
export async function tryDevice(device: Device): Promise<void> {
  const builder = new GraphBuilder();
  const product = matmul(builder, builder.input("a", ["row", "inner"]), builder.input("b", ["inner", "column"]), ["row", "column"]);
  const noWeight = (id: string): never => must<never>(undefined, `the weight ${id}`);
  const session = await openSession(emitOnnx(builder.finish(), [product.id], noWeight), { folder: "", device });
  try {
    const a = { data: Float32Array.from([1, 2, 3, 4, 5, 6]), dims: [2, 3] };
    const b = { data: Float32Array.from([1, -1, 0.5, 2, -3, 4]), dims: [3, 2] };
    const { data } = must((await session.run({ a, b }, [product.id]))[product.id], "the product");
    if (data.join() !== "-7,15,-11.5,30")
      throw new SextantError("internal", `${device} computes wrongly: [${data.join(", ")}] for [-7, 15, -11.5, 30]`);
  } finally {
    await session.close();
  }
}
