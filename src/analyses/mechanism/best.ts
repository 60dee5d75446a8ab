/** @file The items of highest score among those offered, kept in order. */

/** Keeps `most` items; of equal scores those offered first. A score that is no number is passed over. */
export class Best<T> {
  readonly #most: number;
  readonly #found: { readonly item: T; readonly score: number }[] = [];
  #least = -Infinity;

  constructor(most: number) {
    this.#most = most;
  }

  /** What was kept, best first. */
  get found(): readonly { readonly item: T; readonly score: number }[] {
    return this.#found;
  }

  offer(item: T, score: number): void {
    if (!(score > this.#least)) return;
    let at = this.#found.length;
    while (at > 0 && score > this.#found[at - 1]!.score) at--;
    this.#found.splice(at, 0, { item, score });
    if (this.#found.length > this.#most) this.#found.pop();
    if (this.#found.length === this.#most) this.#least = this.#found.at(-1)!.score;
  }
}
