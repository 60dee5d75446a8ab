/** @file The first rows of a march: the embedded tokens of base and source, and of variants that are edited there. */
import { must } from "../../base/errors.js";
import { STREAM } from "../../models/block.js";
import type { PointName } from "../../models/points.js";
import { axisSizes } from "../../models/sizes.js";
import type { Engine } from "../engine.js";
import type { Change } from "../stage.js";
import { Batch } from "./batch.js";
import { changeRows } from "./change-rows.js";
import type { Reader } from "./reader.js";
import { Rows, union } from "./rows.js";
import type { Scratch } from "./scratch.js";
import type { Schedule } from "./variants.js";

const POINTS: readonly PointName[] = ["embed", "pos_embed"];

/** A batch with the stream in front of the first block. */
export async function embedRows(at: { engine: Engine; schedule: Schedule; reader: Reader; scratch: Scratch }): Promise<Batch> {
  const { engine, schedule, reader, scratch } = at;
  const { spec } = engine;
  const places = schedule.placesIn(undefined).filter(({ point }) => POINTS.includes(point));
  const joining = (variant: number): number[] => places.flatMap(({ address }) => schedule.joining(variant, address));
  const rows = anchoredRows(schedule, (variant) => union(new Int32Array(0), joining(variant)));
  const [tokens, positions] = [new BigInt64Array(rows.count), new BigInt64Array(rows.count)];
  rows.forEach((row, variant, position) => {
    tokens[row] = BigInt(must(schedule.tokensOf(variant)[position], "a token"));
    positions[row] = BigInt(position);
  });
  const dims = [rows.count];
  const feeds = { tokens: { data: tokens, dims }, ...(spec.embedding.positions && { positions: { data: positions, dims } }) };
  const changes = places.map((place): [string, Change] => [
    place.point,
    (value) => {
      changeRows(value.data, place, { rows, schedule, sizes: axisSizes(spec, place) });
      return value;
    },
  ]);
  const read = reader.placesIn(undefined).filter(({ point }) => POINTS.includes(point));
  const wanted = [...read.map(({ point }) => point), STREAM.embedded];
  const made = await engine.embedding.run({ feeds, wanted, ...(changes.length > 0 && { changes: new Map(changes) }) });
  for (const place of read) reader.takeRows(place, rows, must(made[place.point], place.address).data);
  const batch = new Batch(rows, scratch);
  batch.put(STREAM.in, must(made[STREAM.embedded], "the stream").data, { tail: [spec.dModel] });
  return batch;
}

/** Every position of base and source, and of the others those that are given. */
export function anchoredRows(schedule: Schedule, positionsOf: (variant: number) => Int32Array): Rows {
  return new Rows(
    schedule.variants.map(({ cell }, variant) =>
      cell ? positionsOf(variant) : Int32Array.from(schedule.tokensOf(variant), (_, position) => position),
    ),
  );
}
