/** @file Which of some names a mistyped one was meant to be. */

/** The names that one or two changed, added or left out characters lead to (one for a short text); nearest first. */
export function nearestNames(text: string, names: readonly string[]): string[] {
  const limit = Math.min(2, Math.ceil(text.length / 3));
  const found = names.map((name) => ({ name, distance: distanceOf(text, name) })).filter(({ distance }) => distance <= limit);
  return found.toSorted((a, b) => a.distance - b.distance).map(({ name }) => name);
}

/** Levenshtein's distance. */
function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(changed, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
