/** @file Tables as Parquet: what goes in comes out, DuckDB reads the same, and damaged bytes are refused in words. */
import { writeFileSync } from "node:fs";
import { DuckDBInstance } from "@duckdb/node-api";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parquetBytes, readParquet, type ParquetColumn, type ParquetTable } from "../../src/formats/parquet.js";
import { isSextantError } from "../../src/base/errors.js";
import { temporaryFolder } from "./folder.js";

const { path, write, refusal } = temporaryFolder();

const TABLE: ParquetTable = {
  title: "Heads — “all” of them",
  tolerance: { absolute: 1e-6, relative: 0 },
  columns: [
    { name: "layer", type: "int", values: [0, null, -(2 ** 31), 2 ** 31 - 1] },
    { name: "far", type: "int", unit: "bytes", values: [2 ** 53 - 1, null, 0, -(2 ** 53 - 1)] },
    { name: "share", type: "double", unit: "share", values: [0.1 + 0.2, NaN, -0, null] },
    { name: "edge", type: "double", values: [Infinity, -Infinity, 5e-324, Number.MAX_VALUE] },
    { name: "text.with dots", type: "text", values: ["", "ä🜁\u0000\ufeff", null, "\u{10ffff}"] },
    { name: "__proto__", type: "boolean", values: [true, false, null, true] },
    { name: "nothing", type: "double", unit: "nats", values: [null, null, null, null] },
  ],
};

function reread(table: ParquetTable, name = "table.parquet"): ParquetTable {
  return readParquet(write(name, parquetBytes(table)));
}

const CELLS = {
  int: fc.maxSafeInteger().map((value) => value + 0),
  double: fc.double(),
  text: fc.string({ unit: "grapheme" }),
  boolean: fc.boolean(),
} as const satisfies { [T in ParquetColumn["type"]]: fc.Arbitrary<unknown> };

const tables: fc.Arbitrary<ParquetTable> = fc
  .tuple(
    fc.nat(60),
    fc.uniqueArray(fc.string({ minLength: 1, unit: "grapheme" }), { minLength: 1, maxLength: 4 }),
    fc.string({ unit: "grapheme" }),
  )
  .chain(([rows, names, title]) =>
    fc.record({
      title: fc.constant(title),
      columns: fc.tuple(
        ...names.map((name) =>
          fc.constantFrom("int" as const, "double" as const, "text" as const, "boolean" as const).chain((type) =>
            fc.record({
              name: fc.constant(name),
              type: fc.constant(type),
              values: fc.array<ParquetColumn["values"][number]>(fc.oneof(fc.constant(null), CELLS[type]), {
                minLength: rows,
                maxLength: rows,
              }),
            }),
          ),
        ),
      ),
    }),
  );

describe("a table", () => {
  test("comes back with every bit, null, unit, and its title and tolerance", () => {
    expect(reread(TABLE)).toEqual(TABLE);
    expect(Object.is(reread(TABLE).columns[2]!.values[2], -0)).toBe(true);
  });

  test("of any kind comes back", () => {
    fc.assert(
      fc.property(tables, (table) => {
        expect(reread(table)).toEqual(table);
      }),
      { numRuns: 60 },
    );
  });

  test("without rows keeps its columns", () => {
    const empty = { title: "none", columns: TABLE.columns.map((column) => ({ ...column, values: [] })) };
    expect(reread(empty).columns.map(({ name, unit }) => [name, unit])).toEqual(TABLE.columns.map(({ name, unit }) => [name, unit]));
  });

  test("of several groups of rows and pages comes back", () => {
    const values = Array.from({ length: 210_001 }, (_, i) => (i % 7 === 3 ? null : Math.sin(i)));
    expect(reread({ title: "long", columns: [{ name: "x", type: "double", values }] }).columns[0]!.values).toEqual(values);
  });

  test("is the same to another reader", async () => {
    const file = write("duck.parquet", parquetBytes(TABLE));
    const instance = await DuckDBInstance.create(":memory:");
    const connection = await instance.connect();
    const read = async (sql: string): Promise<unknown[][]> => (await connection.runAndReadAll(sql)).getRowsJS();
    const rows = await read(`SELECT * FROM read_parquet('${file}')`);
    const cells = TABLE.columns.map((_, column) =>
      rows.map((row) => (typeof row[column] === "bigint" ? Number(row[column]) : row[column])),
    );
    expect(cells).toEqual(TABLE.columns.map(({ values }) => values));
    const kept = await read(`SELECT decode(key), decode(value) FROM parquet_kv_metadata('${file}')`);
    expect(Object.fromEntries(kept)).toMatchObject({ title: TABLE.title, units: '{"far":"bytes","share":"share","nothing":"nats"}' });
    connection.closeSync();
    instance.closeSync();
  });
});

