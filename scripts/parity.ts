/** @file Measures the engine against every golden and writes `docs/parity.md`. Run it with `npm run parity`. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { measureGolden, measureReal } from "../test/parity/measure.js";
import { disagreements, measureAll, renderParity, type ParityReport } from "../test/parity/report.js";
import { modelShelf } from "../test/parity/subjects.js";
import { hasShared, sharedPath } from "../test/shared.js";

const PAGE = fileURLToPath(new URL("../docs/parity.md", import.meta.url));

async function main(): Promise<void> {
  if (!hasShared)
    throw new Error(`the goldens are missing: there is no ${sharedPath("goldens")}; set SEXTANT_SHARED to the folder above them`);
  const report = await measureOnce();
  const problems = disagreements(report);
  if (problems.length > 0)
    throw new Error(`the engine disagrees with the goldens, docs/parity.md is left as it was\n${problems.join("\n")}`);
  writeFileSync(PAGE, renderParity(report, existsSync(PAGE) ? readFileSync(PAGE, "utf8") : ""));
}

async function measureOnce(): Promise<ParityReport> {
  const shelf = modelShelf();
  try {
    return await measureAll({
      golden: async ({ name, folder }) => measureGolden(await shelf.open(folder), folder, name),
      real: async (name) => measureReal(await shelf.open(sharedPath("models", name)), name),
    });
  } finally {
    await shelf.close();
  }
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
