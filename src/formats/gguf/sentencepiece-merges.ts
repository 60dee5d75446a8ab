/**
 * @file The merges of a SentencePiece BPE model, which its files do not list: two neighbours are joined where their joint is a piece, the joint of the
 * highest score first. As a list of pairs by rank, in the order in which `transformers` writes it (SentencePieceExtractor).
 */

/** Two pieces that are joined, of which one joint has several. */
interface Merge {
  readonly pair: readonly [left: string, right: string];
  readonly score: number;
  readonly ids: readonly [left: number, right: number];
}

/** The pairs, the first to be joined first; `isJoint` tells which pieces may be made so. */
export function mergesOf(
  pieces: readonly string[],
  scores: readonly number[],
  isJoint: (id: number) => boolean,
): (readonly [string, string])[] {
  const idOf = new Map(pieces.flatMap((piece, id) => (isJoint(id) ? [[piece, id] as const] : [])));
  const merges = [...idOf].flatMap(([piece, id]) => partings(piece, idOf).map((parting): Merge => ({ ...parting, score: scores[id]! })));
  return merges
    .sort((a, b) => b.score - a.score || byLength(b.pair, a.pair) || a.ids[0] - b.ids[0] || a.ids[1] - b.ids[1])
    .map(({ pair }) => pair);
}

/** The ways to cut a piece in two pieces. */
function partings(piece: string, idOf: ReadonlyMap<string, number>): Pick<Merge, "pair" | "ids">[] {
  const found: Pick<Merge, "pair" | "ids">[] = [];
  for (let at = 1; at < piece.length; at++) {
    const isInside = /[\udc00-\udfff]/.test(piece[at]!);
    const [left, right] = [piece.slice(0, at), piece.slice(at)];
    const ids = [isInside ? undefined : idOf.get(left), idOf.get(right)] as const;
    if (ids[0] !== undefined && ids[1] !== undefined) found.push({ pair: [left, right], ids: [ids[0], ids[1]] });
  }
  return found;
}

/** By the lengths of the left and then of the right parts. */
function byLength(a: Merge["pair"], b: Merge["pair"]): number {
  return a[0].length - b[0].length || a[1].length - b[1].length;
}
