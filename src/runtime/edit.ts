/**
 * @file Edits as data: what is done to which values of a point. Applied in forward order; two edits at one address in the
 * order given. Formulas: `docs/glossary.md`; the functions that carry them out: `apply-edit.ts`.
 */
import type { Tensor } from "../base/tensor.js";

/** A vector or tensor in a request: a tensor, or a plain array for one vector. */
export type Values = Tensor<Float32Array> | readonly number[];

/** Positions by index (negative from the row's end; in generation from the prompt's end), or every n-th. */
export type Positions = readonly number[] | { readonly every: number; readonly from?: number; readonly to?: number };

/** Where an edit applies; what is absent means all. */
export interface Selector {
  readonly rows?: readonly number[];
  readonly positions?: Positions;
  readonly heads?: readonly number[];
  /** Single elements of the last axis. */
  readonly units?: readonly number[];
  /** Query positions, at `attn_scores` and `pattern`. */
  readonly queries?: readonly number[];
  /** Key positions, at `attn_scores` and `pattern`. */
  readonly keys?: readonly number[];
}

/** What happens to the value x at each selected row, position (and head). */
export type Operation =
  /** x becomes `value`: a number, or a tensor whose axes are the last ones of the point. */
  | { readonly op: "set"; readonly value: number | Values }
  /** x + strength · vector. */
  | { readonly op: "add"; readonly vector: Values; readonly strength?: number }
  /** by · x. */
  | { readonly op: "scale"; readonly by: number }
  /** x − Bᵀ B x, with B the orthonormalised rows of `basis`. */
  | { readonly op: "project_out"; readonly basis: Values }
  /** With u the unit direction and c = x·u: x + (clamp(c, min, max) − c) u. */
  | { readonly op: "clamp"; readonly direction: Values; readonly min?: number; readonly max?: number }
  /** x + Bᵀ B (value − x). */
  | { readonly op: "interchange"; readonly value: Values; readonly basis: Values }
  /** With c the coordinates of x in the plane: c becomes ‖c‖ (cos angle, sin angle); degrees. */
  | { readonly op: "rotate"; readonly plane: Values; readonly angle: number }
  /** The score becomes −∞ before softmax; only at `attn_scores`. */
  | { readonly op: "knockout" };

/** One edit: an address, an operation, and where it applies. */
export type Edit = { readonly at: string } & Selector & Operation;

/** The kinds of edit. */
export type EditKind = Operation["op"];

/** An edit of a generation: on which tokens, and at which steps. */
export type ScheduledEdit = Edit & {
  /** Default `both`. */
  readonly on?: "prompt" | "generated" | "both";
  /** Steps of generation (0 is the first token fed back), `to` exclusive; implies `on: "generated"` unless that is given. */
  readonly steps?: { readonly from?: number; readonly to?: number; readonly every?: number };
};
