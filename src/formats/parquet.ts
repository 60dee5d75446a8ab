/**
 * @file Tables as Parquet, which DuckDB, pandas and others read: one file a table, Snappy, plain encoding. What is read back is what is written here;
 * other encodings are refused, since a decoder of theirs takes run lengths on trust. Every count, length and offset is held against the file's size
 * before it is used.
 */
import { parquetMetadata, type ColumnMetaData, type FileMetaData, type SchemaElement } from "hyparquet";
import { parquetHeader, readColumn } from "hyparquet/src/column.js";
import { DEFAULT_PARSERS } from "hyparquet/src/convert.js";
import { parquetSchema } from "hyparquet/src/metadata.js";
import { parquetWriteBuffer, type ColumnSource } from "hyparquet-writer";
import { SextantError } from "../base/errors.js";
import { readFileBounded } from "./files.js";
import { describeJson, isJsonObject, parseJson, quote } from "./json.js";

/** A value of a table; null where a row has none. */
export type ParquetCell = number | string | boolean | null;

/** One column: whole numbers within ±2^53, doubles (not finite ones too), text or truth values. */
export interface ParquetColumn {
  readonly name: string;
  readonly type: "int" | "double" | "text" | "boolean";
  readonly values: readonly ParquetCell[];
  readonly unit?: string;
}

/** Columns of one length, with what the file's metadata says of them. */
export interface ParquetTable {
  readonly title: string;
  readonly columns: readonly ParquetColumn[];
  readonly tolerance?: { readonly absolute: number; readonly relative: number };
}

const MOST_BYTES = 2 ** 28;
const MOST_CELLS = 2 ** 25;
const ROWS_A_GROUP = 100_000;
/** A copy of 64 bytes takes Snappy at least 3. */
const MOST_EXPANSION = 22;
const INT32 = 2 ** 31;

/** The bytes of a Parquet file with the table. Title, units and tolerance go into its key/value metadata: `title`, and `units` and `tolerance` as JSON. */
export function parquetBytes(table: ParquetTable): Uint8Array {
  checkColumns(table);
  const { title, columns, tolerance } = table;
  const units = Object.fromEntries(columns.flatMap(({ name, unit }) => (unit === undefined ? [] : [[name, unit]])));
  const kvMetadata = [
    { key: "title", value: title },
    { key: "units", value: JSON.stringify(units) },
    ...(tolerance ? [{ key: "tolerance", value: JSON.stringify(tolerance) }] : []),
  ];
  const options = { rowGroupSize: ROWS_A_GROUP, statistics: false, createdBy: "sextant", kvMetadata };
  return new Uint8Array(parquetWriteBuffer({ columnData: columns.map(sourceOf), ...options }));
}

/** The table in the file; a damaged file, one too large, and one that was not written here are `format` errors that name it. */
export function readParquet(path: string): ParquetTable {
  const bytes = readFileBounded(path, MOST_BYTES);
  try {
    return tableOf(bytes);
  } catch (error) {
    throw new SextantError("format", `${path} is no Parquet table of ours: ${(error as Error).message}`, { cause: error });
  }
}

const FITS: { readonly [T in ParquetColumn["type"]]: (value: unknown) => boolean } = {
  int: Number.isSafeInteger,
  double: (value) => typeof value === "number",
  // A half of a surrogate pair has no UTF-8.
  text: (value) => typeof value === "string" && !/\p{Surrogate}/u.test(value),
  boolean: (value) => typeof value === "boolean",
};

function checkColumns({ title, columns }: ParquetTable): void {
  const wrong = (why: string): SextantError => new SextantError("usage", `table ${quote(title)} cannot be Parquet: ${why}`);
  if (columns.length === 0) throw wrong("it has no columns");
  const rows = columns[0]!.values.length;
  if (rows * columns.length > MOST_CELLS) throw wrong(`it has ${rows * columns.length} cells, at most ${MOST_CELLS} are written`);
  const names = columns.map(({ name }) => name);
  if (new Set(names).size < names.length) throw wrong("two columns have one name");
  const words = [title, ...names, ...columns.map(({ unit = "" }) => unit)];
  const word = words.find((text) => !FITS.text(text) || text.startsWith("\ufeff"));
  if (word !== undefined) throw wrong(`${quote(word)} is no UTF-8, or begins with a byte order mark`);
  for (const { name, type, values } of columns) {
    if (values.length !== rows) throw wrong(`column ${quote(name)} has ${values.length} rows, the first has ${rows}`);
    const at = values.findIndex((value) => value !== null && !FITS[type](value));
    if (at >= 0) throw wrong(`column ${quote(name)} is of ${type}, row ${at} is ${describeJson(values[at])}`);
  }
}

