/** @file The tables and pictures that several commands print. */
import type { HeadPlace, ScoredHead } from "../analyses/heads.js";
import type { LensRow } from "../analyses/lens.js";
import type { TokenStanding } from "../analyses/probabilities.js";
import type { Tensor } from "../base/tensor.js";
import { heatMap, table, type TableCell, type TerminalOptions } from "../charts/terminal.js";
import { visibleToken } from "../charts/text.js";
import { percent } from "./wording.js";

/** How tokens are named and tables drawn. */
export interface Look extends TerminalOptions {
  /** Text of a token. */
  readonly name: (id: number) => string;
}

/** The logit lens of one row: a line a layer (or one for each of its top tokens), a column a position; shaded by probability. */
export function lensTable(row: LensRow, look: Look): string {
  const header = positionHeader(row, look);
  const lines = row.layers.flatMap(({ layer, cells }) =>
    cells[0]!.top.map((_, rank) => [
      { text: rank === 0 ? String(layer) : "" },
      ...cells.map(({ top }) => ({ text: `${shown(top[rank]!, look)} ${percent(top[rank]!.probability)}`, share: top[rank]!.probability })),
    ]),
  );
  return table(lines, { header, colour: look.colour, columns: look.columns, align: header.map(() => "left" as const) });
}

/** Rank and probability of the lens' target: a line a layer, a column a position. */
export function targetTable(row: LensRow, look: Look): string {
  const lines = row.layers.map(({ layer, cells }) => [
    { text: String(layer) },
    ...cells.map(({ target }) => ({ text: `rank ${target!.rank}, ${percent(target!.probability)}`, share: target!.probability })),
  ]);
  return table(lines, { header: positionHeader(row, look), colour: look.colour, columns: look.columns });
}

/** The scores of heads: a line each, shares shaded. The induction column is there when the prompt repeats. */
export function scoreTable(heads: readonly Omit<ScoredHead, "pattern">[], { colour, columns }: TerminalOptions): string {
  const repeats = heads.some(({ scores }) => scores.induction !== undefined);
  const header = ["head", "previous", "first", "self", ...(repeats ? ["induction"] : []), "entropy"];
  const share = (value: number): TableCell => ({ text: value.toFixed(2), share: value });
  const lines = heads.map(({ layer, head, scores }) => [
    { text: `${layer}.${head}` },
    ...[scores.previous, scores.first, scores.self].map(share),
    ...(repeats ? [share(scores.induction ?? 0)] : []),
    { text: scores.entropy.toFixed(2) },
  ]);
  return table(lines, { header, colour, columns });
}

/** One head's attention as a heat map: queries down, keys across. */
export function patternText({ data, shape }: Tensor, labels: readonly string[], { colour, columns }: TerminalOptions): string {
  const width = shape[1]!;
  const rows = labels.map((_, query) => data.subarray(query * width, (query + 1) * width));
  return heatMap(rows, labels, { colour, columns });
}

/** `layer 1 head 2`. */
export function headName({ layer, head }: HeadPlace): string {
  return `layer ${layer} head ${head}`;
}

/** A token's text, made visible. */
export function shown({ token }: Pick<TokenStanding, "token">, { name }: Pick<Look, "name">): string {
  return visibleToken(name(token));
}

function positionHeader({ tokens, positions }: LensRow, look: Look): string[] {
  return ["layer", ...positions.map((position) => `${position} ${shown({ token: tokens[position]! }, look)}`)];
}
