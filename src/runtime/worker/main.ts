/** @file The program of a worker thread: a host, and the port to the thread that started it. */
import { parentPort } from "node:worker_threads";
import { must } from "../../base/errors.js";
import { loadModel } from "../load.js";
import { Host } from "./host.js";
import type { ToWorker } from "./protocol.js";

const port = must(parentPort, "the port to the thread that started this worker");
const host = new Host(loadModel, (message, transfer) => port.postMessage(message, transfer));
port.on("message", (message: ToWorker) => host.hear(message));
