/** @file The commands of `sextant`, in the order of its help. */
import type { Command } from "./command.js";
import { attendCommand } from "./commands/attend.js";
import { demoCommand } from "./commands/demo.js";
import { devicesCommand } from "./commands/devices.js";
import { diffCommand } from "./commands/diff.js";
import { generateCommand } from "./commands/generate.js";
import { gradientCommand } from "./commands/gradient.js";
import { knockoutCommand } from "./commands/knockout.js";
import { lensCommand } from "./commands/lens.js";
import { modelCommand } from "./commands/model.js";
import { modelsCommand } from "./commands/models.js";
import { patchCommand } from "./commands/patch.js";
import { pathCommand } from "./commands/path.js";
import { pullCommand } from "./commands/pull.js";
import { readCommand } from "./commands/read.js";
import { runsCommand } from "./commands/runs.js";
import { trainCommand } from "./commands/train.js";
import { studyCommand } from "./commands/study.js";
import { vectorsCommand } from "./commands/vectors.js";
import { verifyCommand } from "./commands/verify.js";
import { verifyModelCommand } from "./commands/verify-model.js";

export const COMMANDS: readonly Command[] = [
  demoCommand,
  modelCommand,
  modelsCommand,
  pullCommand,
  devicesCommand,
  lensCommand,
  attendCommand,
  readCommand,
  gradientCommand,
  patchCommand,
  knockoutCommand,
  pathCommand,
  generateCommand,
  vectorsCommand,
  trainCommand,
  studyCommand,
  verifyCommand,
  runsCommand,
  diffCommand,
  verifyModelCommand,
];
