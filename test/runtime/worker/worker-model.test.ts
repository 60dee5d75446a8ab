/** @file A model in a worker thread keeps the contract of all models. */
import { describe } from "vitest";
import { loadModel } from "../../../src/runtime/load.js";
import { modelContract } from "../contract.js";

describe("a model in a worker", () => modelContract((folder, options) => loadModel(folder, { threads: 1, worker: true, ...options })));
