/** @file The commands of `sextant`, in the order of its help. */
import type { Command } from "./command.js";
import { attendCommand } from "./commands/attend.js";
import { demoCommand } from "./commands/demo.js";
import { generateCommand } from "./commands/generate.js";
import { lensCommand } from "./commands/lens.js";
import { modelCommand } from "./commands/model.js";
import { readCommand } from "./commands/read.js";
import { verifyModelCommand } from "./commands/verify-model.js";

export const COMMANDS: readonly Command[] = [
  demoCommand,
  modelCommand,
  lensCommand,
  attendCommand,
  readCommand,
  generateCommand,
  verifyModelCommand,
];
