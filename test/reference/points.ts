/** @file The axes of every point of one row, in forward order; the batch axis is in front of them. */

const STREAM = ["pos", "d_model"];
const ONE = ["pos", "one"];
const HEADS = ["pos", "head", "d_head"];
const EDGES = ["head", "query", "key"];
const UNITS = ["pos", "d_mlp"];

const FIRST = { embed: STREAM, pos_embed: STREAM };

const BLOCK = {
  resid_pre: STREAM,
  ln1_scale: ONE,
  ln1_normalized: STREAM,
  q: HEADS,
  k: HEADS,
  v: HEADS,
  rot_q: HEADS,
  rot_k: HEADS,
  attn_scores: EDGES,
  pattern: EDGES,
  z: HEADS,
  head_out: HEADS,
  attn_out_raw: STREAM,
  attn_out: STREAM,
  resid_mid: STREAM,
  ln2_scale: ONE,
  ln2_normalized: STREAM,
  mlp_pre: UNITS,
  mlp_gate: UNITS,
  mlp_up: UNITS,
  router_logits: ["pos", "expert"],
  experts: ["pos", "chosen"],
  expert_weights: ["pos", "chosen"],
  mlp_post: UNITS,
  mlp_out_raw: STREAM,
  mlp_out: STREAM,
  resid_post: STREAM,
};

const LAST = { final_scale: ONE, final_normalized: STREAM, logits: ["pos", "vocab"] };

const AXES: Record<string, readonly string[]> = { ...FIRST, ...BLOCK, ...LAST };

/** All points in forward order. */
export const POINT_ORDER: readonly string[] = Object.keys(AXES);

/** The axes of the point at `address`, without the batch. */
export function axesAt(address: string): readonly string[] {
  const axes = AXES[parse(address).point];
  if (!axes) throw new Error(`no point ${address}`);
  return axes;
}

/** The addresses, in the order in which a forward pass meets them. */
export function inForwardOrder(addresses: Iterable<string>): string[] {
  return [...addresses].sort((a, b) => {
    const [x, y] = [orderOf(a), orderOf(b)];
    return x.stage - y.stage || x.layer - y.layer || x.place - y.place;
  });
}

function orderOf(address: string): { stage: number; layer: number; place: number } {
  const { point, layer } = parse(address);
  const stage = point in FIRST ? 0 : point in BLOCK ? 1 : 2;
  return { stage, layer, place: POINT_ORDER.indexOf(point) };
}

function parse(address: string): { point: string; layer: number } {
  const [point = "", layer = "0"] = address.split(".");
  return { point, layer: Number(layer) };
}
