/**
 * @file The variants of a part of a sweep: for each pair the unedited run (base), the run that values come from (source), and one
 * variant a cell. Cells that begin alike stand together, so that their attention is computed together.
 */
import { must } from "../../base/errors.js";
import type { Place } from "../../models/address.js";
import type { CellEdit, PreparedCounterfactual } from "./cells.js";
import type { PreparedPair } from "./pairs.js";

/** One counterfactual run of one pair. */
export interface Cell {
  readonly pair: number;
  readonly counterfactual: number;
}

/** A run of a prompt, or a counterfactual variant of one. */
export interface Variant {
  readonly pair: number;
  /** Undefined for base and source. */
  readonly cell: Cell | undefined;
  readonly edits: readonly CellEdit[];
  readonly frozen: PreparedCounterfactual["frozen"] | undefined;
  /** Variants to take values from: the base's and the source's number. */
  readonly base: number;
  readonly source: number;
}

/** The variants of some cells; those of a pair stand together, its base first, then its source. `group`: pairs that have both in any case. */
export function variantsOf(
  cells: readonly Cell[],
  context: {
    readonly pairs: readonly PreparedPair[];
    readonly counterfactuals: readonly PreparedCounterfactual[];
    readonly group: readonly number[];
  },
): Variant[] {
  const byPair = new Map<number, Cell[]>(context.group.map((pair) => [pair, []]));
  for (const cell of cells) must(byPair.get(cell.pair), "the cell's pair").push(cell);
  const variants: Variant[] = [];
  for (const [pair, list] of byPair) {
    const base = variants.length;
    const hasSource = must(context.pairs[pair], `pair ${pair}`).source !== undefined;
    const source = hasSource ? base + 1 : base;
    const plain = { pair, cell: undefined, edits: [], frozen: undefined, base, source };
    variants.push(plain, ...(hasSource ? [plain] : []));
    for (const cell of list) {
      const { edits, frozen } = must(context.counterfactuals[cell.counterfactual], "a counterfactual");
      variants.push({ pair, cell, edits, frozen, base, source });
    }
  }
  return variants;
}

/** What the variants of a part do, place by place. */
export class Schedule {
  readonly #byAddress = new Map<string, number[]>();
  readonly variants: readonly Variant[];
  readonly #pairs: readonly PreparedPair[];

  constructor(variants: readonly Variant[], pairs: readonly PreparedPair[]) {
    this.variants = variants;
    this.#pairs = pairs;
    variants.forEach(({ edits }, variant) => {
      for (const { place } of edits) {
        const list = this.#byAddress.get(place.address) ?? [];
        if (list.at(-1) !== variant) list.push(variant);
        this.#byAddress.set(place.address, list);
      }
    });
  }

  variant(index: number): Variant {
    return must(this.variants[index], `variant ${index}`);
  }

  readonly baseOf = (index: number): number => this.variant(index).base;

  /** The tokens that a variant is run on. */
  tokensOf(index: number): readonly number[] {
    const { base, source } = this.#pairOf(index);
    return this.#isSource(index) ? must(source, "the source") : base;
  }

  /** Tokens of the variant's whole prompt, which some rotary tables depend on. */
  lengthOf(index: number): number {
    return this.#sideOf(index).tokens.length;
  }

  /** The position whose logits are measured. */
  measuredAt(index: number): number {
    return this.#sideOf(index).at;
  }

  #pairOf(index: number): PreparedPair {
    return must(this.#pairs[this.variant(index).pair], "a pair");
  }

  #sideOf(index: number): PreparedPair["baseSide"] {
    const { baseSide, sourceSide } = this.#pairOf(index);
    return this.#isSource(index) ? must(sourceSide, "the source") : baseSide;
  }

  #isSource(index: number): boolean {
    const { base, source } = this.variant(index);
    return index === source && source !== base;
  }

  /** Variants with edits at an address. */
  at(address: string): readonly number[] {
    return this.#byAddress.get(address) ?? [];
  }

  /** Whether a variant has edits at an address. */
  isEdited(variant: number, address: string): boolean {
    return this.variant(variant).edits.some(({ place }) => place.address === address);
  }

  /** The addresses of a layer (undefined: outside the layers) at which something is edited, in forward order. */
  placesIn(layer: number | undefined): Place[] {
    const places = new Map<string, Place>();
    for (const { edits } of this.variants) for (const { place } of edits) if (place.layer === layer) places.set(place.address, place);
    return [...places.values()];
  }

  /** The edits of a variant at an address, in their order. */
  editsOf(variant: number, address: string): readonly CellEdit[] {
    return this.variant(variant).edits.filter(({ place }) => place.address === address);
  }

  /** Whether some variant takes values from base or source at an address. */
  takes(address: string): boolean {
    return this.at(address).some((variant) => this.editsOf(variant, address).some(({ change }) => change.kind === "patch"));
  }

  /** Positions that join a variant's rows at an address: those that its edits change, but for such as only restore the base. */
  joining(variant: number, address: string): number[] {
    const { pair } = this.variant(variant);
    return this.editsOf(variant, address)
      .filter(({ change }) => change.kind === "operation" || change.run === "source")
      .flatMap(({ selected }) => [...must(selected[pair], "a pair").positions]);
  }
}