function sourceOf({ name, type, values }: ParquetColumn): ColumnSource {
  const plain = { name, encoding: "PLAIN", offsetIndex: false, nullable: values.includes(null) } as const;
  if (type === "double") return { ...plain, type: "DOUBLE", data: [...values] };
  if (type === "text") return { ...plain, type: "STRING", data: [...values] };
  if (type === "boolean") return { ...plain, type: "BOOLEAN", data: [...values] };
  if (values.every((value) => Number(value) >= -INT32 && Number(value) < INT32)) return { ...plain, type: "INT32", data: [...values] };
  return { ...plain, type: "INT64", data: values.map((value) => (value === null ? null : BigInt(value))) };
}

function tableOf(bytes: Uint8Array): ParquetTable {
  if (bytes.length < 12 || new TextDecoder().decode(bytes.subarray(0, 4)) !== "PAR1") throw damage("it does not begin with PAR1");
  const metadata = parquetMetadata(bytes, { geoparquet: false });
  const [root, ...elements] = metadata.schema;
  const rows = countOf(metadata.num_rows, "rows", MOST_CELLS);
  if (root?.num_children !== elements.length || elements.length === 0) throw damage("its columns are nested, or there are none");
  if (rows * elements.length > MOST_CELLS) throw damage(`it claims ${rows} rows of ${elements.length} columns`);
  const notes = new Map((metadata.key_value_metadata ?? []).map(({ key, value }) => [key, value ?? ""]));
  const units = unitsOf(notes.get("units") ?? "{}");
  const tolerance = notes.get("tolerance");
  return {
    title: notes.get("title") ?? "",
    columns: elements.map((element, index): ParquetColumn => {
      const unit = units.get(element.name);
      return { ...columnOf(bytes, metadata, index), ...(unit !== undefined && { unit }) };
    }),
    ...(tolerance !== undefined && { tolerance: toleranceOf(tolerance) }),
  };
}

function unitsOf(text: string): Map<string, string> {
  const units = parseJson(text, "units");
  if (!isJsonObject(units)) throw damage(`units must be an object, got ${describeJson(units)}`);
  return new Map(
    Object.entries(units).map(([name, unit]) => {
      if (typeof unit !== "string") throw damage(`the unit of ${quote(name)} is ${describeJson(unit)}`);
      return [name, unit];
    }),
  );
}

function toleranceOf(text: string): NonNullable<ParquetTable["tolerance"]> {
  const value = parseJson(text, "tolerance");
  const { absolute, relative } = isJsonObject(value) ? value : {};
  if (typeof absolute !== "number" || typeof relative !== "number") throw damage(`tolerance is ${quote(text)}`);
  return { absolute, relative };
}

function columnOf(bytes: Uint8Array, metadata: FileMetaData, index: number): ParquetColumn {
  const element = metadata.schema[index + 1]!;
  const type = typeOf(element);
  const values: ParquetCell[] = [];
  for (const group of metadata.row_groups) {
    const chunk = group.columns[index]?.meta_data;
    if (!chunk) throw damage(`column ${quote(element.name)} is missing in a group of rows`);
    const rows = countOf(group.num_rows, "rows of a group", Number(metadata.num_rows) - values.length);
    for (const value of chunkValues(bytes, chunk, { metadata, element, rows })) values.push(cellOf(value));
  }
  if (values.length !== Number(metadata.num_rows))
    throw damage(`column ${quote(element.name)} has ${values.length} of ${metadata.num_rows} rows`);
  return { name: element.name, type, values };
}

function typeOf({
  name,
  type,
  converted_type: converted,
  logical_type: logical,
  repetition_type: repetition,
}: SchemaElement): ParquetColumn["type"] {
  const isText = type === "BYTE_ARRAY" && converted === "UTF8";
  if ((repetition === "REQUIRED" || repetition === "OPTIONAL") && (isText || (converted === undefined && logical === undefined))) {
    if (isText) return "text";
    if (type === "INT32" || type === "INT64") return "int";
    if (type === "DOUBLE") return "double";
    if (type === "BOOLEAN") return "boolean";
  }
  throw damage(`column ${quote(name)} is ${[repetition, type, converted].filter(Boolean).join(" ")}`);
}

