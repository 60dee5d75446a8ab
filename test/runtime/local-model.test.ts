/** @file A model in this process keeps the contract of all models. */
import { describe } from "vitest";
import { loadModel } from "../../src/runtime/load.js";
import { modelContract } from "./contract.js";

describe("a local model", () => modelContract((folder, options) => loadModel(folder, { threads: 1, ...options })));
