/** @file The SVG of an attention pattern. */
import { expect, test } from "vitest";
import { tensor } from "../../src/base/tensor.js";
import { attentionPattern } from "../../src/charts/attention-pattern.js";

const pattern = tensor(Float32Array.of(1, 0, 0.25, 0.75), [2, 2], ["query", "key"]);

test("draws a cell for each share, with the tokens beside and above", () => {
  expect(attentionPattern(pattern, { tokens: ["<s>", " a&b"], title: "layer 0 head 1" })).toMatchInlineSnapshot(`
    "<svg xmlns="http://www.w3.org/2000/svg" width="86" height="110" viewBox="0 0 86 110" role="img">
    <title>layer 0 head 1</title>
    <style>
      .page { fill: #ffffff } .cell { fill: #b5310a } .ink { fill: #1c1c1c; stroke: none } .frame { fill: none; stroke: #9a9a9a }
      text { font-family: ui-monospace, Menlo, Consolas, monospace }
      @media (prefers-color-scheme: dark) { .page { fill: #16181d } .cell { fill: #ff9d5c } .ink { fill: #ececec } .frame { stroke: #6f6f6f } }</style>
    <rect class="page" width="86" height="110"/>
    <text class="ink" x="8" y="18" font-size="13">layer 0 head 1</text>
    <g font-size="12" class="ink">
    <text x="33" y="76.2" text-anchor="end">&#60;s&#62;</text>
    <text x="52.2" y="57" transform="rotate(-90 52.2 57)">&#60;s&#62;</text>
    <text x="33" y="96.2" text-anchor="end">·a&#38;b</text>
    <text x="72.2" y="57" transform="rotate(-90 72.2 57)">·a&#38;b</text>
    </g>
    <g class="cell" transform="translate(38 62)">
    <rect x="0" y="0" width="20" height="20" fill-opacity="1.000"><title>0 &#60;s&#62; → 0 &#60;s&#62;: 1.000</title></rect>
    <rect x="0" y="20" width="20" height="20" fill-opacity="0.250"><title>1 ·a&#38;b → 0 &#60;s&#62;: 0.250</title></rect>
    <rect x="20" y="20" width="20" height="20" fill-opacity="0.750"><title>1 ·a&#38;b → 1 ·a&#38;b: 0.750</title></rect>
    </g>
    <rect class="frame" x="38" y="62" width="40" height="40"/>
    </svg>
    "
  `);
});

test("escapes what XML cannot hold", () => {
  const svg = attentionPattern(pattern, { tokens: ["</svg><script>", '"\u0000\ud800'] });
  expect(svg).not.toContain("<script>");
  expect(svg).not.toContain("\u0000");
  expect(svg).not.toContain("\ud800");
});

test("leaves out tooltips and what is too faint in large patterns", () => {
  const n = 80;
  const values = Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 1e-4));
  const svg = attentionPattern(tensor(values, [n, n]), { tokens: Array.from({ length: n }, () => "x") });
  expect(svg.match(/fill-opacity/g)).toHaveLength(n);
  expect(svg).not.toContain("→");
});

test("wants one token a row", () => {
  expect(() => attentionPattern(pattern, { tokens: ["a"] })).toThrowErrorMatchingInlineSnapshot(
    `[SextantError: internal: attentionPattern: 1 tokens for a pattern of [2, 2]]`,
  );
});
