/** @file The commands of `sextant`, in the order of its help. */
import type { Command } from "./command.js";
import { attend } from "./commands/attend.js";
import { demo } from "./commands/demo.js";
import { generate } from "./commands/generate.js";
import { lens } from "./commands/lens.js";
import { model } from "./commands/model.js";
import { read } from "./commands/read.js";
import { verifyModel } from "./commands/verify-model.js";

export const COMMANDS: readonly Command[] = [demo, model, lens, attend, read, generate, verifyModel];