function cellOf(value: unknown): ParquetCell {
  if (value === undefined || value === null) return null;
  if (typeof value !== "bigint") return value as ParquetCell;
  if (!Number.isSafeInteger(Number(value))) throw damage(`${value} is beyond 2^53`);
  return Number(value);
}

interface Place {
  readonly metadata: FileMetaData;
  readonly element: SchemaElement;
  readonly rows: number;
}

function chunkValues(bytes: Uint8Array, chunk: ColumnMetaData, { metadata, element, rows }: Place): unknown[] {
  if (chunk.codec !== "SNAPPY") throw damage(`it is packed as ${chunk.codec}`);
  const from = countOf(chunk.data_page_offset, "an offset", bytes.length);
  const length = countOf(chunk.total_compressed_size, "a length", bytes.length - from);
  const view = new DataView(bytes.buffer, bytes.byteOffset + from, length);
  const nulls = checkPages(view, element, rows);
  const tree = parquetSchema(metadata);
  const path = [element.name];
  const schemaPath = [tree, ...tree.children.filter((child) => child.element === element)];
  const parsers = { ...DEFAULT_PARSERS, stringFromBytes };
  const decoder = { ...chunk, type: element.type!, pathInSchema: path, element, schemaPath, parsers };
  const { data } = readColumn({ view, offset: 0 }, { groupStart: 0, selectStart: 0, selectEnd: rows, groupRows: rows }, decoder);
  const values = data.flatMap((part) => Array.from(part as ArrayLike<unknown>));
  const empty = values.reduce<number>((count, value) => count + Number(value === undefined || value === null), 0);
  if (values.length !== rows || empty !== nulls) throw damage(`column ${quote(element.name)} has other rows than its pages claim`);
  return values;
}

function stringFromBytes(bytes: Uint8Array | undefined): string | undefined {
  return bytes && new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

/** Holds the pages of a column against its bytes and rows; returns how many of them claim to be null. */
function checkPages(view: DataView, { repetition_type: repetition }: SchemaElement, rows: number): number {
  const reader = { view, offset: 0 };
  let [seen, nulls] = [0, 0];
  while (seen < rows) {
    const { type, compressed_page_size: packed, uncompressed_page_size: size, data_page_header_v2: page } = parquetHeader(reader);
    if (type !== "DATA_PAGE_V2" || page?.encoding !== "PLAIN" || page.is_compressed === false)
      throw damage(`a page is ${[type, page?.encoding].filter(Boolean).join(", ")}`);
    const length = countOf(packed, "a page", view.byteLength - reader.offset);
    countOf(size, "an unpacked page", length * MOST_EXPANSION + 64);
    const count = countOf(page.num_values, "values of a page", rows - seen);
    const levels = countOf(page.definition_levels_byte_length, "levels", Math.min(length, size));
    const empty = countOf(page.num_nulls, "nulls", repetition === "OPTIONAL" ? count : 0);
    if (page.repetition_levels_byte_length !== 0 || count === 0) throw damage("a page has repeated values, or none");
    if (repetition === "OPTIONAL") checkRuns(new Uint8Array(view.buffer, view.byteOffset + reader.offset, levels), count);
    reader.offset += length;
    seen += count;
    nulls += empty;
  }
  return nulls;
}

/** Refuses runs of levels (one bit each) that are more than `count`, or that the bytes do not hold. */
function checkRuns(bytes: Uint8Array, count: number): void {
  let at = 0;
  for (let seen = 0; seen < count;) {
    let header = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 21) throw damage("levels end early");
      header += (byte & 0x7f) << shift;
      more = byte >= 0x80;
    }
    const isPacked = header % 2 === 1;
    const length = header >> 1;
    at += isPacked ? length : 1;
    seen += isPacked ? length * 8 : length;
    if (length === 0 || at > bytes.length || seen > count + (isPacked ? 7 : 0)) throw damage("runs of levels are not those of its rows");
  }
}

function countOf(value: unknown, what: string, most: number): number {
  const count = typeof value === "bigint" ? Number(value) : value;
  if (typeof count === "number" && Number.isSafeInteger(count) && count >= 0 && count <= most) return count;
  throw damage(`${what} must be 0 to ${most}, got ${String(value)}`);
}

function damage(why: string): SextantError {
  return new SextantError("format", why);
}
