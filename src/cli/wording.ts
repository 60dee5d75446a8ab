/** @file Numbers as people read them. */
import type { Tensor } from "../base/tensor.js";

/** `1 row`, `3 rows`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** A share in 0..1 as a percentage with the digits that matter: `100%`, `99.7%`, `1.4%`, `0.02%`. */
export function percent(share: number): string {
  const value = share * 100;
  if (value === 0) return "0%";
  if (value >= 10) return `${Number(value.toPrecision(3))}%`;
  return value >= 0.01 ? `${Number(value.toPrecision(2))}%` : "<0.01%";
}

/** A count with a unit prefix: `15.2M`, `85.1k`. */
export function magnitude(count: number): string {
  const [prefix, size] = (
    [
      ["T", 1e12],
      ["B", 1e9],
      ["M", 1e6],
      ["k", 1e3],
    ] as const
  ).find(([, unit]) => count >= unit) ?? ["", 1];
  return `${Number((count / size).toPrecision(3))}${prefix}`;
}

/** Bytes in binary units: `58 MiB`. */
export function bytesText(bytes: number): string {
  const [unit, size] = (
    [
      ["GiB", 2 ** 30],
      ["MiB", 2 ** 20],
      ["KiB", 2 ** 10],
    ] as const
  ).find(([, limit]) => bytes >= limit) ?? ["bytes", 1];
  return `${Number((bytes / size).toPrecision(3))} ${unit}`;
}

/** Ascending indices with runs drawn together: `0–5, 7`. */
export function indexRanges(indices: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const index of indices) {
    const last = runs.at(-1);
    if (last && index === last[1] + 1) last[1] = index;
    else runs.push([index, index]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(", ");
}

/** Floating-point operations: `12.3 GFLOP`. */
export function gigaflops(flops: number): string {
  return `${Number((flops / 1e9).toPrecision(3))} GFLOP`;
}

/** A time in the unit that suits it: `85 ms`, `3.2 s`, `4 min 10 s`, `2 h 5 min`. */
export function duration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${Number((ms / 1000).toPrecision(2))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.round(ms / 60_000);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Shapes and axes of tensors, for `--json`. */
export function shapesOf(tensors: Readonly<Record<string, Tensor>>): Record<string, object> {
  return Object.fromEntries(Object.entries(tensors).map(([name, { shape, axes }]) => [name, { shape, axes }]));
}
