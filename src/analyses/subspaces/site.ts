/** @file A site in a model: vectors taken out of values read there, and put back by a `set` edit. Sums elsewhere run on these in float64. */
import { refuse, SextantError } from "../../base/errors.js";
import { tensor, type Tensor } from "../../base/tensor.js";
import { parseAddress } from "../../models/address.js";
import { pointRow } from "../../models/points.js";
import { axisSizes } from "../../models/sizes.js";
import type { ModelSpec } from "../../models/spec.js";
import type { Edit } from "../../runtime/edit.js";
import type { SubspaceSite } from "./request.js";

/** A site held against a model. */
export interface Site {
  readonly address: string;
  /** Heads that a vector is made of, in order; undefined at points without heads. */
  readonly heads: readonly number[] | undefined;
  /** Heads of the point; 1 where it has none. */
  readonly allHeads: number;
  /** Elements of one head's vector, or of the point's. */
  readonly unit: number;
  /** Elements of a vector at the site. */
  readonly width: number;
}

/** The site in this model; refuses places that hold no vectors, or cannot be set. */
export function siteIn(spec: ModelSpec, { at, heads }: SubspaceSite): Site {
  const place = parseAddress(spec, at);
  const { axes, dtype, readOnly } = pointRow(place.point);
  if (dtype === "int32" || readOnly || axes.includes("key"))
    throw refuse(
      {
        what: `site: no subspace at ${place.address}`,
        why: "it holds no vectors that can be set",
        instead: "resid_post, z, mlp_post or the like",
      },
      "request",
    );
  const sizes = axisSizes(spec, place);
  const allHeads = sizes.heads ?? 1;
  if (heads && sizes.heads === undefined)
    throw refuse(
      { what: "site: cannot select heads", why: `${place.address} has no head axis`, instead: "z, q, k, v or head_out" },
      "request",
    );
  if (heads) checkHeads(heads, allHeads);
  const chosen = sizes.heads === undefined ? undefined : (heads ?? Array.from({ length: allHeads }, (_, head) => head));
  return { address: place.address, heads: chosen, allHeads, unit: sizes.last, width: (chosen?.length ?? 1) * sizes.last };
}

function checkHeads(heads: readonly number[], count: number): void {
  const stray = heads.find((head) => !Number.isInteger(head) || head < 0 || head >= count);
  if (stray !== undefined) throw new SextantError("request", `site: head ${stray} is out of range, there are ${count}`);
  if (heads.length === 0 || new Set(heads).size < heads.length) throw new SextantError("request", "site: heads must be named, each once");
}

/** The vector at a row and position of values read at the site (axes `batch, pos`, then those of a vector). */
export function vectorAt(site: Site, { data, shape }: Tensor, row: number, position: number): Float64Array {
  const { unit, allHeads } = site;
  const start = (row * shape[1]! + position) * allHeads * unit;
  const vector = new Float64Array(site.width);
  (site.heads ?? [0]).forEach((head, i) => {
    for (let u = 0; u < unit; u++) vector[i * unit + u] = data[start + head * unit + u]!;
  });
  return vector;
}

/** The edit that sets vectors at positions (from the start) of a row. */
export function editAt(
  site: Site,
  row: number,
  { positions, vectors }: { positions: readonly number[]; vectors: readonly Float64Array[] },
): Edit {
  const { unit, allHeads, heads } = site;
  const length = Math.max(...positions) + 1;
  const data = new Float32Array(length * allHeads * unit);
  positions.forEach((position, slot) => {
    (heads ?? [0]).forEach((head, i) => {
      const start = (position * allHeads + head) * unit;
      for (let u = 0; u < unit; u++) data[start + u] = vectors[slot]![i * unit + u]!;
    });
  });
  const value = heads ? tensor(data, [length, allHeads, unit], ["pos", "head", "unit"]) : tensor(data, [length, unit], ["pos", "unit"]);
  return { at: site.address, op: "set", rows: [row], positions, ...(heads && { heads }), value };
}