describe("what a table cannot hold is refused", () => {
  const one = (type: ParquetColumn["type"], ...values: ParquetColumn["values"]): ParquetTable => ({
    title: "t",
    columns: [{ name: "x", type, values }],
  });

  test("in words", () => {
    const two = { title: "t", columns: [...one("int", 1).columns, ...one("int", 1, 2).columns] };
    const bad = [
      one("int", 1.5),
      one("int", 2 ** 53),
      one("double", "1"),
      one("text", "\ud800"),
      one("boolean", 1),
      two,
      { title: "t", columns: [] },
    ];
    expect(bad.map((table) => refusal(() => parquetBytes(table)))).toMatchInlineSnapshot(`
      [
        "usage: table "t" cannot be Parquet: column "x" is of int, row 0 is the number 1.5",
        "usage: table "t" cannot be Parquet: column "x" is of int, row 0 is the number 9007199254740992",
        "usage: table "t" cannot be Parquet: column "x" is of double, row 0 is the string "1"",
        "usage: table "t" cannot be Parquet: column "x" is of text, row 0 is the string "\\ud800"",
        "usage: table "t" cannot be Parquet: column "x" is of boolean, row 0 is the number 1",
        "usage: table "t" cannot be Parquet: two columns have one name",
        "usage: table "t" cannot be Parquet: it has no columns",
      ]
    `);
    const uneven = { title: "t", columns: [...one("int", 1).columns, { name: "y", type: "int" as const, values: [] }] };
    expect(refusal(() => parquetBytes(uneven))).toMatchInlineSnapshot(
      `"usage: table "t" cannot be Parquet: column "y" has 0 rows, the first has 1"`,
    );
  });
});

describe("damaged bytes", () => {
  const some = TABLE.columns.filter(({ name }) => ["layer", "share", "text.with dots"].includes(name));
  const good = parquetBytes({
    title: "t",
    columns: some.map((column) => ({ ...column, values: Array.from({ length: 20 }, (_, i) => column.values[i % 4]!) })),
  });

  /** What becomes of the bytes: a table, or an error that names the file. */
  function outcome(bytes: Uint8Array): "read" | "refused" {
    writeFileSync(path("damaged.parquet"), bytes);
    try {
      readParquet(path("damaged.parquet"));
      return "read";
    } catch (error) {
      if (!isSextantError(error, "format") || !error.message.includes("damaged.parquet is no Parquet table of ours: ")) throw error;
      return "refused";
    }
  }

  test("cut anywhere are refused", () => {
    expect(outcome(good)).toBe("read");
    const read = [...good.keys()].filter((length) => outcome(good.subarray(0, length)) === "read");
    expect(read).toEqual([]);
  });

  test("with any byte replaced are read or refused, quickly", () => {
    for (const at of good.keys()) {
      const copy = good.slice();
      copy[at] = at % 2 === 0 ? 0xff : good[at]! ^ 1;
      outcome(copy);
    }
  });

  test("at random are read or refused", () => {
    const flips = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }).map((changes) => {
      const copy = good.slice();
      for (const [at, byte] of changes) copy[at] = byte;
      return copy;
    });
    const framed = fc.uint8Array({ maxLength: 200 }).map((bytes) => {
      const size = Buffer.alloc(4);
      size.writeUInt32LE(bytes.length);
      return Buffer.concat([Buffer.from("PAR1"), bytes, size, Buffer.from("PAR1")]);
    });
    fc.assert(
      fc.property(fc.oneof(flips, framed, fc.uint8Array({ maxLength: 100 })), (bytes) => void outcome(bytes)),
      { numRuns: 400 },
    );
  });
});
