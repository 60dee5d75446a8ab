/** @file Opening a model with its tokenizer and its weights. */
import { checkVocabulary, loadTokenizer } from "../formats/tokenizer.js";
import { loadModel, type LoadOptions } from "../runtime/load.js";
import { openWeights } from "../runtime/weights.js";
import type { Subject } from "./study.js";

/** A subject; who opened it closes it. */
export interface OpenSubject extends Subject {
  close(): Promise<void>;
}

/** The model in a folder, ready for a study. */
export async function openSubject(path: string, options: Pick<LoadOptions, "threads" | "device" | "signal"> = {}): Promise<OpenSubject> {
  const tokenizer = loadTokenizer(path);
  const model = await loadModel(path, options);
  try {
    checkVocabulary(tokenizer, model.spec.vocab);
    const weights = openWeights(path, model.spec);
    return {
      path,
      model,
      tokenizer,
      weights,
      async close() {
        weights.close();
        await model.close();
      },
    };
  } catch (error) {
    await model.close();
    throw error;
  }
}
