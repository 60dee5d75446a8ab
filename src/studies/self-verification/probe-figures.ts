/** @file Probes as tables and pictures. */
import type { LayerControls } from "../../analyses/probes/controls.js";
import type { LayerProbe } from "../../analyses/probes/request.js";
import { curveSvg } from "../../charts/curve.js";
import { heatMapSvg } from "../../charts/heat-map.js";
import type { Figure } from "../../store/step-output.js";
import { tableOf, type Table } from "../../store/table.js";
import type { Probed } from "./probed.js";

/** One row a place, moment, method and layer; controls are of logistic probes of the stream at the bracket. */
export function siteTable(sites: readonly Probed[], controls: readonly LayerControls[]): Table {
  const rows = sites.flatMap(({ site, moment, method, probes }) =>
    probes.map(({ layer, test, train }) => {
      const control = site === "resid_post" && moment === "open" ? controls[layer] : undefined;
      return {
        site,
        moment,
        method,
        layer,
        accuracy: test.accuracy,
        balanced_accuracy: test.balancedAccuracy,
        auroc: test.auroc ?? null,
        auroc_low: test.aurocInterval?.low ?? null,
        auroc_high: test.aurocInterval?.high ?? null,
        train_accuracy: train.accuracy,
        shuffled: control?.shuffled.balancedAccuracy ?? null,
        random_projections: control?.randomProjections.balancedAccuracy ?? null,
        examples: test.examples,
        searches: test.groups,
      };
    }),
  );
  const share = (name: string) => ({ name, type: "double", unit: "share" }) as const;
  return tableOf(
    {
      name: "probes",
      title: "Probes by place, moment and layer, on searches that nothing was fitted to",
      tolerance: { absolute: 0.02, relative: 0 },
    },
    [
      { name: "site", type: "text" },
      { name: "moment", type: "text" },
      { name: "method", type: "text" },
      { name: "layer", type: "int" },
      share("accuracy"),
      share("balanced_accuracy"),
      { name: "auroc", type: "double", unit: "AUROC" },
      { name: "auroc_low", type: "double", unit: "AUROC" },
      { name: "auroc_high", type: "double", unit: "AUROC" },
      share("train_accuracy"),
      share("shuffled"),
      share("random_projections"),
      { name: "examples", type: "int" },
      { name: "searches", type: "int" },
    ],
    rows,
  );
}

/** One row a head. */
export function headTable(heads: readonly (readonly LayerProbe[])[]): Table {
  return tableOf(
    { name: "head_probes", title: "Probes of each head's output at the bracket", tolerance: { absolute: 0.02, relative: 0 } },
    [
      { name: "layer", type: "int" },
      { name: "head", type: "int" },
      { name: "balanced_accuracy", type: "double", unit: "share" },
      { name: "auroc", type: "double", unit: "AUROC" },
    ],
    heads.flatMap((layer, index) =>
      layer.map(({ test }, head) => ({ layer: index, head, balanced_accuracy: test.balancedAccuracy, auroc: test.auroc ?? null })),
    ),
  );
}

/** Lines over layers. */
export function layerFigure(sites: readonly Probed[]): Figure {
  const series = sites.map(({ site, probes }) => ({
    name: site,
    x: probes.map(({ layer }) => layer),
    y: probes.map(({ test }) => test.balancedAccuracy),
  }));
  return {
    name: "probe_by_layer",
    title: "Balanced accuracy of the probes by layer",
    caption: "Logistic probes at the bracket in front of the verdict, on searches that nothing was fitted to. 0.5 is chance.",
    svg: curveSvg(series, { title: "probes by layer", xLabel: "layer", yLabel: "balanced accuracy" }),
    table: "probes",
  };
}

/** Moments by layers. */
export function momentFigure(moments: readonly Probed[]): Figure {
  const layers = moments[0]!.probes.length;
  return {
    name: "probe_by_moment",
    title: "How early the verdict can be read",
    caption: "AUROC minus 0.5 of logistic probes of the residual stream at earlier tokens of the attempt: 0 is chance, 0.5 is perfect.",
    svg: heatMapSvg(
      [{ values: moments.map(({ probes }) => probes.map(({ test }) => (test.auroc === undefined ? undefined : test.auroc - 0.5))) }],
      {
        rowLabels: moments.map(({ moment }) => moment),
        columnLabels: Array.from({ length: layers }, (_, layer) => String(layer)),
        title: "AUROC − 0.5",
        xLabel: "layer",
        yLabel: "moment",
        limit: 0.5,
      },
    ),
    table: "probes",
  };
}

/** Layers by heads. */
export function headFigure(heads: readonly (readonly LayerProbe[])[]): Figure {
  const width = Math.max(...heads.map(({ length }) => length));
  return {
    name: "probe_by_head",
    title: "The verdict in single heads",
    caption: "AUROC minus 0.5 of a probe of each head's output at the bracket.",
    svg: heatMapSvg(
      [{ values: heads.map((layer) => Array.from({ length: width }, (_unused, head) => (layer[head]?.test.auroc ?? Number.NaN) - 0.5)) }],
      {
        rowLabels: heads.map((_unused, layer) => String(layer)),
        columnLabels: Array.from({ length: width }, (_unused, head) => String(head)),
        title: "AUROC − 0.5",
        xLabel: "head",
        yLabel: "layer",
        limit: 0.5,
      },
    ),
    table: "head_probes",
  };
}
