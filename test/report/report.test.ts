/** @file Reports: what stands in them, that nothing is loaded, that nothing breaks out, and that headings, figures and tables are in order. */
import { describe, expect, test } from "vitest";
import { renderReport } from "../../src/report/report.js";
import type { ReportedRun } from "../../src/report/reported-run.js";
import { PALETTE, STYLE } from "../../src/report/style.js";
import { tableOf } from "../../src/store/table.js";
import { ABLATION, longTable, madeUpRun, SEARCHES } from "./made-up-run.js";
import { elementsOf, readPage, textOf, type Element } from "./read-page.js";

const EVIL = `</svg></pre></title></style><script>alert("1")</script><img src=x onerror='x'>"'&amp;\u0000\u202e\u2028\ud800`;

const page = (run: ReportedRun = madeUpRun()): Element => readPage(renderReport(run));
const named = (root: Element, ...names: string[]): Element[] => elementsOf(root).filter(({ name }) => names.includes(name));

/** The run with every text in it replaced, names that code goes by apart. */
function hostile(value: unknown): unknown {
  if (typeof value === "string") return value.startsWith("<svg") || KEPT.has(value) ? value : EVIL;
  if (Array.isArray(value)) return value.map(hostile);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, hostile(member)]));
}
const KEPT = new Set(["searches", "ablation", "transfer", "tokens", "outcomes", "text", "double", "int", "boolean", "wilson"]);

