import { it, expect } from "vitest";
import { SUBJECTS } from "../../parity/subjects.js";
import { loadModel } from "../../../src/runtime/load.js";
import { seededRandom } from "../../../src/base/random.js";
import { allPlaces } from "../../../src/models/address.js";
import { pointRow } from "../../../src/models/points.js";
import { axisSizes } from "../../../src/models/sizes.js";
import { pairsFor } from "./cases.js";
import { compared, MEASURES, METRICS, written } from "./compare.js";
import { naiveSweep } from "./naive.js";
import { apart } from "../support.js";
import { tensor } from "../../../src/base/tensor.js";

it.each(SUBJECTS.map((s, i) => ({ ...s, i })))(
  "$name",
  async ({ name, folder, i }) => {
    const model = await loadModel(folder, { threads: 1, lazy: true });
    const { spec } = model;
    const random = seededRandom(Number(process.env.FUZZ ?? 1) * 100 + i, 5);
    const draw = (n: number) => Math.floor(random() * n);
    const pick = <T>(list: readonly T[]): T => list[draw(list.length)]!;
    const places = allPlaces(spec).filter(({ point }) => !pointRow(point).readOnly);
    const pairs = pairsFor(spec, i + 3);
    const spots = ["diff", "mid", "prev", "end", 0, 1, -1];
    const some = () => [...new Set(Array.from({ length: 1 + draw(3) }, () => pick(spots)))];
    const edit = () => {
      const place = pick(places);
      const edges = pointRow(place.point).axes.includes("key");
      const ints = pointRow(place.point).dtype === "int32";
      const { heads, last } = axisSizes(spec, place);
      const op = ints
        ? "patch"
        : edges
          ? pick(["patch", "patch", "scale", ...(place.point === "attn_scores" ? ["knockout"] : [])])
          : pick(["patch", "patch", "patch", "scale", "set"]);
      const h = edges ? spec.layers[place.layer!]!.attention.heads : heads;
      return {
        at: place.address,
        op,
        ...(op === "scale" && { by: pick([0.5, 2, -1]) }),
        ...(op === "set" && { value: pick([0, 0.3]) }),
        ...(op === "patch" && random() < 0.25 && { run: "base" }),
        ...(edges
          ? { ...(random() < 0.7 && { queries: some() }), ...((op === "knockout" || random() < 0.4) && { keys: some() }) }
          : { ...(random() < 0.7 && { positions: some() }) }),
        ...(h !== undefined && random() < 0.5 && { heads: [draw(h)] }),
        ...(!edges && !ints && last > 1 && random() < 0.2 && { units: [draw(last)] }),
      };
    };
    const bad = /_scale|final_|router/;
    const make = () => {
      const edits = Array.from({ length: 1 + draw(4) }, edit);
      const freeze =
        random() < 0.4
          ? [
              ...new Set(
                spec.layers
                  .flatMap((layer, l) =>
                    random() < 0.8 ? [`attn_out.${l}`, ...(layer.mlp ? [`mlp_out.${l}`] : [])].filter(() => random() < 0.85) : [],
                  )
                  .concat(random() < 0.3 ? [pick(places).address] : []),
              ),
            ]
          : [];
      return { edits, ...(freeze.length > 0 && { freeze }) } as any;
    };
    const list: any[] = [];
    const out: string[] = [];
    let refusedBoth = 0;
    const direction = i % 2 ? "noise" : "denoise";
    for (let n = 0; n < 60; n++) {
      const cf = make();
      const request = { pairs, counterfactuals: [cf], metrics: METRICS, direction } as any;
      const a = await model.sweep(request, { measures: MEASURES }).then(
        () => "",
        (e) => e.message,
      );
      const b = await naiveSweep(model, request).then(
        () => "",
        (e) => e.message,
      );
      if (a === "" && b === "") list.push(cf);
      else if (a !== "" && b !== "") refusedBoth++;
      else if (!/contradict|changes nothing|no key left|not finite|non-finite/i.test(a + b))
        out.push(`${JSON.stringify(cf)}: sweep ${a || "ok"} / naive ${b || "ok"}`);
    }
    const read =
      random() < 0.5
        ? allPlaces(spec)
            .filter(({ point }) => point !== "logits" && point !== "head_out" && !point.startsWith("final_"))
            .filter(() => random() < 0.3)
            .map(({ address }) => address)
        : [];
    for (const group of [list]) {
      const request = { pairs, counterfactuals: group, metrics: METRICS, direction, read } as any;
      const swept = await model.sweep(request, { measures: MEASURES, ...(random() < 0.5 && { memoryBudget: 1 }) });
      const naive = await naiveSweep(model, request);
      const { worst, first } = compared(request, swept, naive, 2e-5);
      console.log(name, list.length, refusedBoth, worst, read.length);
      if (first) out.push(first);
      for (const [c, runs] of naive.cells.entries())
        for (const [p, run] of runs.entries())
          for (const [address, theirs] of Object.entries(run.activations)) {
            const full = swept.activations[address]!;
            const own = full.shape.slice(2);
            const size = own.reduce((x, y) => x * y, 1);
            const slice = full.data.subarray((c * pairs.length + p) * size, (c * pairs.length + p + 1) * size);
            const like = Float32Array.from(theirs.data, (_, idx) => {
              let rest = idx,
                at = 0,
                stride = 1;
              for (let ax = own.length - 1; ax >= 0; ax--) {
                at += (rest % theirs.shape[ax]!) * stride;
                rest = Math.floor(rest / theirs.shape[ax]!);
                stride *= own[ax]!;
              }
              return slice[at]!;
            });
            const off = apart(tensor(like, theirs.shape), tensor(Float32Array.from(theirs.data), theirs.shape));
            if (!(off < 5e-5)) {
              out.push(`READ ${written(group[c], c)} pair ${p} ${address} off ${off}`);
              break;
            }
          }
    }
    await model.close();
    expect(out.slice(0, 4)).toEqual([]);
  },
  600000,
);
