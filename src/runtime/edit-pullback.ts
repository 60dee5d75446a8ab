/**
 * @file How gradients go back through edits: for each kind, the gradient by the value before it from that by the value after it (the
 * transposed Jacobian). What an edit overwrites has no part in what follows, so its gradient is 0.
 */
import { must } from "../base/errors.js";
import type { TensorData } from "../base/tensor.js";
import { addComponents, basisOf, dot, planeOf, type Target } from "./apply-edit.js";
import type { EditKind, ScheduledEdit } from "./edit.js";

/** Changes the gradient of one vector in place. `before`: the vector as the edit found it; `units`: the elements that it changed. */
export type Pullback = (grad: TensorData, before: TensorData, units: Iterable<number>) => void;

type Maker<K extends EditKind> = (edit: Extract<ScheduledEdit, { op: K }>, target: Target) => Pullback;

const zero: Pullback = (grad, _, units) => {
  for (const unit of units) grad[unit] = 0;
};

/** `g − Bᵀ B g`. */
function withoutSpan(rows: readonly Float64Array[]): Pullback {
  return (grad) =>
    addComponents(
      grad,
      rows,
      rows.map((row) => -dot(row, grad)),
    );
}

/** One function an edit kind; the compiler asks for the missing one. */
const MAKERS: { readonly [K in EditKind]: Maker<K> } = {
  set: () => zero,
  knockout: () => zero,
  add: () => () => undefined,
  scale:
    ({ by }) =>
    (grad, _, units) => {
      for (const unit of units) grad[unit] = by * grad[unit]!;
    },
  project_out: ({ basis }, target) => withoutSpan(basisOf(basis, target)),
  interchange: ({ basis }, target) => withoutSpan(basisOf(basis, target)),
  clamp: ({ direction, min = -Infinity, max = Infinity }, target) => {
    const u = must(basisOf(direction, target, "direction")[0], "a direction");
    const held = withoutSpan([u]);
    return (grad, before, units) => {
      const c = dot(u, before);
      if (c < min || c > max) held(grad, before, units);
    };
  },
  rotate: ({ plane, angle }, target) => {
    const [e1, e2] = planeOf(plane, target);
    const [cos, sin] = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
    return (grad, before) => {
      // The coordinates become ‖c‖ (cos, sin): of their gradient only the part along (cos, sin) goes back, along c / ‖c‖.
      const [c1, c2] = [dot(e1, before), dot(e2, before)];
      const radius = Math.hypot(c1, c2);
      const [g1, g2] = [dot(e1, grad), dot(e2, grad)];
      const along = radius > 0 ? (g1 * cos + g2 * sin) / radius : 0;
      addComponents(grad, [e1, e2], [along * c1 - g1, along * c2 - g2]);
    };
  },
};

/** The way back through an edit whose tensors have been checked. */
export function pullbackOn(edit: ScheduledEdit, target: Target): Pullback {
  return (MAKERS[edit.op] as Maker<EditKind>)(edit as never, target);
}