describe("a report", () => {
  test("of a small run", () => {
    expect(renderReport(madeUpRun()).replace(STYLE, "")).toMatchSnapshot();
  });

  test("loads nothing, runs nothing, and says so to the browser", () => {
    const html = renderReport(madeUpRun());
    const elements = elementsOf(readPage(html));
    const links = elements.flatMap(({ attributes }) =>
      ["src", "href", "srcset", "action", "data", "poster"].flatMap((name) => attributes.get(name) ?? []),
    );
    expect(links.filter((link) => !/^#[\w-]+$|^\.\/[\w-][\w./-]*$/.test(link))).toEqual([]);
    expect(elements.map(({ name }) => name)).not.toEqual(
      expect.arrayContaining(["script", "link", "iframe", "object", "embed", "base", "form"]),
    );
    expect(elements.flatMap(({ attributes }) => [...attributes.keys()]).filter((name) => name.startsWith("on"))).toEqual([]);
    expect(html).not.toMatch(/https?:|@import|url\(/);
    const policy = elements.find(({ attributes }) => attributes.get("http-equiv") === "Content-Security-Policy");
    expect(policy!.attributes.get("content")).toBe("default-src 'none'; style-src 'unsafe-inline'; img-src data:");
  });

  test("has links within that lead somewhere, and ids that are there once", () => {
    const elements = elementsOf(page());
    const ids = elements.flatMap(({ attributes }) => attributes.get("id") ?? []);
    expect(new Set(ids).size).toBe(ids.length);
    const pointed = elements.flatMap(({ attributes }) => [attributes.get("href"), attributes.get("aria-labelledby")]);
    const inner = pointed.flatMap((to) => (to === undefined || to.startsWith("./") ? [] : [to.replace("#", "")]));
    expect(inner.length).toBeGreaterThan(8);
    expect(inner.filter((id) => !ids.includes(id))).toEqual([]);
  });

  test("has one first heading, and headings that skip no level", () => {
    const levels = named(page(), "h1", "h2", "h3", "h4", "h5", "h6").map(({ name }) => Number(name[1]));
    expect(levels[0]).toBe(1);
    expect(levels.filter((level) => level === 1)).toHaveLength(1);
    expect(levels.filter((level, i) => i > 0 && level > levels[i - 1]! + 1)).toEqual([]);
  });

  test("has a language, landmarks, and a way past what repeats", () => {
    const root = page();
    expect(named(root, "html")[0]!.attributes.get("lang")).toBe("en");
    for (const name of ["header", "nav", "main", "footer"]) expect(named(root, name)).toHaveLength(1);
    const [body] = named(root, "body");
    const first = body!.children.find((child) => typeof child !== "string") as Element;
    expect([first.name, first.attributes.get("href")]).toEqual(["a", "#found"]);
  });

  test("has tables with captions, and heads that say what they head", () => {
    const tables = named(page(), "table");
    expect(tables.length).toBeGreaterThan(5);
    for (const table of tables) {
      expect(named(table, "caption").map(textOf).join("").trim()).not.toBe("");
      for (const head of named(table, "th")) expect(head.attributes.get("scope")).toMatch(/^(?:row|col)$/);
      const widths = named(table, "tr").map(({ children }) => children.filter((child) => typeof child !== "string").length);
      expect(new Set(widths).size).toBe(1);
    }
  });

  test("has figures with a title, a description, a caption and their numbers", () => {
    const figures = named(page(), "figure");
    expect(figures).toHaveLength(1);
    for (const figure of figures) {
      expect(figure.attributes.get("role")).toBe("figure");
      for (const name of ["title", "desc", "figcaption", "details", "table"]) expect(named(figure, name).length).toBeGreaterThan(0);
      expect(named(figure, "svg")[0]!.attributes.get("role")).toBe("img");
      expect(textOf(named(figure, "details")[0]!)).toContain("three random heads off");
    }
  });
});

describe("findings", () => {
  test("stand with unit, interval, cases, controls, and the published number of another model", () => {
    const [table] = named(page(), "table");
    const text = textOf(table!);
    for (const part of ["95.3 %", "92.3 % to 97.2 %", "95 %, Wilson", "n = 300", "three random heads: 1.0 %", "nothing off: 0 %"])
      expect(text).toContain(part);
    expect(text).toContain("95.3 % Lee et al. 2025, notebookProtocol: 300 cases of a model of 3B");
    expect(textOf(page())).toContain("Published numbers are of another model than the one measured here.");
    expect(renderReport(madeUpRun({ steps: [SEARCHES] }))).not.toContain("Published");
  });

  test("have their exact values beside rounded ones", () => {
    const exact = named(page(), "data").map(({ attributes }) => attributes.get("title"));
    expect(exact).toContain("0.953333333333");
  });

  test("say where there is no number, and why", () => {
    const text = textOf(page(madeUpRun({ steps: [SEARCHES] })));
    expect(text).toContain("cases rescuedno case was left");
    expect(text).toContain("no value");
  });

  test("on top are those named, else those with something to be read beside, else all", () => {
    const topOf = (run: ReportedRun): string[] => named(named(page(run), "table")[0]!, "code").map(textOf);
    const base = madeUpRun();
    expect(topOf(base)).toEqual(["ablation.heads_3.disabled"]);
    expect(topOf({ ...base, about: { ...base.about, key: ["searches.solved", "gone"] } })).toEqual(["searches.solved"]);
    expect(topOf(madeUpRun({ steps: [SEARCHES] }))).toEqual(["searches.solved", "searches.rescued"]);
    const many = Array.from({ length: 50 }, (_, i) => ({ ...SEARCHES.findings[0]!, id: `f.${i}` }));
    expect(topOf(madeUpRun({ steps: [{ ...SEARCHES, findings: many }] }))).toHaveLength(40);
    expect(textOf(page(madeUpRun({ steps: [{ ...SEARCHES, findings: many }] })))).toContain("10 more stand at their steps.");
  });
});

describe("steps", () => {
  test("come in order, with the reason where one was skipped", () => {
    const text = textOf(page());
    const places = ["1. Searches", "2. Heads off", "3. Transfer"].map((title) => text.indexOf(title));
    expect(places.every((at, i) => at > (places[i - 1] ?? 0))).toBe(true);
    expect(text).toContain("Skipped. No other model was given.");
  });

  test("show the first 50 rows of a table, how many there are, and where all are", () => {
    const table = named(page(), "table").find((candidate) => textOf(candidate).startsWith("\nTokens"))!;
    expect(named(table, "tr")).toHaveLength(51);
    expect(textOf(named(table, "caption")[0]!)).toBe("Tokens (the first 50 of 60 rows; all in steps/searches/tokens.parquet)");
    expect(named(table, "a")[0]!.attributes.get("href")).toBe("./steps/searches/tokens.parquet");
    expect(textOf(table)).toContain("·token 7");
  });

  test("name the file of a table that the manifest does not list", () => {
    const run = madeUpRun();
    const manifest = { ...run.manifest, steps: run.manifest.steps.map((step) => ({ ...step, files: [] })) };
    expect(textOf(page({ ...run, manifest }))).toContain("all in tokens.parquet");
  });

  test("with a table of 100,000 rows and very long texts stay small", () => {
    const base = renderReport(madeUpRun());
    const texts = tableOf({ name: "texts", title: "Texts" }, [{ name: "text", type: "text" }], [{ text: "<".repeat(1e6) }]);
    const figures = [{ ...ABLATION.figures[0]!, table: "tokens" }];
    const steps = [{ ...SEARCHES, tables: [longTable(100_000), texts], figures }];
    const html = renderReport(madeUpRun({ steps }));
    expect(html.length - base.length).toBeLessThan(150_000);
    expect(textOf(readPage(html))).toContain("the first 600 of 100,000 rows");
    expect(textOf(readPage(html))).toContain("… (1,000,000 characters)");
  });

  test("refuse a figure of a table that is not there", () => {
    const steps = [{ ...ABLATION, tables: [] }];
    expect(() => renderReport(madeUpRun({ steps }))).toThrow(
      "internal: report: figure outcomes shows table outcomes, which its step lacks",
    );
  });
});

test("how it was made is told in full", () => {
  const text = textOf(page());
  const parts = [
    "countdown-tiny",
    "not known",
    "11,000,000",
    "fedcba9876543210",
    "0123456789abcdef",
    "1.30.0",
    "20.20.2",
    "float32",
    "A CPU, 2 cores",
  ];
  for (const part of [...parts, "16 GiB", "1.5 s", "1 min 30 s", "1 h 30 min 0 s", "512 MiB", '"threshold": 0.1', "findings.json", "once"])
    expect(text).toContain(part);
  for (const command of ["sextant verify RUN", "sextant study self-verification model --out run"]) expect(text).toContain(command);
});

describe("hostile text", () => {
  test("appears only escaped, wherever it comes from", () => {
    const run = hostile(madeUpRun()) as ReportedRun;
    const html = renderReport(run);
    for (const part of ["\u0000", "\u202e", "\u2028", "<script", "<img", "onerror='"]) expect(html).not.toContain(part);
    expect(html).not.toMatch(/\p{Cs}/u);
    const root = readPage(html);
    const known = new Set(elementsOf(page()).map(({ name }) => name));
    expect(elementsOf(root).filter(({ name }) => !known.has(name))).toEqual([]);
    expect(textOf(root).split('<script>alert("1")</script>').length).toBeGreaterThan(40);
    expect(textOf(root)).toContain("\\x202e");
    const links = named(root, "a").map(({ attributes }) => attributes.get("href")!);
    expect(links.filter((link) => !link.startsWith("#"))).toEqual([]);
  });

  test.each(["javascript:alert(1)", "//evil.example/x", "../x", "/x", "a/../../x", "a b", ".hidden", "https://x.example"])(
    "path %s is no link",
    (path) => {
      const run = madeUpRun();
      const files = [{ path, bytes: 1, sha256: "" }];
      const links = named(page({ ...run, manifest: { ...run.manifest, files } }), "a").map(({ attributes }) => attributes.get("href")!);
      expect(links.filter((link) => !/^#|^\.\/steps\/\w+\/\w+\.parquet$/.test(link))).toEqual([]);
    },
  );

  test("in tokens shows its white space", () => {
    const table = tableOf(
      { name: "t", title: "T" },
      [{ name: "token", type: "text" }],
      [{ token: " (" }, { token: "" }, { token: "\n\n" }, { token: "a b\t" }],
    );
    const cells = named(page(madeUpRun({ steps: [{ ...SEARCHES, tables: [table] }] })), "td").map(textOf);
    expect(cells).toEqual(expect.arrayContaining(["·(", "∅", "⏎⏎", "a b⇥"]));
  });
});

describe("pictures", () => {
  const reportOf = (svg: string): Element => page(madeUpRun({ steps: [{ ...ABLATION, figures: [{ ...ABLATION.figures[0]!, svg }] }] }));
  const inFigure = (svg: string): Element[] => elementsOf(named(reportOf(svg), "figure")[0]!);
  const open = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10">';

  test("of shapes and text stand in the page", () => {
    expect(
      inFigure(`${open}<g><rect width="1" height="1" fill="#fff"/><text x="1" y="2">a &#60; b</text></g></svg>\n`).map(({ name }) => name),
    ).toContain("rect");
  });

  test.each([
    ["a script", `${open}<script>alert(1)</script></svg>`],
    ["a handler", `${open}<rect onload="alert(1)"/></svg>`],
    ["a style", `${open}<style>body{display:none}</style></svg>`],
    ["an id", `${open}<g id="found"/></svg>`],
    ["a link", `${open}<a href="https://x.example"><text>a</text></a></svg>`],
    ["a reference", `${open}<rect fill="url(https://x.example)"/></svg>`],
    ["a foreign object", `${open}<foreignObject><p>a</p></foreignObject></svg>`],
    ["an early end", `${open}</svg><p>a</p>`],
    ["no end", `${open}<g>`],
    ["two roots", `${open}</svg>${open}</svg>`],
    ["a root within", `${open}${open}</svg></svg>`],
    ["crossed elements", `${open}<g><text></g></text></svg>`],
    ["elements in its title", `${open}<title><g/></title></svg>`],
    ["a comment", `${open}<!-- a --></svg>`],
    ["a declaration in front", `<?xml version="1.0"?>${open}</svg>`],
    ["unquoted attributes", `<svg width=10></svg>`],
    ["nothing", ""],
  ])("with %s are images, in which browsers run and load nothing", (_, svg) => {
    const elements = inFigure(svg);
    expect(elements.map(({ name }) => name)).not.toContain("svg");
    const [image] = elements.filter(({ name }) => name === "img");
    expect(image!.attributes.get("alt")).toBe("What becomes of verification");
    const source = image!.attributes.get("src")!;
    expect(source.slice(0, 26)).toBe("data:image/svg+xml;base64,");
    expect(Buffer.from(source.slice(26), "base64").toString()).toBe(svg);
  });
});

test("only pictures stand on white in the dark", () => {
  const white = STYLE.split("\n").filter((rule) => rule.includes("background:#fff"));
  expect(white.map((rule) => rule.split("{")[0])).toEqual([".picture"]);
  const boxes = elementsOf(page()).filter(({ attributes }) => attributes.get("class")?.includes("picture"));
  expect(boxes).toHaveLength(1);
  expect(boxes.flatMap(({ children }) => children).map((child) => (typeof child === "string" ? child : child.name))).toEqual(["svg"]);
});

test("every ink has a contrast of at least 4.5 on every ground", () => {
  const channel = (share: number): number => (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4);
  const luminance = (colour: string): number => {
    const [red, green, blue] = [1, 3, 5].map((at) => channel(Number.parseInt(colour.slice(at, at + 2), 16) / 255)) as [
      number,
      number,
      number,
    ];
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  for (const { ground, raised, ink, quiet, link, warn } of Object.values(PALETTE))
    for (const behind of [ground, raised].map(luminance))
      for (const before of [ink, quiet, link, warn].map(luminance)) {
        const [dark, light] = [behind, before].toSorted((a, b) => a - b) as [number, number];
        expect((light + 0.05) / (dark + 0.05)).toBeGreaterThanOrEqual(4.5);
      }
});
