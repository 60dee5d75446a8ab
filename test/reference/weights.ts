/** @file The tensors of a checkpoint as float64, under the names of the newest `transformers` and the older ones. */
import { openCheckpoint, type Checkpoint } from "../../src/formats/safetensors.js";
import { floats, type Floats } from "./arrays.js";

/** Reads tensors by name, each once. */
export class Weights {
  readonly #checkpoint: Checkpoint;
  readonly #read = new Map<string, Floats>();

  constructor(folder: string) {
    this.#checkpoint = openCheckpoint(folder);
  }

  has(name: string): boolean {
    return this.#stored(name) !== undefined;
  }

  get(name: string): Floats {
    const stored = this.#stored(name);
    if (!stored) throw new Error(`the checkpoint has no ${name}`);
    const known = this.#read.get(stored) ?? this.#load(stored);
    this.#read.set(stored, known);
    return known;
  }

  #load(stored: string): Floats {
    return floats(this.#checkpoint.stored(stored).shape, Float64Array.from(this.#checkpoint.readFloat32(stored)));
  }

  /** The stored name: as given, without the base model's prefix (old hub files), or inside a language-and-vision wrapper. */
  #stored(name: string): string | undefined {
    const bare = name.slice(name.indexOf(".") + 1);
    const wrapped = [`language_model.${name}`, name.replace(/^model\./, "model.language_model.")];
    return [name, bare, ...wrapped].find((candidate) => this.#checkpoint.tensors.has(candidate));
  }
}
