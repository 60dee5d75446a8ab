/**
 * @file A strict reader of reports: every element closed where it should be, every attribute quoted, no `<` and no `&` that is not escaped. What it accepts, browsers read
 * in the same way.
 */

/** An element, or the page itself, whose name is empty. */
export interface Element {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: (Element | string)[];
}

const VOID = new Set(["meta", "img"]);
/** Whose content is text up to its end, whatever is in it. */
const RAW = new Set(["style", "script"]);
const TAG = /<(\/?)([a-zA-Z][a-zA-Z0-9]*)((?:\s+[a-zA-Z][\w:-]*="[^"]*")*)\s*(\/?)>/y;

/** The page as a tree; what is no such page throws, with the place. */
export function readPage(html: string): Element {
  const page: Element = { name: "", attributes: new Map(), children: [] };
  const open = [page];
  let at = html.startsWith("<!doctype html>\n") ? 16 : 0;
  while (at < html.length) {
    const next = html.indexOf("<", at);
    const text = html.slice(at, next < 0 ? undefined : next);
    if (text) open.at(-1)!.children.push(unescaped(text, at));
    at = next < 0 ? html.length : readTag(html, next, open);
  }
  if (open.length !== 1) throw new Error(`<${open.at(-1)!.name}> is not closed`);
  return page;
}

/** Takes the tag at a place into the tree; where the text goes on. */
function readTag(html: string, start: number, open: Element[]): number {
  TAG.lastIndex = start;
  const tag = TAG.exec(html);
  if (!tag) throw new Error(`no tag at ${start}: ${html.slice(start, start + 80)}`);
  const [, isEnd, name, attributes, isEmpty] = tag as unknown as [string, string, string, string, string];
  if (isEnd) {
    if (open.pop()!.name !== name) throw new Error(`</${name}> at ${start} closes another element`);
    return TAG.lastIndex;
  }
  const element: Element = { name, attributes: attributesOf(attributes, start), children: [] };
  open.at(-1)!.children.push(element);
  if (RAW.has(name)) {
    const end = html.indexOf(`</${name}>`, TAG.lastIndex);
    element.children.push(html.slice(TAG.lastIndex, end));
    return end + name.length + 3;
  }
  if (!isEmpty && !VOID.has(name)) open.push(element);
  return TAG.lastIndex;
}

/** All elements in their order. */
export function elementsOf(root: Element): Element[] {
  return root.children.flatMap((child) => (typeof child === "string" ? [] : [child, ...elementsOf(child)]));
}

/** The text of an element and of all in it. */
export function textOf(root: Element): string {
  return root.children.map((child) => (typeof child === "string" ? child : textOf(child))).join("");
}

function attributesOf(source: string, at: number): Map<string, string> {
  const found = [...source.matchAll(/([a-zA-Z][\w:-]*)="([^"]*)"/g)].map(([, name, value]) => [name!, unescaped(value!, at)] as const);
  if (new Set(found.map(([name]) => name)).size < found.length) throw new Error(`an attribute is there twice at ${at}`);
  return new Map(found);
}

function unescaped(text: string, at: number): string {
  const rest = text.replaceAll(/&#(\d+);/g, "");
  if (/[&<]/.test(rest)) throw new Error(`unescaped text at ${at}: ${text.slice(0, 80)}`);
  return text.replaceAll(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)));
}
