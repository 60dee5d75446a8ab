/** @file The program of a worker thread: a host, and the port to the thread that started it. */
import { parentPort, workerData } from "node:worker_threads";
import { must } from "../../base/errors.js";
import { standBehind, type Gate } from "../gate.js";
import { loadModel } from "../load.js";
import { Host } from "./host.js";
import type { ToWorker } from "./protocol.js";

standBehind(workerData as Gate);
const port = must(parentPort, "the port to the thread that started this worker");
const host = new Host(loadModel, (message, transfer) => port.postMessage(message, transfer));
port.on("message", (message: ToWorker) => host.hear(message));
