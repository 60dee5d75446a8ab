/**
 * @file `npm run example:browser`: the page of `examples/browser` with the models that come along. Models of your own, and another port:
 * `npm run example:browser -- --port 9000 FOLDER …`.
 */
import { basename, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { servePage, type OfferedModel } from "./browser-example.js";

const OWN: OfferedModel = {
  name: "induction",
  folder: fileURLToPath(new URL("../models/induction", import.meta.url)),
  prompt: "a dog saw Anna Hill in the garden and Anna",
  steer: ["Mira Stone met Tom when Mira", "Mira Hill met Tom when Mira"],
  strength: 0.75,
};

const { values, positionals } = parseArgs({ options: { port: { type: "string", default: "8080" } }, allowPositionals: true });
const others = positionals.map((folder): OfferedModel => {
  return {
    name: basename(resolve(folder)),
    folder,
    prompt: "Once upon a time",
    steer: ["There was a big dog", "There was a little girl"],
    strength: 0.5,
  };
});
const { address } = await servePage([...others, OWN], Number(values.port));
console.log(`open ${address} in a browser; Ctrl-C ends it`);
